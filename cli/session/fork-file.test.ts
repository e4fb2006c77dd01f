import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { parseForkEvidence, verifyForkEvidence } from '../../verifier/evidence/fork.ts';
import { ForkError, type ForkEvidence } from '../../verifier/evidence/trust.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { keepForkEvidence } from './fork-file.ts';

function history(version: string): SyntheticLog {
  const log = new SyntheticLog();
  log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
  log.release({ name: 'p', version });
  log.commit();
  return log;
}

const one = history('1.0.0');
const two = history('2.0.0');
const names = one.roster.replicas.map(({ name }) => name);
// A line with an honest replica's name that no key of the log has signed, as anybody can add one.
const framed = `— ${names[0]} ${Buffer.alloc(76, 7).toString('base64')}\n`;
const fork: ForkEvidence = {
  origin: one.origin,
  size: one.size,
  rosters: one.rosters.map(({ envelope }) => envelope),
  first: one.note({ cosigners: [1, 2, 3] }) + framed,
  second: two.note({ cosigners: [1, 2, 3] }) + framed,
};

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-fork-'));
});
after(() => rm(folder, { recursive: true, force: true }));

describe('keepForkEvidence', () => {
  const error = new ForkError(fork, 'b', 'a');
  const signedBoth = (told: Awaited<ReturnType<typeof keepForkEvidence>>): string | undefined =>
    told.diagnostic.details.find(([label]) => label === 'signed both')?.[1];

  it('writes one file for one fork, which proves it to others', async () => {
    const told = await keepForkEvidence(error, folder);
    await keepForkEvidence(error, folder);
    const files = await readdir(folder);
    assert.equal(files.length, 1);
    assert.deepEqual(told.evidence, [join(folder, files[0] ?? '')]);
    const text = await readFile(join(folder, files[0] ?? ''), 'utf8');
    const read = parseForkEvidence(text.replace(/\n$/, ''));
    assert.equal((await verifyForkEvidence(read, one.pin, nativeVerifier)).signers.length, 3);
  });

  it('takes no other file for the proof, and writes its own beside it', async () => {
    const text = await readFile(join(folder, (await readdir(folder))[0] ?? ''), 'utf8');
    const others: readonly (readonly [string, string])[] = [
      ['nothing', ''],
      ['half of it', text.slice(0, -20)],
      ['another fork', text.replace(/"size":[0-9]+/, '"size":9')],
      ['a bad signature', text.replace(/(— replica-1\S+ \S{40})[A-Za-z]/g, '$1/')],
    ];
    for (const [why, content] of others) {
      const place = await mkdtemp(join(tmpdir(), 'bftpkg-fork-'));
      const told = await keepForkEvidence(error, place);
      const [path = ''] = told.evidence;
      await writeFile(path, content);
      const again = await keepForkEvidence(error, place);
      assert.equal(again.evidence[0], path.replace(/\.json$/, '-2.json'), why);
      assert.equal(await readFile(again.evidence[0] ?? '', 'utf8'), text, why);
      assert.equal(await readFile(path, 'utf8'), content, 'it is not ours to change');
      // Known from now on.
      assert.deepEqual((await keepForkEvidence(error, place)).evidence, again.evidence, why);
      await rm(place, { recursive: true, force: true });
    }
  });

  it('names those whose signatures are on both sides, not those whose names are', async () => {
    const told = await keepForkEvidence(error, folder);
    assert.equal(signedBoth(told), `${names.slice(1).join(' ')}   (provably faulty)`);
  });

  it('tells of the fork also where no file can be written', async () => {
    const told = await keepForkEvidence(error, join(folder, 'missing'));
    assert.equal(told.diagnostic.code, 'BP4003');
    assert.match(signedBoth(told) ?? '', /provably faulty/);
    assert.ok(!told.diagnostic.hints.some((hint) => hint.includes('evidence verify')));
  });
});
