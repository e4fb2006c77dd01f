// What npm accepts as the name of a new package, stated as a grammar, and the names of Node's own modules:
// packages called punycode, events or buffer are older than npm's rule against them, and few dependency
// trees are without one. Otherwise the rules are those of validate-npm-package-name 7.0.2
// (`validForNewPackages`), and a property test holds us to it. The library itself isn't used: replicas must
// agree on every name for ever, whatever they run on.
import { VerifyError, quote } from '../errors.ts';

/** npm's limit for the whole name, scope included, in characters (all of them ASCII). */
export const PACKAGE_NAME_LENGTH_MAX = 214;

const UNSCOPED_PATTERN = /^[a-z0-9][a-z0-9._-]*$/;
// Stricter than npm's check in one point: the library lets ~'!()* through in the scope (it looks at
// the last part only). No registry hands out such a scope, and in a purl each would need an escape,
// so that one name had several spellings.
const SCOPED_PATTERN = /^@(?<scope>[a-z0-9._-]+)\/(?<base>[a-z0-9_-][a-z0-9._-]*)$/;

// npm refuses these as whole names. We refuse them below a scope too: Node looks for the
// dependencies of every @scope/x in `node_modules/@scope/node_modules`, which is where a package
// called @scope/node_modules would be installed, and so it could stand in for any dependency.
const RESERVED_NAMES: ReadonlySet<string> = new Set(['node_modules', 'favicon.ico']);

const ASCII_PATTERN = /^[ -~]*$/;
const SEPARATORS_PATTERN = /[-_.]/g;

/** The parts of a package name. */
export interface PackageName {
  /** Without the `@`; `undefined` for a name that has no scope. */
  readonly scope: string | undefined;
  /** The part after the scope, or the whole name. */
  readonly base: string;
}

function invalid(name: string, detail: string): VerifyError {
  return new VerifyError('PACKAGE_NAME_INVALID', `package name ${quote(name)} ${detail}`);
}

/**
 * Checks a package name and takes it apart.
 *
 * @throws {VerifyError} `PACKAGE_NAME_INVALID`
 */
export function parsePackageName(name: string): PackageName {
  if (name.length > PACKAGE_NAME_LENGTH_MAX) {
    throw invalid(name, `is longer than ${PACKAGE_NAME_LENGTH_MAX} characters`);
  }
  const scoped = SCOPED_PATTERN.exec(name)?.groups;
  const scope = scoped?.['scope'];
  const base = scoped?.['base'] ?? name;
  if (scoped === undefined && !UNSCOPED_PATTERN.test(name)) {
    throw invalid(name, 'is not one that npm accepts for a new package');
  }
  if (RESERVED_NAMES.has(base)) throw invalid(name, 'is reserved');
  return { scope, base };
}

/** Whether `parsePackageName` accepts the name. */
export function isPackageName(name: string): boolean {
  try {
    parsePackageName(name);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

/**
 * A form under which names that people take for one another are equal: compatibility forms and case
 * folded, `-`, `_` and `.` dropped in each part. For warnings about look-alikes, never for identity;
 * it takes any text, because what is compared may come from outside npm.
 */
export function foldName(name: string): string {
  // Of ASCII that form changes nothing, and asking for it takes most of the time.
  const compatible = ASCII_PATTERN.test(name) ? name : name.normalize('NFKC');
  return compatible.toLowerCase().replace(SEPARATORS_PATTERN, '');
}
