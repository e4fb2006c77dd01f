// What consensus keeps (CONSENSUS 2.2): its records, proposed bodies, decided batches, rosters, and the
// audit trail of view changes. The records' content is opaque here.
import { createHash } from 'node:crypto';

import { canonicalJson } from '../../verifier/json.ts';
import { decodeHex, decodeUint64, encodeUint64 } from '../../verifier/encoding.ts';
import { envelopeJson, parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { concat, equalBytes } from '../../verifier/bytes.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import {
  decodeBody,
  decodeCertificate,
  decodeHeader,
  encodeBody,
  encodeCertificate,
  encodeHeader,
} from '../../verifier/replication/encode.ts';
import type { Batch, Certificate, Digest, Header, RecordName } from '../consensus/types.ts';
import { DamagedStoreError } from './damage.ts';
import { type Database, type Statement, blobBytes } from './database.ts';

/** View changes kept for auditors: a thousand of them is years of normal operation. */
export const TRANSCRIPT_COUNT_MAX = 1000;

/**
 * The row among the records that holds the hash of the others. SQLite has no checksums: a promise whose
 * view lost a bit, or a vote whose row is gone, would read like any other, and this replica could vote
 * twice. With the seal it is known to be damaged (CONSENSUS M4, C5).
 */
const SEAL = 'seal';

/** The row with the height of the last batch, sealed: a lost row of a batch makes no shorter log. */
const TIP = 'tip';

/** A decided batch as the tables have it. */
export interface BatchRow {
  readonly height: number;
  readonly firstLeaf: number;
  readonly size: number;
  readonly header: Header;
  readonly certificate: Certificate;
  readonly mapRoot: Hash;
  readonly commitLeaf: Hash;
}

interface BatchSqlRow {
  readonly height: number;
  readonly first_leaf: number;
  readonly size: number;
  readonly header: Buffer;
  readonly certificate: Buffer;
  readonly map_root: Buffer;
  readonly commit_leaf: Buffer;
}

const BATCH_COLUMNS = 'height, first_leaf, size, header, certificate, map_root, commit_leaf';

/** Consensus tables. Writing happens inside the store's transaction. */
export class BatchTables {
  readonly #putRecord: Statement<[string, Uint8Array], unknown>;
  readonly #deleteRecord: Statement<[string], unknown>;
  readonly #records: Statement<[], { name: RecordName | typeof SEAL | typeof TIP; value: Buffer }>;
  /** Hashes of the records by name, once they were read: what the seal covers. */
  #sealed: Map<string, Uint8Array> | undefined;
  #tip = 0;
  readonly #putBody: Statement<[Uint8Array, Uint8Array], unknown>;
  readonly #deleteBody: Statement<[Uint8Array], unknown>;
  readonly #deleteBodies: Statement<[], unknown>;
  readonly #bodies: Statement<[], Buffer>;
  readonly #putBatch: Statement<
    [number, number, number, Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array],
    unknown
  >;
  readonly #batch: Statement<[number], BatchSqlRow>;
  readonly #last: Statement<[], BatchSqlRow>;
  readonly #bySize: Statement<[number], BatchSqlRow>;
  readonly #putRoster: Statement<[number, string], unknown>;
  readonly #rosters: Statement<[], string>;
  readonly #putTranscript: Statement<[number, number, Uint8Array], unknown>;
  readonly #trimTranscripts: Statement<[number], unknown>;
  readonly #transcripts: Statement<[], { epoch: number; view: number; message: Buffer }>;

