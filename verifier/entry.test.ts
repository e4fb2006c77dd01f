import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  assertFlipsAreCanonical,
  assertNoPrefixParses,
  changesOf,
  refusalOf,
  signedBy,
  testKey,
} from '../fixtures/documents.ts';
import { utf8 } from './bytes.ts';
import { ENVELOPE_LENGTH_MAX, formatEnvelope, parseEnvelope, type Envelope } from './dsse.ts';
import {
  ENTRY_BYTES_MAX,
  ENTRY_TIME_MAX,
  STATEMENT_PAYLOAD_TYPES,
  entryAround,
  entryLengthAround,
  envelopeFinder,
  formatEntry,
  parseEntry,
  statementKindOf,
  type CommitEntry,
  type Entry,
  type StatementEntry,
  type StatementKind,
} from './entry.ts';
import { parseCanonicalJson } from './json.ts';
import { decodeUtf8 } from './text.ts';

const KINDS: readonly StatementKind[] = ['maintainers', 'release', 'withdrawal', 'roster'];
const HASH = new Uint8Array(32).fill(0xa1);

const envelopeFor = (kind: StatementKind, payload = '{}'): Envelope =>
  signedBy(STATEMENT_PAYLOAD_TYPES[kind], utf8(payload), [testKey(1)]);
const statement = (changes: Partial<StatementEntry> = {}): StatementEntry => ({
  kind: 'release',
  time: 1_800_000_000,
  envelope: envelopeFor('release'),
  ...changes,
});
const commit = (changes: Partial<CommitEntry> = {}): CommitEntry => ({
  kind: 'commit',
  time: 1_800_000_000,
  epoch: 0,
  height: 2,
  entries: 3,
  map: HASH,
  previous: HASH,
  ...changes,
});

