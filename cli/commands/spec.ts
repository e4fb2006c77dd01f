// `name@version` on the command line.
import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import { usageError } from '../errors.ts';

/** A release by name. */
export interface Spec {
  readonly name: string;
  readonly version: string;
}

/** @throws {CliError} BP9003 for anything but a name, `@`, and one exact version */
export function parseSpec(text: string): Spec {
  const at = text.lastIndexOf('@');
  const [name, version] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  if (isPackageName(name) && isVersion(version)) return { name, version };
  throw usageError(`${text} is not a name and an exact version`, 'write it as name@1.2.3');
}
