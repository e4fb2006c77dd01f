// I10: nothing is signed before its record is durable (P1 to P6). The simulated disk knows what a
// crash in this very moment would leave.
import { VerifyError } from '../../verifier/errors.ts';
import {
  decodeAll,
  newViewBytes,
  readCertifiedHeader,
  readViewChangeContent,
  viewChangeBytes,
} from '../../verifier/replication/encode.ts';
import { decodeKeptNewView, decodePromise } from '../consensus/records.ts';
import type {
  CertifiedHeader,
  CosignRequest,
  NewViewContent,
  VoteSignRequest,
  Vote,
} from '../consensus/types.ts';
import type { Disk } from './disk.ts';
import { ORIGIN } from './nodes.ts';
import { Violation } from './violation.ts';

/** @throws {Violation} I10 */
export function requireDurable(disk: Disk, { content, bytes }: VoteSignRequest): void {
  switch (content.kind) {
    case 'pre-prepare':
    case 'prepare':
      requireVote(disk, content.vote);
      return;
    case 'commit':
      requirePrepared(disk, content.vote);
      return;
    case 'view-change':
      requireViewChange(disk, content.content.epoch, content.content.view, bytes);
      return;
    case 'new-view': {
      const kept = keptNewView(disk);
      const same = kept !== undefined && equal(newViewBytes(ORIGIN, kept), bytes);
      require(same, `P4: NEW-VIEW of view ${content.content.view}`);
    }
  }
}

/** P6. @throws {Violation} I10 */
export function requireDurableBatch(disk: Disk, { height, size, root }: CosignRequest): void {
  const header = disk.batchAt(height)?.header;
  require(header?.size === size && header.root === root, `P6: the batch at height ${height}`);
}

/** The NEW-VIEW of the present view, as a restart would find it. */
export function keptNewView(disk: Disk): NewViewContent | undefined {
  const bytes = disk.record('new-view');
  return bytes && reading(() => decodeKeptNewView(bytes).content);
}

/** The prepare certificate, as a restart would find it. */
export function keptPrepared(disk: Disk): CertifiedHeader | undefined {
  const bytes = disk.record('prepared');
  return bytes && reading(() => decodeAll(bytes, readCertifiedHeader));
}

function requireVote(disk: Disk, vote: Vote): void {
  const { epoch, view, height, digest } = vote;
  // Committed meanwhile: the vote can't be contradicted any more.
  if (disk.digestAt(height) === digest) return;
  const bytes = disk.record('promise');
  const promise = bytes && decodePromise(bytes);
  const isKept =
    promise?.epoch === epoch &&
    promise.view === view &&
    promise.vote?.view === view &&
    promise.vote.height === height &&
    promise.vote.digest === digest;
  require(isKept, `P1: the vote of view ${view} at height ${height}`);
  require(disk.hasBody(digest), `P1: the body of the vote at height ${height}`);
  if (view === 0) return;
  const newView = keptNewView(disk);
  require(newView?.view === view && newView.epoch === epoch, `P5: the NEW-VIEW of view ${view}`);
}

function requirePrepared(disk: Disk, { view, height, digest }: Vote): void {
  if (disk.digestAt(height) === digest) return;
  const vote = keptPrepared(disk)?.certificate.vote;
  const isKept = vote?.view === view && vote.height === height && vote.digest === digest;
  require(isKept, `P2: the prepare certificate of view ${view} at height ${height}`);
}

function requireViewChange(disk: Disk, epoch: number, view: number, bytes: Uint8Array): void {
  const record = disk.record('promise');
  const promise = record && decodePromise(record);
  require(promise?.epoch === epoch && promise.view === view, `P3: the promise of view ${view}`);
  const kept = disk.record('view-change');
  const content = kept && reading(() => decodeAll(kept, readViewChangeContent));
  const same = content !== undefined && equal(viewChangeBytes(ORIGIN, content), bytes);
  require(same, `P3: the VIEW-CHANGE into view ${view}`);
}

/** What was kept can be read back, or a restart would be the end of this replica. */
function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new Violation('I5', `kept what can't be read back: ${error.message}`);
  }
}

function require(condition: boolean, what: string): void {
  if (!condition) throw new Violation('I10', `signed before it was durable: ${what}`);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
