// `bftpkg-log genkey`: the two keys of a replica. Prints only what may travel.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { formatVerifierKey, isKeyName } from '../../verifier/vkey.ts';
import { CONFIG_FORMAT, ConfigError } from '../config.ts';
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
  const config = {
    format: CONFIG_FORMAT,
    replica: name,
    pin: '<pin>',
    publicPort: 8700,
    peerPort: 8701,
  };
  // On stderr: what is on stdout is read by programs.
  for (const step of [
    `beside it: rosters.json of any replica, and config.json: ${JSON.stringify(config)}`,
    `a member: bftpkg-log roster propose --config <its config.json> --out next.json --add ${name}=${cosignKey},${voteKey},<url>,<peer url>,1`,
  ]) {
    process.stderr.write(`bftpkg-log: next  ${step}\n`);
  }
}
