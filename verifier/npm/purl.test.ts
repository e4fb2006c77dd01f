import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { packagePurl, parsePurl, releasePurl } from './purl.ts';

describe('parsePurl', () => {
  const rows: readonly [string, string, string | undefined][] = [
    ['pkg:npm/left-pad', 'left-pad', undefined],
    ['pkg:npm/left-pad@1.3.0', 'left-pad', '1.3.0'],
    ['pkg:npm/%40scope/name', '@scope/name', undefined],
    ['pkg:npm/%40scope/name@1.0.0-rc.1', '@scope/name', '1.0.0-rc.1'],
  ];
  for (const [text, name, version] of rows) {
    it(`reads and writes ${text}`, () => {
      if (version === undefined) {
        assert.deepEqual(parsePurl(text), { kind: 'package', name });
        assert.equal(packagePurl(name), text);
      } else {
        assert.deepEqual(parsePurl(text), { kind: 'release', name, version });
        assert.equal(releasePurl(name, version), text);
      }
    });
  }

  const refused: readonly [string, string, string][] = [
    ['nothing', '', 'PACKAGE_NAME_INVALID'],
    ['a bare name', 'left-pad', 'PACKAGE_NAME_INVALID'],
    ['another type', 'pkg:pypi/left-pad', 'PACKAGE_NAME_INVALID'],
    ['another spelling of the scheme', 'PKG:npm/left-pad', 'PACKAGE_NAME_INVALID'],
    ['another spelling of the type', 'pkg:NPM/left-pad', 'PACKAGE_NAME_INVALID'],
    ['slashes after the scheme', 'pkg://npm/left-pad', 'PACKAGE_NAME_INVALID'],
    ['a scope that is not escaped', 'pkg:npm/@scope/name', 'PACKAGE_NAME_INVALID'],
    ['a scope that is not escaped, and a version', 'pkg:npm/@a/b@1.0.0', 'PACKAGE_NAME_INVALID'],
    ['an escape that is not needed', 'pkg:npm/left%2Dpad', 'PACKAGE_NAME_INVALID'],
    ['an escaped slash', 'pkg:npm/%40scope%2Fname', 'PACKAGE_NAME_INVALID'],
    ['a scope escaped twice', 'pkg:npm/%2540scope/name', 'PACKAGE_NAME_INVALID'],
    ['an escaped @ before the version', 'pkg:npm/left-pad%401.3.0', 'PACKAGE_NAME_INVALID'],
    ['a capital letter', 'pkg:npm/Left-pad', 'PACKAGE_NAME_INVALID'],
    ['a trailing slash', 'pkg:npm/left-pad/', 'PACKAGE_NAME_INVALID'],
    ['an empty version', 'pkg:npm/left-pad@', 'VERSION_INVALID'],
    ['two versions', 'pkg:npm/left-pad@1.0.0@1.0.0', 'VERSION_INVALID'],
    ['build metadata', 'pkg:npm/left-pad@1.0.0%2Bb', 'VERSION_INVALID'],
    ['an escape in the version', 'pkg:npm/left-pad@1.0.0%2Drc', 'VERSION_INVALID'],
    ['qualifiers', 'pkg:npm/left-pad@1.0.0?x=y', 'VERSION_INVALID'],
    ['a subpath', 'pkg:npm/left-pad@1.0.0#x', 'VERSION_INVALID'],
    ['a newline', 'pkg:npm/left-pad@1.0.0\n', 'VERSION_INVALID'],
    ['far too much', `pkg:npm/${'a'.repeat(100_000)}`, 'PACKAGE_NAME_INVALID'],
  ];
  for (const [why, text, code] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parsePurl(text), { code });
    });
  }

  it('refuses every proper beginning that ends inside a name or version it cannot read', () => {
    const text = 'pkg:npm/%40s/n@1.2.3';
    for (let end = 0; end < text.length; end++) {
      const cut = text.slice(0, end);
      if (cut === 'pkg:npm/%40s/n') continue;
      assert.throws(() => parsePurl(cut), { name: 'VerifyError' }, cut);
    }
  });
});

describe('packagePurl and releasePurl', () => {
  it('refuse what they could not read back', () => {
    assert.throws(() => packagePurl('a/b'), { code: 'PACKAGE_NAME_INVALID' });
    assert.throws(() => packagePurl('%40a/b'), { code: 'PACKAGE_NAME_INVALID' });
    assert.throws(() => releasePurl('a', '1.0'), { code: 'VERSION_INVALID' });
    assert.throws(() => releasePurl('a@1.0.0', '1.0.0'), { code: 'PACKAGE_NAME_INVALID' });
  });
});
