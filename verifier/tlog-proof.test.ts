import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { laterRefusalOf, refusalOf } from '../fixtures/documents.ts';
import { SyntheticLog, flipBit } from '../fixtures/synthetic-log.ts';
import { utf8 } from './bytes.ts';
import { encodeBase64 } from './encoding.ts';
import { VerifyError } from './errors.ts';
import { leafHash, type Hash } from './merkle/hash.ts';
import { inclusionRanges, rangeRoot } from './merkle/ranges.ts';
import { nativeVerifier } from './node/ed25519.ts';
import { runPlan } from './signatures.ts';
import { decodeUtf8 } from './text.ts';
import {
  TLOG_PROOF_EXTRA_BYTES_MAX,
  TLOG_PROOF_LENGTH_MAX,
  formatTlogProof,
  parseTlogProof,
  planTlogProof,
  type TlogProof,
} from './tlog-proof.ts';

function smallLog(): SyntheticLog {
  const log = new SyntheticLog();
  for (const name of ['alpha', 'beta']) {
    log.maintain(name, { maintainers: ['ada', 'ben'], faulty: 1 });
    log.release({ name, version: '1.0.0' });
    log.commit();
  }
  return log;
}

function proofOf(
  log: SyntheticLog,
  index: number,
  extra: Uint8Array = new Uint8Array(0),
): TlogProof {
  const hashes = inclusionRanges(index, log.size).map(({ start, end }) =>
    rangeRoot(start, end, (level, at) => log.hash(level, at)),
  );
  return { index, hashes, extra, checkpoint: log.note() };
}

function leafOf(log: SyntheticLog, index: number): Hash {
  const data = log.entries[index];
  assert.ok(data !== undefined);
  return leafHash(data);
}

const LOG = smallLog();
const PROOF = proofOf(LOG, 3);
const TEXT = formatTlogProof(PROOF);
const LEAF = leafOf(LOG, 3);
const ROSTER = LOG.roster;

const check = (proof: TlogProof, leaf = LEAF, roster = ROSTER): Promise<string | undefined> =>
  laterRefusalOf(async () => runPlan(nativeVerifier, planTlogProof(proof, leaf, roster)));

describe('parseTlogProof', () => {
  it('reads what it wrote, for each entry, with and without extra data', () => {
    for (let index = 0; index < LOG.size; index++) {
      for (const extra of [new Uint8Array(0), utf8('x'), new Uint8Array(300).fill(7)]) {
        const proof = proofOf(LOG, index, extra);
        assert.deepEqual(parseTlogProof(formatTlogProof(proof)), proof);
      }
    }
  });

  // The layout is the one of the specification, line for line.
  it('has the lines of the specification', () => {
    const [first, index, ...rest] = TEXT.split('\n');
    assert.equal(first, 'c2sp.org/tlog-proof@v1');
    assert.equal(index, 'index 3');
    assert.deepEqual(rest.slice(0, 4), [...PROOF.hashes.map(encodeBase64), '']);
    assert.equal(rest.slice(4).join('\n'), LOG.note());
    const withExtra = formatTlogProof({ ...PROOF, extra: utf8('hello') });
    assert.equal(withExtra.split('\n')[1], 'extra aGVsbG8=');
  });

  it('reads a proof without hashes: a log of one entry', () => {
    const proof = { index: 0, hashes: [], extra: new Uint8Array(0), checkpoint: LOG.note() };
    assert.deepEqual(parseTlogProof(formatTlogProof(proof)), proof);
  });

  // Notes may lose whole lines of cosigners; whether enough are left is the quorum's question.
  it('refuses every prefix that does not end with a whole cosignature', () => {
    const firstLine = TEXT.indexOf('\u2014');
    let whole = 0;
    for (let length = 0; length < TEXT.length; length++) {
      const code = refusalOf(() => parseTlogProof(TEXT.slice(0, length)));
      if (length > firstLine && TEXT[length - 1] === '\n') {
        assert.equal(code, undefined, `cut after ${length}`);
        whole++;
      } else {
        assert.ok(code === 'PROOF_MALFORMED' || code === 'NOTE_MALFORMED', `cut after ${length}`);
      }
    }
    assert.equal(whole, 3);
  });

  const [hash = ''] = PROOF.hashes.map(encodeBase64);
  const refused: readonly (readonly [why: string, text: string])[] = [
    ['nothing', ''],
    ['another version', TEXT.replace('@v1', '@v2')],
    ['a byte before it', ` ${TEXT}`],
    ['no index', TEXT.replace('index 3\n', '')],
    ['a leading zero', TEXT.replace('index 3', 'index 03')],
    ['a negative index', TEXT.replace('index 3', 'index -3')],
    ['an index of 2^53', TEXT.replace('index 3', 'index 9007199254740992')],
    ['two spaces', TEXT.replace('index 3', 'index  3')],
    ['two index lines', TEXT.replace('index 3', 'index 3\nindex 3')],
    ['an empty extra line', TEXT.replace('index', 'extra \nindex')],
    ['extra data that is not base64', TEXT.replace('index', 'extra aGVsbG8\nindex')],
    ['extra data after the index', TEXT.replace('index 3', 'index 3\nextra aGVsbG8=')],
    ['two extra lines', TEXT.replace('index', 'extra aGVsbG8=\nextra aGVsbG8=\nindex')],
    [
      'more extra data than allowed',
      TEXT.replace(
        'index',
        `extra ${encodeBase64(new Uint8Array(TLOG_PROOF_EXTRA_BYTES_MAX + 1))}\nindex`,
      ),
    ],
    ['a hash of 31 bytes', TEXT.replace(hash, encodeBase64(new Uint8Array(31)))],
    ['a hash of 33 bytes', TEXT.replace(hash, encodeBase64(new Uint8Array(33)))],
    ['a hash without padding', TEXT.replace(hash, hash.slice(0, -1))],
    ['54 hashes', TEXT.replace(hash, Array.from({ length: 54 }, () => hash).join('\n'))],
    ['carriage returns', TEXT.replaceAll('\n', '\r\n')],
    ['no empty line before the checkpoint', TEXT.replaceAll('\n\n', '\n')],
    ['far too much', 'x'.repeat(TLOG_PROOF_LENGTH_MAX + 1)],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseTlogProof(text), { code: 'PROOF_MALFORMED' });
    });
  }

  const badNotes: readonly (readonly [why: string, text: string])[] = [
    ['no checkpoint', TEXT.slice(0, TEXT.indexOf('\n\n') + 2)],
    ['a checkpoint without signatures', TEXT.slice(0, TEXT.indexOf('\u2014'))],
    ['a line after the signatures', `${TEXT}x\n`],
  ];
  for (const [why, text] of badNotes) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseTlogProof(text), { code: 'NOTE_MALFORMED' });
    });
  }
});

