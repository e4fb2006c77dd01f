// `evidence submit`: what is handed to whom, and what is not.
import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { parseNote } from '../../verifier/note.ts';
import { EXIT } from '../output/exit-codes.ts';

const ID = `n-${'aa'.repeat(32)}-${'bb'.repeat(32)}`;

describe('evidence submit', () => {
  let fake: FakeLog;
  let file = '';
  /** Notes that each replica was handed. */
  let handed: string[][] = [];

  before(async () => {
    fake = await FakeLog.start();
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    // A fork, as `verify` finds and keeps it.
    await fake.run(['verify', 'alpha@1.0.0']);
    const root = new Uint8Array(32).fill(7);
    for (const replica of fake.replicas) replica.note = { root };
    const { code, stderr } = await fake.run(['verify', 'alpha@1.0.0']);
    assert.equal(code, EXIT.fork, stderr);
    for (const replica of fake.replicas) replica.note = {};
    file = (await readdir(fake.project)).find((name) => name.startsWith('bftpkg-evidence')) ?? '';
    assert.match(stderr, new RegExp(`bftpkg evidence submit ./${file}`));
  });
  after(() => fake.stop());

  beforeEach(() => {
    handed = fake.replicas.map(() => []);
    for (const [i, replica] of fake.replicas.entries()) {
      replica.misbehave = ({ method, path, body }, response) => {
        if (`${method} ${path}` !== 'POST /v1/contradictions') return false;
        handed[i]?.push(body);
        const isOwn = parseNote(body).text === parseNote(fake.log.note()).text;
        response.end(JSON.stringify(isOwn ? { status: 'consistent' } : { status: 'kept', id: ID }));
        return true;
      };
    }
  });

  async function submit(
    ...argv: readonly string[]
  ): Promise<{ code: number; reason: string | null; kept: readonly number[]; warnings: number }> {
    const { code, stdout } = await fake.run(['--json', 'evidence', 'submit', ...argv]);
    const report = JSON.parse(stdout) as {
      readonly exit: { readonly reason: string | null };
      readonly result: {
        readonly replicas: readonly { readonly kept: readonly string[] }[];
      } | null;
      readonly diagnostics: readonly { readonly severity: string }[];
    };
    return {
      code,
      reason: report.exit.reason,
      kept: report.result?.replicas.map(({ kept }) => kept.length) ?? [],
      warnings: report.diagnostics.filter(({ severity }) => severity === 'warning').length,
    };
  }

  it('hands both checkpoints to every replica, which keeps the one that is not of its log', async () => {
    assert.deepEqual(await submit(file), {
      code: 0,
      reason: null,
      kept: [1, 1, 1, 1],
      warnings: 0,
    });
    assert.deepEqual(
      handed.map((notes) => notes.length),
      [2, 2, 2, 2],
    );
  });

  it('hands them to one alone', async () => {
    const url = fake.replicas[2]?.url ?? '';
    assert.deepEqual((await submit(file, url)).kept, [1]);
    assert.deepEqual(
      handed.map((notes) => notes.length),
      [0, 0, 2, 0],
    );
  });

  it('says who did not take them', async () => {
    const [first] = fake.replicas;
    assert.ok(first !== undefined);
    first.misbehave = (_request, response) => {
      response.writeHead(503);
      response.end('{"error":{"code":"BUSY","message":"enough of this kind is kept"}}');
      return true;
    };
    const outcome = await submit(file);
    assert.deepEqual([outcome.code, outcome.kept, outcome.warnings], [0, [1, 1, 1], 1]);
  });

  it('exits 3 when nobody took them', async () => {
    for (const replica of fake.replicas) {
      replica.misbehave = (_request, response) => {
        response.writeHead(429);
        response.end();
        return true;
      };
    }
    const { code, reason } = await submit(file);
    assert.deepEqual([code, reason], [EXIT.inconclusive, 'BP7001']);
  });

  it('does not believe a replica’s name for it', async () => {
    for (const replica of fake.replicas) {
      replica.misbehave = (_request, response) => {
        response.end(JSON.stringify({ status: 'kept', id: '../../x' }));
        return true;
      };
    }
    assert.equal((await submit(file)).code, EXIT.inconclusive);
  });

  const refused: readonly (readonly [why: string, text: string, code: number, reason: string])[] = [
    ['nothing', '', 2, 'BP9004'],
    ['a text', 'hello', 3, 'BP9002'],
    ['a fork without any notes', '{"format":"bftpkg-fork-evidence/v1"}', 17, 'BP4008'],
    ['a report of misbehaviour', '{"format":"bftpkg-misbehaviour/v1"}', 2, 'BP9003'],
  ];
  for (const [why, text, code, reason] of refused) {
    it(`bothers nobody with ${why}`, async () => {
      const name = text === '' ? 'none.json' : 'other.json';
      if (text !== '') await writeFile(join(fake.project, name), text);
      const outcome = await submit(name);
      assert.deepEqual([outcome.code, outcome.reason], [code, reason]);
      assert.deepEqual(handed.flat(), []);
    });
  }
});
