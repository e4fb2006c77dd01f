// Signatures of statements that this user's machine has verified before. Whether a key signed a text never
// changes, so a second run need not ask again: of a lockfile with five hundred packages, two and a half
// thousand questions.
//
// Who can write this file can make a signature count that nobody made. It stands beside the trust state,
// where he could as well replace what is trusted, and it does not help him as far as that: statements are
// looked at after a quorum has been found, freshly, to have cosigned the log with exactly these bytes, and
// that quorum checked the same signatures. So it is kept in the state folder, which nobody restores from a
// shared cache, is not read when others could have written it, and holds nothing about rosters or
// checkpoints.
import { join } from 'node:path';

import { concat } from '../../verifier/bytes.ts';
import { SIGNATURE_LENGTH } from '../../verifier/ed25519.ts';
import { assert } from '../../verifier/errors.ts';
import { sha256, sha256Hex } from '../../verifier/sha256.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { makePrivateFolder, replaceFile } from '../../verifier/node/durable-file.ts';
import { readOwnFile } from './own-file.ts';

const FILE_NAME = 'verified-signatures';
const HEADER = 'bftpkg-verified-signatures/v1\n';

/** Most signatures kept: those of ten projects with a thousand packages each. 4 MB; the oldest go. */
export const REMEMBERED_MAX = 65_536;

const ID_LINE = /^[0-9a-f]{64}$/;
const LINE_LENGTH = 65;

/** A verifier that asks another one only about what it does not remember as valid. */
export class RememberedSignatures implements SignatureVerifier {
  readonly #inner: SignatureVerifier;
  readonly #folder: string;
  readonly #path: string;
  readonly #countMax: number;
  // In order of first verification. Valid ones only: a bad one is for its evidence to explain each time.
  #known: Set<string> | undefined;
  #isChanged = false;

  /** @param folder the state folder of the user */
  constructor(folder: string, inner: SignatureVerifier, countMax: number = REMEMBERED_MAX) {
    this.#inner = inner;
    this.#folder = folder;
    this.#path = join(folder, FILE_NAME);
    this.#countMax = countMax;
  }

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    const known = (this.#known ??= new Set(await this.#read()));
    const ids = idsOf(jobs);
    const answers = ids.map((id) => id !== undefined && known.has(id));
    const open = [...jobs.keys()].filter((i) => answers[i] !== true);
    if (open.length === 0) return answers;
    const found = await this.#inner.verifyMany(open.flatMap((i) => jobs[i] ?? []));
    assert(found.length === open.length, 'a verifier answers each job');
    for (const [position, i] of open.entries()) {
      const id = ids[i];
      if (found[position] !== true || id === undefined) continue;
      answers[i] = true;
      known.add(id);
      this.#isChanged = true;
    }
    return answers;
  }

  /**
   * Writes what has been learned. A full disk or a folder that can't be written costs the next run its
   * time, and this one nothing.
   */
  async keep(): Promise<void> {
    if (!this.#isChanged || this.#known === undefined) return;
    this.#isChanged = false;
    const newest = [...this.#known].slice(-this.#countMax);
    try {
      await makePrivateFolder(this.#folder);
      await replaceFile(this.#path, `${HEADER}${newest.join('\n')}\n`);
    } catch {
      return;
    }
  }

  // Whatever is wrong with the file: what it says is then verified again.
  async #read(): Promise<readonly string[]> {
    const sizeMax = HEADER.length + LINE_LENGTH * this.#countMax;
    const bytes = await readOwnFile(this.#path, sizeMax);
    return bytes === undefined ? [] : parseRemembered(Buffer.from(bytes).toString('latin1'));
  }
}

/** The ids in the text of the file; none when anything in it is not as it was written. */
export function parseRemembered(text: string): readonly string[] {
  if (!text.startsWith(HEADER) || !text.endsWith('\n')) return [];
  const lines = text.slice(HEADER.length, -1).split('\n');
  return lines.every((line) => ID_LINE.test(line)) ? lines : [];
}

/**
 * One name for each question: key and signature have fixed lengths in front of the message's hash, so that
 * no two questions have the same. What isn't 64 bytes is no signature and has none.
 */
function idsOf(jobs: readonly SignatureJob[]): readonly (string | undefined)[] {
  // The signatures of one statement follow one another, and share its bytes.
  let hashed: { readonly message: Uint8Array; readonly hash: Uint8Array } | undefined;
  return jobs.map(({ publicKey, message, signature }) => {
    if (signature.length !== SIGNATURE_LENGTH) return undefined;
    if (hashed?.message !== message) hashed = { message, hash: sha256(message) };
    return sha256Hex(concat(publicKey, signature, hashed.hash));
  });
}
