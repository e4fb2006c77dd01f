// What every format shares: which sources and digests can be bound to a logged release. What package
// managers would accept besides (no hash, SHA-1, several hashes, git, URLs) is refused with its reason:
// each of these installs bytes that nobody vouches for, which was tried.
import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { parseSri } from '../../verifier/npm/integrity.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { EntrySource, LockEntry, LockPlace, RegistryEntry } from './lockfile.ts';

/** A JSON object of unknown content, without a prototype. */
export type Table = { readonly [key: string]: JsonValue };

/** The value as an object. */
export function asTable(value: JsonValue | undefined): Table | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined;
  return value as Table;
}

/** The texts of a list; a single text counts as a list of one, as package managers read it. */
export function asStrings(value: JsonValue | undefined): readonly string[] {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value)) return [];
  return (value as readonly JsonValue[]).filter((item) => typeof item === 'string');
}

/** The members of an object that are texts. */
export function asTexts(value: JsonValue | undefined): readonly (readonly [string, string])[] {
  return Object.entries(asTable(value) ?? {}).flatMap(([key, text]) =>
    typeof text === 'string' ? [[key, text] as const] : [],
  );
}

/** An entry that can't be bound to a logged release. */
export function refuse(
  place: LockPlace,
  reason: string,
  source: EntrySource = 'unknown',
  isUnloggable: boolean = false,
): LockEntry {
  return { ...place, kind: 'refused', reason, source, isUnloggable };
}

/** Where an entry's bytes come from, and why that can't be verified. */
export interface SourceVerdict {
  readonly source: EntrySource;
  /** `undefined` for a registry. */
  readonly problem: string | undefined;
}

const REGISTRY: SourceVerdict = { source: 'registry', problem: undefined };
const GIT = /^(?:git[+:@]|github:|gitlab:|bitbucket:|gist:|ssh:)/i;
const LOCAL = /^(?:file|link|portal|directory):/i;

/** Judges an address; `undefined` is the registry, whichever one. The address is never used. */
export function sourceOf(resolved: JsonValue | undefined): SourceVerdict {
  if (resolved === undefined) return REGISTRY;
  const no = (source: EntrySource, problem: string): SourceVerdict => ({ source, problem });
  if (typeof resolved !== 'string') return no('unknown', 'resolved is not a string');
  // What names a repository or a commit is git, also where it is fetched over https.
  const isRepository = /^https?:\/\/[^?#]*\.git(?:[?#]|$)|^https:\/\/codeload\.github\.com\//i;
  if (GIT.test(resolved) || isRepository.test(resolved)) {
    return no('git', 'it comes from git, which no digest covers');
  }
  if (LOCAL.test(resolved)) return no('file', 'it comes from a local file');
  if (!/^https?:\/\//i.test(resolved)) {
    return no('unknown', `its source ${quote(resolved)} is unknown`);
  }
  // `/-/` and `/download/` are the two forms in which registries name tarballs.
  const path = resolved.replace(/[?#].*$/s, '');
  if (/\/-\/[^/]+\.tgz$/.test(path) || /\/download\//.test(path)) return REGISTRY;
  return no('url', 'it comes from a URL that is not a registry’s');
}

/** What a lockfile says about a registry package. */
export interface RegistryClaim {
  readonly resolved: JsonValue | undefined;
  readonly integrity: JsonValue | undefined;
  readonly optional: boolean;
  readonly os: JsonValue | undefined;
  readonly cpu: JsonValue | undefined;
}

/** A registry entry with exactly one SHA-512 under a name and version that a log can hold, or why not. */
export function classifyRegistry(place: LockPlace, claim: RegistryClaim): LockEntry {
  const { source, problem } = sourceOf(claim.resolved);
  if (problem !== undefined) return refuse(place, problem, source);
  const sha512 = readDigest(claim.integrity);
  const reason = unloggableReason(place);
  if (reason !== undefined) {
    const bound = typeof sha512 === 'string' ? {} : { sha512 };
    return { ...place, kind: 'refused', reason, source: 'registry', isUnloggable: true, ...bound };
  }
  if (typeof sha512 === 'string') return refuse(place, sha512, 'registry');
  const fields: RegistryEntry = {
    kind: 'registry',
    version: place.version ?? '',
    sha512,
    optional: claim.optional,
    os: asStrings(claim.os),
    cpu: asStrings(claim.cpu),
  };
  return { ...place, ...fields };
}

/** Why no log can hold a name and version; `undefined` when it can. */
export function unloggableReason({ name, version }: LockPlace): string | undefined {
  // Among them old packages with names that npm gives to nobody any more, like `JSONStream`.
  if (!isPackageName(name)) return `${quote(name)} is no name that npm gives to new packages`;
  if (version === null || !isVersion(version)) {
    return 'its version is not a plain semantic version';
  }
  return undefined;
}

/** The digest of an integrity value (64 bytes), or what is wrong with it. */
function readDigest(integrity: JsonValue | undefined): Uint8Array | string {
  if (integrity === undefined) return 'it has no integrity value';
  if (typeof integrity !== 'string') return 'its integrity value is not a string';
  try {
    return parseSri(integrity);
  } catch {
    return describeIntegrity(integrity);
  }
}

function describeIntegrity(integrity: string): string {
  const parts = integrity.trim().split(/\s+/);
  if (parts.length > 1) return 'it has several integrity values, of which npm accepts any one';
  if (integrity.startsWith('sha1-')) return 'its only integrity value is SHA-1, which is broken';
  if (!integrity.startsWith('sha512-')) return 'its integrity value is not SHA-512';
  return 'its integrity value is malformed';
}

/** Whether a path stays in the project and means the same to every reader. */
export function isPlainPath(path: string): boolean {
  // oxlint-disable-next-line no-control-regex -- exactly what must not be in a path
  if (path === '' || path.startsWith('/') || /[\\:\u0000-\u001f]/u.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
