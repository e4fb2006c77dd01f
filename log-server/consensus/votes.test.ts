import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { SignedVote } from '../../verifier/replication/certificates.ts';
import { ZERO_DIGEST } from '../../verifier/replication/encode.ts';
import { VoteBook } from './votes.ts';

// "<signer><digest>@<view>/<height>", both 0/1 when left out.
function vote(short: string): SignedVote {
  const [who = '', where = '0/1'] = short.split('@');
  const [view = '0', height = '1'] = where.split('/');
  return {
    vote: {
      epoch: 0,
      view: Number(view),
      nv: ZERO_DIGEST,
      height: Number(height),
      digest: (who[1] ?? 'a').repeat(64),
    },
    signer: Number(who[0]),
    signature: new Uint8Array(64),
  };
}

function storeAll(book: VoteBook, votes: string): string {
  return votes
    .split(' ')
    .map((short) => {
      const placement = book.store('prepare', vote(short));
      return placement.kind === 'useless' ? placement.reason : placement.kind;
    })
    .join(' ');
}

describe('VoteBook', () => {
  // In view 2, deciding height 5.
  const cases: readonly (readonly [string, string, string])[] = [
    ['takes votes of different members', '0a@2/5 1a@2/5 2b@2/5', 'stored stored stored'],
    ['counts a member once', '0a@2/5 0a@2/5', 'stored duplicate'],
    ['notices a second digest', '0a@2/5 0b@2/5', 'stored conflict'],
    ['keeps the next height apart', '0a@2/5 0b@2/6', 'stored stored'],
    ['notices a second digest at the next height', '0a@2/6 0b@2/6', 'stored conflict'],
    ['refuses old views and heights', '0a@1/5 0a@2/4', 'old-view old-height'],
    ['refuses heights far ahead', '0a@2/7 0a@2/1000', 'far-height far-height'],
    ['keeps one future view, the highest', '0a@3/5 0a@9/5 0a@4/5', 'stored stored slot-taken'],
    ['notices a second digest in the future', '0a@3/5 0b@3/5', 'stored conflict'],
    ['refuses an old height in a future view', '0a@3/4', 'old-height'],
  ];
  for (const [why, votes, outcomes] of cases) {
    it(why, () => {
      const book = new VoteBook(4, 2, 5);
      assert.equal(storeAll(book, votes), outcomes);
    });
  }

  const names = (book: VoteBook): string =>
    book
      .current('prepare')
      .map(({ signer, vote: { digest } }) => `${signer}${digest[0]}`)
      .join(' ');

  it('keeps PREPAREs and COMMITs apart', () => {
    const book = new VoteBook(4, 2, 5);
    book.store('commit', vote('0a@2/5'));
    assert.equal(names(book), '');
    assert.equal(book.current('commit').length, 1);
  });

  it('brings the votes of the next height forward (N10)', () => {
    const book = new VoteBook(4, 2, 5);
    storeAll(book, '0a@2/5 1a@2/6 2b@2/6 3c@3/6');
    book.moveTo(2, 6);
    assert.equal(names(book), '1a 2b');
  });

  it('brings the votes of a future view forward when it is entered', () => {
    const book = new VoteBook(4, 2, 5);
    storeAll(book, '0a@2/5 1a@3/5 2b@3/6 3c@4/5');
    book.moveTo(3, 5);
    assert.equal(names(book), '1a');
    book.moveTo(3, 6);
    assert.equal(names(book), '2b');
  });

  it('remembers the vote of the view that was left until the height is decided', () => {
    const book = new VoteBook(4, 2, 5);
    storeAll(book, '0a@2/5');
    book.moveTo(3, 5);
    book.moveTo(4, 5);
    assert.equal(book.past('prepare', 0)?.vote.view, 2);
    book.moveTo(4, 6);
    assert.equal(book.past('prepare', 0), undefined);
  });
});
