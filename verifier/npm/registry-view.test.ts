import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonObject } from '../json.ts';
import { formatSri } from './integrity.ts';
import { makePackument } from './packument.ts';
import type { LoggedRelease } from './packument.ts';
import { parseRegistryPath } from './registry-path.ts';

describe('parseRegistryPath', () => {
  const paths: readonly [string, string | undefined][] = [
    ['left-pad', 'packument left-pad'],
    ['@scope%2fname', 'packument @scope/name'],
    ['@scope%2Fname', 'packument @scope/name'],
    ['%40scope%2fname', 'packument @scope/name'],
    ['@scope/name', 'packument @scope/name'],
    ['left-pad/-/left-pad-1.3.0.tgz', 'tarball left-pad 1.3.0'],
    ['@scope/name/-/name-1.0.0-rc.1.tgz', 'tarball @scope/name 1.0.0-rc.1'],
    ['@scope%2fname/-/name-1.0.0.tgz', 'tarball @scope/name 1.0.0'],
    ['', undefined],
    ['left-pad/', undefined],
    ['left-pad/1.3.0', undefined],
    ['left-pad/-/left-pad-1.3.0.tar', undefined],
    ['left-pad/-/other-1.3.0.tgz', undefined],
    ['left-pad/-/left-pad-1.3.tgz', undefined],
    ['left-pad/-/left-pad-01.3.0.tgz', undefined],
    ['left-pad/-/left-pad-1.3.0.tgz/-/left-pad-1.3.0.tgz', undefined],
    ['../etc/passwd', undefined],
    ['..%2fetc', undefined],
    ['@scope%252fname', undefined],
    ['Left-Pad', undefined],
    ['node_modules', undefined],
    ['-/npm/v1/keys', undefined],
    ['x'.repeat(2000), undefined],
  ];
  for (const [path, expected] of paths) {
    it(`reads ${JSON.stringify(path.slice(0, 40))}`, () => {
      const found = parseRegistryPath(path);
      const text =
        found === undefined
          ? undefined
          : found.kind === 'tarball'
            ? `tarball ${found.name} ${found.version}`
            : `packument ${found.name}`;
      assert.equal(text, expected);
    });
  }
});

function release(version: string, manifest: JsonObject, loggedAt: number): LoggedRelease {
  const name = '@scope/name';
  const sha512 = new Uint8Array(64).fill(loggedAt % 256);
  return { subject: { name, version, sha512, manifest }, loggedAt };
}

describe('makePackument', () => {
  const releases = [
    release(
      '1.10.0',
      { dependencies: { a: '^1.0.0' }, scripts: { install: 'x' }, hasInstallScript: true },
      20,
    ),
    release('1.2.0', { hasShrinkwrap: true }, 10),
  ];
  const source = { name: '@scope/name', latest: '1.10.0', releases };

  it('lists versions by precedence with what the maintainers signed', () => {
    const document = makePackument(source, 'http://r0/npm', 'full');
    const versions = document['versions'] as Record<string, JsonObject>;
    assert.deepEqual(Object.keys(versions), ['1.2.0', '1.10.0']);
    assert.deepEqual(versions['1.10.0'], {
      dependencies: { a: '^1.0.0' },
      hasInstallScript: true,
      scripts: { install: 'x' },
      _id: '@scope/name@1.10.0',
      name: '@scope/name',
      version: '1.10.0',
      dist: {
        integrity: formatSri(new Uint8Array(64).fill(20)),
        tarball: 'http://r0/npm/@scope/name/-/name-1.10.0.tgz',
      },
    });
    assert.equal(versions['1.2.0']?.['_hasShrinkwrap'], true);
    assert.deepEqual(document['dist-tags'], { latest: '1.10.0' });
    assert.deepEqual(document['time'], {
      created: '1970-01-01T00:00:10.000Z',
      modified: '1970-01-01T00:00:20.000Z',
      '1.2.0': '1970-01-01T00:00:10.000Z',
      '1.10.0': '1970-01-01T00:00:20.000Z',
    });
  });

  it('leaves scripts out of the short form, but not that there are some', () => {
    const document = makePackument(source, 'http://r0/npm', 'abbreviated');
    const version = (document['versions'] as Record<string, JsonObject>)['1.10.0'];
    assert.equal(version?.['scripts'], undefined);
    assert.equal(version?.['hasInstallScript'], true);
    assert.equal(document['_id'], undefined);
  });

  const tags: readonly [string, string | null, string][] = [
    ['a version that is not listed', '2.0.0', '1.10.0'],
    ['nothing', null, '1.10.0'],
    ['an older version', '1.2.0', '1.2.0'],
  ];
  for (const [why, latest, expected] of tags) {
    it(`never tags a missing version when latest stands for ${why}`, () => {
      const document = makePackument({ ...source, latest }, 'http://r0/npm', 'full');
      assert.deepEqual(document['dist-tags'], { latest: expected });
    });
  }

  it('tags no prerelease while something else is listed', () => {
    const versions = ['1.0.0', '2.0.0-rc.1'].map((version, i) => release(version, {}, i));
    const document = makePackument({ ...source, latest: null, releases: versions }, 'x', 'full');
    assert.deepEqual(document['dist-tags'], { latest: '1.0.0' });
    const only = { ...source, latest: null, releases: versions.slice(1) };
    assert.deepEqual(makePackument(only, 'x', 'full')['dist-tags'], { latest: '2.0.0-rc.1' });
  });

  it('lets no manifest replace name, version or dist', () => {
    const evil = release(
      '1.0.0',
      { name: 'other', version: '9.9.9', dist: { tarball: 'http://evil' } },
      1,
    );
    const document = makePackument({ ...source, releases: [evil] }, 'http://r0/npm', 'full');
    const version = (document['versions'] as Record<string, JsonObject>)['1.0.0'];
    assert.equal(version?.['name'], '@scope/name');
    assert.equal(version?.['version'], '1.0.0');
    assert.doesNotMatch(JSON.stringify(version), /evil/);
  });
});
