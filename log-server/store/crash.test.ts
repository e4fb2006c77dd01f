import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { smallLedger } from '../../fixtures/pages-in-memory.ts';
import { rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { openDatabase } from './database.ts';
import { checkDatabase } from './fsck.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE, openTables } from './storage.ts';

const WRITER = fileURLToPath(new URL('../../fixtures/crash-writer.ts', import.meta.url));

interface Acknowledged {
  readonly height: number;
  readonly digest: string;
}

/** Lets a process write to the folder until `count` batches are acknowledged, and kills it. */
async function killAfter(folder: string, count: number): Promise<readonly Acknowledged[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const acknowledged: Acknowledged[] = [];
  const exited = once(child, 'exit');
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(JSON.parse(line) as Acknowledged);
    // Not at a moment of the writer's choice: it is somewhere in its next batch.
    if (acknowledged.length === count) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  return acknowledged;
}

describe('SqliteStore', () => {
  it('loses no acknowledged batch when its process is killed, again and again', async () =>
    withFolder(async (folder) => {
      const all: Acknowledged[] = [];
      for (const count of [1, 7, 3, 70, 12]) {
        all.push(...(await killAfter(folder, count)));
        // Opening compares tree, headers and entries; the lock of the dead process is gone.
        const { store, application, view } = await openTestStorage(folder);
        const tip = await application.tip();
        const last = all.at(-1);
        assert.ok(last !== undefined && tip.height >= last.height);
        for (const { height, digest } of all) {
          const found = await store.header(height);
          assert.ok(found, `height ${height}`);
          assert.equal(headerDigest(found.header), digest);
          assert.notEqual(view.maintainerSet(`package-${height}x19`), undefined);
        }
        assert.equal(tip.size, tip.height * 21);
        await store.close();
      }
      assert.ok(all.length >= 93, `${all.length} batches`);
      const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
      const tables = openTables(database);
      assert.ok(tables.map.count() > 0, 'changes were brought into the table of the map');
      const { problems } = await checkDatabase(
        database,
        tables,
        smallLedger(rosterEnvelope(4)),
        nativeVerifier,
      );
      database.close();
      // Those of the test are filled in.
      const others = problems.filter((line) => !line.includes('certificate'));
      assert.deepEqual(others, []);
    }));
});
