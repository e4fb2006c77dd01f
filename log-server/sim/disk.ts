// A machine's disk: what the store port promises (CONSENSUS.md 2.9), and what a crash takes away.
// Writes wait in a cache until the sync barrier. A crash keeps some prefix of what waits, in order,
// each transaction whole or not at all; a transaction that was torn in the middle is found by its
// checksum and is as good as not there.
import type { Roster } from '../../verifier/roster.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type {
  Batch,
  CommittedRecord,
  Digest,
  DurableState,
  Header,
  Misbehaviour,
  RecordName,
  Write,
} from '../consensus/types.ts';
import type { SimLedger } from './ledger.ts';

/** One disk. All reads see what is durable. */
export class Disk {
  #records = new Map<RecordName, Uint8Array>();
  #bodies = new Map<Digest, Batch>();
  #batches: CommittedRecord[] = [];
  #digests: Digest[] = [];
  #rosters: Roster[];
  #transcripts: Uint8Array[] = [];
  #proofs = new Map<string, Misbehaviour>();
  #epochStart: Header;
  #ledger: SimLedger;
  readonly #genesis: { readonly roster: Roster; readonly ledger: SimLedger };

  constructor(roster: Roster, ledger: SimLedger) {
    this.#genesis = { roster, ledger: ledger.copy() };
    this.#rosters = [roster];
    this.#epochStart = genesisHeader(roster.origin);
    this.#ledger = ledger;
  }

  get ledger(): SimLedger {
    return this.#ledger;
  }

  /** NEW-VIEWs of the views that it was in, as the core has them kept (`decodeKeptNewView`). */
  get transcripts(): readonly Uint8Array[] {
    return this.#transcripts;
  }

  /** Proofs of misbehaviour that were kept. */
  get proofs(): readonly Misbehaviour[] {
    return [...this.#proofs.values()];
  }

  hasProof(report: Misbehaviour): boolean {
    return this.#proofs.has(proofName(report));
  }

  /** A proof becomes durable; the first one of its kind stays. */
  keepProof(report: Misbehaviour): void {
    if (!this.hasProof(report)) this.#proofs.set(proofName(report), report);
  }

  get height(): number {
    return this.#batches.length;
  }

  record(name: RecordName): Uint8Array | undefined {
    return this.#records.get(name);
  }

  hasBody(digest: Digest): boolean {
    return this.#bodies.has(digest);
  }

  /** A body that was kept for a vote. */
  bodyOf(digest: Digest): Batch | undefined {
    return this.#bodies.get(digest);
  }

  /** Digest of the header committed at a height; undefined above the newest. */
  digestAt(height: number): Digest | undefined {
    return this.#digests[height - 1];
  }

  batchAt(height: number): CommittedRecord | undefined {
    return this.#batches[height - 1];
  }

  batchesFrom(height: number): readonly CommittedRecord[] {
    return this.#batches.slice(Math.max(0, height - 1));
  }

  /** One transaction becomes durable. */
  async apply(writes: readonly Write[]): Promise<void> {
    for (const write of writes) {
      switch (write.kind) {
        case 'record':
          if (write.value === undefined) this.#records.delete(write.name);
          else this.#records.set(write.name, write.value);
          break;
        case 'body':
          this.#bodies.set(write.digest, { header: write.header, body: write.body });
          break;
        case 'drop-body':
          this.#bodies.delete(write.digest);
          break;
        case 'commit':
          await this.#commit(write);
          break;
        case 'transcript':
          this.#transcripts.push(write.newView);
      }
    }
  }

  async #commit(write: Extract<Write, { kind: 'commit' }>): Promise<void> {
    const { header, body, certificate, digest, nextRoster } = write;
    const record = { header, body, certificate };
    this.#batches.push(record);
    this.#digests.push(digest);
    this.#bodies.clear();
    if (nextRoster !== undefined) {
      this.#rosters.push(nextRoster);
      this.#epochStart = header;
    }
    await this.#ledger.apply(record, nextRoster);
  }

  /** What a process finds when it starts. */
  durableState(): DurableState {
    const roster = this.#rosters.at(-1) ?? this.#genesis.roster;
    const last = this.#batches.at(-1);
    return {
      roster,
      epochStart: this.#epochStart,
      committed:
        last === undefined
          ? { header: this.#epochStart, certificate: undefined }
          : { header: last.header, certificate: last.certificate },
      records: new Map(this.#records),
      bodies: [...this.#bodies.values()],
    };
  }

  /** A copy of everything, to be put back later: a backup. */
  snapshot(): Disk {
    const copy = new Disk(this.#genesis.roster, this.#ledger.copy());
    copy.#records = new Map(this.#records);
    copy.#bodies = new Map(this.#bodies);
    copy.#batches = [...this.#batches];
    copy.#digests = [...this.#digests];
    copy.#rosters = [...this.#rosters];
    copy.#transcripts = [...this.#transcripts];
    copy.#proofs = new Map(this.#proofs);
    copy.#epochStart = this.#epochStart;
    return copy;
  }

  /** An empty disk of the same log. */
  emptied(): Disk {
    return new Disk(this.#genesis.roster, this.#genesis.ledger.copy());
  }
}

/** One proof is kept of each kind: by whom which rule was broken in which epoch. */
export function proofName({ rule, accused, epoch }: Misbehaviour): string {
  return `${epoch}/${rule}/${accused}`;
}
