// README's session with a dependency that was tampered with, word for word: what a user sees is made here and
// compared with what the document shows.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { integrityOf, makeTarball } from '../../fixtures/tarballs/generator.ts';
import { readProjectFile } from '../../fixtures/tree.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { EXIT } from '../output/exit-codes.ts';

/** `sha512-` and what is shown of the digest in front. */
const DIGEST_SHOWN = 14;
const COMMAND = '$ bftpkg ci';

/** The block of README that begins with the command. */
function shown(): string {
  const [, block] = readProjectFile('README.md').split(`\`\`\`\n${COMMAND}\n`);
  assert.ok(block !== undefined, 'README shows it');
  return block.slice(0, block.indexOf('```'));
}

describe('README', () => {
  it('shows what is seen when a dependency was tampered with', async () => {
    const fake = await FakeLog.start();
    try {
      const parse = { name: '@acme/parse', version: '2.4.1' };
      const sha512 = await fake.publish(parse);
      const cli = await fake.publish({
        name: '@acme/cli',
        version: '5.0.2',
        packageJson: { dependencies: { '@acme/parse': '^2.4.0' } },
      });
      await fake.lock([
        {
          name: '@acme/cli',
          version: '5.0.2',
          sha512: cli,
          fields: { dependencies: { '@acme/parse': '^2.4.0' } },
        },
      ]);
      const path = join(fake.project, 'package-lock.json');
      const lock = JSON.parse(await readFile(path, 'utf8')) as {
        packages: Record<string, unknown>;
      };
      lock.packages['node_modules/@acme/parse'] = {
        version: '2.4.1',
        integrity: formatSri(sha512),
      };
      await writeFile(path, JSON.stringify(lock, null, 2));
      const evil = makeTarball({ ...parse, files: { 'index.js': 'steal()\n' } });
      // So that all of them sent the same, whoever is asked first.
      for (const replica of fake.replicas) {
        replica.misbehave = ({ path }, response) => {
          if (path !== `/v1/artifacts/${encodeHex(sha512)}`) return false;
          response.end(Buffer.from(evil));
          return true;
        };
      }
      const { code, stdout, stderr } = await fake.run(['ci']);
      assert.equal(code, EXIT.tampered, stdout + stderr);
      assert.equal(existsSync(join(fake.project, 'node_modules')), false);
      for (const bytes of [formatSri(sha512), integrityOf(evil)]) {
        assert.ok(stdout.includes(bytes.slice(0, DIGEST_SHOWN)), `${bytes} in ${stdout}`);
      }
      assert.equal(anywhere(stdout, fake), shown());
    } finally {
      await fake.stop();
    }
  });
});

/** Without what differs from machine to machine and from run to run. */
function anywhere(text: string, { replicas, home }: FakeLog): string {
  const named = replicas.reduce((all, { url }) => all.replaceAll(url, 'https://r0.example'), text);
  return (
    named
      .replaceAll(`${home}/project`, '~/app')
      .replace('0.0.0-test', '0.1.0')
      // Tarballs of tests differ with the version of zlib.
      .replace(/(logged +)sha512-\S+/, '$1sha512-fVVYAGJ…lA==')
      .replace(/(served +)sha512-\S+/, '$1sha512-gaftTV1…ww==')
      .replaceAll(/in [0-9.]+s/g, 'in 0.2s')
      .replaceAll(/[0-9]+s old/g, '14s old')
  );
}
