import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import {
  bunfigEdit,
  devEnginesEdit,
  npmrcEdit,
  scriptEdit,
  yarnrcEdit,
  type Edit,
} from './edits.ts';

const MANIFEST = '{\n  "name": "app", // ours\n  "version": "1.0.0"\n}\n';
const SCRIPTED = '{\n  "scripts": {\n    "preinstall": "make",\n    "test": "x"\n  }\n}\n';

describe('edits', () => {
  const rows: readonly (readonly [string, Edit, string | undefined, RegExp])[] = [
    [
      'a first script',
      scriptEdit('preinstall'),
      MANIFEST,
      /"preinstall": "node \.bftpkg\/hook\.cjs preinstall"/,
    ],
    ['a script in front', scriptEdit('preinstall'), SCRIPTED, /hook\.cjs preinstall && make"/],
    ['settings of npm', npmrcEdit(), undefined, /^allow-git=none$/m],
    [
      'settings beside others',
      npmrcEdit(),
      'save-exact=true',
      /^save-exact=true\n[^]*^allow-git=none$/m,
    ],
    [
      'a script with a colon',
      scriptEdit('pnpm:devPreinstall'),
      MANIFEST,
      /"pnpm:devPreinstall": "node \.bftpkg\/hook\.cjs pnpm:devPreinstall"/,
    ],
    ['a scanner', bunfigEdit(), undefined, /\[install\.security\]\nscanner = /],
    ['a scanner beside others', bunfigEdit(), '[test]\ncoverage = true\n', /coverage[^]*scanner/],
    [
      'a plugin',
      yarnrcEdit(),
      undefined,
      /^plugins:\n {2}- path: \.\/\.bftpkg\/yarn-plugin\.cjs\n$/,
    ],
    [
      'a plugin beside settings',
      yarnrcEdit(),
      'nodeLinker: node-modules\n',
      /^nodeLinker[^]*plugins:/,
    ],
    [
      'a plugin beside others',
      yarnrcEdit(),
      'plugins:\n    - path: ./a.cjs\nnodeLinker: pnp\n',
      /^plugins:\n {4}- path: \.\/\.bftpkg\/yarn-plugin\.cjs\n {4}- path: \.\/a\.cjs\n/,
    ],
    ['the version of npm', devEnginesEdit(), MANIFEST, /"devEngines": \{[^]*"onFail": "error"/],
  ];
  for (const [what, edit, before, expected] of rows) {
    it(`add ${what}, once, and take it out again`, () => {
      const after = edit.apply(before);
      assert.match(after, expected);
      assert.equal(edit.apply(after), after, 'a second time changes nothing');
      const removed = edit.remove(after);
      // A file that did not end with a line may end with one now.
      assert.equal(removed?.trimEnd(), before?.trimEnd());
    });
    it(`leave a file alone that has no ${what}`, () => {
      if (before !== undefined) assert.equal(edit.remove(before), before);
    });
  }

  it('replace an older version of themselves', () => {
    const edit = npmrcEdit();
    const old = edit.apply('a=b\n').replace('allow-git=none', 'allow-git=root');
    assert.equal(edit.apply(old), edit.apply('a=b\n'));
  });

  const byHand: readonly (readonly [string, Edit, string])[] = [
    ['another scanner', bunfigEdit(), '[install.security]\nscanner = "x"\n'],
    ['another scanner, inline', bunfigEdit(), '[install]\nsecurity = { scanner = "x" }\n'],
    ['plugins on one line', yarnrcEdit(), 'plugins: []\n'],
    [
      'another package manager',
      devEnginesEdit(),
      '{"devEngines":{"packageManager":{"name":"pnpm"}}}',
    ],
  ];
  for (const [why, edit, text] of byHand) {
    it(`ask for a hand with ${why}`, () => {
      assert.throws(() => edit.apply(text), CliError);
      assert.equal(edit.remove(text), text);
    });
  }
});
