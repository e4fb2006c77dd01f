// The durable records of CONSENSUS.md 2.2 as bytes, and back after a restart (C2). Which records a
// step has to write is found by comparing the signing kernel's state before and after it, so no
// handler can forget one.
import { assert } from '../../verifier/errors.ts';
import {
  decodeAll,
  genesisHeader,
  headerDigest,
  newViewDigest,
  readCertifiedHeader,
  readNewViewContent,
  readViewChangeContent,
  sameHeader,
  writeCertifiedHeader,
  writeNewViewContent,
  writeViewChangeContent,
} from '../../verifier/replication/encode.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { Members } from '../../verifier/replication/members.ts';
import type { NewViewContent } from '../../verifier/replication/messages.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import type { DurableState, RecordName, Write } from './types.ts';
import { type Opening, openingOf } from '../../verifier/replication/validate.ts';
import { type ActiveView, type VoterState, startEpoch } from './voter-state.ts';
import { Writer } from '../../verifier/replication/wire.ts';

type Vote = NonNullable<VoterState['vote']>;

/** A NEW-VIEW as it is kept: an own one is signed again after a restart. */
export interface KeptNewView {
  readonly content: NewViewContent;
  readonly signature: Uint8Array | undefined;
}

/** The durable state of a log that nobody has written to yet. */
export function genesisState(roster: Roster): DurableState {
  const header = genesisHeader(roster.origin);
  return {
    roster,
    epochStart: header,
    committed: { header, certificate: undefined },
    records: new Map(),
    bodies: [],
  };
}

