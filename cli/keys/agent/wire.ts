// Messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent, sections 3 to 5), the two that are needed: list
// the keys, sign. An agent is another program, often on another machine (forwarded): nothing that it
// sends is believed before it was bounded and read to its last byte.
import { concat, utf8 } from '../../../verifier/bytes.ts';
import { parsePublicKey, SIGNATURE_LENGTH, type PublicKey } from '../../../verifier/ed25519.ts';
import { encodeBase64 } from '../../../verifier/encoding.ts';
import { sha256 } from '../../../verifier/sha256.ts';
import { decodeUtf8 } from '../../../verifier/text.ts';

/** OpenSSH's own bound (AGENT_MAX_LEN). A statement is at most a quarter of it. */
export const AGENT_FRAME_BYTES_MAX: number = 256 * 1024;

const FAILURE = 5;
const REQUEST_IDENTITIES = 11;
const IDENTITIES_ANSWER = 12;
const SIGN_REQUEST = 13;
const SIGN_RESPONSE = 14;
/** The one kind of key whose signature is plain Ed25519 over the data (RFC 8709). */
const ED25519 = 'ssh-ed25519';
/** Flags choose hashes for RSA; Ed25519 has none. */
const NO_FLAGS = 0;

/** An answer that is none of the protocol's, or not to what was asked. */
export class AgentAnswerError extends Error {
  override readonly name = 'AgentAnswerError';
}

/** An Ed25519 key that an agent holds. */
export interface AgentKey {
  readonly publicKey: PublicKey;
  /** As its owner called it; strangers' text. */
  readonly comment: string;
}

/** What an agent holds. */
export interface AgentKeys {
  readonly keys: readonly AgentKey[];
  /** How many keys of other kinds it holds; they can't sign statements. */
  readonly others: number;
}

/** A frame's content: asks for the keys. */
export function encodeListRequest(): Uint8Array {
  return Uint8Array.of(REQUEST_IDENTITIES);
}

/** A frame's content: asks for a signature over exactly these bytes. */
export function encodeSignRequest(publicKey: PublicKey, message: Uint8Array): Uint8Array {
  return concat(
    Uint8Array.of(SIGN_REQUEST),
    encodeString(keyBlob(publicKey)),
    encodeString(message),
    encodeUint32(NO_FLAGS),
  );
}

/** The whole frame of a content. */
export function encodeFrame(content: Uint8Array): Uint8Array {
  return encodeString(content);
}

/** What `ssh-add -l` shows: `SHA256:` and base64 without padding. */
export function fingerprint(publicKey: PublicKey): string {
  return `SHA256:${encodeBase64(sha256(keyBlob(publicKey))).replace(/=+$/, '')}`;
}

/**
 * Reads the length at the beginning of a frame.
 *
 * @returns bytes of its content; `undefined` while there are fewer than four bytes
 * @throws {AgentAnswerError} for an empty frame or one above {@link AGENT_FRAME_BYTES_MAX}
 */
export function frameLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  if (length >= 1 && length <= AGENT_FRAME_BYTES_MAX) return length;
  throw new AgentAnswerError(`a frame of ${length} bytes`);
}

/** Reads the answer to a list request. @throws {AgentAnswerError} */
export function decodeKeys(content: Uint8Array): AgentKeys {
  const reader = new Reader(content);
  reader.type(IDENTITIES_ANSWER);
  const count = reader.uint32();
  const keys: AgentKey[] = [];
  let others = 0;
  // Each key takes eight bytes at least, so a lying count ends with the frame.
  for (let i = 0; i < count; i++) {
    const publicKey = readKeyBlob(reader.string());
    const comment = readText(reader.string());
    if (publicKey === undefined) others++;
    else keys.push({ publicKey, comment });
  }
  reader.end();
  return { keys, others };
}

/**
 * Reads the answer to a sign request. Whether the signature is valid is for the caller to check.
 *
 * @returns 64 bytes; `undefined` if the agent refused
 * @throws {AgentAnswerError}
 */
export function decodeSignature(content: Uint8Array): Uint8Array | undefined {
  if (content.length === 1 && content[0] === FAILURE) return undefined;
  const reader = new Reader(content);
  reader.type(SIGN_RESPONSE);
  const blob = new Reader(reader.string());
  reader.end();
  if (blob.text() !== ED25519) throw new AgentAnswerError('a signature of another kind');
  const signature = blob.string();
  blob.end();
  if (signature.length === SIGNATURE_LENGTH) return signature;
  throw new AgentAnswerError(`a signature of ${signature.length} bytes`);
}

function keyBlob(publicKey: PublicKey): Uint8Array {
  return concat(encodeString(utf8(ED25519)), encodeString(publicKey));
}

// Keys of other kinds, and Ed25519 keys that no verifier here would take, are only counted.
function readKeyBlob(blob: Uint8Array): PublicKey | undefined {
  try {
    const reader = new Reader(blob);
    if (reader.text() !== ED25519) return undefined;
    const publicKey = parsePublicKey(reader.string());
    reader.end();
    return publicKey;
  } catch {
    return undefined;
  }
}

function readText(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    return '';
  }
}

function encodeUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function encodeString(bytes: Uint8Array): Uint8Array {
  return concat(encodeUint32(bytes.length), bytes);
}

// Reads within its bytes or throws; never beyond.
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  type(expected: number): void {
    const [found = -1] = this.#take(1);
    if (found !== expected) throw new AgentAnswerError(`message ${found} instead of ${expected}`);
  }

  uint32(): number {
    const bytes = this.#take(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
  }

  string(): Uint8Array {
    return this.#take(this.uint32());
  }

  /** Names of kinds are ASCII; what is none compares unequal to all of them. */
  text(): string {
    return readText(this.string());
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new AgentAnswerError('bytes after the answer');
  }

  #take(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new AgentAnswerError('an answer that ends too early');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }
}
