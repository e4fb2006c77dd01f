// The bytes of headers, bodies, votes, certificates and view changes: what is hashed, signed, sent and
// kept (CONSENSUS.md M5). Big-endian, fixed layout, one encoding per value.
import { sha256 as portableSha256 } from '@noble/hashes/sha2.js';

import { REPLICA_COUNT_MAX } from '../roster.ts';
import { utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { EMPTY_ROOT } from '../merkle/hash.ts';
import { sha256 } from '../sha256.ts';
import type {
  Body,
  Certificate,
  CertifiedHeader,
  Digest,
  Header,
  LastCommitted,
  NewView,
  NewViewContent,
  PrePrepareMessage,
  ViewChange,
  ViewChangeContent,
  Vote,
  VoteSignature,
} from './messages.ts';
import { Reader, Writer, malformed } from './wire.ts';

/**
 * Every first line under which this protocol hashes or signs, so that no bytes mean two things.
 * Cosignatures have C2SP's own line; statements and rosters have DSSE's.
 */
export const DOMAINS = {
  header: 'bftpkg/v1/header\n',
  entries: 'bftpkg/v1/entries\n',
  prepare: 'bftpkg/v1/PREPARE\n',
  commit: 'bftpkg/v1/COMMIT\n',
  viewChange: 'bftpkg/v1/VIEW-CHANGE\n',
  newView: 'bftpkg/v1/NEW-VIEW\n',
} as const;

/** Stands where there is no digest: the parent of the first batch, the `nv` of view 0. */
export const ZERO_DIGEST: Digest = '0'.repeat(64);

/** Most entries of a batch, the commit entry included: what the decoder will make objects for. */
export const BODY_ENTRIES_MAX = 4096;

/** A hash in the making. Node's `createHash('sha256')` and noble's `sha256.create()` both are one. */
export interface IncrementalHash {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** Where the log starts: height 0, no leaves. Nobody proposes it and its digest is `ZERO_DIGEST`. */
export function genesisHeader(origin: string): Header {
  return {
    origin,
    epoch: 0,
    height: 0,
    parent: ZERO_DIGEST,
    prevSize: 0,
    size: 0,
    root: encodeHex(EMPTY_ROOT),
    entriesHash: ZERO_DIGEST,
    timestampMs: 0,
    nextRoster: undefined,
  };
}

/** The identity of a batch. */
export function headerDigest(header: Header): Digest {
  if (header.height === 0) return ZERO_DIGEST;
  const writer = new Writer().raw(utf8(DOMAINS.header));
  writeHeader(writer, header);
  return encodeHex(sha256(writer.finish()));
}

/**
 * What `Header.entriesHash` must be for this body.
 *
 * @param create SHA-256; drivers pass the native one, bodies can be megabytes
 */
export function bodyHash(
  body: Body,
  create: () => IncrementalHash = () => portableSha256.create(),
): Digest {
  const hash = create();
  hash.update(utf8(DOMAINS.entries));
  hash.update(new Writer().uint32(body.length).finish());
  for (const entry of body) {
    hash.update(new Writer().uint16(entry.length).finish());
    hash.update(entry);
  }
  // A plain copy: Node's digest is a Buffer.
  return encodeHex(Uint8Array.from(hash.digest()));
}

/** Header as bytes, for the store and inside messages. */
export function encodeHeader(header: Header): Uint8Array {
  const writer = new Writer();
  writeHeader(writer, header);
  return writer.finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeHeader(bytes: Uint8Array): Header {
  return decodeAll(bytes, readHeader);
}

/** Body as bytes, for the store and inside messages. */
export function encodeBody(body: Body): Uint8Array {
  const writer = new Writer();
  writeBody(writer, body);
  return writer.finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeBody(bytes: Uint8Array): Body {
  return decodeAll(bytes, readBody);
}

/** Certificate as bytes, for the store. */
export function encodeCertificate(certificate: Certificate): Uint8Array {
  const writer = new Writer();
  writeCertificate(writer, certificate);
  return writer.finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeCertificate(bytes: Uint8Array): Certificate {
  return decodeAll(bytes, readCertificate);
}

/** The PREPARE inside a PRE-PREPARE. */
export function voteOfProposal(message: PrePrepareMessage): Vote {
  const { epoch, view, nv, header } = message;
  return { epoch, view, nv, height: header.height, digest: headerDigest(header) };
}

/** What a PREPARE (also inside a PRE-PREPARE) or a COMMIT signs. */
export function voteBytes(phase: Certificate['phase'], origin: string, vote: Vote): Uint8Array {
  const writer = new Writer().raw(utf8(DOMAINS[phase])).origin(origin);
  writeVote(writer, vote);
  return writer.finish();
}

/** What a VIEW-CHANGE signs. */
export function viewChangeBytes(origin: string, content: ViewChangeContent): Uint8Array {
  const writer = new Writer().raw(utf8(DOMAINS.viewChange)).origin(origin);
  writeViewChangeContent(writer, content);
  return writer.finish();
}

/** What a NEW-VIEW signs. */
export function newViewBytes(origin: string, content: NewViewContent): Uint8Array {
  const writer = new Writer().raw(utf8(DOMAINS.newView)).origin(origin);
  writeNewViewContent(writer, content);
  return writer.finish();
}

/**
 * `nv`: names the NEW-VIEW in every vote of its view. Over the content without the leader's
 * signature, so that signing one content twice makes no second view.
 */
export function newViewDigest(origin: string, content: NewViewContent): Digest {
  return encodeHex(sha256(newViewBytes(origin, content)));
}

/** Runs a reader over all of the bytes. @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeAll<T>(bytes: Uint8Array, read: (reader: Reader) => T): T {
  const reader = new Reader(bytes);
  const value = read(reader);
  reader.end();
  return value;
}

export function writeHeader(writer: Writer, header: Header): void {
  writer
    .origin(header.origin)
    .uint64(header.epoch)
    .uint64(header.height)
    .digest(header.parent)
    .uint64(header.prevSize)
    .uint64(header.size)
    .digest(header.root)
    .digest(header.entriesHash)
    .uint64(header.timestampMs)
    .optional(header.nextRoster, (hash) => writer.digest(hash));
}

export function readHeader(reader: Reader): Header {
  const header: Header = {
    origin: reader.origin(),
    epoch: reader.uint64(),
    height: reader.uint64(),
    parent: reader.digest(),
    prevSize: reader.uint64(),
    size: reader.uint64(),
    root: reader.digest(),
    entriesHash: reader.digest(),
    timestampMs: reader.uint64(),
    nextRoster: reader.optional(() => reader.digest()),
  };
  // Height 0 has one header per log, and a fixed digest: nothing else may share it.
  if (header.height === 0 && !sameHeader(header, genesisHeader(header.origin))) {
    throw malformed('a header of height 0 that is not the genesis header');
  }
  return header;
}

/** Whether two headers agree in every field. */
export function sameHeader(a: Header, b: Header): boolean {
  return (
    a.origin === b.origin &&
    a.epoch === b.epoch &&
    a.height === b.height &&
    a.parent === b.parent &&
    a.prevSize === b.prevSize &&
    a.size === b.size &&
    a.root === b.root &&
    a.entriesHash === b.entriesHash &&
    a.timestampMs === b.timestampMs &&
    a.nextRoster === b.nextRoster
  );
}

export function writeBody(writer: Writer, body: Body): void {
  writer.uint32(body.length);
  for (const entry of body) writer.uint16(entry.length).raw(entry);
}

export function readBody(reader: Reader): Body {
  return reader.list(reader.uint32(), BODY_ENTRIES_MAX, () => {
    const entry = reader.raw(reader.uint16());
    if (entry.length === 0) throw malformed('empty entry');
    return entry;
  });
}

export function writeVote(writer: Writer, vote: Vote): void {
  writer
    .uint64(vote.epoch)
    .uint64(vote.view)
    .digest(vote.nv)
    .uint64(vote.height)
    .digest(vote.digest);
}

export function readVote(reader: Reader): Vote {
  return {
    epoch: reader.uint64(),
    view: reader.uint64(),
    nv: reader.digest(),
    height: reader.uint64(),
    digest: reader.digest(),
  };
}

export function writeCertificate(writer: Writer, certificate: Certificate): void {
  writer.flag(certificate.phase === 'commit');
  writeVote(writer, certificate.vote);
  writer.uint8(certificate.signatures.length);
  for (const { signer, signature } of certificate.signatures) writer.uint8(signer).raw(signature);
}

export function readCertificate(reader: Reader): Certificate {
  const phase = reader.flag() ? 'commit' : 'prepare';
  const vote = readVote(reader);
  const signatures = ascending(
    reader.list(reader.uint8(), REPLICA_COUNT_MAX, (): VoteSignature => ({
      signer: reader.uint8(),
      signature: reader.signature(),
    })),
    ({ signer }) => signer,
  );
  return { phase, vote, signatures };
}

/** Refuses lists that are not strictly ascending: no duplicates, one order (R4). */
export function ascending<T>(items: T[], key: (item: T) => number): T[] {
  let previous = -1;
  for (const item of items) {
    if (key(item) <= previous) throw malformed('list is not strictly ascending');
    previous = key(item);
  }
  return items;
}

function writeLast(writer: Writer, { header, certificate }: LastCommitted): void {
  writeHeader(writer, header);
  writer.optional(certificate, (value) => writeCertificate(writer, value));
}

function readLast(reader: Reader): LastCommitted {
  const header = readHeader(reader);
  return { header, certificate: reader.optional(() => readCertificate(reader)) };
}

export function writeCertifiedHeader(writer: Writer, certified: CertifiedHeader): void {
  writeHeader(writer, certified.header);
  writeCertificate(writer, certified.certificate);
}

export function readCertifiedHeader(reader: Reader): CertifiedHeader {
  return { header: readHeader(reader), certificate: readCertificate(reader) };
}

export function writeViewChangeContent(writer: Writer, content: ViewChangeContent): void {
  writer.uint64(content.epoch).uint64(content.view).uint8(content.signer);
  writeLast(writer, content.last);
  writer.optional(content.prepared, (value) => writeCertifiedHeader(writer, value));
}

export function readViewChangeContent(reader: Reader): ViewChangeContent {
  return {
    epoch: reader.uint64(),
    view: reader.uint64(),
    signer: reader.uint8(),
    last: readLast(reader),
    prepared: reader.optional(() => readCertifiedHeader(reader)),
  };
}

export function writeViewChange(writer: Writer, viewChange: ViewChange): void {
  writeViewChangeContent(writer, viewChange.content);
  writer.raw(viewChange.signature);
}

export function readViewChange(reader: Reader): ViewChange {
  return { content: readViewChangeContent(reader), signature: reader.signature() };
}

export function writeNewViewContent(writer: Writer, content: NewViewContent): void {
  writer.uint64(content.epoch).uint64(content.view).uint8(content.viewChanges.length);
  for (const viewChange of content.viewChanges) writeViewChange(writer, viewChange);
}

export function readNewViewContent(reader: Reader): NewViewContent {
  return {
    epoch: reader.uint64(),
    view: reader.uint64(),
    viewChanges: ascending(
      reader.list(reader.uint8(), REPLICA_COUNT_MAX, () => readViewChange(reader)),
      ({ content }) => content.signer,
    ),
  };
}

export function writeNewView(writer: Writer, newView: NewView): void {
  writeNewViewContent(writer, newView.content);
  writer.raw(newView.signature);
}

export function readNewView(reader: Reader): NewView {
  return { content: readNewViewContent(reader), signature: reader.signature() };
}
