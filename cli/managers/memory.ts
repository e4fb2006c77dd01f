// What managers keep in node_modules about where it came from. Stores and proxy are gone after the run, and
// pnpm then refuses or reinstalls everything; without its memory it looks at the tree and is content (tried
// with pnpm 10 and 12, Yarn 1).
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const FILES = ['.modules.yaml', '.yarn-integrity'] as const;

/**
 * Removes what remembers a registry that is gone.
 *
 * @param folder   that has node_modules
 * @param registry address with this run's secret in it, so that nothing else is meant
 */
export async function forgetRegistry(folder: string, registry: string): Promise<void> {
  for (const name of FILES) {
    const path = join(folder, 'node_modules', name);
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text.includes(registry)) await rm(path, { force: true });
  }
}
