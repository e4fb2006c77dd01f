// `npm run bench:install -- <folder>`: a project installed for real, by `bftpkg ci`, by `npm ci` inside of
// `bftpkg proxy`, and by plain `npm ci`, all with cold caches, without install scripts, and from servers on this
// machine that have the same bytes. Wall time, and CPU time of all processes of a run (of them alone: the
// servers are another process), which says more on a machine that others use as well. The folder has package.json and package-lock.json; the tarballs come through npm from the
// registry that it is configured with, once, before anything is timed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { contentPath } from '../cli/npm/artifact-store.ts';
import { parseLockfile, type RegistryEntry } from '../cli/npm/lockfile.ts';
import { cleanEnvironment, run } from '../fixtures/e2e/process.ts';
import { FakeLog } from '../fixtures/fake-log.ts';
import { projectRoot } from '../fixtures/tree.ts';
import { median } from './measure.ts';

/** npm takes that many on one command line. */
const SPECS_MAX = 60;
const RUNS = 3;

interface Package {
  readonly key: string;
  readonly spec: string;
  readonly bytes: Uint8Array;
}

/** What the lockfile names, through npm. */
function fetchAll(lock: string, cache: string): readonly Package[] {
  const { entries } = parseLockfile(Buffer.from(lock), 'package-lock.json');
  const wanted = entries.filter((entry) => entry.kind === 'registry');
  const specs = [...new Set(wanted.map(({ name, version }) => `${name}@${version}`))];
  for (let at = 0; at < specs.length; at += SPECS_MAX) {
    const some = specs.slice(at, at + SPECS_MAX);
    const { status, stderr } = spawnSync('npm', ['cache', 'add', ...some, `--cache=${cache}`], {
      encoding: 'utf8',
      env: cleanEnvironment(),
    });
    if (status !== 0) throw new Error(`npm cache add: ${stderr}`);
  }
  return wanted.map((entry) => ({
    key: entry.key,
    spec: `${entry.name}@${entry.version}`,
    bytes: new Uint8Array(readFileSync(cached(cache, entry))),
  }));
}

function cached(cache: string, { sha512 }: RegistryEntry): string {
  return join(cache, '_cacache', 'content-v2', 'sha512', contentPath(sha512));
}

