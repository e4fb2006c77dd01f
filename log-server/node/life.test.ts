import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { withFolder } from '../../fixtures/test-storage.ts';
import {
  ZERO_DIGEST,
  genesisHeader,
  writeCertifiedHeader,
} from '../../verifier/replication/encode.ts';
import { Writer } from '../../verifier/replication/wire.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { ConfigError } from '../config.ts';
import { encodeKeptNewView, encodePromise } from '../consensus/records.ts';
import type { DurableState, RecordName, Vote } from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import { Life, LifeFile, goOnLiving, positionOf, type Position } from './life.ts';

const A = 'aa'.repeat(16);

/** A database that is so far, in an epoch that has begun with the log. */
function database({ epoch, view, height, opened, voted, prepared }: Position): DurableState {
  const roster = { ...parseRoster(rosterEnvelope(4).payload), epoch };
  const header = { ...genesisHeader(roster.origin), epoch, height, size: 2 * height };
  const voteOf = (voteView: number): Vote => ({
    epoch,
    view: voteView,
    nv: ZERO_DIGEST,
    height: height + 1,
    digest: 'ab'.repeat(32),
  });
  const vote = voted === null ? undefined : voteOf(voted);
  const records = new Map<RecordName, Uint8Array>([
    ['promise', encodePromise({ epoch, view, vote })],
  ]);
  if (opened !== null) {
    const content = { epoch, view: opened, viewChanges: [] };
    records.set('new-view', encodeKeptNewView({ content, signature: undefined }));
  }
  if (prepared !== null) {
    const certificate = { phase: 'prepare' as const, vote: voteOf(prepared), signatures: [] };
    const writer = new Writer();
    writeCertifiedHeader(writer, { header: { ...header, height: height + 1 }, certificate });
    records.set('prepared', writer.finish());
  }
  return {
    roster,
    epochStart: header,
    committed: { header, certificate: undefined },
    records,
    bodies: [],
  };
}

const HERE: Position = {
  epoch: 1,
  view: 3,
  height: 50,
  opened: 3,
  voted: 2,
  prepared: 1,
};

// [why, the database after the replica was ended, is it the one that was used last]
const after: readonly (readonly [string, DurableState, boolean, boolean])[] = [
  // why, found, right after a crash, right after an orderly stop
  ['the same', database(HERE), true, true],
  ['a higher batch', database({ ...HERE, height: 51 }), true, false],
  [
    'a higher batch, of which nothing is voted yet',
    database({ ...HERE, height: 51, voted: null, prepared: null }),
    true,
    false,
  ],
  [
    'a higher batch, voted for in a later view',
    database({ ...HERE, height: 51, view: 4, opened: 4, voted: 4, prepared: null }),
    true,
    false,
  ],
  ['a later view', database({ ...HERE, view: 4 }), true, false],
  ['a later view that is not open yet', database({ ...HERE, view: 4, opened: null }), true, false],
  [
    'a later epoch, whose views start again',
    database({ epoch: 2, view: 0, height: 50, opened: null, voted: null, prepared: null }),
    true,
    false,
  ],
  ['a later PREPARE', database({ ...HERE, voted: 3 }), true, false],
  ['a later COMMIT', database({ ...HERE, prepared: 2 }), true, false],
  // Copies from before a vote that changed nothing else: with each the replica would vote again.
  ['no PREPARE yet', database({ ...HERE, voted: null }), false, false],
  ['the PREPARE before the last', database({ ...HERE, voted: 1 }), false, false],
  ['no COMMIT yet', database({ ...HERE, prepared: null }), false, false],
  ['the COMMIT before the last', database({ ...HERE, prepared: 0 }), false, false],
  [
    'a later PREPARE, and no COMMIT yet',
    database({ ...HERE, voted: 3, prepared: null }),
    false,
    false,
  ],
  ['no vote yet, in a later view', database({ ...HERE, view: 4, voted: null }), false, false],
  // Its leader would sign a second NEW-VIEW.
  ['its view, before it was opened', database({ ...HERE, opened: null }), false, false],
  ['a lower batch', database({ ...HERE, height: 49 }), false, false],
  ['an earlier view', database({ ...HERE, view: 2 }), false, false],
  ['an earlier epoch', database({ ...HERE, epoch: 0 }), false, false],
  ['an earlier view and a higher batch', database({ ...HERE, view: 2, height: 99 }), false, false],
];

