// `bftpkg cache`: the verified tarballs that are kept. Nothing in there is trusted: every use hashes
// again, so removing files costs time and nothing else.
import type { Stats } from 'node:fs';
import { lstat, opendir, readFile, rm } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

import { decodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ARTIFACT_BYTES_MAX } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { configError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { hasDigest } from '../npm/artifact-store.ts';
import { doneReport, type Report } from '../output/report.ts';
import { cacheFolder } from '../trust/folders.ts';
import { parseDuration } from './duration.ts';

const DIGEST_LENGTH = 64;
/** Where installing keeps tarballs. */
const ARTIFACTS = 'artifacts';

/** A kept file. */
interface Kept {
  readonly path: string;
  readonly facts: Stats;
  /** What its place says that it is; `undefined` for what has no business there. */
  readonly sha512: Uint8Array | undefined;
}

// Symbolic links are not followed and folders that are links not entered: whatever they point to is not
// ours to remove.
async function* keptFiles(folder: string): AsyncGenerator<Kept> {
  let entries;
  try {
    entries = await opendir(folder, { recursive: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw configError(`${folder}: ${systemReason(error, 'cannot be read')}`);
  }
  for await (const entry of entries) {
    if (entry.isDirectory()) continue;
    const path = join(entry.parentPath, entry.name);
    yield { path, facts: await lstat(path), sha512: digestOf(relative(folder, path)) };
  }
}

// `aa/bb/rest`
function digestOf(place: string): Uint8Array | undefined {
  const parts = place.split(sep);
  if (parts.length !== 3 || parts[0]?.length !== 2 || parts[1]?.length !== 2) return undefined;
  try {
    return decodeHex(parts.join(''), DIGEST_LENGTH);
  } catch (error) {
    if (error instanceof VerifyError) return undefined;
    throw error;
  }
}

interface Count {
  files: number;
  bytes: number;
}

async function countAll(
  folder: string,
  take: (kept: Kept) => Promise<boolean>,
): Promise<{ readonly all: Count; readonly taken: Count }> {
  const all = { files: 0, bytes: 0 };
  const taken = { files: 0, bytes: 0 };
  for await (const kept of keptFiles(folder)) {
    const counts = (await take(kept)) ? [all, taken] : [all];
    for (const count of counts) {
      count.files++;
      count.bytes += kept.facts.size;
    }
  }
  return { all, taken };
}

function describe({ files, bytes }: Count): string {
  const size =
    bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${files} files, ${size}`;
}

function report(command: string, folder: string, lines: readonly string[], counts: object): Report {
  const data = { folder, ...(counts as Readonly<Record<string, number>>) };
  return doneReport(command, { data, lines: [...lines, `in ${folder}`] });
}

/** `cache info`. */
export async function cacheInfo({ context }: Invocation): Promise<Report> {
  const folder = join(cacheFolder(context.env), ARTIFACTS);
  const { all } = await countAll(folder, async () => false);
  return report('cache info', folder, [describe(all)], { ...all });
}

/** `cache verify`: hashes every file, and removes those that are not what their place says. */
export async function cacheVerify({ context }: Invocation): Promise<Report> {
  const folder = join(cacheFolder(context.env), ARTIFACTS);
  const { all, taken } = await countAll(folder, async ({ path, facts, sha512 }) => {
    context.signal.throwIfAborted();
    if (await isSound(path, facts, sha512)) return false;
    await rm(path, { force: true });
    return true;
  });
  const lines = [`${describe(all)} hashed`, `${describe(taken)} damaged, removed`];
  return report('cache verify', folder, lines, { ...all, removed: taken.files });
}

async function isSound(
  path: string,
  facts: Stats,
  sha512: Uint8Array | undefined,
): Promise<boolean> {
  if (sha512 === undefined || !facts.isFile() || facts.size > ARTIFACT_BYTES_MAX) return false;
  return hasDigest(new Uint8Array(await readFile(path)), sha512);
}

/** `cache prune`: removes what was not written for a while. */
export async function cachePrune(
  { context }: Invocation,
  options: { readonly older: string },
): Promise<Report> {
  const oldest = context.nowMs() - parseDuration(options.older) * 1000;
  return await remove('cache prune', context, ({ facts }) => facts.mtimeMs < oldest);
}

/** `cache clear`. */
export async function cacheClear({ context }: Invocation): Promise<Report> {
  return await remove('cache clear', context, () => true);
}

async function remove(
  command: string,
  { env }: Invocation['context'],
  isOver: (kept: Kept) => boolean,
): Promise<Report> {
  const folder = join(cacheFolder(env), ARTIFACTS);
  const { all, taken } = await countAll(folder, async (kept) => {
    if (!isOver(kept)) return false;
    await rm(kept.path, { force: true });
    return true;
  });
  const left = { files: all.files - taken.files, bytes: all.bytes - taken.bytes };
  const lines = [`${describe(taken)} removed`, `${describe(left)} left`];
  return report(command, folder, lines, { ...left, removed: taken.files });
}
