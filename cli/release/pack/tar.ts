// Writing an archive in the one way in which it can be written: what npm's archives say about files, and
// nothing that depends on the machine they were made on. POSIX.1-2017, pax, "ustar Interchange Format".
import { concat } from '../../../verifier/bytes.ts';
import { BLOCK_BYTES } from '../../../verifier/archive/header.ts';
import { assert } from '../../../verifier/errors.ts';

/** A file to write. */
export interface PackedFile {
  /** Path below the root folder, with `/` between segments. */
  readonly path: string;
  readonly executable: boolean;
  readonly content: Uint8Array;
}

/** The one folder that everything is in: what npm calls it. */
const ROOT = 'package/';
/** 1985-10-26T08:15:00Z, the time that npm gives to every file: zip tools dislike times before 1980. */
const MTIME_SECONDS = 499_162_500;
const MODE_FILE = 0o644;
const MODE_EXECUTABLE = 0o755;

const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const END_BLOCKS = 2;
/** Header fields behind the name: offset and, for numbers, how many octal digits. */
const MODE = [100, 7] as const;
const UID = [108, 7] as const;
const GID = [116, 7] as const;
const SIZE = [124, 11] as const;
const MTIME = [136, 11] as const;
const CHECKSUM = [148, 6] as const;
const TYPE = 156;
const MAGIC = 257;
const DEVICE_MAJOR = [329, 7] as const;
const DEVICE_MINOR = [337, 7] as const;
const PREFIX = 345;
const SPACE = 0x20;

const encoder = new TextEncoder();

/**
 * An archive of the files, in the order given.
 *
 * @param files with distinct paths
 */
export function writeArchive(files: readonly PackedFile[]): Uint8Array {
  return concat(...files.flatMap(writeEntry), new Uint8Array(END_BLOCKS * BLOCK_BYTES));
}

function writeEntry({ path, executable, content }: PackedFile): readonly Uint8Array[] {
  const whole = ROOT + path;
  const place = splitPath(whole);
  const mode = executable ? MODE_EXECUTABLE : MODE_FILE;
  const parts: Uint8Array[] = [];
  if (place === undefined) {
    const record = encoder.encode(paxRecord('path', whole));
    parts.push(header({ name: 'PaxHeader/path', prefix: '' }, 'x', MODE_FILE, record.length));
    parts.push(record, padding(record.length));
  }
  // Readers take the path of the record; the name here is only for those who know no records.
  const named = place ?? { name: 'package/long-path', prefix: '' };
  parts.push(header(named, '0', mode, content.length), content, padding(content.length));
  return parts;
}

interface Place {
  readonly name: string;
  readonly prefix: string;
}

// Where a path fits into name and prefix. Anything but printable ASCII goes into a record, which says
// that it is UTF-8.
function splitPath(path: string): Place | undefined {
  if (!/^[\u0020-\u007e]+$/.test(path)) return undefined;
  if (path.length <= NAME_BYTES) return { name: path, prefix: '' };
  const at = path.indexOf('/', path.length - NAME_BYTES - 1);
  if (at < 0 || at > PREFIX_BYTES || at === path.length - 1) return undefined;
  return { name: path.slice(at + 1), prefix: path.slice(0, at) };
}

function header({ name, prefix }: Place, type: string, mode: number, size: number): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  const text = (at: number, value: string): void => block.set(encoder.encode(value), at);
  const octal = ([at, digits]: readonly [number, number], value: number): void => {
    const written = value.toString(8).padStart(digits, '0');
    assert(written.length === digits, 'a number fits into its field');
    text(at, written);
  };
  text(0, name);
  octal(MODE, mode);
  // Nobody's: who packs is not what is packed.
  octal(UID, 0);
  octal(GID, 0);
  octal(SIZE, size);
  octal(MTIME, MTIME_SECONDS);
  text(TYPE, type);
  text(MAGIC, 'ustar\u000000');
  octal(DEVICE_MAJOR, 0);
  octal(DEVICE_MINOR, 0);
  text(PREFIX, prefix);
  const [at, digits] = CHECKSUM;
  block.fill(SPACE, at, at + digits + 2);
  const sum = block.reduce((total, byte) => total + byte, 0);
  octal(CHECKSUM, sum);
  block[at + digits] = 0;
  return block;
}

/** `<length> <key>=<value>\n`, where the length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = encoder.encode(rest).length;
  let length = bytes + 1;
  while (bytes + String(length).length !== length) length = bytes + String(length).length;
  return `${length}${rest}`;
}

function padding(length: number): Uint8Array {
  return new Uint8Array((BLOCK_BYTES - (length % BLOCK_BYTES)) % BLOCK_BYTES);
}
