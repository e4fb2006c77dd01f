// `bftpkg key`: keys of maintainers in files.
import { resolve } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { JsonObject } from '../../verifier/json.ts';
import type { Invocation } from '../context.ts';
import { keysFolder } from '../keys/folder.ts';
import {
  createKey,
  describeKey,
  keyPath,
  listKeys,
  loadKey,
  type KeyInfo,
} from '../keys/key-file.ts';
import { memorySigner, type Signer } from '../keys/signer.ts';
import { doneReport, type Report } from '../output/report.ts';

/** `key generate <name>`: a new key file; its public half is printed. */
export async function keyGenerate(
  invocation: Invocation,
  name: string,
  options: { readonly out?: string },
): Promise<Report> {
  const { context } = invocation;
  const path =
    options.out === undefined
      ? keyPath(keysFolder(context), name)
      : resolve(context.cwd, options.out);
  // Also when --out says where: the name is a label in maintainer sets.
  keyPath('', name);
  const key = await createKey(path, name);
  return doneReport('key generate', {
    data: keyJson(key),
    lines: [
      ...keyLines(key),
      `file    ${key.path}`,
      `maintainer  ${name}=${publicKeyHex(key.publicKey)}`,
    ],
  });
}

/** `key show <name or file>`: the public half of a key. */
export async function keyShow(invocation: Invocation, what: string): Promise<Report> {
  const key = await openKey(invocation, what);
  return doneReport('key show', {
    data: keyJson(key),
    lines: [...keyLines(key), `file    ${key.path}`],
  });
}

/** `key list`: the public halves of all keys in the folder. */
export async function keyList(invocation: Invocation): Promise<Report> {
  const folder = keysFolder(invocation.context);
  const keys = await listKeys(folder);
  const lines = keys.map((key) => `${key.name}  ${publicKeyHex(key.publicKey)}`);
  return doneReport('key list', {
    data: { folder, keys: keys.map(keyJson) },
    lines: lines.length === 0 ? [`no keys in ${folder}`] : lines,
  });
}

/** A key by file (anything with a slash or a dot) or by its name in the user's folder. */
export async function openKey(
  invocation: Invocation,
  what: string,
): Promise<Awaited<ReturnType<typeof loadKey>>> {
  const { context } = invocation;
  if (/[/\\]/.test(what) || what.endsWith('.json'))
    return await loadKey(resolve(context.cwd, what));
  return await loadKey(keyPath(keysFolder(context), what));
}

/** A key that can sign, named as for `openKey`. */
export async function openSigner(invocation: Invocation, what: string): Promise<Signer> {
  const { name, signer } = await openKey(invocation, what);
  return memorySigner(name, signer);
}

function keyLines(key: KeyInfo): readonly string[] {
  return [`name    ${key.name}`, `public  ${publicKeyHex(key.publicKey)}`, `key id  ${key.keyId}`];
}

function keyJson(key: KeyInfo): JsonObject {
  return { ...describeKey(key) };
}
