// What somebody sees who does not know the program yet: by the program itself, as it is typed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { runCli } from '../run.ts';

interface Shown {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function type(line: string): Promise<Shown> {
  let [out, err] = ['', ''];
  const terminal = {
    writeOut: (text: string) => void (out += text),
    writeErr: (text: string) => void (err += text),
    outIsTty: false,
    errIsTty: false,
    ask: undefined,
  };
  const argv = line === '' ? [] : line.split(' ');
  const code = await runCli(argv, '0.0.0-test', { env: {}, terminal });
  return { code, out, err };
}

describe('help', () => {
  it('begins with the commands, and has the flags behind them', async () => {
    for (const [line, where] of [
      ['help', 'out'],
      ['--help', 'out'],
      ['', 'err'],
    ] as const) {
      const shown = await type(line);
      const text = shown[where];
      const places = ['Usage:', 'For users of packages:', '  init ', '  verify ', 'Options:'].map(
        (each) => text.indexOf(each),
      );
      assert.deepEqual(
        places,
        places.toSorted((a, b) => a - b),
        text,
      );
      assert.ok(!places.includes(-1), text);
      assert.match(text, /bftpkg help <command> has examples/);
      assert.equal(shown.code, line === '' ? 2 : 0);
    }
  });

  const found: readonly (readonly [string, RegExp])[] = [
    ['help verify', /^Usage: bftpkg verify /],
    ['help key generate', /^Usage: bftpkg key generate /],
    ['help policy except add', /^Usage: bftpkg policy except add /],
    ['help add', /^Usage: bftpkg install\|add /],
    ['help verify whatever', /^Usage: bftpkg verify /],
    ['key help generate', /^Usage: bftpkg key generate /],
  ];
  for (const [line, expected] of found) {
    it(`is found by: ${line}`, async () => {
      const { code, out } = await type(line);
      assert.match(out, expected);
      assert.match(out, /Flags of every command .*: bftpkg help\n$/);
      assert.equal(code, 0);
    });
  }

  // Each was the whole list of commands, or an error without a next step.
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['help verfy', /unknown command 'verfy'\n\(Did you mean verify\?\)\n {2}next {2}bftpkg help\n/],
    [
      'help key generat',
      /unknown command 'generat'\n\(.* generate\?\)\n {2}next {2}bftpkg help key\n/,
    ],
    ['verfy', /unknown command 'verfy'\n\(Did you mean verify\?\)\n {2}next {2}bftpkg help\n/],
    [
      'verify --ofline',
      /unknown option '--ofline'\n\(.* --offline\?\)\n {2}next {2}bftpkg help verify\n/,
    ],
    ['completion', /missing required argument 'shell'\n {2}next {2}bftpkg help completion\n/],
  ];
  for (const [line, expected] of wrong) {
    it(`says what is wrong, and where it stands: ${line}`, async () => {
      const { code, out, err } = await type(line);
      assert.match(err, expected);
      assert.deepEqual([code, out], [2, '']);
    });
  }
});