describe('planTlogProof', () => {
  it('accepts the proof of each entry', async () => {
    for (let index = 0; index < LOG.size; index++) {
      assert.equal(await check(proofOf(LOG, index), leafOf(LOG, index)), undefined);
    }
  });

  const other = new SyntheticLog({ seed: 'another log' });
  const refused: readonly (readonly [
    why: string,
    proof: TlogProof,
    leaf: Hash,
    code: VerifyError['code'],
  ])[] = [
    ['another leaf', PROOF, leafOf(LOG, 2), 'INCLUSION_PROOF_INVALID'],
    ['another index', { ...PROOF, index: 2 }, LEAF, 'INCLUSION_PROOF_INVALID'],
    ['an index beyond the tree', { ...PROOF, index: LOG.size }, LEAF, 'INCLUSION_PROOF_INVALID'],
    [
      'a path that is too short',
      { ...PROOF, hashes: PROOF.hashes.slice(1) },
      LEAF,
      'INCLUSION_PROOF_INVALID',
    ],
    [
      'a path that is too long',
      { ...PROOF, hashes: [...PROOF.hashes, LEAF] },
      LEAF,
      'INCLUSION_PROOF_INVALID',
    ],
    [
      'two of four cosignatures',
      { ...PROOF, checkpoint: LOG.note({ cosigners: [0, 1] }) },
      LEAF,
      'QUORUM_NOT_REACHED',
    ],
    [
      'a root that nobody built',
      { ...PROOF, checkpoint: LOG.note({ root: LEAF }) },
      LEAF,
      'INCLUSION_PROOF_INVALID',
    ],
  ];
  for (const [why, proof, leaf, code] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await check(proof, leaf), code);
    });
  }

  it('refuses the roster of another log', async () => {
    assert.equal(await check(PROOF, LEAF, other.roster), 'QUORUM_NOT_REACHED');
  });

  it('refuses every flipped bit, or it is a line of nobody known', async () => {
    const bytes = utf8(TEXT);
    let refusedCount = 0;
    for (let bit = 0; bit < 8 * bytes.length; bit += 3) {
      const code = await laterRefusalOf(async () => {
        const proof = parseTlogProof(decodeUtf8(flipBit(bytes, bit)));
        await runPlan(nativeVerifier, planTlogProof(proof, LEAF, ROSTER));
      });
      if (code !== undefined) refusedCount++;
      else assert.ok(bit >= 8 * TEXT.indexOf('\u2014'), `bit ${bit} of a proof that verifies`);
    }
    assert.ok(refusedCount > 1000);
  });
});
