// What a correct replica may vote for (N3 to N6, V5, V6, V9), decided once more from what its disk
// says: the opening of its view, the batch before, the body, the artifacts, the clock.
import { headerDigest } from '../../verifier/replication/encode.ts';
import type { CertifiedHeader, NewViewContent, Vote } from '../consensus/types.ts';
import type { CertificateChecker } from './certificate-checker.ts';
import type { CanonicalLog } from './canonical-log.ts';
import { keptNewView } from './durability-checker.ts';
import type { Validity } from './ledger.ts';
import type { Process } from './process.ts';
import type { EpochOracle } from './quorum-oracle.ts';
import { Violation } from './violation.ts';

/** What a vote is checked against. */
export interface VoteContext {
  readonly oracle: EpochOracle;
  readonly log: CanonicalLog;
  readonly certificates: CertificateChecker;
  readonly clockSkewMaxMs: number;
  readonly batchRequestsMax: number;
  readonly batchBytesMax: number;
}

/** V5, V6, V9: any vote in a view fits the NEW-VIEW that opened it. @throws {Violation} */
export function requireOpening(process: Process, vote: Vote, context: VoteContext): void {
  if (vote.view === 0) return;
  const newView = keptNewView(process.disk);
  // A mutant that does not keep it is found by I10.
  if (newView === undefined || newView.view !== vote.view) return;
  context.certificates.newView(context.oracle, newView);
  const { base, mandate } = opening(newView);
  if (vote.height <= base) {
    throw new Violation('vote', `V9: voted at height ${vote.height}, the base is ${base}`);
  }
  if (mandate === undefined || vote.height !== base + 1) return;
  if (headerDigest(mandate.header) !== vote.digest) {
    throw new Violation('vote', `N3: voted against the mandate of view ${vote.view}`);
  }
}

function opening({ viewChanges }: NewViewContent): {
  base: number;
  mandate: CertifiedHeader | undefined;
} {
  const base = Math.max(...viewChanges.map(({ content }) => content.last.header.height));
  const candidates = viewChanges
    .map(({ content }) => content.prepared)
    .filter((prepared) => prepared?.header.height === base + 1)
    .sort((a, b) => (b?.certificate.vote.view ?? 0) - (a?.certificate.vote.view ?? 0));
  return { base, mandate: candidates[0] };
}

/** N3 to N6: what a PREPARE says about a batch is true. @throws {Violation} */
export function requireValidBatch(process: Process, vote: Vote, context: VoteContext): void {
  const { disk, ledger } = process;
  const batch = disk.bodyOf(vote.digest);
  if (batch === undefined || disk.height !== vote.height - 1) return;
  const { header } = batch;
  if (header.parent !== context.log.digestAt(vote.height - 1)) {
    throw new Violation('vote', `N3: voted for a batch on another parent at height ${vote.height}`);
  }
  const isFresh = vote.view === 0 || !isMandate(process, vote);
  if (isFresh && header.timestampMs > process.wallMsMax + context.clockSkewMaxMs) {
    throw new Violation('vote', `N5: voted for a batch of the future at height ${vote.height}`);
  }
  const validity = ledger.check(batch, context);
  // The real ledger answers later; its own tests cover it.
  if (validity instanceof Promise) return;
  requireChecked(process, vote, validity);
}

function requireChecked(process: Process, vote: Vote, validity: Validity): void {
  if (validity.kind === 'invalid') {
    throw new Violation('vote', `N4: voted for an invalid batch: ${validity.reason}`);
  }
  const missing = validity.artifacts.find((id) => !process.artifacts.has(id));
  if (missing !== undefined) {
    throw new Violation('vote', `N4: voted without the artifact at height ${vote.height}`);
  }
}

function isMandate(process: Process, vote: Vote): boolean {
  const newView = keptNewView(process.disk);
  if (newView === undefined) return false;
  const { mandate } = opening(newView);
  return mandate !== undefined && headerDigest(mandate.header) === vote.digest;
}
