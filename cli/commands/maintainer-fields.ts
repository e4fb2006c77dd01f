// Maintainers on the command line: `name=<public key>`, or the name of a key of our own.
import { parsePublicKey, type PublicKey } from '../../verifier/ed25519.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { Maintainer } from '../../verifier/statements/maintainers.ts';
import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { isAgentKey, openKey } from '../keys/open-key.ts';

/**
 * Reads one maintainer: `name=<public key>`, `name=agent:<which>`, or a key by its name.
 *
 * @throws {CliError} BP9003, BP8001, BP8004
 */
export async function readMaintainer(invocation: Invocation, text: string): Promise<Maintainer> {
  const at = text.indexOf('=');
  if (at > 0 && !isAgentKey(text)) {
    const value = text.slice(at + 1);
    const key = isAgentKey(value) ? (await openKey(invocation, value)).publicKey : readKey(value);
    return { name: text.slice(0, at), key };
  }
  const { name, publicKey } = await openKey(invocation, text);
  return { name, key: publicKey };
}

function readKey(text: string): PublicKey {
  try {
    return parsePublicKey(decodeHex(text, 32));
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw usageError(`not a public key: ${error.message}`, 'bftpkg key show <name>');
  }
}

/** Reads f. @throws {CliError} BP9003 when `count` maintainers can't give f + 1 signatures */
export function readFaulty(text: string, count: number): number {
  const faulty = /^[0-9]{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (faulty + 1 <= count) return faulty;
  throw usageError(`--faulty ${text}: ${count} maintainers can give at most ${count} signatures`);
}
