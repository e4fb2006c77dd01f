// `bftpkg key export|import`: a key on its way to another machine, or from an agent.
import { resolve } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { quote } from '../../verifier/errors.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';
import type { Invocation } from '../context.ts';
import { CliError, systemCode, usageError } from '../errors.ts';
import { isArmored, seal, unseal } from '../keys/age.ts';
import { findAgentKey } from '../keys/agent/agent-signer.ts';
import {
  describeKey,
  isKeyName,
  loadKey,
  storeAgentKey,
  storeKey,
  unlockKey,
  type KeyFile,
} from '../keys/key-file.ts';
import { formatPlainKey, KEY_FILE_BYTES_MAX, parseKeyText } from '../keys/key-format.ts';
import { agentAccess, openKey, openKeyFile, unlocked, withPassphrase } from '../keys/open-key.ts';
import { askNewPassphrase } from '../keys/passphrase.ts';
import { readPrivateFile } from '../keys/private-file.ts';
import { doneReport, type Report } from '../output/report.ts';
import { createWholeFile } from '../../verifier/node/durable-file.ts';
import { keyLines, lockWith, newKeyPath, newLock } from './key.ts';

/**
 * `key export <key>`: the public half as others type it, or with `--out` an armored age file that holds the whole
 * key. There is no way to print a secret.
 */
export async function keyExport(
  invocation: Invocation,
  what: string,
  options: { readonly out?: string },
): Promise<Report> {
  if (options.out === undefined) {
    const { name, publicKey, keyId } = await openKey(invocation, what);
    const hex = publicKeyHex(publicKey);
    return doneReport('key export', {
      data: { name, publicKey: hex, keyId },
      lines: [`${name}=${hex}`],
    });
  }
  const path = resolve(invocation.context.cwd, options.out);
  const file = await openKeyFile(invocation, what);
  const sealed = file.secret.kind === 'sealed' ? file.secret.age : undefined;
  // Opened even where it could be copied as it is: an export that nobody can open is no export.
  const key = await unlocked(invocation, file);
  const age = sealed ?? (await encryptAnew(invocation, file.name, key));
  try {
    await createWholeFile(path, `${age}\n`, 0o600);
  } catch (error) {
    const reason = systemCode(error) === 'EEXIST' ? 'exists already' : systemCode(error);
    throw new CliError('BP8001', `${path}: ${reason ?? 'cannot be written'}`);
  }
  return doneReport('key export', {
    data: { name: file.name, file: path, publicKey: publicKeyHex(file.publicKey) },
    lines: [
      `${file.name}, encrypted with its passphrase, in ${path}`,
      `there  bftpkg key import ${options.out}`,
    ],
  });
}

async function encryptAnew(invocation: Invocation, name: string, key: SigningKey): Promise<string> {
  return await seal(
    formatPlainKey(name, key),
    await askNewPassphrase(invocation, name),
    invocation.context.keyWorkFactorLog2,
  );
}

/** `key import`: from a key file or an export, or by name from the agent. */
export async function keyImport(
  invocation: Invocation,
  file: string | undefined,
  options: { readonly agent?: string; readonly name?: string; readonly passphrase: boolean },
): Promise<Report> {
  if ((file === undefined) === (options.agent === undefined)) {
    throw usageError('either a file or --agent', 'bftpkg key import <file>');
  }
  const key =
    file === undefined
      ? await importFromAgent(invocation, options.agent ?? '', options.name)
      : await importFile(invocation, file, options);
  return doneReport('key import', {
    data: describeKey(key),
    lines: [...keyLines(key), `maintainer  ${key.name}=${publicKeyHex(key.publicKey)}`],
  });
}

async function importFromAgent(
  invocation: Invocation,
  which: string,
  name: string | undefined,
): Promise<KeyFile> {
  const { publicKey, comment } = await findAgentKey(agentAccess(invocation), which);
  const label = name ?? comment;
  if (name === undefined && !isKeyName(comment)) {
    throw usageError(
      `the agent calls it ${quote(comment)}, which is no name here`,
      '--name <name>',
    );
  }
  return await storeAgentKey(newKeyPath(invocation, label), label, publicKey);
}

async function importFile(
  invocation: Invocation,
  file: string,
  options: { readonly name?: string; readonly passphrase: boolean },
): Promise<KeyFile> {
  const { name, key, passphrase } = await readForeign(
    invocation,
    resolve(invocation.context.cwd, file),
  );
  const label = options.name ?? name;
  const path = newKeyPath(invocation, label);
  const lock =
    passphrase === undefined
      ? await newLock(invocation, label, options.passphrase)
      : lockWith(invocation, passphrase);
  return await storeKey(path, label, key, lock);
}

interface Foreign {
  readonly name: string;
  readonly key: SigningKey;
  /** What it was encrypted with. */
  readonly passphrase: string | undefined;
}

async function readForeign(invocation: Invocation, path: string): Promise<Foreign> {
  const bytes = await readPrivateFile(path, KEY_FILE_BYTES_MAX);
  const text = bytes.toString('utf8').trim();
  bytes.fill(0);
  if (isArmored(text)) {
    const { opened, passphrase } = await withPassphrase(invocation, path, async (typed) =>
      readExport(await unseal(text, typed, path), path),
    );
    return { ...opened, passphrase };
  }
  const file = await loadKey(path);
  if (file.secret.kind === 'plain') {
    return { name: file.name, key: file.secret.key, passphrase: undefined };
  }
  if (file.secret.kind === 'agent') {
    throw new CliError('BP8001', `${path}: holds no secret, only the name of an agent's key`, {
      hints: ['bftpkg key import --agent <which>'],
    });
  }
  const { opened, passphrase } = await withPassphrase(invocation, file.name, (typed) =>
    unlockKey(file, typed),
  );
  return { name: file.name, key: opened, passphrase };
}

function readExport(plaintext: string, path: string): Pick<Foreign, 'name' | 'key'> {
  try {
    const { name, secret } = parseKeyText(plaintext);
    if (secret.kind === 'plain') return { name, key: secret.key };
  } catch {
    // Said below: the parser quotes what it refuses.
  }
  throw new CliError('BP8001', `${path}: an age file, but there is no key in it`);
}
