// A folder to start other programs in. The system's folder for temporary files is everybody's: another user of
// the machine could have put an `.npmrc` there, or a `.yarnrc.yml` with plugins, and package managers read those
// of the folder that they are started in.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Does something in a new folder that only this user can write to, with an empty package.json in it (package
 * managers look for one in the folders above otherwise), and removes it.
 */
export async function inPrivateFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  // mkdtemp makes it with mode 0700.
  const folder = await mkdtemp(join(tmpdir(), 'bftpkg-private-'));
  try {
    await writeFile(join(folder, 'package.json'), '{}');
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}
