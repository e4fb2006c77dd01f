// What git knows about the files of a folder: which of them are executable and what their lines end with
// in the repository. A checkout on another machine differs in just these (core.fileMode, core.autocrlf,
// the umask), and in nothing that the maintainers decided.
import { createHash } from 'node:crypto';

import type { Context } from '../../context.ts';
import { CliError } from '../../errors.ts';
import { CAUTIOUS_FLAGS, cautiousEnvironment, requireNoHiddenRepository } from '../../git.ts';
import { runChild } from '../../npm/child.ts';

/** A file as git has it staged. */
export interface GitFile {
  readonly executable: boolean;
  /** Hash of the staged content as git names it: SHA-1, or SHA-256 in new repositories; hex. */
  readonly hash: string;
  /** Whether .gitattributes asks for CRLF in every checkout of this text, as scripts for Windows need. */
  readonly wantsCrlf: boolean;
}

/** More files than any package may have (`ENTRIES_MAX`), with long names. */
const LISTING_BYTES_MAX = 64 * 1024 * 1024;
const SHA256_HEX_LENGTH = 64;
// `<mode> <hash> <stage>\ti/<eol> w/<eol> attr/<attributes><spaces>\t<path>`
const RECORD =
  /^(?<mode>[0-7]{6}) (?<hash>[0-9a-f]{40,64}) 0\ti\/(?<index>\S*) +w\/\S* +attr\/(?<attributes>[^\t]*)\t(?<path>[^]+)$/;

/**
 * The tracked files of a folder by path below it; `undefined` where git is missing or the folder is in
 * no repository.
 *
 * @throws {CliError} BP9004 for an answer that can't be read; BP9003 for a repository that is not to be believed
 */
export async function gitFiles(
  folder: string,
  context: Context,
): Promise<ReadonlyMap<string, GitFile> | undefined> {
  await requireNoHiddenRepository(folder);
  const args = [...CAUTIOUS_FLAGS, 'ls-files', '--stage', '--eol', '-z', '--', '.'];
  const env = cautiousEnvironment(context);
  let listing: string;
  try {
    const limits = { cwd: folder, context, env, outputBytesMax: LISTING_BYTES_MAX };
    const { code, stdout } = await runChild('git', args, limits);
    if (code !== 0) return undefined;
    listing = stdout;
  } catch (error) {
    if (error instanceof CliError && error.diagnostic.code === 'BP9004') return undefined;
    throw error;
  }
  if (listing === '') return undefined;
  if (!listing.endsWith('\0')) throw new CliError('BP9004', `${folder}: git lists too many files`);
  return parseListing(listing);
}

/** As git prints it. @throws {CliError} BP9004 */
export function parseListing(listing: string): ReadonlyMap<string, GitFile> {
  const files = new Map<string, GitFile>();
  for (const record of listing.split('\0').slice(0, -1)) {
    const found = RECORD.exec(record)?.groups;
    // A conflict that is not resolved has stages 1 to 3: such a file is nobody's version.
    if (found === undefined) continue;
    const { mode = '', hash = '', index = '', attributes = '', path = '' } = found;
    const wantsCrlf = index === 'lf' && /(?:^| )eol=crlf(?: |$)/.test(attributes);
    files.set(path, { executable: mode === '100755', hash, wantsCrlf });
  }
  return files;
}

/**
 * What a checkout of the staged file has on every machine, whatever its core.autocrlf is, if that is what
 * lies in the folder; `undefined` when the folder has another content.
 */
export function asCommitted(content: Uint8Array, file: GitFile): Uint8Array | undefined {
  const { hash, wantsCrlf } = file;
  const staged = [content, withoutCrlf(content)].find((each) => gitHash(each, hash) === hash);
  return staged === undefined || !wantsCrlf ? staged : withCrlf(staged);
}

/** Git's name for content. @param like a hash of the same repository */
function gitHash(content: Uint8Array, like: string): string {
  const algorithm = like.length === SHA256_HEX_LENGTH ? 'sha256' : 'sha1';
  return createHash(algorithm).update(`blob ${content.length}\0`).update(content).digest('hex');
}

const CR = 0x0d;
const LF = 0x0a;

/** Content with CRLF as LF. */
export function withoutCrlf(content: Uint8Array): Uint8Array {
  const out = new Uint8Array(content.length);
  let length = 0;
  for (let i = 0; i < content.length; i++) {
    const byte = content[i] ?? 0;
    if (byte === CR && content[i + 1] === LF) continue;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}

// Only for content that git calls `lf`: it has no CRLF yet.
function withCrlf(content: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 * content.length);
  let length = 0;
  for (const byte of content) {
    if (byte === LF) out[length++] = CR;
    out[length++] = byte;
  }
  return out.slice(0, length);
}
