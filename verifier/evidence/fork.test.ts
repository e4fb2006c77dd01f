import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { laterRefusalOf, refusalOf } from '../../fixtures/documents.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { formatForkEvidence, parseForkEvidence, verifyForkEvidence } from './fork.ts';
import type { ForkEvidence } from './trust.ts';

// Histories of one log and one roster that part after the first batch.
function makeLog(batches: number, branch: string): SyntheticLog {
  const log = new SyntheticLog();
  log.maintain('p', { maintainers: ['ada', 'ben', 'eve'], faulty: 1 });
  log.commit();
  for (let i = 1; i < batches; i++) {
    log.release({ name: 'p', version: `1.${branch}.${i}` });
    log.commit();
  }
  return log;
}

const first = makeLog(3, '0');
const second = makeLog(3, '9');
const longer = makeLog(4, '9');
const { rosters } = first.evidence([]);
const fork: ForkEvidence = {
  origin: first.origin,
  size: first.size,
  rosters,
  first: first.note(),
  second: second.note(),
};

const outcome = (changed: Partial<ForkEvidence>, pin = first.pin): Promise<string | undefined> =>
  laterRefusalOf(() => {
    const read = parseForkEvidence(formatForkEvidence({ ...fork, ...changed }));
    return verifyForkEvidence(read, pin, nativeVerifier);
  });

describe('verifyForkEvidence', () => {
  it('names those that signed both sides, and only those', async () => {
    const lines = first.note().split('\n');
    const names = lines.flatMap((line) => /^— (\S+) /.exec(line)?.[1] ?? []);
    assert.ok(names.length >= 4, 'the note has a line of each replica');
    const quorum = Math.floor((names.length + Math.floor((names.length - 1) / 3)) / 2) + 1;
    // The first note without its last signers, the second without its first ones.
    const drop = names.length - quorum;
    const without = (note: string, gone: readonly string[]): string =>
      note
        .split('\n')
        .filter((line) => !gone.some((name) => line.startsWith(`— ${name} `)))
        .join('\n');
    const gone = [names.slice(names.length - drop), names.slice(0, drop)] as const;
    const proof = await verifyForkEvidence(
      { ...fork, first: without(fork.first, gone[0]), second: without(fork.second, gone[1]) },
      first.pin,
      nativeVerifier,
    );
    assert.deepEqual(
      proof.signers.map(({ name }) => name),
      names.slice(drop, names.length - drop),
    );
    assert.notEqual(proof.roots[0], proof.roots[1]);
    assert.equal(proof.size, first.size);
  });

  const refusals: readonly (readonly [string, Partial<ForkEvidence>, string])[] = [
    ['the same note twice', { second: fork.first }, 'EVIDENCE_MALFORMED'],
    ['notes of another size', { second: longer.note() }, 'EVIDENCE_MALFORMED'],
    ['another size than the notes', { size: fork.size + 1 }, 'EVIDENCE_MALFORMED'],
    ['another log than the notes', { origin: 'other.example' }, 'EVIDENCE_MALFORMED'],
    ['no rosters', { rosters: [] }, 'ROSTER_NOT_PINNED'],
    [
      'a note without a quorum',
      { second: fork.second.split('\n').slice(0, 5).join('\n') + '\n' },
      'QUORUM_NOT_REACHED',
    ],
    [
      'a changed root',
      { second: fork.second.replace(/^[A-Za-z0-9+/]{43}=$/m, `${'A'.repeat(43)}=`) },
      'NOTE_SIGNATURE_INVALID',
    ],
  ];
  for (const [why, changed, code] of refusals) {
    it(`refuses ${why}`, async () => assert.equal(await outcome(changed), code));
  }

  it('refuses a pin of another log', async () => {
    assert.equal(await outcome({}), undefined);
    assert.equal(await outcome({}, 'ab'.repeat(32)), 'ROSTER_NOT_PINNED');
  });
});

describe('parseForkEvidence', () => {
  const text = formatForkEvidence(fork);

  it('has one spelling, and no part of it is a document', () => {
    assert.equal(formatForkEvidence(parseForkEvidence(text)), text);
    for (let length = 0; length < text.length; length += 7) {
      assert.equal(
        refusalOf(() => parseForkEvidence(text.slice(0, length))),
        'EVIDENCE_MALFORMED',
      );
    }
    assert.equal(
      refusalOf(() => parseForkEvidence(`${text}\n`)),
      'EVIDENCE_MALFORMED',
    );
  });

  it('refuses another format', () => {
    const other = text.replace('fork-evidence/v1', 'fork-evidence/v2');
    assert.equal(
      refusalOf(() => parseForkEvidence(other)),
      'FORMAT_UNSUPPORTED',
    );
  });
});
