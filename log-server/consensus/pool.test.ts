import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { utf8 } from '../../verifier/bytes.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { DEFAULT_LIMITS } from './defaults.ts';
import { NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { Request } from '../../verifier/replication/messages.ts';
import { Pool } from './pool.ts';

const named = (name: string): Request => ({ id: name, bytes: utf8(name) });
const texts = (requests: readonly Request[]): string =>
  requests.map(({ bytes }) => decodeUtf8(bytes)).join(' ');

function pool(change: object = {}): Pool {
  return new Pool('me', { ...DEFAULT_LIMITS, ...change }, NO_MUTANTS);
}

/** Fills lanes from "lane:a,b lane:c". */
function filled(lanes: string, change: object = {}): Pool {
  const filling = pool(change);
  for (const lane of lanes.split(' ')) {
    const [peer = '', names = ''] = lane.split(':');
    for (const name of names.split(',')) filling.add(peer, named(name));
  }
  return filling;
}

describe('Pool.draw', () => {
  const cases: readonly (readonly [string, string, number, string])[] = [
    ['takes one of each lane in turn', 'me:a,b,c x:1,2,3 y:7', 6, 'a 1 7 b 2 c'],
    ['does not let a flood push others out', 'x:1,2,3,4,5,6,7,8,9 me:a y:z', 4, 'a 1 z 2'],
    ['takes an id once', 'me:a,b x:a,c', 10, 'a c b'],
    ['stops at the limit', 'me:a,b,c', 2, 'a b'],
    ['finds nothing in empty lanes', 'me:', 5, ''],
  ];
  for (const [why, lanes, batchRequestsMax, expected] of cases) {
    it(why, () => {
      const waiting = filled(lanes, { batchRequestsMax });
      waiting.remove(['']);
      assert.equal(texts(waiting.draw()), expected);
    });
  }

  it('goes on with the lane after the last one served', () => {
    const waiting = filled('x:1,2,3 y:4,5,6 me:a,b,c', { batchRequestsMax: 2 });
    const first = waiting.draw();
    waiting.remove(first.map(({ id }) => id));
    const second = waiting.draw();
    waiting.remove(second.map(({ id }) => id));
    const third = waiting.draw();
    const served = [...first, ...second, ...third].map(({ id }) => id);
    // Six places for three lanes: two each, whoever begins.
    for (const lane of ['123', '456', 'abc']) {
      assert.equal(served.filter((id) => lane.includes(id)).length, 2, lane);
    }
  });

  it('keeps a lane its turn while others empty and fill', () => {
    // Places among the lanes that hold something now would begin with z twice, and pass y over.
    const waiting = filled('x:1 y:2 z:3,4', { batchRequestsMax: 1 });
    assert.equal(texts(waiting.draw()), '1');
    waiting.remove(['1']);
    assert.equal(texts(waiting.draw()), '2');
    waiting.add('x', named('5'));
    waiting.remove(['2']);
    assert.equal(texts(waiting.draw()), '3');
    waiting.remove(['3']);
    waiting.add('y', named('6'));
    assert.equal(texts(waiting.draw()), '5');
    waiting.remove(['5']);
    assert.equal(texts(waiting.draw()), '6');
  });

  it('goes on with a batch that is begun, and leaves out what is in another', () => {
    const waiting = filled('x:1,2,3 y:4,5,6', { batchRequestsMax: 4 });
    const [one, four] = [named('1'), named('4')];
    const begun = waiting.draw([], new Set(['1', '4']));
    assert.equal(texts(begun), '2 5 3 6');
    assert.equal(texts(waiting.draw([one], new Set(['2']))), '1 3 4 5');
    assert.equal(texts(waiting.draw([one, four, ...begun])), '1 4 2 5 3 6');
    assert.equal(texts(pool().draw([one])), '1');
  });

  it('gives a lane of large entries its share of the bytes, and what others leave', () => {
    const large = 'L'.repeat(40);
    const lanes = `x:1${large},2${large},3${large} me:a,b,c,d,e,f`;
    const limits = { batchRequestsMax: 20, batchBytesMax: 100 };
    // Without shares two large ones would come before the second small one.
    const first = filled(lanes, limits).draw();
    assert.equal(texts(first), `a 1${large} b c d e f 2${large}`);
    const tight = filled(lanes, { ...limits, batchRequestsMax: 4 }).draw();
    assert.equal(texts(tight), `a 1${large} b c`);
  });

  it('takes an entry that is larger than any share', () => {
    const waiting = filled(`x:${'L'.repeat(60)} y:${'M'.repeat(60)} me:a`, { batchBytesMax: 70 });
    assert.deepEqual(
      waiting.draw().map(({ bytes }) => bytes.length),
      [1, 60],
    );
  });

  it('stops at the bytes of a batch', () => {
    const waiting = filled('me:aaaa,bbbb,cccc', { batchBytesMax: 9 });
    assert.equal(texts(waiting.draw()), 'aaaa bbbb');
  });

  it('leaves what it draws in the pool until it is committed', () => {
    const waiting = filled('me:a x:b');
    assert.equal(texts(waiting.draw()), 'a b');
    assert.equal(waiting.draw().length, 2);
    assert.equal(waiting.size, 2);
  });
});

describe('Pool.add', () => {
  it('refuses what is there, what is one too many, and what is too large', () => {
    // A lane has room for what is on its way and for one batch more.
    const lanes = { laneRequestsMax: 1, batchRequestsMax: 1, laneBytesMax: 2, batchBytesMax: 1 };
    const waiting = pool({ ...lanes, poolRequestsMax: 3 });
    assert.equal(waiting.add('x', named('a')), true);
    assert.equal(waiting.add('x', named('a')), false, 'there already');
    assert.equal(waiting.add('x', named('long')), false, 'too many bytes');
    assert.equal(waiting.add('x', named('b')), true);
    assert.equal(waiting.add('x', named('c')), false, 'lane full');
    assert.equal(waiting.add('y', named('c')), true, 'another lane is not full');
    for (const name of ['c', 'd', 'e']) assert.equal(waiting.add('me', named(name)), true);
    assert.equal(waiting.add('me', named('f')), false, 'own lane full');
  });
});

describe('Pool.remove', () => {
  it('empties every lane and frees the room', () => {
    const waiting = filled('me:a,b x:a,c', { laneRequestsMax: 1, batchRequestsMax: 1 });
    assert.equal(waiting.room('x'), 0);
    waiting.remove(['a', 'unknown']);
    assert.equal(waiting.size, 2);
    assert.equal(waiting.has('a'), false);
    assert.equal(waiting.room('x'), 1);
    assert.deepEqual(
      waiting.sizes().map(({ requests, bytes }) => [requests, bytes]),
      [
        [1, 1],
        [1, 1],
      ],
    );
  });
});

describe('Pool.nextToForward', () => {
  const drain = (waiting: Pool): string => {
    const names: string[] = [];
    const take = (): Request | undefined => waiting.nextToForward(() => true);
    for (let next = take(); next !== undefined; next = take()) names.push(next.id);
    return names.join(' ');
  };

  it('lets relayed requests through beside a flood of own ones, each lane in order', () => {
    const waiting = filled('me:a,b,c,d x:1,2 y:7,8');
    const order = drain(waiting);
    assert.equal(order.split(' ').length, 8);
    for (const lane of ['abcd', '12', '78']) {
      assert.equal(order.replaceAll(' ', '').replace(new RegExp(`[^${lane}]`, 'g'), ''), lane);
    }
    assert.ok(order.indexOf('1') < order.indexOf('c'), 'relayed ones are not last');
    assert.ok(order.indexOf('7') < order.indexOf('d'), 'no relayed lane waits for the other');
  });

  it('keeps what the leader has no room for, and its turn', () => {
    const waiting = filled('me:long,b x:1');
    const short = ({ bytes }: Request): boolean => bytes.length < 4;
    assert.equal(waiting.nextToForward(short), undefined);
    assert.equal(waiting.nextToForward(short), undefined, 'nothing behind it overtakes');
    assert.equal(drain(waiting), 'long 1 b');
  });

  it('lets an own one by when the leader has no room for those of others, which keep their turn', () => {
    const waiting = filled('me:a,b,c x:1,2');
    const isOwn = ({ id }: Request): boolean => 'abc'.includes(id);
    const order = Array.from({ length: 4 }, () => waiting.nextToForward(isOwn)?.id);
    assert.deepEqual(order, ['a', 'b', 'c', undefined]);
    assert.equal(drain(waiting), '1 2');
  });

  it('hands each request on once per leader', () => {
    const waiting = filled('me:a,b x:1');
    drain(waiting);
    assert.equal(drain(waiting), '');
    waiting.remove(['a']);
    waiting.restartForwarding();
    assert.deepEqual(drain(waiting).split(' ').sort(), ['1', 'b']);
  });
});

describe('Pool.retain', () => {
  it('forgets the lanes of those who left, not what others hold too', () => {
    const waiting = filled('me:a x:a,b y:c');
    waiting.retain(new Set(['y']));
    assert.deepEqual(
      ['a', 'b', 'c'].map((id) => waiting.has(id)),
      [true, false, true],
    );
  });
});
