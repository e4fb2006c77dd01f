// What an artifact may cost whoever checks it. The largest of npm's thousand most used packages has
// 154 MiB in 8,065 files; other careful tools stop at 1 to 2 GiB and 200,000 entries. The values are
// part of the ledger's rules: a replica that accepted more than another would split their votes.

const MIB = 1024 * 1024;

/** Bytes of a tarball as it is served. It is held in memory whole before anything trusts it. */
export const TARBALL_BYTES_MAX: number = 256 * MIB;

/** Bytes of a tarball once inflated: also held in memory, and within one `Uint8Array`. */
export const ARCHIVE_BYTES_MAX: number = 1024 * MIB;

/**
 * Bytes of the archive per byte of the tarball. DEFLATE can't exceed 1032, real packages stay below
 * 100 or so; node-tar stops at 1000, so what passes here doesn't fail there.
 */
export const INFLATION_RATIO_MAX = 900;

/** Any tarball may inflate to this much, however small it is: the ratio says nothing about crumbs. */
export const INFLATION_FREE_BYTES: number = MIB;

/** Files, folders and extended headers together: each costs an entry in tables here and on disk. */
export const ENTRIES_MAX = 200_000;

/** Bytes of one file. */
export const FILE_BYTES_MAX: number = 512 * MIB;

/** Bytes of a path in UTF-8, root folder included. File systems stop at 1024 or 4096. */
export const PATH_BYTES_MAX = 1024;

/** Segments of a path, root folder included. */
export const PATH_DEPTH_MAX = 64;

/** Bytes of one extended header (PAX) or long name. node-tar's default, so again no difference. */
export const EXTENDED_HEADER_BYTES_MAX: number = MIB;
