// Messages as they travel between replicas: one kind byte, then the fields of messages.ts in order.
// Who sent a message is known from the connection; the origin is bound by every signature and by the
// connection's handshake.
import { REPLICA_COUNT_MAX } from '../roster.ts';
import {
  ascending,
  decodeAll,
  readBody,
  readCertificate,
  readHeader,
  readNewView,
  readViewChange,
  readVote,
  writeBody,
  writeCertificate,
  writeHeader,
  writeNewView,
  writeViewChange,
  writeVote,
} from './encode.ts';
import { readEvidence, writeEvidence } from './encode-evidence.ts';
import type {
  Batch,
  CommittedRecord,
  Message,
  Misbehaviour,
  PrepareMessage,
  PrePrepareMessage,
  ReplicaIndex,
  Request,
  StatusMessage,
} from './messages.ts';
import { MISBEHAVIOUR_RULES } from './misbehaviour.ts';
import { type Reader, Writer, malformed } from './wire.ts';

/**
 * Longest message, bytes: room for the largest batch (`Limits.batchBytesMax`, 2 MiB) or for an answer
 * to GET batches (`BATCHES_BYTES_MAX`).
 */
export const MESSAGE_BYTES_MAX: number = 8 * 1024 * 1024;

/** Most batches in one message: bounds the certificates that one message makes a receiver verify. */
export const BATCHES_COUNT_MAX = 64;

/** Most requests in one FORWARD or PREFETCH. */
export const FORWARD_REQUESTS_MAX = 1024;

const KINDS: readonly Message['kind'][] = [
  'pre-prepare',
  'prepare',
  'commit',
  'cosign',
  'status',
  'forward',
  'get-body',
  'body',
  'get-batches',
  'batches',
  'view-change',
  'new-view',
  'evidence',
  'prefetch',
];

/** Most proofs that STATUS names: one for each rule and member. */
const PROOFS_MAX: number = MISBEHAVIOUR_RULES.length * REPLICA_COUNT_MAX;

/** The bytes of a message. */
export function encodeMessage(message: Message): Uint8Array {
  const writer = new Writer().uint8(KINDS.indexOf(message.kind));
  writeFields(writer, message);
  return writer.finish();
}

/**
 * Reads a message of a peer. Requests and signatures may be kept for long, by themselves; the entries of a
 * body are views into `bytes`, which are theirs but for a header.
 *
 * @throws {VerifyError} `MESSAGE_MALFORMED`
 */
export function decodeMessage(bytes: Uint8Array): Message {
  return decodeKind(bytes, KINDS);
}

/** What bytes say that they are, as far as they begin like a message: the rest is not looked at. */
export function kindOf(bytes: Uint8Array): Message['kind'] | undefined {
  const [kind] = bytes;
  return kind === undefined ? undefined : KINDS[kind];
}

/** A message inside of a proof. */
function decodeProven(bytes: Uint8Array): Message {
  // Nested as deep as eight megabytes allow, proofs in proofs would overflow the stack.
  return decodeKind(
    bytes,
    KINDS.filter((kind) => kind !== 'evidence'),
  );
}

function decodeKind(bytes: Uint8Array, kinds: readonly Message['kind'][]): Message {
  if (bytes.length > MESSAGE_BYTES_MAX) throw malformed(`${bytes.length} bytes`);
  return decodeAll(bytes, (reader) => {
    const kind = kinds[reader.uint8()];
    if (kind === undefined) throw malformed('unknown kind');
    return READERS[kind](reader);
  });
}

