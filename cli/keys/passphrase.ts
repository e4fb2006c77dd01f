// Where passphrases come from: a file or pipe that is named, or a person at the terminal. Never the command
// line or the environment, which other programs can read.
import { decodeUtf8 } from '../../verifier/text.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { readSecretSource } from './private-file.ts';

/** Longer lines are no passphrases but the wrong file. */
const PASSPHRASE_BYTES_MAX = 1024;
/** A guess costs an attacker a second: eight characters of chance hold for ages, three do not. */
const PASSPHRASE_LENGTH_MIN = 8;

/** The passphrase in a file: its first and only line. @throws {CliError} BP8001 */
export async function readPassphraseFile(path: string): Promise<string> {
  const bytes = await readSecretSource(path, PASSPHRASE_BYTES_MAX + 2);
  try {
    const text = decodeUtf8(bytes).replace(/\r?\n$/, '');
    if (text !== '' && !/[\r\n]/.test(text)) return text;
  } catch {
    // Said below, without the cause: it may quote the content.
  } finally {
    bytes.fill(0);
  }
  throw new CliError('BP8001', `${path}: not one line with a passphrase`);
}

/**
 * The passphrase of a key that is encrypted.
 *
 * @param what the key, for the question
 * @throws {CliError} BP8003 when nobody can be asked and no file is named
 */
export async function askPassphrase(invocation: Invocation, what: string): Promise<string> {
  const { passphraseFile } = invocation.globals;
  if (passphraseFile !== undefined) return await readPassphraseFile(passphraseFile);
  return await secretAsker(invocation, what)(`passphrase of ${what}: `);
}

/** Whether another try makes sense: a person typed, not a file. */
export function canRetry({ globals }: Invocation): boolean {
  return globals.passphraseFile === undefined;
}

/**
 * A passphrase to encrypt with; a person has to type it twice.
 *
 * @param file instead of `--passphrase-file`, where that is for the old one
 * @throws {CliError} BP8003 when nobody can be asked; BP9003 for one that is too short
 */
export async function askNewPassphrase(
  invocation: Invocation,
  what: string,
  file: string | undefined = invocation.globals.passphraseFile,
): Promise<string> {
  if (file !== undefined) return requireLong(await readPassphraseFile(file));
  const ask = secretAsker(invocation, what);
  const passphrase = requireLong(await ask(`new passphrase for ${what}: `));
  if ((await ask('the same again: ')) === passphrase) return passphrase;
  throw new CliError('BP8003', 'the two passphrases differ; nothing was written');
}

function requireLong(passphrase: string): string {
  if (passphrase.length >= PASSPHRASE_LENGTH_MIN) return passphrase;
  throw usageError(
    `a passphrase needs at least ${PASSPHRASE_LENGTH_MIN} characters`,
    'four or five random words are easy to type and hard to guess',
  );
}

function secretAsker(
  { context, globals }: Invocation,
  what: string,
): (question: string) => Promise<string> {
  const { askSecret } = context.terminal;
  if (globals.input && askSecret !== undefined) return askSecret;
  throw new CliError('BP8003', `${what}: a passphrase is needed, and nobody can be asked`, {
    hints: ['--passphrase-file <file>, or BFTPKG_PASSPHRASE_FILE'],
  });
}
