import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { VerifyError } from '../verifier/errors.ts';
import { TemporaryPages } from '../verifier/node/temporary-pages.ts';
import { PAGE_BYTES } from '../verifier/paging/pages.ts';
import { EXIT } from './output/exit-codes.ts';
import { codeEntry } from './output/codes.ts';
import { diagnoseThrown } from './output/diagnose.ts';
import { cannotStart, machineTrouble, systemReason } from './system-reasons.ts';

function systemError(code: string, path?: string): Error {
  const error = new Error(`${code}: as Node says it`);
  return Object.assign(error, { code, syscall: 'open', ...(path === undefined ? {} : { path }) });
}

describe('systemReason', () => {
  const cases: readonly (readonly [string, unknown, string])[] = [
    ['says it in words', systemError('ENOSPC'), 'no space is left on the disk (ENOSPC)'],
    ['keeps a code without words', systemError('ENXIO'), 'ENXIO'],
    [
      'keeps what a parser of ours says, not its code',
      new VerifyError('ENCODING_MALFORMED', 'keys[0]: not hexadecimal'),
      'keys[0]: not hexadecimal',
    ],
    ['keeps the text of others', new Error('too large'), 'too large'],
    ['takes anything that was thrown', 'text', 'text'],
  ];
  for (const [why, thrown, expected] of cases) {
    it(why, () => assert.equal(systemReason(thrown), expected));
  }

  it('takes other words for what is not the system’s', () => {
    assert.equal(systemReason(new Error('secret'), 'cannot be read'), 'cannot be read');
  });
});

describe('machineTrouble', () => {
  it('is never called a bug of ours', () => {
    for (const code of ['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EMFILE', 'EIO']) {
      const [found] = diagnoseThrown(systemError(code, '/project/ev.json.0bd52056af80.tmp'));
      assert.equal(found?.code, 'BP9004', code);
      assert.equal(codeEntry(found.code).exit, EXIT.usage);
      assert.match(found.message, /^\/project\/ev\.json: /, 'people know no temporary names');
      assert.equal(found.hints.length, 1, code);
    }
  });

  it('is not what a missing file is, which a command should have expected', () => {
    assert.equal(machineTrouble(systemError('ENOENT')), undefined);
    assert.equal(diagnoseThrown(systemError('ENOENT'))[0]?.code, 'BP9999');
  });

  it('is a temporary file that could not be had, and where another may be', () => {
    const pages = new TemporaryPages('/nowhere/that/there/is', 4 * PAGE_BYTES);
    const space = pages.pool.space();
    const fill = (): void => {
      for (let page = 0; page < 5; page++) space.writeNumber(page * PAGE_BYTES, 1, page);
    };
    try {
      fill();
      assert.fail('there is room');
    } catch (error) {
      const [found] = diagnoseThrown(error);
      assert.equal(found?.code, 'BP9004', String(error));
      assert.equal(found.message, '/nowhere/that/there/is: no such file or folder (ENOENT)');
      assert.match(found.hints.join(), /TMPDIR/);
    }
  });

  it('needs an error of the system, not one with such a code', () => {
    assert.equal(
      machineTrouble(Object.assign(new Error('made up'), { code: 'EACCES' })),
      undefined,
    );
  });
});

describe('cannotStart', () => {
  it('says what to do about a program that is not there', () => {
    const { message, diagnostic } = cannotStart('pnpm', systemError('ENOENT'));
    assert.equal(message, 'pnpm cannot be started: no such program on PATH (ENOENT)');
    assert.deepEqual(diagnostic.hints, ['install pnpm, or put its folder on PATH']);
  });
});
