// What a proposed batch has to satisfy besides the rules for its entries (CONSENSUS N4): it follows the
// last one, says the same as its header, and comes out the same when it is executed.
import { createHash } from 'node:crypto';

import { equalBytes } from '../../verifier/bytes.ts';
import { parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  STATEMENT_PAYLOAD_TYPES,
  envelopeFinder,
  parseEntry,
  type EnvelopePlace,
} from '../../verifier/entry.ts';
import type { BatchExecution, BatchInput } from '../../verifier/ledger/batch.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type { Body, Header } from '../consensus/types.ts';
import type { LedgerState } from '../store/ledger-state.ts';

/**
 * Compares a header with the state it has to follow and with the body it has to describe.
 *
 * @throws {LedgerError} `STATE_MOVED` for another height than the next, `TIME_WRONG`,
 *         `BATCH_MALFORMED`
 */
export function requireHeader(header: Header, body: Body, state: LedgerState): void {
  const { tip, roster, header: parent } = state;
  if (header.height !== tip.height + 1) {
    throw new LedgerError('STATE_MOVED', `height ${header.height} is not the next one here`);
  }
  if (header.timestampMs <= parent.timestampMs) {
    throw new LedgerError('TIME_WRONG', 'the timestamp is not later than the one before it');
  }
  requireThat(header.origin === roster.origin, 'the header is of another log');
  requireThat(header.epoch === tip.epoch, 'the header is of another epoch');
  requireThat(header.parent === headerDigest(parent), 'the header has another parent');
  requireThat(header.prevSize === tip.size, 'the header starts from another size');
  requireThat(header.size === tip.size + body.length, 'the header counts other entries');
  const hash = bodyHash(body, () => createHash('sha256'));
  requireThat(header.entriesHash === hash, 'the header names another body');
}

/**
 * Takes a body apart: its statements, to be executed.
 *
 * @param readEnvelope as `parseEnvelope`, which it is unless given: of what a client or a peer sent before
 * @throws {LedgerError} `BATCH_MALFORMED`
 * @throws {VerifyError} `ENTRY_MALFORMED`, `FORMAT_UNSUPPORTED`
 */
export function openBody(
  header: Header,
  body: Body,
  readEnvelope: (bytes: Uint8Array) => Envelope = parseEnvelope,
): BatchInput {
  const timeSeconds = Math.floor(header.timestampMs / 1000);
  const statements = body.slice(0, -1);
  const last = body.at(-1);
  requireThat(
    last !== undefined && parseEntry(last).kind === 'commit',
    'the last entry is not a commit entry',
  );
  const find = envelopeFinder(timeSeconds);
  const envelopes = statements.map(
    (data) => knownEnvelope(find(data), readEnvelope) ?? readEntry(data, timeSeconds),
  );
  return { height: header.height, timeSeconds, envelopes, entries: statements };
}

// An entry is its envelope's text with a little around it: what was read when it came in is not read again.
function knownEnvelope(
  place: EnvelopePlace | undefined,
  readEnvelope: (bytes: Uint8Array) => Envelope,
): Envelope | undefined {
  if (place === undefined) return undefined;
  try {
    const envelope = readEnvelope(place.text);
    return envelope.payloadType === STATEMENT_PAYLOAD_TYPES[place.kind] ? envelope : undefined;
  } catch (error) {
    // Reading the whole entry says what is wrong with it.
    if (error instanceof VerifyError) return undefined;
    throw error;
  }
}

function readEntry(data: Uint8Array, timeSeconds: number): Envelope {
  const entry = parseEntry(data);
  if (entry.kind === 'commit') throw malformed('a commit entry before the end');
  requireThat(entry.time === timeSeconds, 'an entry of another time');
  return entry.envelope;
}

/**
 * Compares what a batch says it does with what it did.
 *
 * @throws {LedgerError} `BATCH_MALFORMED`
 */
export function requireOutcome(header: Header, body: Body, execution: BatchExecution): void {
  const same = execution.entries.every((entry, i) => {
    const proposed = body[i];
    // Statements were taken over as they are, so that nearly all are the very ones.
    return proposed === entry || (proposed !== undefined && equalBytes(entry, proposed));
  });
  // Above all the commit entry with the map's root: the statements were taken over as they are.
  requireThat(same && execution.entries.length === body.length, 'an entry comes out differently');
  requireThat(header.root === encodeHex(execution.root), 'the root comes out differently');
  const { roster } = execution.changes;
  requireThat(header.nextRoster === roster?.roster.hash, 'the next roster comes out differently');
}

function requireThat(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw malformed(otherwise);
}

function malformed(detail: string): LedgerError {
  return new LedgerError('BATCH_MALFORMED', `malformed batch: ${detail}`);
}
