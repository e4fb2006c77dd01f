import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { CODES } from '../output/codes.ts';
import { EXIT_CODES } from '../output/exit-codes.ts';
import { makeStyle } from '../output/color.ts';
import { render } from '../output/render.ts';
import { TOPICS } from '../output/topics.ts';
import { explain, explainable } from './explain.ts';

const environment = (): { data: { here: boolean }; lines: string[] } => ({
  data: { here: true },
  lines: ['BFTPKG_X'],
});

function lines(what: string | undefined, list: boolean = false): string {
  return explain(what, list, environment).result?.lines.join('\n') ?? '';
}

describe('explain', () => {
  it('explains whatever it says that it explains', () => {
    const all = explainable();
    assert.equal(new Set(all).size, all.length);
    for (const what of all) assert.ok(lines(what).length > 5, what);
  });

  it('lists every code and topic', () => {
    const listed = lines(undefined, true);
    for (const what of explainable()) assert.ok(listed.includes(what), what);
    assert.equal(lines(undefined), listed);
  });

  for (const topic of [
    'exit-codes',
    'env',
    'json',
    'policy',
    'freeze',
    'split-view',
    'quorum',
    'files',
  ]) {
    it(`has the topic ${topic}`, () => {
      assert.ok(explainable().includes(topic));
      assert.equal(lines(topic.toUpperCase()), lines(topic), 'in capitals as well');
    });
  }

  it('names every exit code', () => {
    const table = lines('exit-codes');
    for (const { code, meaning } of EXIT_CODES) {
      assert.match(table, new RegExp(`^ *${code} `, 'm'));
      assert.ok(table.includes(meaning));
    }
  });

  it('takes a code in small letters', () => {
    assert.match(lines('bp1001'), /^BP1001: /);
  });

  for (const what of ['BP0000', 'constructor', '__proto__', '', 'freez']) {
    it(`does not make up an explanation of ${JSON.stringify(what)}`, () => {
      assert.throws(
        () => explain(what, false, environment),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9003',
      );
    });
  }

  it('folds prose to the terminal', async () => {
    const style = makeStyle(false, true);
    const options = { style, verbose: false, quiet: false, width: 60 };
    const facts = { version: '1.2.3', startedAtMs: 0, durationMs: 1 };
    for (const { name } of TOPICS) {
      const report = explain(name, false, environment);
      const { stdout } = await render('human', report, facts, options);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 60, line);
    }
  });
});

describe('TOPICS', () => {
  it('mentions only codes that there are', () => {
    const text = JSON.stringify(TOPICS);
    for (const [code] of text.matchAll(/BP[0-9]{4}/g)) assert.ok(Object.hasOwn(CODES, code), code);
  });
});
