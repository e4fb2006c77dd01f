// What a command may touch of its surroundings, passed in by main.ts so that commands can be tested
// with other folders, clocks and terminals.

import type { Format } from './output/formats.ts';

/** The two output streams and whether somebody is looking. */
export interface Terminal {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
  readonly outIsTty: boolean;
  readonly errIsTty: boolean;
  /** Widths, where they are known; they change while a program runs. */
  readonly outColumns?: () => number | undefined;
  readonly errColumns?: () => number | undefined;
  /** Asks a person for a line, until `signal` is aborted; `undefined` when nobody can be asked. */
  readonly ask: ((question: string, signal?: AbortSignal) => Promise<string>) | undefined;
  /** The same without showing what is typed. */
  readonly askSecret?: ((question: string, signal?: AbortSignal) => Promise<string>) | undefined;
}

/** Surroundings of one run. */
export interface Context {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  /** Unix milliseconds of this machine's clock. */
  readonly nowMs: () => number;
  /** scrypt's work factor for keys that are written; only tests have another than the program's. */
  readonly keyWorkFactorLog2?: number | undefined;
  /** Aborted on SIGINT, SIGTERM, and when the time for the whole command is spent. */
  readonly signal: AbortSignal;
}

/** Flags that every command has. */
export interface Globals {
  /** Folder of the project: absolute. */
  readonly project: string;
  /** `bftpkg.json` named by the user, absolute. */
  readonly config: string | undefined;
  readonly format: Format;
  /** Files to write the report to as well; absolute paths. */
  readonly reports: readonly { readonly format: Format; readonly path: string }[];
  /** Wall clock for the whole command, milliseconds. */
  readonly timeoutMs: number;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: 'always' | 'never' | 'auto';
  readonly progress: 'auto' | 'bar' | 'lines' | 'none';
  /** Whether marks and punctuation outside ASCII are to be avoided. */
  readonly ascii: boolean;
  /** Whether documents leave out what differs between two runs with equal outcome. */
  readonly reproducible: boolean;
  /** Whether every refusal exits 1. */
  readonly simpleExit: boolean;
  /** Whether questions may be asked. */
  readonly input: boolean;
  /** File or pipe with the passphrase of the keys that are used; absolute. */
  readonly passphraseFile: string | undefined;
  /** Whether no server may be asked. */
  readonly offline: boolean;
}

/** How far something has come. */
export interface ProgressCount {
  readonly done: number;
  readonly total: number;
}

/** What a command gets. */
export interface Invocation {
  readonly context: Context;
  readonly globals: Globals;
  /** What is going on now, and how far it has come. Shown only if it takes long. */
  readonly progress: (text: string, count?: ProgressCount) => void;
  /** One line to stderr that is always shown, but for --quiet. */
  readonly notice: (text: string) => void;
}