async function main(folder: string): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'bftpkg-bench-install-'));
  const lock = readFileSync(join(folder, 'package-lock.json'), 'utf8');
  const manifest = readFileSync(join(folder, 'package.json'), 'utf8');
  const packages = fetchAll(lock, join(scratch, 'fetched'));
  const fake = await FakeLog.start();
  const served = new Map<string, Uint8Array>();
  const registry = createServer((request, response) => {
    const bytes = served.get(decodeURIComponent(request.url ?? ''));
    response.writeHead(bytes === undefined ? 404 : 200);
    response.end(bytes);
  });
  try {
    await new Promise<void>((done) => registry.listen(0, '127.0.0.1', done));
    const url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}`;
    const known = new Set<string>();
    for (const { spec, bytes } of packages) {
      if (known.has(spec)) continue;
      known.add(spec);
      await fake.publishTarball(bytes);
      const name = spec.slice(0, spec.lastIndexOf('@'));
      const base = name.split('/').at(-1) ?? name;
      served.set(`/${name}/-/${base}-${spec.slice(name.length + 1)}.tgz`, bytes);
    }
    fake.log.commit();
    const project = join(scratch, 'project');
    const home = join(scratch, 'home');
    const prepare = (): void => {
      for (const each of [project, home]) {
        rmSync(each, { recursive: true, force: true });
        mkdirSync(each);
      }
      const config = {
        format: 'bftpkg-config/v1',
        pin: fake.log.pin,
        replicas: fake.replicas.map((replica) => replica.url),
      };
      writeFileSync(join(project, 'bftpkg.json'), JSON.stringify(config));
      writeFileSync(join(project, 'package.json'), manifest);
      writeFileSync(join(project, 'package-lock.json'), withSources(lock, url));
    };
    // The log's clock is not this machine's.
    const program = join(scratch, 'bftpkg.mjs');
    const lines = [
      `import { runCli } from ${JSON.stringify(join(projectRoot, 'dist/cli/run.js'))};`,
      `const nowMs = () => ${(fake.log.time + 1) * 1000};`,
      "process.exitCode = await runCli(process.argv.slice(2), '0.0.0-bench', { nowMs });",
    ];
    writeFileSync(program, lines.join('\n'));

    const ours: Cost[] = [];
    const plain: Cost[] = [];
    const again: Cost[] = [];
    const proxied: Cost[] = [];
    for (let round = 0; round < RUNS; round++) {
      prepare();
      const bftpkg = [process.execPath, program, 'ci', '--no-scripts'] as const;
      ours.push(await timed(bftpkg, project, home));
      rmSync(join(project, 'node_modules'), { recursive: true });
      again.push(await timed(bftpkg, project, home));
      prepare();
      const npm = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', `--registry=${url}/`];
      plain.push(await timed(['npm', ...npm], project, home));
      prepare();
      const inside = [
        process.execPath,
        program,
        'proxy',
        '--',
        'npm',
        'ci',
        '--ignore-scripts',
      ] as const;
      proxied.push(await timed(inside, project, home));
    }
    const megabytes = packages.reduce((sum, { bytes }) => sum + bytes.length, 0) / 1e6;
    const rows: readonly (readonly [string, readonly Cost[]])[] = [
      ['npm ci, cold cache', plain],
      ['bftpkg ci, cold cache', ours],
      ['bftpkg ci, again', again],
      ['bftpkg proxy -- npm ci', proxied],
    ];
    const text = [
      `${packages.length} entries, ${megabytes.toFixed(1)} MB of tarballs for all platforms; medians of ${RUNS}`,
      '',
      '| | wall s | beside npm ci | CPU s | beside npm ci |',
      '|---|--:|--:|--:|--:|',
      ...rows.map(([name, costs]) => `| ${name} | ${figures(costs, plain)} |`),
    ];
    process.stdout.write(`${text.join('\n')}\n`);
  } finally {
    registry.closeAllConnections();
    registry.close();
    await fake.stop();
    rmSync(scratch, { recursive: true, force: true });
  }
}

// Without an address npm would ask for every package's document first.
function withSources(lock: string, url: string): string {
  const document = JSON.parse(lock) as { packages: Record<string, Record<string, unknown>> };
  for (const [key, entry] of Object.entries(document.packages)) {
    if (key === '' || entry['link'] === true || entry['integrity'] === undefined) continue;
    const folder = key.slice(key.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const name = typeof entry['name'] === 'string' ? entry['name'] : folder;
    entry['resolved'] =
      `${url}/${name}/-/${name.split('/').at(-1)}-${String(entry['version'])}.tgz`;
  }
  return JSON.stringify(document, null, 2);
}

/** Seconds of one run. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

// The shell's `times`: its second line is what its children took, with theirs.
async function timed(
  command: readonly [string, ...string[]],
  cwd: string,
  home: string,
): Promise<Cost> {
  const note = join(home, 'times');
  const started = performance.now();
  const env = { HOME: home, npm_config_cache: join(home, 'cache') };
  const script = `"$@"; code=$?; times > "${note}"; exit $code`;
  const args = ['-c', script, 'sh', ...command];
  const { code, stdout, stderr } = await run('sh', args, { cwd, env, timeoutMs: 600_000 });
  if (code !== 0) {
    throw new Error(`${command.join(' ')} ended with ${code}: ${stdout.slice(-2000)}${stderr}`);
  }
  const wall = (performance.now() - started) / 1000;
  const [, children = ''] = readFileSync(note, 'utf8').split('\n');
  const parts = [...children.matchAll(/([0-9]+)m([0-9.]+)s/g)];
  if (parts.length !== 2) throw new Error(`times: ${children}`);
  const cpu = parts.reduce(
    (sum, [, minutes, rest]) => sum + 60 * Number(minutes) + Number(rest),
    0,
  );
  return { wall, cpu };
}

function figures(costs: readonly Cost[], beside: readonly Cost[]): string {
  return (['wall', 'cpu'] as const)
    .map((what) => {
      const of = (all: readonly Cost[]): number => median(all.map((each) => each[what]));
      const all = costs.map((each) => each[what].toFixed(1)).join(' ');
      return `${of(costs).toFixed(2)} (${all}) | ${(of(costs) / of(beside)).toFixed(2)} x`;
    })
    .join(' | ');
}

const [folder] = process.argv.slice(2);
if (folder === undefined)
  throw new Error('usage: npm run bench:install -- <folder with a lockfile>');
await main(resolve(folder));
