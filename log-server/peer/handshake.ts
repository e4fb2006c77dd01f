// How two replicas know each other on a connection (CONSENSUS, "transport MAC"): each signs fresh
// key-exchange values with its vote key, and everything that follows carries a MAC under keys that
// only these two can derive. Confidentiality is not a goal, since all that replicas say to each other
// ends up in a public log; so the listener needs no TLS, and a tap on the wire learns nothing secret.
//
// 1 initiator asks for a challenge (unsigned, costs the responder one HMAC and no memory)
// 2 initiator -> hello   {origin, epoch, from, to, challenge, ephemeral}, signed
// 3 responder -> welcome {hash of the hello, session, ephemeral}, signed
// 4 keys = HKDF-SHA-256(X25519, salt = hash of both documents)
//
// The challenge makes a hello fresh: a recorded one is refused, so it can't displace a live session.
// Both signed texts name both replicas and the log, so none can be forwarded to anybody else.
import {
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { concat, equalBytes, utf8 } from '../../verifier/bytes.ts';
import { parsePublicKey } from '../../verifier/ed25519.ts';
import type { PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../../verifier/json.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { verifyNative } from '../../verifier/node/ed25519.ts';

/** Longest hello or welcome, in characters; ours are below 800. */
export const HANDSHAKE_LENGTH_MAX = 2048;

/** How long a challenge may be used, milliseconds: a slow round trip, not an afternoon. */
export const CHALLENGE_AGE_MAX_MS = 10_000;

const HELLO_FORMAT = 'bftpkg-peer-hello/v1';
const WELCOME_FORMAT = 'bftpkg-peer-welcome/v1';
const HELLO_DOMAIN: Uint8Array = utf8('bftpkg/v1/PEER-HELLO\n');
const WELCOME_DOMAIN: Uint8Array = utf8('bftpkg/v1/PEER-WELCOME\n');
const KEYS_INFO: Uint8Array = utf8('bftpkg/v1/peer-session-keys');
const CHALLENGE_LENGTH = 40;
const ORIGIN_LENGTH_MAX = 200;

/** Length of a session's name, bytes. */
export const SESSION_ID_LENGTH = 16;

// DER prefix of an X25519 public key (RFC 8410), to which the raw 32 bytes are appended.
const X25519_SPKI: Uint8Array = Uint8Array.of(48, 42, 48, 5, 6, 3, 43, 101, 110, 3, 33, 0);

/** The handshake was refused: the other side is not who it must be, or speaks nonsense. */
export class PeerRefusal extends Error {
  override readonly name = 'PeerRefusal';
}

/** Signs with this replica's vote key. */
export interface VoteSigner {
  readonly publicKey: PublicKey;
  sign(message: Uint8Array): Uint8Array;
}

/** What both sides must agree on before they talk. */
export interface HandshakeContext {
  readonly origin: string;
  readonly epoch: number;
  readonly signer: VoteSigner;
}

/** The outcome: a named session with a MAC key for each direction. */
export interface SessionKeys {
  /** 16 bytes, chosen by the responder. */
  readonly id: Uint8Array;
  /** The other side's vote key. */
  readonly peer: PublicKey;
  /** The epoch that the other side says it is in; a hint for the log, nothing depends on it. */
  readonly peerEpoch: number;
  /** For what the initiator sends. */
  readonly requestKey: Uint8Array;
  /** For what the responder answers. */
  readonly responseKey: Uint8Array;
}

/** Makes and checks challenges without storing them: only a MAC of the time under a private key. */
export class ChallengeBook {
  readonly #secret: Uint8Array = randomBytes(32);
  readonly #nowMs: () => number;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** A new challenge: 8 bytes of time, 16 random, 16 of MAC. */
  issue(): Uint8Array {
    const body = new Uint8Array(24);
    new DataView(body.buffer).setBigUint64(0, BigInt(Math.floor(this.#nowMs())));
    body.set(randomBytes(16), 8);
    return concat(body, this.#mac(body));
  }

  /** Whether this book issued the challenge, not too long ago. */
  accepts(challenge: Uint8Array): boolean {
    if (challenge.length !== CHALLENGE_LENGTH) return false;
    const body = challenge.subarray(0, 24);
    if (!timingSafeEqual(this.#mac(body), challenge.subarray(24))) return false;
    const issued = Number(new DataView(body.buffer, body.byteOffset, 24).getBigUint64(0));
    return this.#nowMs() - issued <= CHALLENGE_AGE_MAX_MS;
  }

  #mac(body: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#secret).update(body).digest().subarray(0, 16);
  }
}

/** The initiator's half. Use one object per attempt. */
export class Initiator {
  readonly hello: string;
  readonly #to: PublicKey;
  readonly #ephemeral: EphemeralKey = new EphemeralKey();

  constructor(context: HandshakeContext, to: PublicKey, challenge: Uint8Array) {
    this.#to = to;
    const claims = {
      format: HELLO_FORMAT,
      origin: context.origin,
      epoch: context.epoch,
      from: encodeHex(context.signer.publicKey),
      to: encodeHex(to),
      challenge: encodeHex(challenge),
      ephemeral: encodeHex(this.#ephemeral.publicBytes),
    };
    this.hello = sealed(claims, HELLO_DOMAIN, context.signer);
  }

  /**
   * Reads the answer.
   *
   * @throws {PeerRefusal} when it was not made by `to` for this very hello
   */
  finish(welcome: string): SessionKeys {
    const { fields, claims } = openDocument(welcome, WELCOME_FORMAT);
    const id = fields.hex('session', SESSION_ID_LENGTH);
    const epoch = fields.integer('epoch', 0);
    const helloHash = fields.hex('hello', 32);
    const ephemeral = fields.hex('ephemeral', 32);
    const signature = fields.hex('signature', 64);
    fields.end();
    // The hash covers origin, both names and both ephemeral keys through the hello.
    if (!equalBytes(helloHash, sha256(utf8(this.hello)))) {
      throw new PeerRefusal('the welcome answers another hello');
    }
    checkSignature(this.#to, WELCOME_DOMAIN, claims, signature);
    const keys = sessionKeys(this.#ephemeral.agree(ephemeral), this.hello, welcome);
    return { id, peer: this.#to, peerEpoch: epoch, ...keys };
  }
}

/**
 * The responder's half: reads a hello and makes the welcome.
 *
 * @param isPeer whether a vote key belongs to a replica of the roster (and not to this one)
 * @param mayCheck asked once nothing but the signature is open; `false` refuses the hello
 * @throws {PeerRefusal} wrong log, wrong addressee, unknown key, stale challenge, bad signature
 */
export function respond(
  hello: string,
  context: HandshakeContext,
  challenges: ChallengeBook,
  isPeer: (key: PublicKey) => boolean,
  mayCheck: () => boolean = () => true,
): { readonly welcome: string; readonly keys: SessionKeys; readonly challenge: string } {
  const { fields, claims } = openDocument(hello, HELLO_FORMAT);
  const origin = fields.string('origin', ORIGIN_LENGTH_MAX);
  const epoch = fields.integer('epoch', 0);
  const from = readKey(fields, 'from');
  const to = fields.hex('to', 32);
  const challenge = fields.hex('challenge', CHALLENGE_LENGTH);
  const ephemeral = fields.hex('ephemeral', 32);
  const signature = fields.hex('signature', 64);
  fields.end();

  // Cheapest first: a stranger must not make us verify signatures.
  if (origin !== context.origin) throw new PeerRefusal('the hello is for another log');
  if (!equalBytes(to, context.signer.publicKey)) {
    throw new PeerRefusal('the hello is for another replica');
  }
  if (!isPeer(from)) throw new PeerRefusal('the hello is from a key outside the roster');
  if (!challenges.accepts(challenge)) throw new PeerRefusal('the challenge is stale or not ours');
  // Not before: what is refused without it must use up nobody's handshakes.
  if (!mayCheck()) throw new PeerRefusal('too many handshakes');
  checkSignature(from, HELLO_DOMAIN, claims, signature);

  const own = new EphemeralKey();
  const secret = own.agree(ephemeral);
  const id = Uint8Array.from(randomBytes(SESSION_ID_LENGTH));
  const welcome = sealed(
    {
      format: WELCOME_FORMAT,
      epoch: context.epoch,
      hello: encodeHex(sha256(utf8(hello))),
      session: encodeHex(id),
      ephemeral: encodeHex(own.publicBytes),
    },
    WELCOME_DOMAIN,
    context.signer,
  );
  return {
    welcome,
    keys: { id, peer: from, peerEpoch: epoch, ...sessionKeys(secret, hello, welcome) },
    challenge: encodeHex(challenge),
  };
}

/** An X25519 key pair for one handshake. */
class EphemeralKey {
  readonly publicBytes: Uint8Array;
  readonly #private: KeyObject;

  constructor() {
    const pair = generateKeyPairSync('x25519');
    this.#private = pair.privateKey;
    const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
    this.publicBytes = Uint8Array.from(spki.subarray(X25519_SPKI.length));
  }

  /** @throws {PeerRefusal} for a point of small order, which would make the secret public */
  agree(other: Uint8Array): Uint8Array {
    try {
      const key = Buffer.from(concat(X25519_SPKI, other));
      return diffieHellman({
        privateKey: this.#private,
        publicKey: createPublicKey({ key, format: 'der', type: 'spki' }),
      });
    } catch (cause) {
      throw new PeerRefusal('the ephemeral key is unusable', { cause });
    }
  }
}

function sessionKeys(
  secret: Uint8Array,
  hello: string,
  welcome: string,
): { requestKey: Uint8Array; responseKey: Uint8Array } {
  const salt = sha256(concat(sha256(utf8(hello)), sha256(utf8(welcome))));
  const bytes = new Uint8Array(hkdfSync('sha256', secret, salt, KEYS_INFO, 64));
  return { requestKey: bytes.subarray(0, 32), responseKey: bytes.subarray(32) };
}

/** A document with a signature over its other fields. */
function sealed(claims: JsonObject, domain: Uint8Array, signer: VoteSigner): string {
  const signature = signer.sign(concat(domain, utf8(canonicalJson(claims))));
  return canonicalJson({ ...claims, signature: encodeHex(signature) });
}

/** The fields of a document, and the text that its signature covers. */
function openDocument(text: string, format: string): { fields: ObjectReader; claims: string } {
  const value = parseCanonicalJson(text, HANDSHAKE_LENGTH_MAX);
  const fields = new ObjectReader(value, '');
  fields.format('format', format);
  const claims = Object.entries(value as JsonObject).filter(([name]) => name !== 'signature');
  return { fields, claims: canonicalJson(Object.fromEntries(claims)) };
}

function readKey(fields: ObjectReader, name: string): PublicKey {
  return parsePublicKey(fields.hex(name, 32));
}

function checkSignature(
  publicKey: PublicKey,
  domain: Uint8Array,
  claims: string,
  signature: Uint8Array,
): void {
  const message = concat(domain, utf8(claims));
  if (!verifyNative({ publicKey, message, signature })) {
    throw new PeerRefusal('the signature is not by the key that the roster names');
  }
}

function sha256(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(bytes).digest());
}
