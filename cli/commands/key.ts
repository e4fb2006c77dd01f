// `bftpkg key generate|show|list|passwd`: keys of maintainers.
import { resolve } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { listAgentKeys } from '../keys/agent/agent-signer.ts';
import { fingerprint } from '../keys/agent/wire.ts';
import { keysFolder } from '../keys/folder.ts';
import {
  createKey,
  describeKey,
  keyPath,
  listKeyNames,
  loadNamedKey,
  protectionOf,
  relockKey,
  type KeyFile,
  type Lock,
} from '../keys/key-file.ts';
import { agentAccess, isAgentKey, openKey, openKeyFile, unlocked } from '../keys/open-key.ts';
import { askNewPassphrase } from '../keys/passphrase.ts';
import { doneReport, type Diagnostic, type Report } from '../output/report.ts';

/** `key generate <name>`: a new key file; its public half is printed. */
export async function keyGenerate(
  invocation: Invocation,
  name: string,
  options: { readonly out?: string; readonly passphrase: boolean },
): Promise<Report> {
  const path = newKeyPath(invocation, name, options.out);
  const key = await createKey(path, name, await newLock(invocation, name, options.passphrase));
  return doneReport('key generate', {
    data: describeKey(key),
    lines: [...keyLines(key), `maintainer  ${name}=${publicKeyHex(key.publicKey)}`],
  });
}

/** Where a new key goes. @throws {CliError} BP9003 for a name that is no label */
export function newKeyPath({ context }: Invocation, name: string, out?: string): string {
  // Also when --out says where: the name is a label in maintainer sets.
  const path = keyPath(keysFolder(context), name);
  return out === undefined ? path : resolve(context.cwd, out);
}

/** How a new key is stored: encrypted, unless plain text was asked for. @throws {CliError} BP8003 */
export async function newLock(
  invocation: Invocation,
  name: string,
  isEncrypted: boolean,
): Promise<Lock> {
  if (isEncrypted) return lockWith(invocation, await askNewPassphrase(invocation, name));
  invocation.notice(`warning: the key ${name} is stored in plain text`);
  return { passphrase: undefined };
}

/** A lock with that passphrase. */
export function lockWith({ context }: Invocation, passphrase: string): Lock {
  return { passphrase, workFactorLog2: context.keyWorkFactorLog2 };
}

/** `key show <key>`: the public half of a key. */
export async function keyShow(invocation: Invocation, what: string): Promise<Report> {
  if (!isAgentKey(what)) {
    const key = await openKeyFile(invocation, what);
    return doneReport('key show', { data: describeKey(key), lines: keyLines(key) });
  }
  const { name, publicKey, keyId } = await openKey(invocation, what);
  const data = { name, publicKey: publicKeyHex(publicKey), keyId, protection: 'ssh-agent' };
  return doneReport('key show', {
    data,
    lines: [
      `name    ${name}`,
      `public  ${data.publicKey}`,
      `key id  ${keyId}`,
      `agent   ${fingerprint(publicKey)}`,
    ],
  });
}

/** `key list`: the public halves of all keys in the folder, or of those that the agent holds. */
export async function keyList(
  invocation: Invocation,
  options: { readonly agent?: boolean },
): Promise<Report> {
  if (options.agent === true) return await agentList(invocation);
  const folder = keysFolder(invocation.context);
  const keys: KeyFile[] = [];
  const unusable: Diagnostic[] = [];
  for (const name of await listKeyNames(folder)) {
    try {
      keys.push(await loadNamedKey(folder, name));
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      // One damaged file must not hide the others.
      unusable.push({ ...error.diagnostic, severity: 'warning' });
    }
  }
  const lines = keys.map(
    (key) => `${key.name}  ${publicKeyHex(key.publicKey)}  ${protectionOf(key)}`,
  );
  return doneReport(
    'key list',
    {
      data: { folder, keys: keys.map(describeKey) },
      lines: lines.length === 0 ? [`no keys in ${folder}`] : lines,
    },
    unusable,
  );
}

async function agentList(invocation: Invocation): Promise<Report> {
  const { keys, others } = await listAgentKeys(agentAccess(invocation));
  const shown = keys.map(({ publicKey, comment }) => ({
    comment,
    fingerprint: fingerprint(publicKey),
    publicKey: publicKeyHex(publicKey),
  }));
  const lines = shown.map((key) => `${key.fingerprint}  ${key.publicKey}  ${key.comment}`);
  return doneReport('key list', {
    data: { keys: shown, others },
    lines: [
      ...(lines.length === 0 ? ['the agent holds no Ed25519 key'] : lines),
      ...(others === 0 ? [] : [`${others} of other kinds, which cannot sign statements`]),
    ],
  });
}

/** `key passwd <key>`: the same key under a new passphrase. */
export async function keyPasswd(
  invocation: Invocation,
  what: string,
  options: { readonly newPassphraseFile?: string },
): Promise<Report> {
  const { context, globals } = invocation;
  const file = await openKeyFile(invocation, what);
  const wasPlain = file.secret.kind === 'plain';
  const key = await unlocked(invocation, file);
  const from = options.newPassphraseFile;
  // A key without a passphrase has no use for --passphrase-file but the new one.
  const source =
    from === undefined
      ? wasPlain
        ? globals.passphraseFile
        : undefined
      : resolve(context.cwd, from);
  if (source === undefined && globals.passphraseFile !== undefined) {
    throw new CliError('BP8003', `${what}: --passphrase-file names the old passphrase`, {
      hints: ['--new-passphrase-file <file>'],
    });
  }
  const passphrase = await askNewPassphrase(invocation, file.name, source);
  const relocked = await relockKey(file, key, lockWith(invocation, passphrase));
  return doneReport('key passwd', {
    data: describeKey(relocked),
    lines: [
      `${file.name} has ${wasPlain ? 'a' : 'another'} passphrase now`,
      ...(wasPlain
        ? ['what was on this disk in plain text may still be found on it, and in its backups']
        : ['copies of the old file still open with the old passphrase']),
    ],
  });
}

const SECRET_IS: Readonly<Record<KeyFile['secret']['kind'], string>> = {
  plain: 'in plain text: bftpkg key passwd gives it a passphrase',
  sealed: 'encrypted with a passphrase',
  agent: 'held by the ssh-agent',
};

/** The public half of a key, as lines. */
export function keyLines(key: KeyFile): readonly string[] {
  return [
    `name    ${key.name}`,
    `public  ${publicKeyHex(key.publicKey)}`,
    `key id  ${key.keyId}`,
    `file    ${key.path}`,
    `secret  ${SECRET_IS[key.secret.kind]}`,
  ];
}
