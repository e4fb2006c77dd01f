import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';
import { Parser } from 'tar';

import { compress, makeTarball, packageEntries } from '../../fixtures/tarballs/generator.ts';
import { HOSTILE_PACKAGE, HOSTILE_TARBALLS } from '../../fixtures/tarballs/hostile.ts';
import {
  endBlocks,
  joinArchive,
  longNameEntry,
  paxEntry,
  tarEntry,
} from '../../fixtures/tarballs/tar-writer.ts';
import type { EntrySpec } from '../../fixtures/tarballs/tar-writer.ts';
import { VerifyError } from '../errors.ts';
import { gunzip } from '../node/gunzip.ts';
import { describeFinding } from './findings.ts';
import { ENTRIES_MAX, EXTENDED_HEADER_BYTES_MAX, TARBALL_BYTES_MAX } from './limits.ts';
import { checkTarball } from './tarball.ts';
import type { ArchiveListing } from './tarball.ts';

const expected = { ...HOSTILE_PACKAGE, manifest: {} };
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

describe('checkTarball', () => {
  it('lists files, and says where their bytes are', async () => {
    const tarball = makeTarball({
      name: '@s/a',
      version: '1.0.0',
      packageJson: { bin: './cli.js', dependencies: { b: '1' } },
      files: {
        'cli.js': '#!/usr/bin/env node\n',
        'lib/empty': '',
        'lib/x.bin': new Uint8Array(600),
      },
      executable: ['cli.js'],
    });
    const listing = await checkTarball(tarball, gunzip);
    assert.deepEqual(
      listing.files.map(({ path, size, executable }) => [path, size, executable]),
      [
        ['package.json', listing.packageJson.length, false],
        ['index.js', 31, false],
        ['cli.js', 20, true],
        ['lib/empty', 0, false],
        ['lib/x.bin', 600, false],
      ],
    );
    const cli = listing.files[2];
    assert.ok(cli !== undefined);
    const content = listing.archive.subarray(cli.offset, cli.offset + cli.size);
    assert.equal(text(content), '#!/usr/bin/env node\n');
    assert.equal(listing.root, 'package');
    assert.equal(listing.name, '@s/a');
    assert.equal(listing.version, '1.0.0');
    assert.deepEqual(listing.manifest, { bin: { a: 'cli.js' }, dependencies: { b: '1' } });
    assert.deepEqual(listing.findings, []);
  });

  it('accepts the package that the hostile ones pretend to be', async () => {
    await checkTarball(makeTarball(HOSTILE_PACKAGE), gunzip, expected);
  });

  // Ways of writing an archive that are in use and mean one thing to everybody.
  const accepted: readonly [string, readonly Uint8Array[], readonly string[]][] = [
    [
      'another name of the root folder',
      packageEntries({ name: 'a', version: '1.0.0', root: 'node-a' }),
      [],
    ],
    [
      'folders',
      [
        tarEntry({ path: 'package/', type: '5', mode: 0o755 }),
        tarEntry({ path: 'package/b', type: '5' }),
      ],
      [],
    ],
    [
      'a folder before its file',
      [tarEntry({ path: 'package/lib/', type: '5' }), tarEntry({ path: 'package/lib/a' })],
      ['lib/a'],
    ],
    [
      'a folder after its file',
      [tarEntry({ path: 'package/lib/a' }), tarEntry({ path: 'package/lib/', type: '5' })],
      ['lib/a'],
    ],
    [
      'a prefix',
      [tarEntry({ path: 'a.js', prefix: `package/${'x'.repeat(100)}` })],
      [`${'x'.repeat(100)}/a.js`],
    ],
    [
      'a prefix of full length',
      [tarEntry({ path: 'a.js', prefix: `package/${'x'.repeat(147)}` })],
      [`${'x'.repeat(147)}/a.js`],
    ],
    [
      'times behind a short prefix',
      [tarEntry({ path: 'a.js', prefix: starPrefix('package/lib') })],
      ['lib/a.js'],
    ],
    ['a name of full length', [tarEntry({ path: `package/${'x'.repeat(92)}` })], ['x'.repeat(92)]],
    [
      'a path in PAX',
      [
        paxEntry([
          ['path', `package/é/${'x'.repeat(200)}`],
          ['mtime', '1.5'],
        ]),
        tarEntry({ path: 'package/x' }),
      ],
      [`é/${'x'.repeat(200)}`],
    ],
    [
      'the same size in PAX',
      [paxEntry([['size', '3']]), tarEntry({ path: 'package/x', content: 'abc' })],
      ['x'],
    ],
    [
      'attributes of macOS',
      [
        paxEntry([['LIBARCHIVE.xattr.com.apple.quarantine', 'eA']]),
        tarEntry({ path: 'package/x' }),
      ],
      ['x'],
    ],
    [
      'a long name of GNU',
      [
        longNameEntry(`package/${'x'.repeat(200)}`),
        tarEntry({ path: 'package/x', magic: 'ustar  \0' }),
      ],
      ['x'.repeat(200)],
    ],
    ['headers from before ustar', [tarEntry({ path: 'package/x', magic: '', type: '\0' })], ['x']],
    [
      'a mode with the kind of file in it',
      [tarEntry({ path: 'package/x', mode: 0o100755 })],
      ['x'],
    ],
    [
      'a large owner',
      [tarEntry({ path: 'package/x', gid: Uint8Array.of(128, 0, 0, 0, 127, 1, 2, 3) })],
      ['x'],
    ],
    ['no owner', [tarEntry({ path: 'package/x', gid: new Uint8Array(8) })], ['x']],
    ['many zeros at the end', [tarEntry({ path: 'package/x' }), endBlocks(18)], ['x']],
    [
      'scripts of the world',
      [tarEntry({ path: 'package/日本語 ñ Привет 🎉.md' })],
      ['日本語 ñ Привет 🎉.md'],
    ],
    ['a hidden folder', [tarEntry({ path: 'package/.github/..x' })], ['.github/..x']],
    [
      'installed packages of a test',
      [tarEntry({ path: 'package/test/node_modules/a/index.js' })],
      ['test/node_modules/a/index.js'],
    ],
  ];
  for (const [why, entries, files] of accepted) {
    it(`accepts ${why}`, async () => {
      const root = why.startsWith('another name') ? 'node-a' : 'package';
      const base = root === 'node-a' ? [] : packageEntries(HOSTILE_PACKAGE);
      const listing = await checkTarball(
        compress(joinArchive([...base, ...entries, endBlocks()])),
        gunzip,
      );
      assert.equal(listing.root, root);
      await assertSameToNodeTar(listing);
      assert.deepEqual(
        listing.files.slice(2).map(({ path }) => path),
        files,
      );
    });
  }

  it('refuses every hostile tarball for its flaw', async (t) => {
    assert.ok(HOSTILE_TARBALLS.length >= 80);
    for (const { name, bytes, code, reason } of HOSTILE_TARBALLS) {
      await t.test(`refuses ${name}`, async () => {
        await assert.rejects(async () => checkTarball(bytes(), gunzip, expected), {
          name: 'VerifyError',
          code,
          message: reason,
        });
      });
    }
  });

  it('refuses an archive that is cut short at any block', async () => {
    const archive = joinArchive([
      ...packageEntries(HOSTILE_PACKAGE),
      paxEntry([['path', 'package/b.js']]),
      tarEntry({ path: 'package/x', content: 'x'.repeat(1500) }),
      endBlocks(),
    ]);
    assert.equal((await checkTarball(compress(archive), gunzip)).files.length, 3);
    for (let end = 0; end < archive.length; end += 512) {
      const cut = compress(archive.subarray(0, end));
      await assert.rejects(
        async () => checkTarball(cut, gunzip),
        { code: 'ARCHIVE_UNSAFE' },
        `${end}`,
      );
    }
  });

  // Each just over its limit, and the same just within it.
  const limits: readonly [string, (over: number) => Uint8Array[], RegExp][] = [
    [
      'entries',
      (over) => {
        const folder = tarEntry({ path: 'package/', type: '5' });
        return Array.from({ length: ENTRIES_MAX - 2 + over }, () => folder);
      },
      /more than 200000 entries/,
    ],
    [
      'the depth of a path',
      (over) => [longNameEntry(`package/${'a/'.repeat(62 + over)}b`), tarEntry({ path: 'x' })],
      /more than 64 folders/,
    ],
    [
      'the bytes of a path',
      (over) => [
        longNameEntry(`package/${'é'.repeat(506)}${'x'.repeat(4 + over)}`),
        tarEntry({ path: 'x' }),
      ],
      /more than 1024 bytes/,
    ],
    [
      'the bytes of an extended header',
      (over) => [
        // "1048576 comment=" and a newline are the rest of 1 MiB.
        paxEntry([['comment', 'x'.repeat(EXTENDED_HEADER_BYTES_MAX - 17 + over)]]),
        tarEntry({ path: 'package/x' }),
      ],
      /huge extended header/,
    ],
  ];
  for (const [what, entries, reason] of limits) {
    it(`bounds ${what}`, async () => {
      const check = async (over: number): Promise<ArchiveListing> => {
        const parts = [...packageEntries(HOSTILE_PACKAGE), ...entries(over), endBlocks()];
        return checkTarball(joinArchive(parts), (bytes) => bytes);
      };
      await check(0);
      await assert.rejects(async () => check(1), { code: 'ARCHIVE_UNSAFE', message: reason });
    });
  }

  it('bounds the tarball before it asks to decompress it', async () => {
    const never = (): Uint8Array => assert.fail('asked to decompress');
    // Zeros that nobody touches cost no memory.
    const tarball = new Uint8Array(TARBALL_BYTES_MAX + 1);
    await assert.rejects(async () => checkTarball(tarball, never), { code: 'ARCHIVE_UNSAFE' });
  });

  it('finds what runs or steers by itself', async () => {
    const tarball = makeTarball({
      name: 'a',
      version: '1.0.0',
      packageJson: {
        scripts: { postinstall: 'node x\u001b', test: 'y' },
        dependencies: { b: '1' },
        bundledDependencies: ['b'],
      },
      files: {
        'binding.gyp': '{}',
        '.npmrc': '',
        'npm-shrinkwrap.json': '{}',
        'node_modules/b/index.js': '',
        'node_modules/@s/c/index.js': '',
        'node_modules/@s/c/.npmrc': '',
      },
    });
    const { findings, manifest } = await checkTarball(tarball, gunzip);
    assert.deepEqual(findings, [
      { kind: 'bundled-package', name: '@s/c', listed: false },
      { kind: 'bundled-package', name: 'b', listed: true },
      { kind: 'install-script', name: 'install', detail: 'node-gyp rebuild' },
      { kind: 'install-script', name: 'postinstall', detail: 'node x\u001b' },
      { kind: 'native-build', path: 'binding.gyp' },
      { kind: 'npm-settings', path: '.npmrc' },
      { kind: 'npm-settings', path: 'node_modules/@s/c/.npmrc' },
      { kind: 'shrinkwrap', path: 'npm-shrinkwrap.json' },
    ]);
    assert.equal(manifest['hasShrinkwrap'], true);
    for (const finding of findings) assert.doesNotMatch(describeFinding(finding), /\p{Cc}/u);
  });

  it('passes a failure of the machine on, which says nothing about the tarball', async () => {
    const failure = new RangeError('out of memory');
    const failing = async (): Promise<Uint8Array> => Promise.reject(failure);
    await assert.rejects(async () => checkTarball(makeTarball(HOSTILE_PACKAGE), failing), failure);
  });

  it('bounds what the port may give out before it is asked', async () => {
    const tarball = makeTarball(HOSTILE_PACKAGE);
    let asked = 0;
    await checkTarball(tarball, async (bytes, outputBytesMax) => {
      asked = outputBytesMax;
      return gunzip(bytes, outputBytesMax);
    });
    assert.equal(asked, 1024 * 1024);
  });

  it('refuses or reads as node-tar does, whatever bytes are changed', async () => {
    const archive = joinArchive([
      ...packageEntries(HOSTILE_PACKAGE),
      paxEntry([
        ['path', 'package/lib/é.js'],
        ['size', '3'],
      ]),
      tarEntry({ path: 'package/x', content: 'abc' }),
      longNameEntry('package/lib/long.js'),
      tarEntry({ path: 'package/y', magic: 'ustar  \0', content: 'abc' }),
      endBlocks(),
    ]);
    const change = fc.tuple(
      fc.nat({ max: archive.length - 1 }),
      fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 0x20, 0x2f, 0x30, 0x37, 0x80, 0xff)),
    );
    let refused = 0;
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (changes, fixChecksums) => {
          const mutant = archive.slice();
          for (const [at, byte] of changes) mutant[at] = byte;
          if (fixChecksums) for (const [at] of changes) mendChecksum(mutant, at);
          let listing: ArchiveListing;
          try {
            listing = await checkTarball(mutant, (bytes) => bytes, expected);
          } catch (error) {
            assert.ok(error instanceof VerifyError, String(error));
            refused++;
            return;
          }
          accepted++;
          await assertSameToNodeTar(listing);
        },
      ),
      { numRuns: 3000, seed: 7 },
    );
    assert.ok(
      refused > 500 && accepted > 500,
      `${refused} refused, ${accepted} accepted: the property looks at nothing`,
    );
  });

  it('refuses or reads as node-tar does, whatever odd entries there are', async () => {
    const path = fc.constantFrom(
      'package/a',
      'package/b',
      'package/lib/c',
      'package/',
      'package/d/',
      'package/é',
      '',
      'package/a/../e',
      './package/f',
      'package/g\0h',
      'h',
      '/i',
      'package/j\nk',
    );
    const content = fc.constantFrom('', 'abc', 'x'.repeat(512), 'y'.repeat(700));
    const record = fc.tuple(
      fc.constantFrom('path', 'path', 'size', 'mtime', 'uid', 'comment', 'charset', 'mode', 'type'),
      fc.oneof(path, fc.constantFrom('3', '0', '512', '-1', '1.5', '1e2', '0x10', 'x=y', ' 3')),
    );
    const plain: fc.Arbitrary<EntrySpec> = fc.record(
      {
        path,
        content,
        type: fc.constantFrom('0', '0', '0', '\0', '5', '7', '1', 'x', 'L', 'g', ' '),
        mode: fc.constantFrom(0o644, 0o755, 0o100_644, 0o4755, 0o7, 0),
        size: fc.constantFrom('3', '  3 \0', '00000000003 ', '000000000003', '3\x003', '0', '3x'),
        magic: fc.constantFrom('ustar\u000000', 'ustar  \0', 'ustar\0  ', '', 'ustar\0'),
        prefix: fc.constantFrom('', 'package', 'package/lib', 'x'.repeat(155), 'package\0lib'),
        gid: fc.constantFrom('', '   7 \0', '0000007\0', 'zzz', '-1'),
        linkName: fc.constantFrom('', '', '', 'package/a'),
      },
      { requiredKeys: ['path'] },
    );
    const entry = fc.oneof(
      plain.map(tarEntry),
      fc.tuple(path, content).map(([path, content]) => tarEntry({ path, content })),
      fc.array(record, { maxLength: 2 }).map((records) => paxEntry(records)),
      path.map(longNameEntry),
    );
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { maxLength: 3 }), async (entries) => {
        const archive = joinArchive([...packageEntries(HOSTILE_PACKAGE), ...entries, endBlocks()]);
        let listing: ArchiveListing;
        try {
          listing = await checkTarball(archive, (bytes) => bytes);
        } catch (error) {
          assert.ok(error instanceof VerifyError, String(error));
          return;
        }
        if (listing.files.length > 2) accepted++;
        await assertSameToNodeTar(listing);
      }),
      { numRuns: 3000, seed: 8 },
    );
    assert.ok(accepted > 50, `${accepted} accepted: the property looks at nothing`);
  });

  it('accepts or refuses, and does nothing else, whatever gzip byte is changed', async () => {
    const tarball = makeTarball(HOSTILE_PACKAGE);
    for (let at = 0; at < tarball.length; at++) {
      const mutant = tarball.map((byte, i) => (i === at ? byte ^ 0x11 : byte));
      try {
        await checkTarball(mutant, gunzip, expected);
      } catch (error) {
        assert.ok(error instanceof VerifyError, `byte ${at}: ${String(error)}`);
      }
      await assert.rejects(async () => checkTarball(tarball.subarray(0, at), gunzip), {
        code: 'ARCHIVE_UNSAFE',
      });
    }
  });

  // What people's own npm makes of packages that are here anyway.
  for (const name of ['semver', 'commander', 'hono']) {
    it(`accepts ${name} as npm packs it`, async () => {
      const folder = join(import.meta.dirname, '../../node_modules', name);
      const target = mkdtempSync(join(tmpdir(), 'bftpkg-pack-'));
      try {
        const printed = execFileSync(
          'npm',
          [
            'pack',
            folder,
            '--ignore-scripts',
            '--offline',
            '--silent',
            '--pack-destination',
            target,
          ],
          { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
        );
        const listing = await checkTarball(readFileSync(join(target, printed.trim())), gunzip);
        assert.equal(listing.name, name);
        await assertSameToNodeTar(listing);
        assert.ok(listing.files.length > 3);
      } finally {
        rmSync(target, { recursive: true });
      }
    });
  }
});

