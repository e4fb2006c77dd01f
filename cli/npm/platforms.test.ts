import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readProjectFile } from '../../fixtures/tree.ts';
import { requireTriedPlatform } from './platforms.ts';

describe('requireTriedPlatform', () => {
  it('refuses Windows, and says what to do', () => {
    assert.throws(
      () => requireTriedPlatform('bftpkg ci', 'win32'),
      (error: { diagnostic?: { code?: string; hints?: readonly string[] } }) =>
        error.diagnostic?.code === 'BP9004' && /WSL/.test(error.diagnostic.hints?.join() ?? ''),
    );
  });

  it('lets the systems be on which package managers are like those that were tried', () => {
    for (const platform of ['linux', 'darwin', 'freebsd'] as const) {
      assert.doesNotThrow(() => requireTriedPlatform('bftpkg ci', platform));
    }
  });

  // By the text: nobody can be another platform for a test.
  it('is asked by everything that starts a package manager for a project', () => {
    const asked = ['cli/program/install.ts', 'cli/commands/proxy.ts'].flatMap((path) => {
      return [...readProjectFile(path).matchAll(/^ +requireTriedPlatform\('bftpkg (\w+)'\);$/gm)];
    });
    assert.deepEqual(
      asked.map(([, command]) => command),
      ['install', 'update', 'ci', 'proxy'],
    );
  });
});
