// Whose install scripts may run. None, unless a file or the command line says so. Like an exception, a
// project's list lifts what bftpkg itself refuses and never what the user refuses: where the user's own
// file has a list, nothing beyond it runs, whatever the project or the command line asks for.
import { matchesPattern } from './pattern.ts';
import { exceptionTarget, type Layer, type ScriptTarget } from './policy.ts';

/** What the command line says: nothing, what the lists allow, or every verified package's. */
export type ScriptsMode = 'none' | 'listed' | 'all';

/** How a target is written: `name`, a pattern, or either with `@version`. */
export function scriptTargetText(target: ScriptTarget): string {
  return exceptionTarget({ ...target, code: 'BP6012', reason: '', expires: '' });
}

/** Whether the install scripts of a verified release may run. */
export function mayRunScripts(
  layers: readonly Layer[],
  mode: ScriptsMode,
  release: { readonly name: string; readonly version: string },
): boolean {
  if (mode === 'none') return false;
  const user = listOf(layers, 'user');
  if (user !== undefined && !isListed(user, release)) return false;
  if (mode === 'all') return true;
  const lists = [user, listOf(layers, 'project')].filter((list) => list !== undefined);
  return lists.length > 0 && lists.every((list) => isListed(list, release));
}

function listOf(
  layers: readonly Layer[],
  origin: Layer['origin'],
): readonly ScriptTarget[] | undefined {
  const lists = layers
    .filter((layer) => layer.origin === origin)
    .flatMap(({ allowScripts }) => (allowScripts === undefined ? [] : [allowScripts]));
  return lists.length === 0 ? undefined : lists.flat();
}

function isListed(
  list: readonly ScriptTarget[],
  { name, version }: { readonly name: string; readonly version: string },
): boolean {
  return list.some(
    (target) =>
      (target.version === null || target.version === version) &&
      matchesPattern(target.pattern, name),
  );
}
