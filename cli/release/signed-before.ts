// What this user has signed: one artifact for each name and version, whatever the keys. A second one for the
// same version could collect signatures as well as the first, and whoever signed both would have let
// somebody else choose. One small file each, because creating one is atomic between processes.
import { createHash } from 'node:crypto';
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { canonicalJson, ObjectReader, parseCanonicalJson } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { createWholeFile, makePrivateFolder } from '../../verifier/node/durable-file.ts';
import { draftId, type Draft } from './draft.ts';

const FORMAT = 'bftpkg-signed/v1';
const FILE_BYTES_MAX = 4096;

/**
 * Notes that a release is about to be signed; durable on return, so call it before the signature is made.
 * Doing it again for the same artifact is nothing new.
 *
 * @param state the user's state folder
 * @throws {CliError} BP2007 when another artifact was signed for one of these versions; BP9004 when it can't
 *         be noted
 */
export async function noteSigning(state: string, draft: Draft): Promise<void> {
  if (draft.statement.kind !== 'release') return;
  const folder = join(state, 'signed');
  await makePrivateFolder(folder);
  const { subjects, observed } = draft.statement.release;
  const statement = draftId(draft);
  // Per log: the same version may be something else in another one, say in a test.
  const notes = [...observed.keys()].flatMap((origin) =>
    subjects.map(({ purl, sha512 }): Note => {
      const name = createHash('sha256').update(`${origin}\n${purl}`).digest('hex');
      return { path: join(folder, `${name}.json`), origin, purl, sha512, statement };
    }),
  );
  // All of them are looked at first: what is refused as a whole is not noted in parts.
  for (const note of notes) {
    if (await exists(note.path)) await requireSame(note);
  }
  for (const note of notes) await keep(note);
}

interface Note {
  readonly path: string;
  readonly origin: string;
  readonly purl: string;
  readonly sha512: Uint8Array;
  readonly statement: string;
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function keep(note: Note): Promise<void> {
  const { path, origin, purl, sha512, statement } = note;
  const fields = { format: FORMAT, origin, purl, sha512: encodeHex(sha512), statement };
  const text = canonicalJson(fields);
  try {
    await createWholeFile(path, `${text}\n`, 0o600);
    return;
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') {
      throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be written')}`);
    }
  }
  await requireSame(note);
}

async function requireSame({ path, purl, sha512, statement }: Note): Promise<void> {
  const before = await readNote(path);
  if (before.sha512 === encodeHex(sha512)) return;
  const known = decodeHex(before.sha512, 64);
  throw new CliError('BP2007', `${purl}: you have signed another artifact for this version`, {
    details: [
      ['signed', `${formatSri(known)} (statement ${before.statement})`],
      ['now', `${formatSri(sha512)} (statement ${statement})`],
    ],
    hints: ['raise the version: bftpkg never signs two artifacts for one'],
  });
}

async function readNote(
  path: string,
): Promise<{ readonly sha512: string; readonly statement: string }> {
  try {
    const text = (await readFile(path, 'utf8')).replace(/\n$/, '');
    const reader = new ObjectReader(parseCanonicalJson(text, FILE_BYTES_MAX), '');
    reader.format('format', FORMAT);
    reader.string('origin', 1024);
    reader.string('purl', 1024);
    const sha512 = encodeHex(reader.hex('sha512', 64));
    const statement = encodeHex(reader.hex('statement', 32));
    reader.end();
    return { sha512, statement };
  } catch (error) {
    // Not readable is not "nothing was signed".
    throw new CliError('BP9004', `${path}: what was signed before cannot be read`, {
      cause: error,
      hints: ['restore it from a backup, or raise the version'],
    });
  }
}
