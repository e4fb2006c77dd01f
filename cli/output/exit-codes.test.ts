import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CODES, codeEntry, isDiagnosticCode } from './codes.ts';
import { combineExits, EXIT, EXIT_CODES, SEVERITY, type ExitCode } from './exit-codes.ts';

describe('EXIT_CODES', () => {
  it('describes every code exactly once', () => {
    const described = EXIT_CODES.map(({ code }) => code);
    const all = Object.values(EXIT);
    assert.deepEqual(
      described.toSorted((a, b) => a - b),
      all.toSorted((a, b) => a - b),
    );
  });

  it('has not changed a number that programs rely on', () => {
    assert.deepEqual(EXIT, {
      verified: 0,
      rejected: 1,
      usage: 2,
      inconclusive: 3,
      locked: 4,
      internal: 5,
      tampered: 10,
      maintainers: 11,
      attestations: 12,
      stale: 13,
      fork: 14,
      withdrawn: 15,
      notLogged: 16,
      proof: 17,
      policy: 18,
      nothing: 20,
      interrupted: 130,
      terminated: 143,
    });
  });
});

describe('combineExits', () => {
  const cases: readonly (readonly [string, readonly ExitCode[], ExitCode])[] = [
    ['nothing found is success', [], 0],
    ['success alone is success', [0, 0], 0],
    ['one kind is that kind', [16, 16], 16],
    ['a fork outranks everything proven', [10, 14, 17, 11, 12, 15, 13, 18, 16, 3], 14],
    ['tampering outranks a bad proof', [17, 10], 10],
    ['a bad proof outranks missing signatures', [11, 17], 17],
    ['missing maintainers outrank missing attestations', [12, 11], 11],
    ['withdrawn outranks stale', [13, 15], 15],
    ['policy outranks not logged', [16, 18], 18],
    ['what was proven outranks what could not be checked', [3, 16], 16],
    ['could not check outranks success', [0, 3], 3],
  ];
  for (const [why, codes, expected] of cases) {
    it(why, () => {
      assert.equal(combineExits(codes), expected);
      assert.equal(combineExits(codes.toReversed()), expected, 'whatever the order');
    });
  }

  it('never turns a bad code into success', () => {
    for (const code of Object.values(EXIT)) {
      if (code !== EXIT.verified)
        assert.notEqual(combineExits([code]), EXIT.verified, String(code));
    }
  });

  it('follows one order without repetitions', () => {
    assert.equal(new Set(SEVERITY).size, SEVERITY.length);
  });
});

// Given out, and so theirs for ever: a code may be added to this list, never changed or removed.
const GIVEN_OUT: readonly (readonly [string, ExitCode])[] = [
  ['BP1001', 10],
  ['BP1002', 10],
  ['BP1003', 10],
  ['BP1004', 10],
  ['BP1005', 10],
  ['BP1006', 10],
  ['BP1007', 3],
  ['BP1008', 10],
  ['BP1009', 10],
  ['BP2001', 11],
  ['BP2006', 11],
  ['BP2007', 18],
  ['BP3001', 12],
  ['BP3002', 12],
  ['BP3003', 12],
  ['BP4001', 13],
  ['BP4002', 13],
  ['BP4003', 14],
  ['BP4004', 17],
  ['BP4005', 17],
  ['BP4007', 13],
  ['BP4008', 17],
  ['BP4009', 17],
  ['BP4010', 17],
  ['BP5001', 15],
  ['BP5002', 15],
  ['BP5003', 16],
  ['BP5004', 18],
  ['BP6001', 18],
  ['BP6002', 18],
  ['BP6003', 18],
  ['BP6004', 18],
  ['BP6005', 18],
  ['BP6006', 18],
  ['BP6007', 18],
  ['BP6008', 18],
  ['BP6009', 18],
  ['BP6010', 18],
  ['BP6011', 18],
  ['BP6012', 18],
  ['BP6013', 18],
  ['BP6014', 18],
  ['BP6015', 18],
  ['BP6016', 18],
  ['BP7001', 3],
  ['BP7002', 3],
  ['BP7003', 3],
  ['BP7004', 3],
  ['BP7005', 3],
  ['BP7006', 3],
  ['BP7007', 3],
  ['BP8001', 2],
  ['BP8002', 4],
  ['BP8003', 4],
  ['BP8004', 4],
  ['BP8005', 1],
  ['BP9001', 20],
  ['BP9002', 3],
  ['BP9003', 2],
  ['BP9004', 2],
  ['BP9005', 2],
  ['BP9999', 5],
];

describe('CODES', () => {
  it('keeps every code that was given out, with its exit', () => {
    for (const [code, exit] of GIVEN_OUT) {
      assert.ok(isDiagnosticCode(code), code);
      assert.equal(codeEntry(code).exit, exit, code);
    }
  });

  it('has every code pinned by this test', () => {
    assert.deepEqual(
      Object.keys(CODES).toSorted(),
      GIVEN_OUT.map(([code]) => code),
    );
  });

  it('explains every code in full and never as success', () => {
    for (const [code, entry] of Object.entries(CODES)) {
      assert.notEqual(entry.exit, EXIT.verified, code);
      for (const [field, text] of Object.entries(entry)) {
        if (field !== 'exit') assert.ok(String(text).length >= 5, `${code} ${field}`);
      }
    }
  });

  it('does not take inherited names for codes', () => {
    for (const name of ['constructor', '__proto__', 'toString', '']) {
      assert.equal(isDiagnosticCode(name), false, name);
    }
  });
});
