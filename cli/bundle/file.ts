// Bundles as files: evidence documents that were saved.
import { resolve } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import {
  EVIDENCE_BYTES_MAX,
  parseEvidence,
  type Evidence,
} from '../../verifier/evidence/format.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { publicCode } from '../output/diagnose.ts';
import { readIfThere } from '../read-file.ts';

/** The bytes of a bundle. @throws {CliError} BP9004 */
export async function readBundle({ cwd }: Context, file: string): Promise<Uint8Array> {
  const path = resolve(cwd, file);
  const bytes = await readIfThere(path, EVIDENCE_BYTES_MAX);
  if (bytes === undefined) throw new CliError('BP9004', `${path}: no such file or folder`);
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/**
 * What a bundle holds, unverified.
 *
 * @throws {CliError} with the code of the refusal, and the file that it is about
 */
export function parseBundle(source: Uint8Array, file: string): Evidence {
  try {
    return parseEvidence(source);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new CliError(
      publicCode(error.code),
      `${file} is no bundle of evidence: ${error.message}`,
      {
        hints: ['bftpkg bundle create writes one'],
        cause: error,
      },
    );
  }
}
