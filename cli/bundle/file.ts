// Bundles as files: evidence documents that were saved.
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';

import { EVIDENCE_BYTES_MAX } from '../../verifier/evidence/format.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';

/** The bytes of a bundle. @throws {CliError} BP9004 */
export async function readBundle({ cwd }: Context, file: string): Promise<Uint8Array> {
  const path = resolve(cwd, file);
  try {
    const { size } = await stat(path);
    if (size > EVIDENCE_BYTES_MAX) throw new CliError('BP9004', `${path}: too large`);
    return new Uint8Array(await readFile(path));
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}