describe('parseEntry', () => {
  const accepted: readonly [string, Entry][] = [
    ...KINDS.map((kind): [string, Entry] => [
      `a ${kind} entry`,
      statement({ kind, envelope: envelopeFor(kind) }),
    ]),
    ['a commit entry', commit()],
    ['the first commit entry', commit({ height: 1, previous: null })],
    ['the first second of 1970', commit({ time: 0 })],
    ['the last second of 9999', commit({ time: ENTRY_TIME_MAX })],
  ];
  for (const [why, entry] of accepted) {
    it(`reads ${why}, from bytes and from text`, () => {
      const data = formatEntry(entry);
      assert.deepEqual(parseEntry(data), entry);
      assert.deepEqual(parseEntry(decodeUtf8(data)), entry);
    });

    it(`refuses every prefix of ${why}`, () =>
      assertNoPrefixParses(formatEntry(entry), parseEntry));
  }

  for (const [why, entry] of [
    ['statement', statement()],
    ['commit', commit()],
  ] as const) {
    it(`gives a flipped bit of a ${why} entry no second spelling`, () => {
      assertFlipsAreCanonical(formatEntry(entry), parseEntry, formatEntry);
    });

    const json = parseCanonicalJson(formatEntry(entry), ENTRY_BYTES_MAX);
    for (const [what, changed] of changesOf(json)) {
      const expected = what.endsWith('keyid is "x"')
        ? undefined
        : what === 'format is "x"'
          ? 'FORMAT_UNSUPPORTED'
          : 'ENTRY_MALFORMED';
      it(`${expected === undefined ? 'reads' : 'refuses'} a ${why} entry whose ${what}`, () => {
        assert.equal(
          refusalOf(() => parseEntry(changed)),
          expected,
        );
      });
    }
  }

  const refused: readonly [string, Entry][] = [
    ...KINDS.map((kind): [string, Entry] => [
      `a ${kind} entry with another kind’s payload`,
      statement({ kind, envelope: envelopeFor(kind === 'release' ? 'withdrawal' : 'release') }),
    ]),
    ['a negative time', commit({ time: -1 })],
    ['a fraction of a second', commit({ time: 0.5 })],
    ['a time in milliseconds', commit({ time: 1_800_000_000_000 })],
    ['height 0', commit({ height: 0 })],
    ['height 1 with a predecessor', commit({ height: 1 })],
    ['height 2 without a predecessor', commit({ previous: null })],
    ['a predecessor of 31 bytes', commit({ previous: HASH.subarray(1) })],
    ['a map root of 33 bytes', commit({ map: new Uint8Array(33) })],
    ['a negative epoch', commit({ epoch: -1 })],
    ['a negative number of entries', commit({ entries: -1 })],
    [
      'an envelope without signatures',
      statement({ envelope: { ...envelopeFor('release'), signatures: [] } }),
    ],
    [
      'an envelope that does not fit',
      statement({ envelope: envelopeFor('release', 'x'.repeat(49_000)) }),
    ],
  ];
  for (const [why, entry] of refused) {
    it(`refuses ${why}, reading and writing`, () => {
      assert.equal(
        refusalOf(() => formatEntry(entry)),
        'ENTRY_MALFORMED',
      );
    });
  }

  // Around the text of an envelope that was read, the entry is put together without reading it again.
  const readAgain = (envelope: Envelope): Envelope => parseEnvelope(formatEnvelope(envelope));
  for (const kind of KINDS) {
    it(`writes the same ${kind} entry of an envelope that was read`, () => {
      const made = statement({ kind, envelope: envelopeFor(kind, '{"ü":"\u{1f600}"}') });
      const read = { ...made, envelope: readAgain(made.envelope) };
      assert.deepEqual(formatEntry(read), formatEntry(made));
      assert.deepEqual(parseEntry(formatEntry(read)), made);
    });
  }
  // Its envelope is just short enough to be read, and too long for an entry.
  const spare = ENVELOPE_LENGTH_MAX - formatEnvelope(envelopeFor('release', '')).length;
  const long = envelopeFor('release', 'x'.repeat(3 * Math.floor(spare / 4)));
  const refusedRead: readonly [string, StatementEntry][] = [
    ['the payload of another kind', statement({ envelope: envelopeFor('withdrawal') })],
    ['a negative time', statement({ time: -1 })],
    ['a fraction of a second', statement({ time: 0.5 })],
    ['a time after the year 9999', statement({ time: ENTRY_TIME_MAX + 1 })],
    ['an envelope that does not fit', statement({ envelope: long })],
  ];
  for (const [why, entry] of refusedRead) {
    it(`refuses to write ${why} around an envelope that was read`, () => {
      const read = { ...entry, envelope: readAgain(entry.envelope) };
      assert.equal(
        refusalOf(() => formatEntry(read)),
        'ENTRY_MALFORMED',
      );
    });
  }

  const text = decodeUtf8(formatEntry(statement()));
  const commitText = decodeUtf8(formatEntry(commit()));
  const texts: readonly [string, string, string][] = [
    ['a field twice', text.replace('"kind":', '"kind":"release","kind":'), 'ENTRY_MALFORMED'],
    ['an unknown kind', text.replace('"kind":"release"', '"kind":"observed"'), 'ENTRY_MALFORMED'],
    [
      'a commit entry with an envelope',
      text.replace('"kind":"release"', '"kind":"commit"'),
      'ENTRY_MALFORMED',
    ],
    [
      'a statement entry with a map root',
      commitText.replace('"commit"', '"release"'),
      'ENTRY_MALFORMED',
    ],
    ['a hash in capitals', commitText.replace('a1a1', 'A1a1'), 'ENTRY_MALFORMED'],
    ['a later format', text.replace('entry/v1', 'entry/v2'), 'FORMAT_UNSUPPORTED'],
    ['a line break behind', `${text}\n`, 'ENTRY_MALFORMED'],
    ['a byte order mark', `\ufeff${text}`, 'ENTRY_MALFORMED'],
    [
      'a nested field in another order',
      text.replace(/"envelope":\{("payload":"[^"]*"),("payloadType":"[^"]*")/, '"envelope":{$2,$1'),
      'ENTRY_MALFORMED',
    ],
    ['a character that is two bytes', text.replace('"keyid":"', '"keyid":"ü'), 'ENTRY_MALFORMED'],
  ];
  for (const [why, source, code] of texts) {
    it(`refuses ${why}`, () => {
      assert.ok(source !== text && source !== commitText, 'the row changes something');
      assert.equal(
        refusalOf(() => parseEntry(source)),
        code,
      );
      assert.equal(
        refusalOf(() => parseEntry(utf8(source))),
        code,
      );
    });
  }

  it('writes at most 65,535 bytes, and reads as many', () => {
    const sizeOf = (length: number): Entry =>
      statement({ envelope: envelopeFor('release', 'x'.repeat(length)) });
    const overhead = formatEntry(sizeOf(0)).length;
    const length = Math.floor((ENTRY_BYTES_MAX - overhead) / 4) * 3;
    const data = formatEntry(sizeOf(length));
    assert.ok(data.length > ENTRY_BYTES_MAX - 4 && data.length <= ENTRY_BYTES_MAX);
    assert.equal(parseEntry(data).kind, 'release');
    assert.equal(
      refusalOf(() => formatEntry(sizeOf(length + 3))),
      'ENTRY_MALFORMED',
    );
  });
});

describe('statementKindOf', () => {
  it('knows the payload type of every kind, and no other', () => {
    for (const kind of KINDS) assert.equal(statementKindOf(STATEMENT_PAYLOAD_TYPES[kind]), kind);
    assert.equal(new Set(Object.values(STATEMENT_PAYLOAD_TYPES)).size, KINDS.length);
    for (const type of ['', 'commit', 'application/json', 'toString']) {
      assert.equal(statementKindOf(type), undefined, type);
    }
  });
});

describe('entryAround and entryLengthAround', () => {
  it('make and measure the entry that formatEntry makes', () => {
    for (const kind of KINDS) {
      const envelope = envelopeFor(kind);
      const text = utf8(formatEnvelope(envelope));
      for (const time of [0, 9, 1_800_000_000, ENTRY_TIME_MAX]) {
        const entry = formatEntry({ kind, time, envelope });
        assert.deepEqual(entryAround(text, kind, time), entry, `${kind} at ${time}`);
        assert.equal(
          entryLengthAround(text.length, kind, time),
          entry.length,
          `${kind} at ${time}`,
        );
      }
      for (const time of [-1, 0.5, ENTRY_TIME_MAX + 1]) {
        assert.equal(entryAround(text, kind, time), undefined, `${time}`);
        assert.equal(entryLengthAround(text.length, kind, time), undefined, `${time}`);
      }
    }
  });
});

describe('envelopeFinder', () => {
  const TIME = 1_800_000_000;

  /** What `parseEntry` says of a statement entry of that time, found out by its parts. */
  function byParts(data: Uint8Array, time: number): Entry | undefined {
    const place = envelopeFinder(time)(data);
    if (place === undefined) return undefined;
    const { kind, text } = place;
    let envelope: Envelope | undefined;
    if (refusalOf(() => (envelope = parseEnvelope(text))) !== undefined) return undefined;
    if (envelope?.payloadType !== STATEMENT_PAYLOAD_TYPES[kind]) return undefined;
    return { kind, time, envelope };
  }

  function whole(data: Uint8Array, time: number): Entry | undefined {
    let entry: Entry | undefined;
    if (refusalOf(() => (entry = parseEntry(data))) !== undefined) return undefined;
    return entry?.kind === 'commit' || entry?.time !== time ? undefined : entry;
  }

  for (const kind of KINDS) {
    const data = formatEntry(statement({ kind, envelope: envelopeFor(kind, '{"a":1}') }));

    it(`takes the same ${kind} entries apart as are read, whichever bit is flipped`, () => {
      assert.deepEqual(byParts(data, TIME), parseEntry(data));
      let read = 0;
      for (let bit = 0; bit < 8 * data.length; bit++) {
        const flipped = Uint8Array.from(data);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const entry = byParts(flipped, TIME);
        assert.deepEqual(entry, whole(flipped, TIME), `bit ${bit}`);
        if (entry !== undefined) read++;
      }
      assert.ok(read > 0, 'a flipped signature is another one');
    });

    for (const other of KINDS.filter((one) => one !== kind)) {
      it(`does not take a ${kind} for a ${other}`, () => {
        const renamed = utf8(decodeUtf8(data).replace(`"kind":"${kind}"`, `"kind":"${other}"`));
        assert.equal(byParts(renamed, TIME), undefined);
      });
    }
  }

  const text = decodeUtf8(formatEntry(statement()));
  const rows: readonly [why: string, data: string, time: number][] = [
    ['another time', text, TIME + 1],
    ['a time with a leading zero', text.replace('"time":', '"time":0'), TIME],
    ['a second time', text.replace('"time"', '"time":5,"time"'), TIME],
    ['a field more', text.replace(']},"format"', '],"x":1},"format"'), TIME],
    [
      'an envelope that ends the entry itself',
      text.replace('{"envelope":', '{"envelope":1,"x":'),
      TIME,
    ],
    ['white space around the envelope', text.replace('{"envelope":', '{"envelope": '), TIME],
    ['a prefix', text.slice(0, -1), TIME],
    ['no envelope', text.slice(text.indexOf(',"format"')), TIME],
    ['nothing', '', TIME],
    ['a commit entry', decodeUtf8(formatEntry(commit())), TIME],
    ['the year 10000', text.replace(String(TIME), String(ENTRY_TIME_MAX + 1)), ENTRY_TIME_MAX + 1],
    ['a time before 1970', text.replace(String(TIME), '-1'), -1],
    ['half a second', text.replace(String(TIME), '0.5'), 0.5],
    ['minus zero', text.replace(String(TIME), '-0'), -0],
  ];
  for (const [why, data, time] of rows) {
    it(`finds nothing to take in ${why}`, () => {
      assert.equal(byParts(utf8(data), time), undefined);
      assert.equal(whole(utf8(data), time), undefined, 'nor is it read');
    });
  }
});
