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
    ['--json help key generate', /^Usage: bftpkg key generate /],
    ['policy help except add', /^Usage: bftpkg policy except add /],
    ['verify --lockfile x --help', /^Usage: bftpkg verify /],
    ['help key help', /^Usage: bftpkg key /],
  ];
  for (const [line, expected] of found) {
    it(`is found by: ${line}`, async () => {
      const { code, out } = await type(line);
      assert.match(out, expected);
      assert.match(out, /Flags of every command .*: bftpkg help\n$/);
      assert.equal(code, 0);
    });
  }

  it('is that of the program for help of help, and the version is what it is', async () => {
    const shown = await type('help help');
    assert.deepEqual([shown.code, shown.err], [0, '']);
    assert.match(shown.out, /^Usage: bftpkg \[options\]/);
    for (const line of ['--version', '-V', '--json -V', '-qV']) {
      assert.deepEqual(await type(line), { code: 0, out: '0.0.0-test\n', err: '' }, line);
    }
  });

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
    // All of these showed a help, or the version, and ended with 0.
    ['verfy --help', /unknown command 'verfy'\n\(Did you mean verify\?\)/],
    ['-h verfy', /unknown command 'verfy'\n\(Did you mean verify\?\)/],
    ['verfy -qh', /unknown command 'verfy'\n\(Did you mean verify\?\)/],
    ['key generat --help', /unknown command 'generat'\n\(.* generate\?\)\n {2}next .* help key\n/],
    ['key help generat', /unknown command 'generat'\n\(.* generate\?\)\n {2}next .* help key\n/],
    ['verify --ofline --help', /unknown option '--ofline'\n {2}next {2}bftpkg help verify\n/],
    ['--ofline --help', /unknown option '--ofline'\n {2}next {2}bftpkg help\n/],
    ['verify -V', /--version goes alone: nothing would be done of 'verify'\n/],
    ['-qV verify', /--version goes alone: nothing would be done of 'verify'\n/],
    ['verfy --version', /--version goes alone: nothing would be done of 'verfy'\n/],
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
