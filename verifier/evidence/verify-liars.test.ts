// One replica that lies, in every part of what it shows.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  release,
  makeLog,
  LOG,
  SUBJECTS,
  verify,
  wordOf,
  refusedAs,
  parseNoteLine,
} from '../../fixtures/evidence.ts';
import { flipBit } from '../../fixtures/synthetic-log.ts';
import { encodeBase64 } from '../encoding.ts';
import type { VerifyErrorCode } from '../errors.ts';
import { prunedMap } from '../map/pruned-map.ts';
import { packageKey } from '../map/keys.ts';
import { prunedRanges } from '../merkle/pruned-tree.ts';
import { rangeRoot } from '../merkle/ranges.ts';
import { formatNote, parseNote } from '../note.ts';
import { decodeUtf8 } from '../text.ts';
import type { Evidence, ShownEntry } from './format.ts';

describe('verifyEvidence, against a lying replica', () => {
  const good = LOG.evidence(SUBJECTS);
  const other = makeLog({ seed: 'another world' });
  const foreign = other.evidence(SUBJECTS);
  const before = LOG.snapshots.at(-2);
  assert.ok(before !== undefined);

  const notes = (change: (lines: string[]) => readonly string[]): string => {
    const [text = '', lines = ''] = good.checkpoint.split('\n\n');
    return `${text}\n\n${change(lines.trimEnd().split('\n')).join('\n')}\n`;
  };
  const flipCosignature = (): string => {
    const note = parseNote(good.checkpoint);
    const [first, ...rest] = note.signatures;
    assert.ok(first !== undefined);
    const signature = flipBit(first.signature, 8 * 8 + 3);
    return formatNote({ ...note, signatures: [{ ...first, signature }, ...rest] });
  };
  const laterTime = (): string => {
    const note = parseNote(good.checkpoint);
    const signatures = note.signatures.map((line) => ({
      ...line,
      signature: flipBit(line.signature, 63),
    }));
    return formatNote({ ...note, signatures });
  };
  const midBatch = (): Evidence => {
    // A checkpoint inside the batch of three before the last commit: its last leaf is a set.
    const size = LOG.snapshots[1]?.size ?? 0;
    const cut = size + 1;
    LOG.snapshots.push({ size: cut, mapRoot: LOG.root(), epoch: 0, time: LOG.time });
    const checkpoint = LOG.note({ size: cut });
    LOG.snapshots.pop();
    const data = decodeUtf8(LOG.entries[cut - 1] ?? new Uint8Array(0));
    const log = prunedRanges(cut, [cut - 1]).map(({ start, end }) =>
      rangeRoot(start, end, (level, index) => LOG.hash(level, index)),
    );
    return { ...good, checkpoint, entries: [{ index: cut - 1, data }], log };
  };

  // The document as an honest replica would make it, but of the entries that a liar chooses.
  const showing = (indexes: readonly number[], map: Uint8Array): Evidence => ({
    ...good,
    entries: indexes.map((index) => ({
      index,
      data: decodeUtf8(LOG.entries[index] ?? new Uint8Array(0)),
    })),
    log: prunedRanges(LOG.size, indexes).map(({ start, end }) =>
      rangeRoot(start, end, (level, index) => LOG.hash(level, index)),
    ),
    map,
  });
  const shown = LOG.evidence(SUBJECTS, { size: before.size });

  type Attack = readonly [why: string, evidence: Evidence, ...codes: VerifyErrorCode[]];
  const attacks: readonly Attack[] = [
    ['no rosters', { ...good, rosters: [] }, 'ROSTER_NOT_PINNED'],
    ['rosters of another log', { ...good, rosters: foreign.rosters }, 'ROSTER_NOT_PINNED'],
    [
      'a roster that one of its replicas did not sign',
      {
        ...good,
        rosters: good.rosters.map((one) => ({ ...one, signatures: one.signatures.slice(1) })),
      },
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'the roster twice',
      { ...good, rosters: [...good.rosters, ...good.rosters] },
      'ROSTER_CHAIN_BROKEN',
    ],
    ['evidence of another log', foreign, 'ROSTER_NOT_PINNED'],
    [
      'evidence of another log under the pinned roster',
      { ...foreign, rosters: good.rosters },
      'QUORUM_NOT_REACHED',
    ],
    ['2f cosignatures', { ...good, checkpoint: notes((l) => l.slice(0, 2)) }, 'QUORUM_NOT_REACHED'],
    [
      '2f cosignatures, one of them twice',
      { ...good, checkpoint: notes(([a = '', b = '']) => [a, b, b]) },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      '2f cosignatures and one of an outsider',
      {
        ...good,
        checkpoint: notes(([a = '', b = '']) => [
          a,
          b,
          parseNoteLine(other.note(), 2).replace('replica-2', 'replica-9'),
        ]),
      },
      'QUORUM_NOT_REACHED',
    ],
    [
      'a cosignature with a bit flipped',
      { ...good, checkpoint: flipCosignature() },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'cosignatures with another time',
      { ...good, checkpoint: laterTime() },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another size in the checkpoint',
      { ...good, checkpoint: good.checkpoint.replace(`\n${LOG.size}\n`, `\n${LOG.size + 1}\n`) },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another root in the checkpoint',
      {
        ...good,
        checkpoint: good.checkpoint.replace(encodeBase64(LOG.root()), encodeBase64(other.root())),
      },
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'another origin',
      { ...good, checkpoint: good.checkpoint.replace('log.example/npm', 'log.example/pip') },
      'ORIGIN_MISMATCH',
    ],
    ['a checkpoint that is no note', { ...good, checkpoint: 'hello' }, 'NOTE_MALFORMED'],
    [
      'the checkpoint of a smaller log',
      { ...good, checkpoint: LOG.note({ size: before.size }) },
      'INCLUSION_PROOF_INVALID',
    ],
    [
      'the commit entry and the map before the last batch as if they were the last',
      showing(
        shown.entries.map(({ index }) => index),
        shown.map,
      ),
      'COMMIT_LEAF_MISSING',
    ],
    ['a checkpoint inside a batch', midBatch(), 'COMMIT_LEAF_MISSING'],
    ['no entries', { ...good, entries: [] }, 'INCLUSION_PROOF_INVALID'],
    ['the tree of another log', { ...good, log: foreign.log }, 'INCLUSION_PROOF_INVALID'],
    ['the map of another log', { ...good, map: foreign.map }, 'MAP_PROOF_INVALID'],
    [
      'the map before the last batch',
      { ...good, map: LOG.evidence(SUBJECTS, { size: before.size }).map },
      'MAP_PROOF_INVALID',
    ],
    ['a map cut short', { ...good, map: good.map.subarray(0, -1) }, 'MAP_MALFORMED'],
    ['no map', { ...good, map: new Uint8Array(0) }, 'MAP_MALFORMED'],
    ...good.entries.flatMap((entry, i): Attack[] => {
      const replaceWith = (...by: readonly ShownEntry[]): Evidence => ({
        ...good,
        entries: [...good.entries.slice(0, i), ...by, ...good.entries.slice(i + 1)],
      });
      const next = good.entries[i + 1] ?? good.entries[0];
      const foreignData = foreign.entries[i]?.data ?? '';
      const code = 'INCLUSION_PROOF_INVALID';
      return [
        [`entry ${i} left out`, replaceWith(), code],
        [`entry ${i} with another's data`, replaceWith({ ...entry, data: next?.data ?? '' }), code],
        [`entry ${i} of another log`, replaceWith({ ...entry, data: foreignData }), code],
        [`entry ${i} with a space more`, replaceWith({ ...entry, data: `${entry.data} ` }), code],
      ];
    }),
    ...good.log.flatMap((hash, i): Attack[] => {
      const replaceWith = (...by: readonly Uint8Array[]): Evidence => ({
        ...good,
        log: [...good.log.slice(0, i), ...by, ...good.log.slice(i + 1)],
      });
      return [
        [`tree hash ${i} left out`, replaceWith(), 'INCLUSION_PROOF_INVALID'],
        [`tree hash ${i} twice`, replaceWith(hash, hash), 'INCLUSION_PROOF_INVALID'],
        [
          `tree hash ${i} with a bit flipped`,
          replaceWith(flipBit(hash, 7)),
          'INCLUSION_PROOF_INVALID',
        ],
      ];
    }),
  ];

  it('has attacks on every part of the document', () => {
    assert.ok(good.entries.length >= 8 && good.log.length >= 3 && attacks.length > 60);
  });
  for (const [why, evidence, ...codes] of attacks) {
    it(`refuses ${why}`, () => assert.rejects(verify(evidence), refusedAs(...codes)));
  }

  it('refuses a name that the map shown says nothing about, and judges the others', async () => {
    const map = prunedMap(LOG.mapNodes, LOG.snapshots.at(-1)?.mapRoot ?? LOG.root(), [
      packageKey('left'),
    ]);
    const { subjects } = await verify(
      { ...good, map },
      { subjects: [{ kind: 'package', name: 'left' }, release('mono-a', '2.0.0')] },
    );
    assert.deepEqual(subjects.map(wordOf), ['package', 'MAP_PROOF_INVALID']);
  });

  it('refuses a subject whose entries are left out of an otherwise right document', async () => {
    const evidence = LOG.evidence([release('left', '1.0.0')]);
    const withMap = { ...evidence, map: good.map };
    const { subjects } = await verify(withMap);
    assert.deepEqual(subjects.map(wordOf), [
      'verified active',
      'INCLUSION_PROOF_INVALID',
      'INCLUSION_PROOF_INVALID',
      'INCLUSION_PROOF_INVALID',
    ]);
  });
});
