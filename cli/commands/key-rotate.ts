// `bftpkg key rotate`: a new key, and for each package the change of its maintainer set that puts the new key in
// the place of the old one, signed with both. The other maintainers approve it; until then the old key counts.
import { lstat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import type { Invocation } from '../context.ts';
import { CliError, systemCode, usageError } from '../errors.ts';
import { storeKey } from '../keys/key-file.ts';
import { openKey, rememberSigner, type PublicHalf } from '../keys/open-key.ts';
import { memorySigner } from '../keys/signer.ts';
import { doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { withSession } from '../session/log-session.ts';
import { lookUpPackage } from '../session/look-up.ts';
import { newKeyPath, newLock } from './key.ts';
import { packageProposeChange } from './package-change.ts';

/** Options of `key rotate`. */
export interface RotateOptions {
  readonly package: readonly string[];
  /** A key that is there already, instead of a new one. */
  readonly to?: string;
  /** Name of the new key. */
  readonly name?: string;
  /** Folder for the drafts. */
  readonly out: string;
  readonly passphrase: boolean;
}

/** `key rotate <key> --package <name>…`. */
export async function keyRotate(
  invocation: Invocation,
  what: string,
  options: RotateOptions,
): Promise<Report> {
  if (options.package.length === 0) throw usageError('no --package whose maintainers change');
  const old = await openKey(invocation, what);
  // Before a key is made: whoever is no maintainer has nothing to rotate.
  const labels = await labelsOf(invocation, options.package, old.publicKey);
  const next = await nextKey(invocation, old, options);
  const hex = publicKeyHex(next.key.publicKey);
  const files: string[] = [];
  const lines: string[] = [];
  const warnings: Diagnostic[] = [];
  for (const [name, label] of labels) {
    const out = join(options.out, draftName(name));
    const report = await packageProposeChange(invocation, name, {
      add: [`${label}=${hex}`],
      remove: [publicKeyHex(old.publicKey)],
      key: [what, next.what],
      out,
    });
    files.push(resolve(invocation.context.cwd, out));
    lines.push(...(report.result?.lines ?? []));
    warnings.push(...report.diagnostics);
  }
  return doneReport(
    'key rotate',
    {
      data: { from: old.name, to: next.key.name, publicKey: hex, drafts: files },
      lines: [
        `new key ${next.key.name}  ${hex}`,
        ...lines,
        `keep ${old.name} until the log has every change; releases that it signed stay good (bftpkg revoke, if it was stolen)`,
      ],
    },
    warnings,
  );
}

async function labelsOf(
  invocation: Invocation,
  names: readonly string[],
  key: PublicKey,
): Promise<readonly (readonly [name: string, label: string])[]> {
  const hex = publicKeyHex(key);
  return await withSession(invocation, {}, async (session) => {
    const labels: (readonly [string, string])[] = [];
    for (const name of new Set(names)) {
      const { found } = await lookUpPackage(session, name);
      if (found === undefined) throw new CliError('BP5003', `${name}: not registered in the log`);
      const own = found.set.maintainers.find((each) => publicKeyHex(each.key) === hex);
      if (own === undefined) {
        throw usageError(`${name}: this key is not one of its maintainers`, 'bftpkg key list');
      }
      labels.push([name, own.name]);
    }
    return labels;
  });
}

interface NextKey {
  readonly key: PublicHalf;
  /** How to name it after `--key`. */
  readonly what: string;
}

async function nextKey(
  invocation: Invocation,
  old: PublicHalf,
  options: RotateOptions,
): Promise<NextKey> {
  if (options.to !== undefined) {
    const key = await openKey(invocation, options.to);
    if (key.keyId === old.keyId) throw usageError('--to names the old key');
    return { key, what: options.to };
  }
  const name = options.name ?? nextName(old.name);
  const path = newKeyPath(invocation, name);
  if (await isThere(path)) {
    // Left by a run whose proposals failed, perhaps: it is as new as another one would be.
    throw new CliError('BP8001', `${path}: exists already`, {
      hints: [`--to ${name}, to propose that key`, '--name <name>, to make another one'],
    });
  }
  const lock = await newLock(invocation, name, options.passphrase);
  const secret = SigningKey.generate();
  const key = await storeKey(path, name, secret, lock);
  rememberSigner(invocation, path, memorySigner(name, secret));
  return { key, what: path };
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** `alice` becomes `alice-2`, `alice-2` becomes `alice-3`. */
function nextName(name: string): string {
  const [, stem, count] = /^(.+)-([1-9][0-9]{0,3})$/.exec(name) ?? [];
  return stem === undefined ? `${name}-2` : `${stem}-${Number(count) + 1}`;
}

function draftName(name: string): string {
  return `rotate-${name.replace('@', '').replace('/', '-')}.json`;
}
