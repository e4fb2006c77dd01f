// Which package manager the project says it is for. One that is not the lockfile's does not read it, and chooses
// versions of its own: a pull request could put a good lockfile of another manager in the place of the real one.
import { dirname, join } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { asTable } from './classify.ts';
import type { LockFormat, Lockfile } from './lockfile.ts';
import { readManifest } from './project.ts';

/** Both versions of Yarn have one name, and read each other's lockfile or refuse it. */
const READS: ReadonlyMap<string, readonly LockFormat[]> = new Map([
  ['npm', ['npm']],
  ['pnpm', ['pnpm']],
  ['yarn', ['yarn-classic', 'yarn-berry']],
  ['bun', ['bun']],
]);

/**
 * Refuses a lockfile beside a package.json that says that another package manager is used (`packageManager`, as
 * Corepack reads it, or `devEngines.packageManager`, as npm and pnpm do).
 *
 * @throws {CliError} BP9005; BP9004 for a package.json that can't be read
 */
export async function requireDeclaredManager({ path, file, format }: Lockfile): Promise<void> {
  const manifest = join(dirname(path), 'package.json');
  for (const names of await declarationsIn(manifest)) {
    if (formatsOf(names).includes(format)) continue;
    const said = names.map((name) => quote(name)).join(', ');
    throw new CliError('BP9005', `${manifest}: is for ${said}, which does not read ${file}`, {
      hints: ['verify the lockfile that it reads', `or this one all the same: --lockfile ${file}`],
    });
  }
}

/**
 * The package manager that a project names in package.json, when it is not npm.
 *
 * @throws {CliError} BP9004 for a package.json that can't be read
 */
export async function otherDeclaredManager(project: string): Promise<string | undefined> {
  for (const names of await declarationsIn(join(project, 'package.json'))) {
    if (!names.includes('npm')) return names.find((name) => READS.has(name));
  }
  return undefined;
}

// Those that name a manager that is known: of others nothing can be said.
async function declarationsIn(manifest: string): Promise<readonly (readonly string[])[]> {
  const document = await readManifest(manifest);
  if (document === undefined) return [];
  const engines = asTable(document['devEngines'])?.['packageManager'];
  const declared = [namesOf(document['packageManager']), namesOf(engines)];
  return declared.filter((names) => formatsOf(names).length > 0);
}

function formatsOf(names: readonly string[]): readonly LockFormat[] {
  return names.flatMap((name) => READS.get(name) ?? []);
}

/** `pnpm@9.1.0+sha512…`, `{name: 'pnpm'}`, or a list of those. */
function namesOf(value: JsonValue | undefined): readonly string[] {
  if (Array.isArray(value)) return (value as readonly JsonValue[]).flatMap(namesOf);
  const text = typeof value === 'string' ? value : asTable(value)?.['name'];
  return typeof text === 'string' ? [text.replace(/@.*$/s, '').trim().toLowerCase()] : [];
}