describe('LifeFile', () => {
  for (const [why, found, afterCrash, afterStop] of after) {
    it(`judges ${why}`, () =>
      withFolder(async (folder) => {
        const life = new LifeFile(join(folder, 'key.json'), A);
        await life.note(HERE);
        assert.equal((await life.objection(found, false)) === undefined, afterCrash);
        await life.seal(database(HERE));
        assert.equal((await life.objection(found, false)) === undefined, afterStop);
      }));
  }

  it('lets a new database begin, and no used one without what is remembered of it', () =>
    withFolder(async (folder) => {
      const life = new LifeFile(join(folder, 'key.json'), A);
      assert.equal(await life.objection(database(HERE), true), undefined);
      await assert.rejects(life.objection(database(HERE), false), ConfigError);
      await life.note(HERE);
      assert.equal(await life.objection(database(HERE), false), undefined);
      await rm(join(folder, 'key.json.life'));
      await assert.rejects(life.objection(database(HERE), false), /is gone/);
    }));

  it('knows which database it is about', () =>
    withFolder(async (folder) => {
      await new LifeFile(join(folder, 'key.json'), A).note(HERE);
      const other = new LifeFile(join(folder, 'key.json'), 'bb'.repeat(16));
      assert.match((await other.objection(database(HERE), false)) ?? '', /not the one/);
    }));

  it('is not read when it is damaged', () =>
    withFolder(async (folder) => {
      const life = new LifeFile(join(folder, 'key.json'), A);
      for (const text of ['', '{}', '{"format":"bftpkg-replica-life/v1"}', 'x'.repeat(2000)]) {
        await writeFile(join(folder, 'key.json.life'), text);
        await assert.rejects(life.objection(database(HERE), false), ConfigError, text);
      }
    }));

  it('is noted by a running replica as far as its database is, and sealed at the end', () =>
    withFolder(async (folder) => {
      const file = new LifeFile(join(folder, 'key.json'), A);
      let durable = database(HERE);
      await file.note(positionOf(durable));
      const store = { halted: undefined, consensusState: async () => durable };
      const life = new Life({ file, store, log: silentLog, intervalMs: 1 });
      const steps: readonly Position[] = [
        { ...HERE, height: 60 },
        // The last vote of a log that rests then: no batch, view or epoch comes after it.
        { ...HERE, height: 60, voted: 3 },
        { ...HERE, height: 60, voted: 3, prepared: 3 },
      ];
      for (const step of steps) {
        const before = durable;
        durable = database(step);
        // Bounded: a test that fails has to end.
        for (let i = 0; i < 5000; i++) {
          if ((await file.objection(before, false)) !== undefined) break;
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        assert.match((await file.objection(before, false)) ?? '', /old copy/);
      }
      durable = database({ ...HERE, height: 61 });
      await life.end();
      assert.equal(await file.objection(durable, false), undefined);
      assert.notEqual(await file.objection(database({ ...HERE, height: 62 }), false), undefined);
    }));

  it('is not sealed by a replica whose disk has failed', () =>
    withFolder(async (folder) => {
      const file = new LifeFile(join(folder, 'key.json'), A);
      await file.note(HERE);
      const store = { halted: new Error('disk'), consensusState: async () => database(HERE) };
      await new Life({ file, store, log: silentLog }).end();
      assert.equal(await file.objection(database({ ...HERE, height: 51 }), false), undefined);
    }));

  it('takes the vote from an old copy, for good, and from nobody else', () =>
    withFolder(async (folder) => {
      const file = new LifeFile(join(folder, 'key.json'), A);
      const voter = { kind: 'voter' as const, keys: generateKeys('r0') };
      let disowned = 0;
      const goOn = async (durable: DurableState, isEmpty: boolean): Promise<string> => {
        const suffrage = await goOnLiving(voter, file, durable, isEmpty, async () => {
          disowned += 1;
        });
        return suffrage.kind;
      };
      assert.equal(await goOn(database(HERE), true), 'voter');
      assert.equal(disowned, 0);
      // Noted: the next start knows. The copy must not come back when it has caught up.
      assert.equal(await goOn(database({ ...HERE, height: 49 }), false), 'observer');
      assert.equal(disowned, 1);
      assert.equal(await goOn(database(HERE), false), 'voter');
      assert.equal(disowned, 1);
    }));

  it('knows of a COMMIT that no promise came before', () => {
    // A replica's first signature in an epoch can be a COMMIT: it came late, and others had prepared.
    const { records, ...rest } = database({ ...HERE, prepared: 0 });
    const only = new Map([...records].filter(([name]) => name === 'prepared'));
    const nothing = { view: 0, opened: null, voted: null };
    assert.deepEqual(positionOf({ ...rest, records: only }), { ...HERE, ...nothing, prepared: 0 });
  });

  it('takes a promise of an epoch that is over for none', () => {
    const durable = database(HERE);
    const next = { ...durable, roster: { ...durable.roster, epoch: 2 } };
    const fresh = { opened: null, voted: null, prepared: null };
    assert.deepEqual(positionOf(next), { epoch: 2, view: 0, height: 50, ...fresh });
  });

  it('takes a vote for what is committed for none', () => {
    const durable = database(HERE);
    const { header } = database({ ...HERE, height: 51 }).committed;
    const next = { ...durable, committed: { header, certificate: undefined } };
    const fresh = { voted: null, prepared: null };
    assert.deepEqual(positionOf(next), { ...HERE, height: 51, ...fresh });
  });

  it('reads back what it notes', () => {
    assert.deepEqual(positionOf(database(HERE)), HERE);
  });
});
