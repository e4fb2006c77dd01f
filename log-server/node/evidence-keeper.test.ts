import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { statementHash } from '../../verifier/dsse.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseMisbehaviour, verifyMisbehaviour } from '../../verifier/replication/report.ts';
import { signedRoster } from '../cluster.ts';
import { ZERO_DIGEST, voteBytes } from '../../verifier/replication/encode.ts';
import type { Misbehaviour, PrepareMessage } from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import { EvidenceKeeper, type ChainSource } from './evidence-keeper.ts';

const ORIGIN = 'log.example';
const KEYS = [0, 1, 2, 3].map((i) => generateKeys(`r${i}`));
const ACCUSED = publicKeyHex((KEYS[1] ?? generateKeys('none')).vote.publicKey);

function prepare(digest: string): PrepareMessage {
  const vote = { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest };
  const bytes = voteBytes('prepare', ORIGIN, vote);
  const signature = KEYS[1]?.vote.sign(bytes) ?? new Uint8Array(64);
  return { kind: 'prepare', vote, signer: 1, signature };
}

const genesis = signedRoster(
  ORIGIN,
  KEYS.map(({ name, cosignKey, vote }, i) => ({
    name,
    cosignKey,
    voteKey: vote.publicKey,
    weight: 1,
    url: `http://127.0.0.1:${8000 + i}`,
    peerUrl: `http://127.0.0.1:${9000 + i}`,
  })),
  KEYS,
);
const PIN = statementHash(genesis.payload);
const chain: ChainSource = {
  rosterEnvelopes: async () => [genesis],
  header: async () => undefined,
};
const REPORT: Misbehaviour = {
  rule: 'X1',
  accused: ACCUSED,
  epoch: 0,
  messages: [prepare('aa'.repeat(32)), prepare('bb'.repeat(32))],
};
const ID = `0-X1-${ACCUSED}`;

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-evidence-'));
});
after(() => rm(folder, { recursive: true, force: true }));

describe('EvidenceKeeper', () => {
  it('keeps a proof that convinces whoever has a pin, once, also over a restart', async () => {
    const place = join(folder, 'evidence');
    await new EvidenceKeeper(place, chain, silentLog).keep(REPORT, 'r1', 0);
    const other = { ...REPORT, messages: [prepare('cc'.repeat(32)), prepare('dd'.repeat(32))] };
    const keeper = new EvidenceKeeper(place, chain, silentLog);
    await keeper.keep(other, 'r1', 0);
    assert.deepEqual(await keeper.list(), [{ id: ID, epoch: 0, rule: 'X1', key: ACCUSED }]);

    const [file] = await readdir(place);
    const onDisk = await readFile(join(place, file ?? ''), 'utf8');
    const served = await keeper.document(ID);
    assert.equal(served, onDisk);
    const document = parseMisbehaviour(served);
    assert.deepEqual(document.report, REPORT);
    const guilt = await verifyMisbehaviour(document, PIN, nativeVerifier);
    assert.deepEqual([guilt.rule, guilt.accused, guilt.name], ['X1', ACCUSED, 'r1']);
  });

  const strangers: readonly string[] = [
    '',
    '..',
    '../replica-key',
    `0-X2-${ACCUSED}`,
    `00-X1-${ACCUSED}`,
    `0-X9-${ACCUSED}`,
    `${ID}.json`,
  ];
  for (const id of strangers) {
    it(`has no document of the name ${JSON.stringify(id)}`, async () => {
      const keeper = new EvidenceKeeper(join(folder, 'evidence'), chain, silentLog);
      assert.equal(await keeper.document(id), undefined);
    });
  }

  it('serves no file that a crash or a hand has spoilt', async () => {
    const place = join(folder, 'spoilt');
    const keeper = new EvidenceKeeper(place, chain, silentLog);
    await keeper.keep(REPORT, 'r1', 0);
    const whole = await readFile(join(place, `${ID}.json`), 'utf8');
    await writeFile(join(place, `${ID}.json`), whole.slice(0, -10));
    assert.equal(await keeper.document(ID), undefined);
    assert.deepEqual(await keeper.reports(0), []);
  });

  it('says what it keeps about an epoch, and whether a proof is on the disk', async () => {
    const place = join(folder, 'told');
    const keeper = new EvidenceKeeper(place, chain, silentLog);
    assert.deepEqual(await keeper.reports(0), []);
    assert.equal(await keeper.keep(REPORT, 'r1', 0), 'kept');
    assert.equal(await keeper.keep(REPORT, 'r1', 0), 'kept', 'the first one is still there');
    assert.deepEqual(await keeper.reports(0), [REPORT]);
    assert.deepEqual(await keeper.reports(1), []);
  });

  it('keeps nothing of a later epoch whose start it can’t show', async () => {
    const place = join(folder, 'unknown-start');
    const keeper = new EvidenceKeeper(place, chain, silentLog);
    await keeper.keep({ ...REPORT, epoch: 1 }, 'r1', 7);
    await keeper.keep({ ...REPORT, epoch: 1 }, 'r1', undefined);
    assert.deepEqual(await keeper.list(), []);
  });

  it('does not fail when it can’t write', async () => {
    const blocked = join(folder, 'a-file');
    await writeFile(blocked, '');
    const keeper = new EvidenceKeeper(join(blocked, 'evidence'), chain, silentLog);
    assert.equal(await keeper.keep(REPORT, 'r1', 0), 'failed');
    assert.deepEqual(await keeper.list(), []);
  });
});
