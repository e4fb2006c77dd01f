// Encryption of secrets at rest: age with a passphrase (https://age-encryption.org/v1, section
// "The scrypt recipient type"), armored, so that `age -d` opens what bftpkg wrote and the other way round.
import { CliError } from '../errors.ts';

/**
 * Base 2 logarithm of scrypt's work factor: 256 MiB and about a second for each guess, age's own default.
 * Files of other programs are read up to 20 (the library's bound): 1 GiB, several seconds.
 */
export const SCRYPT_WORK_FACTOR_LOG2 = 18;

/** What the library says when no key opens the header; anything else is damage. */
const NO_MATCH = /no identity matched/;
const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';

/** Whether a text claims to be an armored age file. */
export function isArmored(text: string): boolean {
  return text.startsWith(BEGIN);
}

/**
 * Encrypts a text.
 *
 * @param workFactorLog2 lower only in tests: it is all that a weak passphrase has
 * @returns armored age file, ending without a newline
 */
export async function seal(
  plaintext: string,
  passphrase: string,
  workFactorLog2: number = SCRYPT_WORK_FACTOR_LOG2,
): Promise<string> {
  // Loaded when needed: most commands never touch a secret, and it takes a tenth of a second.
  const { armor, Encrypter } = await import('age-encryption');
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactorLog2);
  return armor.encode(await encrypter.encrypt(plaintext)).trimEnd();
}

/**
 * Decrypts an armored age file.
 *
 * @param what how to call it in messages
 * @throws {CliError} BP8003 for another passphrase, BP8001 for a damaged file
 */
export async function unseal(armored: string, passphrase: string, what: string): Promise<string> {
  const { armor, Decrypter } = await import('age-encryption');
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  try {
    return await decrypter.decrypt(armor.decode(armored), 'text');
  } catch (error) {
    // Without the cause: what the library quotes may be content.
    if (error instanceof Error && NO_MATCH.test(error.message)) {
      throw new CliError('BP8003', `${what}: not its passphrase`);
    }
    throw new CliError('BP8001', `${what}: the encrypted part is damaged`);
  }
}
