// `bftpkg-log genkey`: the two keys of a replica. Prints only what may travel.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { formatVerifierKey, isKeyName } from '../../verifier/vkey.ts';
import { ConfigError } from '../config.ts';
import { createKeyFile, generateKeys } from '../key-file.ts';

/** Makes keys in `folder`; an existing key file is never touched. */
export async function genkey(name: string, folder: string): Promise<void> {
  if (!isKeyName(name)) throw new ConfigError('--name', ['not a name that a note can carry']);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, 'replica-key.json');
  const keys = generateKeys(name);
  await createKeyFile(file, keys);
  const voteKey = publicKeyHex(keys.vote.publicKey);
  const cosignKey = formatVerifierKey(keys.cosignKey);
  process.stdout.write(`${JSON.stringify({ name, voteKey, cosignKey, file })}\n`);
}