/** The record `promise`: (epoch, view) and the last PREPARE. */
export function encodePromise(state: Pick<VoterState, 'epoch' | 'view' | 'vote'>): Uint8Array {
  const writer = new Writer().uint64(state.epoch).uint64(state.view);
  return writer
    .optional(state.vote, ({ view, height, digest }) =>
      writer.uint64(view).uint64(height).digest(digest),
    )
    .finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodePromise(bytes: Uint8Array): Pick<VoterState, 'epoch' | 'view' | 'vote'> {
  return decodeAll(bytes, (reader) => ({
    epoch: reader.uint64(),
    view: reader.uint64(),
    vote: reader.optional((): Vote => ({
      view: reader.uint64(),
      height: reader.uint64(),
      digest: reader.digest(),
    })),
  }));
}

/** The record `new-view`. */
export function encodeKeptNewView({ content, signature }: KeptNewView): Uint8Array {
  const writer = new Writer();
  writeNewViewContent(writer, content);
  return writer.optional(signature, (bytes) => writer.raw(bytes)).finish();
}

/** @throws {VerifyError} `MESSAGE_MALFORMED` */
export function decodeKeptNewView(bytes: Uint8Array): KeptNewView {
  return decodeAll(bytes, (reader) => ({
    content: readNewViewContent(reader),
    signature: reader.optional(() => reader.signature()),
  }));
}

/**
 * The records that differ between two states, as writes.
 *
 * @param signature the leader's, on `after.newView`; undefined for an own one
 */
export function recordWrites(
  before: VoterState,
  after: VoterState,
  signature: Uint8Array | undefined,
  mutants: ReadonlySet<MutantName>,
): Write[] {
  const writes: Write[] = [];
  const promised = before.view !== after.view || before.epoch !== after.epoch;
  if (promised ? !mutants.has('view-not-persisted') : before.vote !== after.vote) {
    if (promised || !mutants.has('vote-not-persisted')) {
      writes.push(record('promise', encodePromise(after)));
    }
  }
  if (before.prepared !== after.prepared && !mutants.has('prepared-not-persisted')) {
    const { prepared } = after;
    writes.push(record('prepared', prepared && encodeWith(prepared, writeCertifiedHeader)));
  }
  if (before.viewChange !== after.viewChange && !mutants.has('view-not-persisted')) {
    const { viewChange } = after;
    writes.push(
      record('view-change', viewChange && encodeWith(viewChange, writeViewChangeContent)),
    );
  }
  if (before.newView !== after.newView && !mutants.has('new-view-not-persisted')) {
    const { newView } = after;
    const value = newView && encodeKeptNewView({ content: newView, signature });
    writes.push(record('new-view', value));
    if (newView !== undefined && value !== undefined) {
      const { epoch, view } = newView;
      writes.push({ kind: 'transcript', epoch, view, newView: value });
    }
  }
  return writes;
}

function record(name: RecordName, value: Uint8Array | undefined): Write {
  return { kind: 'record', name, value };
}

function encodeWith<T>(value: T, write: (writer: Writer, value: T) => void): Uint8Array {
  const writer = new Writer();
  write(writer, value);
  return writer.finish();
}

/** What a restart gives back. */
export interface Restored {
  readonly voter: VoterState;
  readonly opening: Opening | undefined;
  readonly newViewSignature: Uint8Array | undefined;
}

/**
 * The kernel's state from the durable records (C2). Records of an earlier epoch or height are stale
 * and say nothing.
 *
 * @throws {VerifyError} `MESSAGE_MALFORMED` for damaged records: a replica that can't read its own
 *         promises must not vote
 */
export function restoreVoter(
  durable: DurableState,
  members: Members,
  mutants: ReadonlySet<MutantName>,
): Restored {
  const { records, epochStart, committed } = durable;
  const startDigest = headerDigest(epochStart);
  const fresh: VoterState = {
    ...startEpoch(members.epoch, members.self, epochStart, startDigest, undefined),
    // The certificate of the closing batch is of the epoch before and proves nothing in this one.
    committed: sameHeader(committed.header, epochStart)
      ? { header: epochStart, certificate: undefined }
      : committed,
    committedDigest: headerDigest(committed.header),
  };
  const stored = readRecord(records, 'promise', decodePromise);
  // Whoever got the others' certificate before it voted itself has signed a COMMIT in view 0 and promised
  // nothing yet: what it prepared counts all the same (P6), or its next VIEW-CHANGE would hide it.
  const promise =
    stored === undefined || stored.epoch < members.epoch
      ? { epoch: members.epoch, view: 0, vote: undefined }
      : stored;
  assert(promise.epoch === members.epoch, 'no promise is from a later epoch than the roster');
  const height = committed.header.height + 1;
  const prepared = readRecord(records, 'prepared', (bytes) =>
    decodeAll(bytes, readCertifiedHeader),
  );
  const viewChange = readRecord(records, 'view-change', (bytes) =>
    decodeAll(bytes, readViewChangeContent),
  );
  const kept = readRecord(records, 'new-view', decodeKeptNewView);
  const { view, vote } = promise;
  const opened =
    kept?.content.epoch === members.epoch && kept.content.view === view ? kept : undefined;
  const opening = opened && openingOf(opened.content, mutants);
  return {
    voter: {
      ...fresh,
      view,
      active:
        view === 0
          ? fresh.active
          : opened && opening && activeView(members, opened.content, opening),
      vote: vote?.height === height ? vote : undefined,
      prepared: prepared?.header.height === height ? prepared : undefined,
      viewChange: viewChange?.view === view ? viewChange : undefined,
      newView: opened?.content,
    },
    opening,
    newViewSignature: opened?.signature,
  };
}

/** What a NEW-VIEW allows, in the kernel's terms. */
export function activeView(
  members: Members,
  content: NewViewContent,
  opening: Opening,
): ActiveView {
  const mandate = opening.mandate && headerDigest(opening.mandate.header);
  return { nv: newViewDigest(members.roster.origin, content), base: opening.base, mandate };
}

function readRecord<T>(
  records: DurableState['records'],
  name: RecordName,
  decode: (bytes: Uint8Array) => T,
): T | undefined {
  const bytes = records.get(name);
  return bytes === undefined ? undefined : decode(bytes);
}
