// A lock between processes of one machine: a file that only one of them can create.
import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import { CliError, systemCode } from '../errors.ts';
import { createFile } from '../../verifier/node/durable-file.ts';

// What is done under a lock takes milliseconds; a holder that is silent for this long is gone, even
// if its process number has been given to another program since.
const STALE_AFTER_MS = 30_000;
const WAIT_MS_MAX = 10_000;
const POLL_MS = 25;

/**
 * Runs `work` while holding the lock file at `path`.
 *
 * @throws {CliError} BP9004 when the lock cannot be had within ten seconds
 */
export async function withFileLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const owner = `${hostname()} ${process.pid} ${randomBytes(8).toString('hex')}\n`;
  await acquire(path, owner);
  try {
    return await work();
  } finally {
    // Only our own: somebody who thought us dead may have taken the lock over.
    if ((await readIfThere(path)) === owner) await rm(path, { force: true });
  }
}

async function acquire(path: string, owner: string): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadline) {
    try {
      await createFile(path, owner, 0o600);
      return;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    await removeIfStale(path);
    await sleep(POLL_MS);
  }
  throw new CliError('BP9004', `${path}: another bftpkg holds the lock`, {
    hints: ['wait until it has ended; remove the file if there is none'],
  });
}

async function removeIfStale(path: string): Promise<void> {
  const holder = await readIfThere(path);
  if (holder === undefined || !(await isStale(path, holder))) return;
  // Renamed first, so that of two who found it stale only one removes it, and then looked at again:
  // a fresh lock that was created in between goes back.
  const aside = `${path}.${randomBytes(6).toString('hex')}.stale`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  if ((await readIfThere(aside)) !== holder) {
    await rename(aside, path);
    return;
  }
  await rm(aside, { force: true });
}

async function isStale(path: string, holder: string): Promise<boolean> {
  const [host, pid = ''] = holder.split(' ');
  if (host === hostname() && /^[1-9][0-9]{0,9}$/.test(pid) && !isAlive(Number(pid))) return true;
  try {
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs > STALE_AFTER_MS;
  } catch {
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCode(error) !== 'ESRCH';
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
