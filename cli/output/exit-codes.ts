// The one table of exit codes: programs branch on these, so they are append-only. The documentation,
// `bftpkg explain exit-codes` and the tests are made from it.

/** Exit codes by name. */
export const EXIT = {
  verified: 0,
  rejected: 1,
  usage: 2,
  inconclusive: 3,
  locked: 4,
  internal: 5,
  tampered: 10,
  maintainers: 11,
  attestations: 12,
  stale: 13,
  fork: 14,
  withdrawn: 15,
  notLogged: 16,
  proof: 17,
  policy: 18,
  nothing: 20,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** One line of the table: what the code means and whether trying again can change it. */
export interface ExitCodeEntry {
  readonly code: ExitCode;
  readonly meaning: string;
  readonly retry: string;
}

/** Every code that this program can exit with, in rising order. */
export const EXIT_CODES: readonly ExitCodeEntry[] = [
  {
    code: EXIT.verified,
    meaning: 'every subject verified or allowed by the policy, or the command did its work',
    retry: '-',
  },
  { code: EXIT.rejected, meaning: 'refused for a reason without a code of its own', retry: 'no' },
  { code: EXIT.usage, meaning: 'wrong usage or configuration, unsupported lockfile', retry: 'no' },
  {
    code: EXIT.inconclusive,
    meaning: 'could not check: too few replicas reachable, time spent; nothing was proven bad',
    retry: 'yes',
  },
  {
    code: EXIT.locked,
    meaning:
      'a key, its passphrase or an answer is missing, and nobody can be or was willing to be asked',
    retry: 'no',
  },
  { code: EXIT.internal, meaning: 'internal error, a bug in bftpkg', retry: 'report it' },
  {
    code: EXIT.tampered,
    meaning: 'tampered artifact: bytes differ from the logged release',
    retry: 'no',
  },
  { code: EXIT.maintainers, meaning: 'too few maintainer signatures', retry: 'no' },
  { code: EXIT.attestations, meaning: 'too few repository attestations', retry: 'maybe' },
  {
    code: EXIT.stale,
    meaning: 'stale checkpoint, possibly a freeze',
    retry: 'yes, then investigate',
  },
  {
    code: EXIT.fork,
    meaning: 'split view: two different logs were signed',
    retry: 'no, keep the evidence',
  },
  { code: EXIT.withdrawn, meaning: 'revoked or yanked release', retry: 'no' },
  { code: EXIT.notLogged, meaning: 'not in the log', retry: 'no' },
  { code: EXIT.proof, meaning: 'bad inclusion, map or consistency proof', retry: 'no' },
  {
    code: EXIT.policy,
    meaning: 'refused by a rule of the project, of the log or of bftpkg',
    retry: 'no',
  },
  { code: EXIT.nothing, meaning: 'nothing to verify: the set of subjects is empty', retry: 'no' },
  { code: EXIT.interrupted, meaning: 'interrupted (SIGINT)', retry: '-' },
  { code: EXIT.terminated, meaning: 'terminated (SIGTERM)', retry: '-' },
];

/**
 * From most to least severe. A proof that the log lied comes first, because nothing else that was
 * found can be relied on then; "could not check" comes after everything that was proven.
 */
export const SEVERITY: readonly ExitCode[] = [
  EXIT.internal,
  EXIT.fork,
  EXIT.tampered,
  EXIT.proof,
  EXIT.maintainers,
  EXIT.attestations,
  EXIT.withdrawn,
  EXIT.stale,
  EXIT.policy,
  EXIT.notLogged,
  EXIT.rejected,
  EXIT.inconclusive,
  EXIT.locked,
  EXIT.usage,
  EXIT.nothing,
];

/**
 * The exit code of a run that met these: the most severe one, 0 only when there is none at all.
 * A code that isn't in the order of severity counts as an internal error, never as success.
 */
export function combineExits(codes: readonly ExitCode[]): ExitCode {
  const bad: readonly ExitCode[] = codes.filter((code) => code !== EXIT.verified);
  if (bad.length === 0) return EXIT.verified;
  return SEVERITY.find((code) => bad.includes(code)) ?? EXIT.internal;
}
