import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { signedRoster } from '../cluster.ts';
import { decodeEvidence, planEvidence } from '../consensus/check-evidence.ts';
import { ZERO_DIGEST, genesisHeader, voteBytes } from '../consensus/encode.ts';
import { Members, NO_MUTANTS } from '../consensus/members.ts';
import type { Misbehaviour, PrepareMessage } from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import { EvidenceKeeper } from './evidence-keeper.ts';

const ORIGIN = 'log.example';
const KEYS = [0, 1, 2, 3].map((i) => generateKeys(`r${i}`));
const ACCUSED = publicKeyHex((KEYS[1] ?? generateKeys('none')).vote.publicKey);

function prepare(digest: string): PrepareMessage {
  const vote = { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest };
  const bytes = voteBytes('prepare', ORIGIN, vote);
  const signature = KEYS[1]?.vote.sign(bytes) ?? new Uint8Array(64);
  return { kind: 'prepare', vote, signer: 1, signature };
}

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-evidence-'));
});
after(() => rm(folder, { recursive: true, force: true }));

describe('EvidenceKeeper', () => {
  it('keeps a proof that convinces whoever has the roster, once', async () => {
    const report: Misbehaviour = {
      rule: 'X1',
      accused: ACCUSED,
      epoch: 0,
      messages: [prepare('aa'.repeat(32)), prepare('bb'.repeat(32))],
    };
    const keeper = new EvidenceKeeper(join(folder, 'evidence'), silentLog);
    await keeper.keep(report, 'r1');
    await keeper.keep(report, 'r1');
    const files = await readdir(join(folder, 'evidence'));
    assert.equal(files.length, 1);

    const bytes = await readFile(join(folder, 'evidence', files[0] ?? ''));
    const roster = parseRoster(
      signedRoster(
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
      ).payload,
    );
    const plan = planEvidence(decodeEvidence(Uint8Array.from(bytes)), {
      members: new Members(roster, 'a stranger', NO_MUTANTS),
      epochStart: genesisHeader(ORIGIN),
      mutants: NO_MUTANTS,
    });
    const guilt = await runPlan(nativeVerifier, plan);
    assert.deepEqual([guilt.rule, guilt.accused], ['X1', ACCUSED]);
  });

  it('does not fail when it can’t write', async () => {
    const blocked = join(folder, 'a-file');
    await writeFile(blocked, '');
    const keeper = new EvidenceKeeper(join(blocked, 'evidence'), silentLog);
    await keeper.keep({ rule: 'X1', accused: ACCUSED, epoch: 0, messages: [] }, 'r1');
  });
});