/** A report as bytes, to be kept and handed on. */
export function encodeEvidence(report: Misbehaviour): Uint8Array {
  const writer = new Writer();
  writeEvidence(writer, report, encodeMessage);
  return writer.finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeEvidence(bytes: Uint8Array): Misbehaviour {
  return decodeAll(bytes, (reader) => readEvidence(reader, decodeProven));
}

function writeFields(writer: Writer, message: Message): void {
  switch (message.kind) {
    case 'pre-prepare':
      writer.uint64(message.epoch).uint64(message.view).digest(message.nv);
      writeHeader(writer, message.header);
      writeProposedBody(writer, message);
      writer.raw(message.signature);
      return;
    case 'prepare':
    case 'commit':
      writeVote(writer, message.vote);
      writer.uint8(message.signer).raw(message.signature);
      return;
    case 'cosign':
      writer.uint64(message.epoch).uint64(message.height).uint64(message.size);
      writer.digest(message.root).uint64(message.time).uint8(message.signer);
      writer.raw(message.signature);
      return;
    case 'status':
      writeStatus(writer, message);
      return;
    case 'forward':
      writer.uint64(message.epoch).uint16(message.requests.length);
      for (const request of message.requests) writeRequest(writer, request);
      return;
    case 'prefetch':
      writer.uint64(message.epoch).uint64(message.view).uint64(message.height);
      writer.uint16(message.start).uint16(message.requests.length);
      for (const request of message.requests) writeRequest(writer, request);
      return;
    case 'get-body':
      writer.digest(message.digest);
      return;
    case 'body':
      writeBatch(writer, message.batch);
      return;
    case 'get-batches':
      writer.uint64(message.fromHeight);
      return;
    case 'batches':
      writer.uint8(message.batches.length);
      for (const batch of message.batches) {
        writeBatch(writer, batch);
        writeCertificate(writer, batch.certificate);
      }
      return;
    case 'view-change':
      writeViewChange(writer, message.viewChange);
      return;
    case 'new-view':
      writeNewView(writer, message.newView);
      return;
    case 'evidence':
      writeEvidence(writer, message.report, encodeMessage);
  }
}

const READERS: {
  readonly [K in Message['kind']]: (reader: Reader) => Extract<Message, { kind: K }>;
} = {
  'pre-prepare': (reader) => ({
    kind: 'pre-prepare',
    epoch: reader.uint64(),
    view: reader.uint64(),
    nv: reader.digest(),
    header: readHeader(reader),
    ...readProposedBody(reader),
    signature: reader.signature(),
  }),
  prepare: (reader) => ({ kind: 'prepare', ...readSignedVote(reader) }),
  commit: (reader) => ({ kind: 'commit', ...readSignedVote(reader) }),
  cosign: (reader) => ({
    kind: 'cosign',
    epoch: reader.uint64(),
    height: reader.uint64(),
    size: reader.uint64(),
    root: reader.digest(),
    time: reader.uint64(),
    signer: reader.uint8(),
    signature: reader.signature(),
  }),
  status: readStatus,
  forward: (reader) => ({
    kind: 'forward',
    epoch: reader.uint64(),
    requests: reader.list(reader.uint16(), FORWARD_REQUESTS_MAX, () => readRequest(reader)),
  }),
  prefetch: (reader) => ({
    kind: 'prefetch',
    epoch: reader.uint64(),
    view: reader.uint64(),
    height: reader.uint64(),
    start: reader.uint16(),
    requests: reader.list(reader.uint16(), FORWARD_REQUESTS_MAX, () => readRequest(reader)),
  }),
  'get-body': (reader) => ({ kind: 'get-body', digest: reader.digest() }),
  body: (reader) => ({ kind: 'body', batch: readBatch(reader) }),
  'get-batches': (reader) => ({ kind: 'get-batches', fromHeight: reader.uint64() }),
  batches: (reader) => ({
    kind: 'batches',
    batches: reader.list(reader.uint8(), BATCHES_COUNT_MAX, (): CommittedRecord => ({
      ...readBatch(reader),
      certificate: readCertificate(reader),
    })),
  }),
  'view-change': (reader) => ({ kind: 'view-change', viewChange: readViewChange(reader) }),
  'new-view': (reader) => ({ kind: 'new-view', newView: readNewView(reader) }),
  evidence: (reader) => ({ kind: 'evidence', report: readEvidence(reader, decodeProven) }),
};

/** One byte says whether the body follows (1), what it ends with (2), or nothing of it (0). */
function writeProposedBody(writer: Writer, { body, tail }: PrePrepareMessage): void {
  if (tail !== undefined) {
    writer.uint8(2).uint16(tail.prefetched);
    writeBody(writer, tail.entries);
  } else {
    writer.optional(body, (entries) => writeBody(writer, entries));
  }
}

function readProposedBody(reader: Reader): Pick<PrePrepareMessage, 'body' | 'tail'> {
  switch (reader.uint8()) {
    case 0:
      return { body: undefined };
    case 1:
      return { body: readBody(reader) };
    case 2:
      break;
    default:
      throw malformed('unknown form of a body');
  }
  const prefetched = reader.uint16();
  if (prefetched === 0) throw malformed('a tail without anything before it');
  return { body: undefined, tail: { prefetched, entries: readBody(reader) } };
}

function readSignedVote(reader: Reader): Omit<PrepareMessage, 'kind'> {
  return { vote: readVote(reader), signer: reader.uint8(), signature: reader.signature() };
}

function writeStatus(writer: Writer, status: StatusMessage): void {
  writer.uint64(status.epoch).uint64(status.view).flag(status.active).uint64(status.wish);
  writer.uint64(status.height).digest(status.digest);
  writeMembers(writer, status.prepares);
  writeMembers(writer, status.commits);
  writer.flag(status.proposed);
  writeMembers(writer, status.cosigners);
  writer.uint16(status.proofs.length);
  for (const mark of status.proofs) writer.uint16(mark);
}

function readStatus(reader: Reader): StatusMessage {
  return {
    kind: 'status',
    epoch: reader.uint64(),
    view: reader.uint64(),
    active: reader.flag(),
    wish: reader.uint64(),
    height: reader.uint64(),
    digest: reader.digest(),
    prepares: readMembers(reader),
    commits: readMembers(reader),
    proposed: reader.flag(),
    cosigners: readMembers(reader),
    proofs: ascending(
      reader.list(reader.uint16(), PROOFS_MAX, () => reader.uint16()),
      (mark) => mark,
    ),
  };
}

function writeMembers(writer: Writer, members: readonly ReplicaIndex[]): void {
  writer.uint8(members.length);
  for (const member of members) writer.uint8(member);
}

function readMembers(reader: Reader): readonly ReplicaIndex[] {
  return ascending(
    reader.list(reader.uint8(), REPLICA_COUNT_MAX, () => reader.uint8()),
    (member) => member,
  );
}

function writeRequest(writer: Writer, request: Request): void {
  writer.digest(request.id).uint16(request.bytes.length).raw(request.bytes);
}

function readRequest(reader: Reader): Request {
  return { id: reader.digest(), bytes: reader.own(reader.uint16()) };
}

function writeBatch(writer: Writer, batch: Batch): void {
  writeHeader(writer, batch.header);
  writeBody(writer, batch.body);
}

function readBatch(reader: Reader): Batch {
  return { header: readHeader(reader), body: readBody(reader) };
}
