import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { AssertionError } from '../../verifier/errors.ts';
import { verifyNative } from '../../verifier/node/ed25519.ts';
import { decodeMessage } from '../../verifier/replication/encode-message.ts';
import { ZERO_DIGEST } from '../../verifier/replication/encode.ts';
import type {
  Input,
  Message,
  PrepareMessage,
  Ready,
  VoteSignRequest,
  Write,
} from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import type { ConsensusCore } from './core-port.ts';
import { Driver } from './driver.ts';
import { Lane } from './lane.ts';
import type { LedgerWork } from './ledger-work.ts';

const KEYS = generateKeys('r0');
const NOTHING: Ready = {
  persist: undefined,
  sign: [],
  send: [],
  build: undefined,
  check: [],
  admit: [],
  serve: [],
  lookAhead: [],
  committed: [],
  contradicted: [],
  cosigned: undefined,
  evidence: [],
  events: [],
  ignored: undefined,
};
const VOTE = { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest: 'ab'.repeat(32) };
const WRITE: Write = { kind: 'record', name: 'promise', value: Uint8Array.of(1) };
const SIGN: VoteSignRequest = {
  key: 'vote',
  bytes: Uint8Array.of(1, 2, 3),
  content: { kind: 'prepare', vote: VOTE },
};

interface Scene {
  readonly driver: Driver;
  readonly lane: Lane;
  /** What happened, in order. */
  readonly story: string[];
  readonly sent: Message[];
  readonly failures: unknown[];
}

/** A driver around a core that answers each kind of input in a scripted way. */
function scene(
  script: Partial<Record<Input['kind'], (input: Input) => Partial<Ready>>>,
  write: () => Promise<void> = async () => undefined,
): Scene {
  const story: string[] = [];
  const sent: Message[] = [];
  const failures: unknown[] = [];
  let isInside = false;
  const core: ConsensusCore = {
    step: (input) => {
      assert.equal(isInside, false, 'one step at a time');
      isInside = true;
      story.push(`step ${input.kind}`);
      const ready = { ...NOTHING, ...script[input.kind]?.(input) };
      isInside = false;
      return ready;
    },
    wants: () => ({ useful: true }),
    get context(): never {
      return assert.fail('not asked here');
    },
    get summary(): never {
      return assert.fail('not asked here');
    },
    halted: undefined,
    hasRoomFor: () => true,
  };
  const lane = new Lane();
  const driver = new Driver({
    core,
    keys: KEYS,
    origin: 'log.example',
    store: {
      write: async () => {
        await write();
        story.push('durable');
      },
    },
    lane,
    work: {} as LedgerWork,
    transport: {
      send: (peer, bytes) => {
        const message = decodeMessage(bytes);
        story.push(`send ${message.kind} to ${peer}`);
        sent.push(message);
      },
    },
    clocks: { monotonicMs: () => 0, wallMs: () => 5_000_500 },
    tickMs: 10,
    log: silentLog,
    events: {
      committed: () => story.push('committed'),
      cosigned: () => story.push('cosigned'),
      contradicted: () => story.push('contradicted'),
      misbehaved: () => story.push('misbehaved'),
      epochStarted: () => story.push('epoch'),
      failed: (error) => failures.push(error),
    },
  });
  return { driver, lane, story, sent, failures };
}

const tick: Input = { kind: 'tick', wallMs: 0 };

describe('Driver', () => {
  it('makes records durable, then signs, then sends', async () => {
    const { driver, lane, story, sent } = scene({
      tick: () => ({ persist: { token: 1, writes: [WRITE] } }),
      persisted: () => ({ sign: [SIGN] }),
      signed: (input) => {
        assert.ok(input.kind === 'signed');
        const message: PrepareMessage = {
          kind: 'prepare',
          vote: VOTE,
          signer: 0,
          signature: input.signature,
        };
        return { send: [{ to: ['b', 'c'], message }] };
      },
    });
    driver.feed(tick);
    assert.deepEqual(story, ['step tick']);
    await lane.idle();
    assert.deepEqual(story, [
      'step tick',
      'durable',
      'step persisted',
      'step signed',
      'send prepare to b',
      'send prepare to c',
    ]);
    const [message] = sent;
    assert.ok(message?.kind === 'prepare');
    const { bytes } = SIGN;
    const { signature } = message;
    assert.ok(verifyNative({ publicKey: KEYS.vote.publicKey, message: bytes, signature }));
  });

  it('cosigns with the other key, at the present time', () => {
    const cosigned: Input[] = [];
    const { driver } = scene({
      tick: () => ({
        sign: [{ key: 'cosign', epoch: 0, height: 1, size: 2, root: 'cd'.repeat(32) }],
      }),
      cosigned: (input) => {
        cosigned.push(input);
        return {};
      },
    });
    driver.feed(tick);
    const [input] = cosigned;
    assert.ok(input?.kind === 'cosigned');
    assert.equal(input.time, 5000);
    assert.notEqual(publicKeyHex(KEYS.cosign.publicKey), publicKeyHex(KEYS.vote.publicKey));
  });

  it('tells the core once when a write fails, and writes nothing after it', async () => {
    let writes = 0;
    let tokens = 0;
    const { driver, lane, story } = scene(
      {
        tick: () => {
          tokens++;
          return { persist: { token: tokens, writes: [WRITE] } };
        },
      },
      () => {
        writes++;
        return Promise.reject(new Error('disk full'));
      },
    );
    driver.feed(tick);
    await lane.idle();
    driver.feed(tick);
    await lane.idle();
    assert.equal(writes, 1);
    assert.deepEqual(story, ['step tick', 'step persist-failed', 'step tick']);
  });

  it('ends the process when the core throws, and takes nothing more', () => {
    const { driver, failures, story } = scene({
      tick: () => {
        throw new AssertionError('bug: on purpose');
      },
    });
    driver.feed(tick);
    driver.feed(tick);
    assert.equal(failures.length, 1);
    assert.deepEqual(story, ['step tick']);
  });

  it('says what became of an input, also when it has stopped', () => {
    const { driver } = scene({ submit: () => ({ ignored: 'pool-full' }) });
    const outcomes: (string | undefined)[] = [];
    const submit: Input = { kind: 'submit', request: { id: '', bytes: new Uint8Array(0) } };
    driver.feed(tick, (ignored) => outcomes.push(ignored));
    driver.feed(submit, (ignored) => outcomes.push(ignored));
    driver.stop();
    driver.feed(submit, (ignored) => outcomes.push(ignored));
    assert.deepEqual(outcomes, [undefined, 'pool-full', 'halted']);
    assert.equal(driver.ignored.get('pool-full'), 1);
  });
});
