import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  formatEnvelope,
  parseEnvelope,
  statementHash,
  type Envelope,
} from '../../verifier/dsse.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import { LedgerError, type LedgerErrorCode } from '../../verifier/ledger/errors.ts';
import type {
  AdmitAnswer,
  AdmitRequest,
  BuildRequest,
  CheckRequest,
  CheckResult,
  Input,
  Request,
} from '../consensus/types.ts';
import type { Application, Asker, Refusal, Validation } from '../ledger/application.ts';
import { refusalOf } from '../ledger/ledger-application.ts';
import { silentLog } from '../log.ts';
import { Lane } from './lane.ts';
import { LedgerWork, type LedgerWorkParts } from './ledger-work.ts';

/** A batch that names four artifacts, of which each round of fetching brings some. */
class Supply {
  readonly missing = new Set(['a', 'b', 'c', 'd']);
  /** What was asked for in each round. */
  readonly asked: (readonly string[])[] = [];
  readonly #rounds: readonly (readonly string[])[];

  constructor(rounds: readonly (readonly string[])[]) {
    this.#rounds = rounds;
  }

  fetch(digests: readonly string[]): Promise<boolean> {
    for (const digest of this.#rounds[this.asked.length] ?? []) this.missing.delete(digest);
    this.asked.push(digests);
    return Promise.resolve(this.missing.size === 0);
  }

  validate(): Promise<Validation> {
    const missingArtifacts = [...this.missing];
    return Promise.resolve(
      missingArtifacts.length === 0
        ? { ok: true, ids: [], nextRoster: undefined }
        : { ok: false, code: 'ARTIFACT_MISSING', reason: 'not held', missingArtifacts },
    );
  }
}

function check(supply: Supply): Promise<CheckResult> {
  return new Promise((resolve, reject) => {
    const parts = {
      application: { validate: () => supply.validate() } as Partial<Application>,
      lane: new Lane(),
      fetcher: { fetch: (digests: readonly string[]) => supply.fetch(digests) },
      holders: () => [],
      artifactPatienceMs: 1000,
      failed: reject,
    };
    const request = { token: 1, holders: [], decided: false } as Partial<CheckRequest>;
    new LedgerWork(parts as unknown as LedgerWorkParts).check(request as CheckRequest, (input) => {
      if (input.kind === 'checked') resolve(input.result);
    });
  });
}

describe('checking a batch whose artifacts are elsewhere', () => {
  const rows: readonly (readonly [
    why: string,
    rounds: readonly (readonly string[])[],
    kind: CheckResult['kind'],
    asked: number,
  ])[] = [
    ['all come at once', [['a', 'b', 'c', 'd']], 'valid', 1],
    ['they come bit by bit', [['a'], ['b', 'c'], ['d']], 'valid', 3],
    ['none comes', [], 'unavailable', 1],
    ['they stop coming', [['a', 'b'], [], ['c', 'd']], 'unavailable', 2],
  ];
  for (const [why, rounds, kind, asked] of rows) {
    it(`${why}: ${kind}`, async () => {
      const supply = new Supply(rounds);
      assert.equal((await check(supply)).kind, kind);
      assert.equal(supply.asked.length, asked);
    });
  }

  it('asks only for what is still missing', async () => {
    const supply = new Supply([
      ['a', 'c'],
      ['b', 'd'],
    ]);
    await check(supply);
    assert.deepEqual(supply.asked, [
      ['a', 'b', 'c', 'd'],
      ['b', 'd'],
    ]);
  });

  it('stops waiting for a holder who lets them trickle in for ever', async () => {
    const many = Array.from({ length: 1000 }, (_, i) => String(i));
    const supply = new Supply(many.map((digest) => [digest]));
    for (const digest of many) supply.missing.add(digest);
    assert.equal((await check(supply)).kind, 'unavailable');
    assert.ok(supply.asked.length <= 128, `${supply.asked.length} rounds`);
  });
});

describe('looking at requests ahead of their batch', () => {
  const named = (name: string): Request => ({ id: name, bytes: new TextEncoder().encode(name) });
  const missing = (artifacts: readonly string[]): LedgerError =>
    new LedgerError('ARTIFACT_MISSING', 'not held', { artifacts });

  /** What is admitted and fetched when an envelope's first letter decides what is wrong with it. */
  function bench(entriesMax = 500): {
    work: LedgerWork;
    seen: string[];
    fetched: string[];
    failures: unknown[];
    finish: () => void;
    endFetches: () => void;
  } {
    const [seen, fetched, failures]: [string[], string[], unknown[]] = [[], [], []];
    const fetches: (() => void)[] = [];
    let finish = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const parts = {
      application: {
        admit: async (bytes: Uint8Array) => {
          const name = new TextDecoder().decode(bytes);
          seen.push(name);
          await held;
          if (name.startsWith('missing')) throw missing([`${name}.tgz`]);
          if (name.startsWith('refused')) throw new LedgerError('ALREADY_LOGGED', 'again');
          if (name.startsWith('malformed')) throw new VerifyError('ENVELOPE_MALFORMED', 'what?');
          if (name.startsWith('bug')) throw new TypeError('a bug');
          return { kind: 'committed', id: name, index: 1 };
        },
      } as Partial<Application>,
      lane: new Lane(),
      fetcher: {
        fetch: (
          digests: readonly string[],
          holders: readonly string[],
          _ms: number,
          why: string,
        ) => {
          fetched.push(`${digests.join(' ')} from ${holders.join(' ')} for a ${why}`);
          return new Promise<boolean>((resolve) => fetches.push(() => resolve(false)));
        },
      },
      holders: (first: readonly string[]) => first,
      limits: { entriesMax, bytesMax: 1_000_000 },
      artifactPatienceMs: 1000,
      refused: () => assert.fail('nobody is told that a request is refused'),
      failed: (error: unknown) => failures.push(error),
    };
    const work = new LedgerWork(parts as unknown as LedgerWorkParts);
    const endFetches = (): void => fetches.splice(0).forEach((end) => end());
    return { work, seen, fetched, failures, finish: () => finish(), endFetches };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

  it('fetches what is missing before it looks at more, and minds no refusal', async () => {
    const { work, seen, fetched, failures, finish, endFetches } = bench();
    finish();
    const names = ['missing-a', 'refused', 'malformed', 'fine', 'missing-b'];
    work.lookAhead({ from: 'leader', requests: names.map(named) });
    await turn();
    work.lookAhead({ from: 'leader', requests: [named('later')] });
    await turn();
    assert.deepEqual(seen, names, 'whoever stalls has a part of its artifacts waited for');
    endFetches();
    await turn();
    assert.deepEqual(seen, [...names, 'later']);
    assert.deepEqual(fetched, [
      'missing-a.tgz from leader for a submission',
      'missing-b.tgz from leader for a submission',
    ]);
    assert.deepEqual(failures, []);
  });

  it('takes a few at a time, and no more than a batch', async () => {
    const { work, seen, finish } = bench(60);
    const requests = Array.from({ length: 100 }, (_, i) => named(`r${i}`));
    work.lookAhead({ from: 'leader', requests });
    await turn();
    assert.equal(seen.length, 32);
    work.lookAhead({ from: 'leader', requests });
    finish();
    await turn();
    assert.equal(seen.length, 32 + 60, 'what was under way, and a batch that waited');
  });

  it('lets a bug be known', async () => {
    const { work, failures, finish } = bench();
    finish();
    work.lookAhead({ from: 'leader', requests: [named('bug')] });
    await turn();
    assert.equal(failures.length, 1);
  });
});

describe('serving batches to a peer that is behind', () => {
  /** A store that answers when the test says so. */
  function bench(): { work: LedgerWork; lane: Lane; reads: (() => void)[] } {
    const lane = new Lane();
    const reads: (() => void)[] = [];
    const parts = {
      lane,
      store: {
        batches: () => new Promise<readonly []>((resolve) => reads.push(() => resolve([]))),
      },
      failed: assert.ifError,
    };
    return { work: new LedgerWork(parts as unknown as LedgerWorkParts), lane, reads };
  }
  const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
  const ask = (work: LedgerWork, to: string): void => work.serve({ to, fromHeight: 1 }, () => {});

  it('reads once at a time for each, however often it asks', async () => {
    const { work, reads } = bench();
    for (let i = 0; i < 100; i++) ask(work, 'faulty');
    ask(work, 'honest');
    await turn();
    assert.equal(reads.length, 2);
    for (const end of reads) end();
    // Three times as long as the answer took, whatever that was on this machine.
    for (let i = 0; i < 2000 && reads.length < 3; i++) {
      ask(work, 'faulty');
      await turn();
    }
    assert.equal(reads.length, 3);
  });

  it('never makes a write wait for a read', async () => {
    const { work, lane, reads } = bench();
    ask(work, 'faulty');
    await turn();
    assert.equal(reads.length, 1);
    let isWritten = false;
    void lane.run(async () => {
      isWritten = true;
    });
    await turn();
    assert.ok(isWritten);
  });
});

describe('building a batch', () => {
  const cases: readonly (readonly [why: string, code: LedgerErrorCode, isDropped: boolean])[] = [
    ['an invalid request', 'SEQUENCE_WRONG', true],
    ['one above the rate of its package', 'RATE_LIMITED', true],
    ['one from the future of this replica', 'OBSERVED_AHEAD', true],
    ['one whose artifact is gone', 'ARTIFACT_MISSING', true],
    ['a roster beside others', 'ROSTER_NOT_ALONE', false],
    ['one that was overtaken by a commit', 'STATE_MOVED', false],
  ];
  for (const [why, code, isDropped] of cases) {
    it(`${isDropped ? 'drops' : 'keeps'} ${why}, and tells its publisher accordingly`, async () => {
      const told: string[] = [];
      const refusal: Refusal = refusalOf(new LedgerError(code, 'no'));
      const parts = {
        application: {
          build: async () => ({ proposal: undefined, refused: [{ id: 'a', refusal }] }),
        },
        lane: new Lane(),
        wallMs: () => 0,
        refused: (id: string) => told.push(id),
        failed: (error: unknown) => assert.fail(String(error)),
      };
      const work = new LedgerWork(parts as unknown as LedgerWorkParts);
      const request = { token: 7, epoch: 0, height: 1, parent: '', parentTimestampMs: 0 };
      const built = await new Promise<Input>((resolve) => {
        work.build({ ...request, requests: [] }, resolve);
      });
      const refused = isDropped ? ['a'] : [];
      assert.deepEqual(built, {
        kind: 'built',
        token: 7,
        result: { proposal: undefined, refused },
      });
      assert.deepEqual(told, refused);
    });
  }
});

describe('admitting what peers hand in', () => {
  const envelopeOf = (payload: string): Envelope => ({
    payloadType: 'text/plain',
    payload: new TextEncoder().encode(payload),
    signatures: [{ keyid: '', signature: new Uint8Array(64) }],
  });
  const requestOf = (payload: string): Request => {
    const envelope = envelopeOf(payload);
    const bytes = new TextEncoder().encode(formatEnvelope(envelope));
    return { id: statementHash(envelope.payload), bytes };
  };
  const [good, bad] = ['good', 'bad'].map(requestOf);
  assert.ok(good && bad, 'two requests');
  const line = { keyid: 'nobody', signature: new Uint8Array(64) };
  const unsigned = new TextEncoder().encode(
    formatEnvelope({ ...envelopeOf('good'), signatures: [line] }),
  );

  /** An application that accepts all but one request and what nobody signed, and counts. */
  function bench(): {
    readonly admit: (lane: string, ...requests: readonly Request[]) => Promise<AdmitAnswer>;
    readonly recheck: (...requests: readonly Request[]) => Promise<AdmitAnswer>;
    readonly judged: string[];
    readonly refused: string[];
    readonly state: { height: number; isRefusing: boolean };
  } {
    const judged: string[] = [];
    const refused: string[] = [];
    const state = { height: 1, isRefusing: true };
    const parts = {
      application: {
        admit: async (bytes: Uint8Array) => {
          await new Promise((resolve) => setImmediate(resolve));
          const id = statementHash(parseEnvelope(bytes).payload);
          judged.push(id);
          if (id === bad?.id && state.isRefusing) throw new LedgerError('RATE_LIMITED', 'no');
          const isSigned = parseEnvelope(bytes).signatures.some(({ keyid }) => keyid === '');
          if (!isSigned) throw new VerifyError('MAINTAINER_SIGNATURES_MISSING', 'no');
          return { kind: 'accepted', request: { id, bytes } } as const;
        },
      },
      lane: new Lane(),
      height: () => state.height,
      refused: (id: string) => refused.push(id),
      failed: (error: unknown) => assert.fail(String(error)),
      log: silentLog,
    };
    const work = new LedgerWork(parts as unknown as LedgerWorkParts);
    const ask = (request: AdmitRequest): Promise<AdmitAnswer> =>
      new Promise((resolve) => {
        work.admit(request, (input) => {
          if (input.kind === 'admitted') resolve(input.answer);
        });
      });
    return {
      admit: (lane, ...requests) => ask({ lane, recheck: false, requests }),
      recheck: (...requests) => ask({ lane: 'self', recheck: true, requests }),
      judged,
      refused,
      state,
    };
  }

  it('judges what three peers relay once', async () => {
    const { admit, judged } = bench();
    const answers = await Promise.all(['r1', 'r2', 'r3'].map(async (lane) => admit(lane, good)));
    assert.deepEqual(
      answers.map(({ accepted }) => accepted.length),
      [1, 1, 1],
    );
    assert.deepEqual((await admit('r1', good)).accepted, [good]);
    assert.deepEqual(judged, [good.id]);
  });

  it('judges it again when the log has moved on', async () => {
    const { admit, judged, state } = bench();
    await admit('r1', good);
    state.height += 1;
    await admit('r1', good);
    assert.deepEqual(judged, [good.id, good.id]);
  });

  it('remembers no refusal', async () => {
    const { admit, state } = bench();
    assert.deepEqual((await admit('r1', bad)).refused, [bad.id]);
    state.isRefusing = false;
    assert.deepEqual((await admit('r1', bad)).accepted, [bad]);
  });

  it('tells the publisher what leaves the pool here', async () => {
    const { recheck, refused } = bench();
    assert.deepEqual((await recheck(good, bad)).refused, [bad.id]);
    assert.deepEqual(refused, [bad.id]);
  });

  it('tells the publisher also when a peer is about to hear the same', async () => {
    const { admit, recheck, judged, refused } = bench();
    await Promise.all([admit('r1', bad), recheck(bad)]);
    assert.deepEqual(judged, [bad.id], 'judged once for both');
    assert.deepEqual(refused, [bad.id]);
  });

  const lies: readonly (readonly [why: string, request: Request])[] = [
    ['another submission', { id: good.id, bytes: bad.bytes }],
    ['nothing', { id: good.id, bytes: new Uint8Array(3) }],
    ['the same statement without its signatures', { id: good.id, bytes: unsigned }],
  ];
  for (const [why, request] of lies) {
    it(`has nobody’s submission refused by ${why} under its id`, async () => {
      const { admit, refused } = bench();
      assert.deepEqual((await admit('r1', request)).accepted, []);
      assert.deepEqual(refused, []);
      assert.deepEqual((await admit('r2', good)).accepted, [good], 'the right one is taken');
    });
  }

  const hands: readonly (readonly [
    who: string,
    handIn: (work: LedgerWork, requests: readonly Request[]) => Promise<unknown>,
  ])[] = [
    [
      'a peer',
      (work, requests) =>
        new Promise((resolve) => work.admit({ lane: 'r1', recheck: false, requests }, resolve)),
    ],
    [
      'a client',
      (work, requests) =>
        Promise.all(
          requests.map(({ bytes }) =>
            work.admitEnvelope(bytes, [], { kind: 'client', name: '192.0.2.0/24' }),
          ),
        ),
    ],
  ];
  for (const [who, handIn] of hands) {
    it(`leaves the thread to others between pieces of what ${who} hands in`, async () => {
      const seen = { admitted: 0, thisTurn: 0, mostInOne: 0, isDone: false };
      const parts = {
        application: {
          admit: async (bytes: Uint8Array) => {
            seen.admitted++;
            seen.mostInOne = Math.max(seen.mostInOne, ++seen.thisTurn);
            const id = statementHash(parseEnvelope(bytes).payload);
            return { kind: 'accepted', request: { id, bytes } } as const;
          },
        },
        lane: new Lane(),
        height: () => 1,
        failed: (error: unknown) => assert.fail(String(error)),
        log: silentLog,
      };
      const work = new LedgerWork(parts as unknown as LedgerWorkParts);
      const requests = Array.from({ length: 10 }, (_, i) =>
        requestOf(`piece ${i} ${'x'.repeat(40_000)}`),
      );
      void handIn(work, requests).then(() => (seen.isDone = true));
      while (!seen.isDone) {
        seen.thisTurn = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(seen.admitted, 10);
      // Five of them, give or take how two of these turns fall.
      assert.ok(seen.mostInOne < 10, `${seen.mostInOne} in one turn`);
    });
  }

  it('takes nothing under another id than its own', async () => {
    const { admit } = bench();
    assert.deepEqual((await admit('r1', { id: bad.id, bytes: good.bytes })).accepted, []);
  });
});

describe('when more signatures wait than can be checked', () => {
  const one: Request = { id: 'one', bytes: new TextEncoder().encode('one') };

  function bench(): {
    readonly work: LedgerWork;
    readonly askers: (Asker | undefined)[];
    readonly refused: string[];
    readonly pool: { isFull: boolean };
  } {
    const askers: (Asker | undefined)[] = [];
    const refused: string[] = [];
    const pool = { isFull: true };
    const answer = <T>(value: T): Promise<T> =>
      pool.isFull
        ? Promise.reject(new SignaturePoolError('POOL_OVERLOADED', 'full'))
        : Promise.resolve(value);
    const application: Partial<Application> = {
      admit: (bytes, asker) => {
        askers.push(asker);
        return answer({ kind: 'accepted', request: { id: one.id, bytes } });
      },
      validate: () => answer({ ok: true, ids: [], nextRoster: undefined }),
      build: () => answer({ proposal: undefined, refused: [] }),
    };
    const parts = {
      application,
      lane: new Lane(),
      height: () => 1,
      wallMs: () => 0,
      refused: (id: string) => refused.push(id),
      // The process ends with code 70.
      failed: (error: unknown) => assert.fail(String(error)),
      log: silentLog,
    };
    return { work: new LedgerWork(parts as unknown as LedgerWorkParts), askers, refused, pool };
  }

  function ask(start: (answer: (input: Input) => void) => void): Promise<Input> {
    return new Promise((resolve) => start(resolve));
  }

  it('answers unavailable, and the process goes on', async () => {
    const { work, pool } = bench();
    const request = { token: 1, holders: [], decided: false } as Partial<CheckRequest>;
    const checked = (): Promise<Input> =>
      ask((answer) => work.check(request as CheckRequest, answer));
    const full = await checked();
    assert.equal(full.kind === 'checked' && full.result.kind, 'unavailable');
    pool.isFull = false;
    const after = await checked();
    assert.equal(after.kind === 'checked' && after.result.kind, 'valid');
  });

  it('proposes nothing, and refuses nothing', async () => {
    const { work } = bench();
    const built = await ask((answer) =>
      work.build(
        { token: 1, parentTimestampMs: 0, requests: [one] } as unknown as BuildRequest,
        answer,
      ),
    );
    assert.deepEqual(built.kind === 'built' && built.result, { proposal: undefined, refused: [] });
  });

  const rows: readonly (readonly [why: string, recheck: boolean, dropped: readonly string[]])[] = [
    ['a relayed request leaves its place, unjudged', false, [one.id]],
    ['a pooled one stays, unjudged: no leader is suspected for it', true, []],
  ];
  for (const [why, recheck, dropped] of rows) {
    it(why, async () => {
      const { work, refused, askers, pool } = bench();
      const admit = (lane: string): Promise<Input> =>
        ask((answer) => work.admit({ lane, recheck, requests: [one] }, answer));
      const full = await admit('r1');
      const expected = { lane: 'r1', recheck, accepted: [], refused: dropped };
      assert.deepEqual(full.kind === 'admitted' && full.answer, expected);
      assert.deepEqual(refused, [], 'its publisher is told nothing');
      assert.deepEqual(askers, [recheck ? undefined : { kind: 'peer', name: 'r1' }]);
      pool.isFull = false;
      const after = await admit('r1');
      assert.deepEqual(after.kind === 'admitted' && after.answer.accepted, [one]);
    });
  }

  it('costs no other peer the same request', async () => {
    const { work, askers } = bench();
    await Promise.all(
      ['r1', 'r2'].map((lane) =>
        ask((answer) => work.admit({ lane, recheck: false, requests: [one] }, answer)),
      ),
    );
    assert.deepEqual(
      askers.map((asker) => asker?.name),
      ['r1', 'r2'],
    );
  });
});
