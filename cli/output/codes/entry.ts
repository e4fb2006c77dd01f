// What a diagnostic code says of itself.
import type { ExitCode } from '../exit-codes.ts';

/** What `bftpkg explain` says about a code. */
export interface CodeEntry {
  readonly title: string;
  readonly exit: ExitCode;
  /** What happened. */
  readonly happened: string;
  /** Why it matters. */
  readonly matters: string;
  /** Likely innocent causes. */
  readonly innocent: string;
  /** What an attacker could have done. */
  readonly attack: string;
  /** What to do now. */
  readonly action: string;
  /** How to suppress it. */
  readonly suppress: string;
}

/** What proves an attack, or makes a verdict worthless, is for nobody to switch off. */
export const NEVER = 'Cannot be suppressed.';