/** What was accepted must be the same archive to npm's extractor, file by file and byte by byte. */
async function assertSameToNodeTar(listing: ArchiveListing): Promise<void> {
  const theirs: [string, number, boolean, string][] = [];
  await new Promise<void>((resolve, reject) => {
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry) => {
        const chunks: Uint8Array[] = [];
        entry.on('data', (chunk) => chunks.push(chunk));
        entry.on('end', () => {
          if (entry.type === 'Directory') return;
          assert.ok(entry.type === 'File' || entry.type === 'OldFile', entry.type);
          const executable = ((entry.mode ?? 0) & 0o111) !== 0;
          theirs.push([entry.path, entry.size, executable, digest(joinArchive(chunks))]);
        });
      },
    });
    parser.on('end', resolve);
    parser.on('error', reject);
    parser.end(Buffer.from(listing.archive));
  });
  const ours = listing.files.map(({ path, size, executable, offset }) => [
    `${listing.root}/${path}`,
    size,
    executable,
    digest(listing.archive.subarray(offset, offset + size)),
  ]);
  assert.deepEqual(ours, theirs);
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A short prefix and, behind it, the times that "star" headers keep there. */
function starPrefix(prefix: string): Uint8Array {
  const field = new Uint8Array(155);
  field.set(new TextEncoder().encode(prefix));
  field.set(new TextEncoder().encode('00000000000\u000000000000000\0'), 131);
  return field;
}

/** Makes the checksum of the header fit if the byte is in one, so that mutants get past it. */
function mendChecksum(archive: Uint8Array, at: number): void {
  const start = at - (at % 512);
  const header = archive.subarray(start, start + 512);
  if (!new TextDecoder().decode(header).includes('ustar')) return;
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, '0')}\0 `), 148);
}