  constructor(database: Database) {
    this.#putRecord = database.prepare(
      'INSERT OR REPLACE INTO records (name, value) VALUES (?, ?)',
    );
    this.#deleteRecord = database.prepare('DELETE FROM records WHERE name = ?');
    this.#records = database.prepare('SELECT name, value FROM records');
    this.#putBody = database.prepare('INSERT OR REPLACE INTO bodies (digest, batch) VALUES (?, ?)');
    this.#deleteBody = database.prepare('DELETE FROM bodies WHERE digest = ?');
    this.#deleteBodies = database.prepare('DELETE FROM bodies');
    this.#bodies = database.prepare<[], Buffer>('SELECT batch FROM bodies ORDER BY rowid').pluck();
    this.#putBatch = database.prepare(
      'INSERT INTO batches (height, first_leaf, size, digest, header, certificate, map_root,' +
        ' commit_leaf) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#batch = database.prepare(`SELECT ${BATCH_COLUMNS} FROM batches WHERE height = ?`);
    this.#last = database.prepare(
      `SELECT ${BATCH_COLUMNS} FROM batches ORDER BY height DESC LIMIT 1`,
    );
    this.#bySize = database.prepare(`SELECT ${BATCH_COLUMNS} FROM batches WHERE size = ?`);
    this.#putRoster = database.prepare('INSERT INTO rosters (epoch, envelope) VALUES (?, ?)');
    this.#rosters = database
      .prepare<[], string>('SELECT envelope FROM rosters ORDER BY epoch')
      .pluck();
    this.#putTranscript = database.prepare(
      'INSERT OR REPLACE INTO transcripts (epoch, view, message) VALUES (?, ?, ?)',
    );
    this.#trimTranscripts = database.prepare(
      'DELETE FROM transcripts WHERE rowid IN' +
        ' (SELECT rowid FROM transcripts ORDER BY epoch DESC, view DESC LIMIT -1 OFFSET ?)',
    );
    this.#transcripts = database.prepare(
      'SELECT epoch, view, message FROM transcripts ORDER BY epoch, view',
    );
  }

  /** Sets a record, or deletes it with `undefined`. */
  putRecord(name: RecordName, value: Uint8Array | undefined): void {
    this.#putSealed(name, value);
  }

  /** The last batch is the one of this height. */
  putTip(height: number): void {
    this.#putSealed(TIP, encodeUint64(height));
  }

  /** Height of the last batch; 0 before the first. @throws {DamagedStoreError} as `records` */
  tip(): number {
    this.records();
    return this.#tip;
  }

  #putSealed(name: RecordName | typeof TIP, value: Uint8Array | undefined): void {
    const sealed = this.#hashes();
    if (value === undefined) {
      this.#deleteRecord.run(name);
      sealed.delete(name);
    } else {
      this.#putRecord.run(name, value);
      sealed.set(name, hashOf(value));
    }
    this.#putRecord.run(SEAL, sealOf(sealed));
  }

  /** @throws {DamagedStoreError} they are not the ones that were written last */
  records(): ReadonlyMap<RecordName, Uint8Array> {
    const records = new Map<RecordName, Uint8Array>();
    let seal: Uint8Array | undefined;
    let tip: Uint8Array | undefined;
    for (const { name, value } of this.#records.all()) {
      if (name === SEAL) seal = blobBytes(value);
      else if (name === TIP) tip = blobBytes(value);
      else records.set(name, blobBytes(value));
    }
    const hashes = new Map<string, Uint8Array>();
    for (const [name, value] of records) hashes.set(name, hashOf(value));
    if (tip !== undefined) hashes.set(TIP, hashOf(tip));
    const isWhole = seal === undefined ? hashes.size === 0 : equalBytes(seal, sealOf(hashes));
    if (!isWhole) {
      throw new DamagedStoreError('the records of what was promised and voted for are damaged');
    }
    this.#sealed = hashes;
    this.#tip = tip === undefined ? 0 : decodeUint64(tip);
    return records;
  }

  #hashes(): Map<string, Uint8Array> {
    if (this.#sealed === undefined) this.records();
    return (this.#sealed ??= new Map());
  }

  putBody(digest: Digest, { header, body }: Batch): void {
    this.#putBody.run(decodeHex(digest), encodeBatch({ header, body }));
  }

  deleteBody(digest: Digest): void {
    this.#deleteBody.run(decodeHex(digest));
  }

  deleteBodies(): void {
    this.#deleteBodies.run();
  }

  bodies(): readonly Batch[] {
    return this.#bodies.all().map((blob) => decodeBatch(blobBytes(blob)));
  }

  putBatch(row: BatchRow, digest: Digest): void {
    this.putTip(row.height);
    this.#putBatch.run(
      row.height,
      row.firstLeaf,
      row.size,
      decodeHex(digest),
      encodeHeader(row.header),
      encodeCertificate(row.certificate),
      row.mapRoot,
      row.commitLeaf,
    );
  }

  batch(height: number): BatchRow | undefined {
    const row = this.#batch.get(height);
    return row && rowOf(row);
  }

  lastBatch(): BatchRow | undefined {
    const row = this.#last.get();
    return row && rowOf(row);
  }

  /** The batch after which the log had this size. */
  batchOfSize(size: number): BatchRow | undefined {
    const row = this.#bySize.get(size);
    return row && rowOf(row);
  }

  putRoster(epoch: number, envelope: Envelope): void {
    this.#putRoster.run(epoch, canonicalJson(envelopeJson(envelope)));
  }

  /** All rosters from epoch 0 on. */
  rosters(): readonly Envelope[] {
    return this.#rosters.all().map((text) => parseEnvelope(text));
  }

  putTranscript(epoch: number, view: number, newView: Uint8Array): void {
    this.#putTranscript.run(epoch, view, newView);
    this.#trimTranscripts.run(TRANSCRIPT_COUNT_MAX);
  }

  transcripts(): readonly { epoch: number; view: number; newView: Uint8Array }[] {
    return this.#transcripts
      .all()
      .map(({ epoch, view, message }) => ({ epoch, view, newView: blobBytes(message) }));
  }
}

function hashOf(value: Uint8Array): Uint8Array {
  return createHash('sha256').update(value).digest();
}

// Names have no NUL in them, hashes have one length: no two sets of records have one seal.
function sealOf(hashes: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const hash = createHash('sha256');
  for (const [name, value] of [...hashes].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${name}\0`).update(value);
  }
  return hash.digest();
}

function rowOf(row: BatchSqlRow): BatchRow {
  return {
    height: row.height,
    firstLeaf: row.first_leaf,
    size: row.size,
    header: decodeHeader(blobBytes(row.header)),
    certificate: decodeCertificate(blobBytes(row.certificate)),
    mapRoot: blobBytes(row.map_root),
    commitLeaf: blobBytes(row.commit_leaf),
  };
}

// Length of the header as u32, the header, the body.
function encodeBatch({ header, body }: Batch): Uint8Array {
  const head = encodeHeader(header);
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, head.length);
  return concat(length, head, encodeBody(body));
}

function decodeBatch(bytes: Uint8Array): Batch {
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0);
  return {
    header: decodeHeader(bytes.subarray(4, 4 + length)),
    body: decodeBody(bytes.subarray(4 + length)),
  };
}
