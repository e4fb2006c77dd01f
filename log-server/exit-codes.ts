// How the program ends.

/** Exit codes of `bftpkg-log`. */
export const EXIT = {
  ok: 0,
  /** Wrong arguments, configuration, keys or folders: a person has to change something. */
  usage: 2,
  /** What was asked for could not be reached. */
  unavailable: 3,
  /** What is stored is damaged: `bftpkg-log fsck` says where. */
  damaged: 4,
  /** A bug or a broken disk (sysexits.h EX_SOFTWARE): start again, and look at the log. */
  internal: 70,
} as const;
