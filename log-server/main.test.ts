// The program as operators use it: arguments, exit codes, signals.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'bftpkg-log-'));
});
after(() => rm(root, { recursive: true, force: true }));

function start(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function finish(child: ChildProcess): Promise<Outcome> {
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return {
    code,
    stdout: Buffer.concat(stdout).toString(),
    stderr: Buffer.concat(stderr).toString(),
  };
}

const run = (...args: readonly string[]): Promise<Outcome> => finish(start(...args));

describe('bftpkg-log', () => {
  const usage: readonly [string, readonly string[]][] = [
    ['an unknown command', ['fly']],
    ['an unknown command, and help', ['fly', '--help']],
    ['help for an unknown one of a command', ['help', 'roster', 'fly']],
    ['an unknown option, and help', ['run', '--fly', '--help']],
    ['a command, and --version', ['run', '--config', 'x', '--version']],
    ['a missing option', ['run']],
    ['a number that is none', ['cluster', 'init', '--out', 'x', '--origin', 'a', '--n', '0x4']],
    [
      'two ways to choose ports',
      ['cluster', 'init', '--out', 'x', '--origin', 'a', '--ports', '1', '--base-port', '1'],
    ],
    ['an option that a command of a command needs', ['roster', 'propose', '--config', 'x']],
    ['an address that is none', ['status', '--url', 'nonsense']],
    ['a name that is none', ['cluster', 'init', '--out', 'x', '--origin', 'a b']],
    ['an address to submit to that is none', ['roster', 'submit', 'x', '--url', 'nonsense']],
    ['a folder for a configuration', ['check-config', '--config', tmpdir()]],
    ['a configuration that does not exist', ['run', '--config', '/nonexistent/config.json']],
  ];
  for (const [why, args] of usage) {
    it(`ends with 2 for ${why}`, async () => {
      const { code, stdout, stderr } = await run(...args);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /error: /);
    });
  }

  it('makes keys that only their owner can read, and prints no secret', async () => {
    const folder = join(root, 'keys');
    const first = await run('genkey', '--name', 'r7', '--dir', folder);
    assert.equal(first.code, 0, first.stderr);
    const file = join(folder, 'replica-key.json');
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const { voteSeed } = JSON.parse(await readFile(file, 'utf8')) as { voteSeed: string };
    assert.equal(voteSeed.length, 64);
    assert.ok(!first.stdout.includes(voteSeed));
    assert.match(first.stdout, /"cosignKey":"r7\+[0-9a-f]{8}\+/);
    const { cosignKey, voteKey } = JSON.parse(first.stdout) as Record<string, string>;
    assert.ok(first.stderr.includes(`--add r7=${cosignKey},${voteKey},<url>`), first.stderr);
    assert.ok(!first.stderr.includes(voteSeed));
    const second = await run('genkey', '--name', 'r7', '--dir', folder);
    assert.equal(second.code, 2);
  });

  it('shows the help of a command of a command', async () => {
    const { code, stdout } = await run('help', 'roster', 'propose');
    assert.equal(code, 0);
    assert.match(stdout, /^Usage: bftpkg-log roster propose /);
  });

  it('tells its version', async () => {
    const { code, stdout } = await run('--version');
    assert.deepEqual([code, stdout], [0, '0.1.0\n']);
  });

  it('says what to do with a new log, and never writes over one', async () => {
    const args = ['cluster', 'init', '--out', join(root, 'new'), '--origin', 'log.example/new'];
    const made = await run(...args, '--n', '3');
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /3 replicas bear no faulty one, 4 bear one/);
    const { pin } = JSON.parse(made.stdout) as { pin: string };
    assert.match(made.stderr, /next {2}bftpkg-log run --config .*r0\/config\.json/);
    assert.ok(made.stderr.includes(`bftpkg init --pin ${pin} --replica http://`), made.stderr);
    const again = await run(...args);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /there is a log already: name a new folder/);
  });

  it('founds a log whose keys never met', async () => {
    const folder = join(root, 'founded');
    const names = ['r0', 'r1', 'r2', 'r3'];
    const additions: string[] = [];
    for (const [i, name] of names.entries()) {
      const made = await run('genkey', '--name', name, '--dir', join(folder, name));
      const { cosignKey, voteKey } = JSON.parse(made.stdout) as Record<string, string>;
      const urls = `https://${name}.example,https://${name}.example:${8701 + i}`;
      additions.push('--add', `${name}=${cosignKey},${voteKey},${urls},1`);
    }
    const file = join(folder, 'rosters.json');
    const key = (name: string): string[] => ['--key', join(folder, name, 'replica-key.json')];
    const found = [
      'roster',
      'found',
      '--origin',
      'log.example/founded',
      '--out',
      file,
      ...additions,
    ];
    const first = await run(...found, ...key('r0'));
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stderr, /roster join .* by r1, r2, r3, each after comparing the pin/);
    const { pin } = JSON.parse(first.stdout) as { pin: string };
    const check = async (): Promise<Outcome> => {
      const config = {
        format: 'bftpkg-log-config/v1',
        replica: 'r3',
        pin,
        publicPort: 1,
        peerPort: 2,
      };
      await writeFile(join(folder, 'r3', 'config.json'), JSON.stringify(config));
      await writeFile(join(folder, 'r3', 'rosters.json'), await readFile(file));
      return await run('check-config', '--config', join(folder, 'r3', 'config.json'));
    };
    for (const name of ['r1', 'r2']) {
      assert.equal((await run('roster', 'join', file, ...key(name))).code, 0, name);
    }
    assert.equal((await check()).code, 2, 'three of four have signed');
    // Somebody else's keys under a name of the roster.
    await run('genkey', '--name', 'r3', '--dir', join(folder, 'stranger'));
    const stranger = await run('roster', 'join', file, ...key('stranger'));
    assert.match(stranger.stderr, /"r3" has other keys in the roster/);
    const last = await run('roster', 'join', file, ...key('r3'));
    assert.match(last.stdout, /"missing":\[\],.*"complete":true|"complete":true.*"missing":\[\]/);
    const checked = await check();
    assert.equal(checked.code, 0, checked.stderr);
    assert.match(checked.stdout, /"member":true/);
    // Nothing is written over, and a chain of a running log is none to join.
    assert.equal((await run(...found, ...key('r0'))).code, 2);
  });

  it('says what a next roster costs, and who signs it next', async () => {
    const folder = join(root, 'roster');
    const ports = ['--ports', '1,2,3,4,5,6,7,8'];
    const args = ['--out', folder, '--origin', 'log.example/roster'];
    assert.equal((await run('cluster', 'init', ...args, ...ports)).code, 0);
    const keys = await run('genkey', '--name', 'r4', '--dir', join(folder, 'r4'));
    const { cosignKey, voteKey } = JSON.parse(keys.stdout) as Record<string, string>;
    const out = join(folder, 'next.json');
    const config = (name: string): string => join(folder, name, 'config.json');
    const propose = ['roster', 'propose', '--config', config('r0'), '--out', out];
    // More than four replicas of weight 1 bear.
    const wrong = await run(...propose, '--faulty', '2');
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(wrong.stderr, /roster: 1 problem.*\n.*total weight 4 is below 7/);
    assert.doesNotMatch(wrong.stderr, /^ +at /m);

    const address = 'http://127.0.0.1';
    const addition = `r4=${cosignKey},${voteKey},${address}:9,${address}:10,1`;
    const made = await run(...propose, '--add', addition);
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stderr, /a quorum is 4 of 5 now, .* weight of 1 as before; 7 would bear 2/);
    assert.match(
      made.stderr,
      /next {2}bftpkg-log roster sign .*, by weight 2 more of r1, r2, r3, and r4\n/,
    );
    for (const name of ['r1', 'r2']) await run('roster', 'sign', out, '--config', config(name));
    const last = await run('roster', 'sign', out, '--config', config('r1'));
    assert.match(last.stderr, /roster sign .* by r4\n/);
    assert.match(last.stderr, /next {2}bftpkg-log roster submit .* --url <address of a replica>\n/);

    const nobody = ['--url', 'http://127.0.0.1:1', '--force'];
    const sent = await run('roster', 'submit', out, ...nobody);
    assert.equal(sent.code, 3, sent.stderr);
    assert.match(sent.stderr, /127\.0\.0\.1:1 does not answer: .*\n.*next {2}the same again/);
    await rm(join(folder, 'r0', 'rosters.json'));
    const lacking = await run('check-config', '--config', config('r0'));
    assert.match(lacking.stderr, /there is no such file: copy it from any replica/);
  });

  it('says that a replica does not answer with 3', async () => {
    const { code, stderr } = await run('status', '--url', 'http://127.0.0.1:1');
    assert.equal(code, 3, stderr);
  });

  for (const which of ['public', 'peer'] as const) {
    // A process that stays around without listening would never be started again by anybody.
    it(`ends with 2 when its ${which} port is taken`, { timeout: 300_000 }, async () => {
      const taken = createServer();
      await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
      const { port } = taken.address() as AddressInfo;
      const folder = join(root, `taken-${which}`);
      const ports = which === 'public' ? `${port},0` : `0,${port}`;
      const config = join(folder, 'r0', 'config.json');
      const args = ['cluster', 'init', '--out', folder, '--origin', 'a', '--n', '1'];
      assert.equal((await run(...args, '--ports', '1,2')).code, 0);
      const [publicPort, peerPort] = ports.split(',').map(Number);
      const settings = JSON.parse(await readFile(config, 'utf8')) as object;
      await writeFile(config, JSON.stringify({ ...settings, publicPort, peerPort }));
      const { code, stderr } = await run('run', '--config', config);
      taken.close();
      assert.equal(code, 2, stderr);
      assert.match(stderr, /EADDRINUSE/);
    });
  }

  it('runs a log of one until it is told to stop', async () => {
    const folder = join(root, 'one');
    const made = await run(
      'cluster',
      'init',
      '--n',
      '1',
      '--out',
      folder,
      '--origin',
      'log.example',
    );
    assert.equal(made.code, 0, made.stderr);
    const { pin } = JSON.parse(made.stdout) as { pin: string };
    assert.match(pin, /^[0-9a-f]{64}$/);
    const config = join(folder, 'r0', 'config.json');
    const settings = JSON.parse(await readFile(config, 'utf8')) as Record<string, unknown>;
    await writeFile(config, JSON.stringify({ ...settings, publicPort: 0, peerPort: 0 }));
    assert.equal((await run('check-config', '--config', config)).code, 0);

    const child = start('run', '--config', config);
    const ended = finish(child);
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer];
    const { event, publicUrl } = JSON.parse(line.toString()) as {
      event: string;
      publicUrl: string;
    };
    assert.equal(event, 'listening');
    assert.equal((await fetch(`${publicUrl}/healthz`)).status, 200);

    // A second process on the same data would vote twice with one key.
    const second = await run('run', '--config', config);
    assert.equal(second.code, 2, second.stderr);
    assert.match(second.stderr, /data: 1 problem/);

    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    assert.equal(code, 0, stderr);
    const events = stderr
      .trim()
      .split('\n')
      .map((text) => (JSON.parse(text) as { event: string }).event);
    assert.deepEqual([events[0], events.at(-1)], ['starting', 'stopped']);
  });
});
