// What a command may touch of its surroundings, passed in by main.ts so that commands can be tested
// with other folders, clocks and terminals.

/** The two output streams and whether somebody is looking. */
export interface Terminal {
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
  readonly outIsTty: boolean;
  readonly errIsTty: boolean;
  /** Asks a person for a line; `undefined` when nobody can be asked. */
  readonly ask: ((question: string) => Promise<string>) | undefined;
}

/** Surroundings of one run. */
export interface Context {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly terminal: Terminal;
  /** Unix milliseconds of this machine's clock. */
  readonly nowMs: () => number;
  /** Aborted on SIGINT, SIGTERM, and when the time for the whole command is spent. */
  readonly signal: AbortSignal;
}

/** Flags that every command has. */
export interface Globals {
  /** Folder of the project: absolute. */
  readonly project: string;
  /** `bftpkg.json` named by the user, absolute. */
  readonly config: string | undefined;
  readonly format: 'human' | 'json';
  /** Wall clock for the whole command, milliseconds. */
  readonly timeoutMs: number;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly color: 'always' | 'never' | 'auto';
  /** Whether questions may be asked. */
  readonly input: boolean;
  /** Whether no server may be asked. */
  readonly offline: boolean;
}

/** What a command gets. */
export interface Invocation {
  readonly context: Context;
  readonly globals: Globals;
  /** One line to stderr about what is going on; nothing with --quiet. */
  readonly progress: (text: string) => void;
}
