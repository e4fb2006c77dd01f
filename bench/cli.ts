// The client as its users start it: whole processes, from nothing to the exit code.
import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { cleanEnvironment } from '../fixtures/e2e/process.ts';
import { projectRoot } from '../fixtures/tree.ts';
import { artifactDigest } from '../fixtures/synthetic-log.ts';
import { encodeBase64 } from '../verifier/encoding.ts';
import { formatEvidence } from '../verifier/evidence/format.ts';
import { releasePurl } from '../verifier/npm/purl.ts';
import type { WireRelease } from './gateway.ts';
import { median, processMemory } from './measure.ts';
import type { Figure, Section } from './report.ts';
import { logOf } from './verify.ts';

const PROGRAM = join(projectRoot, 'dist/cli/main.js');

/** How often a running process's memory is looked at. */
const MEMORY_EVERY_MS = 5;

/** What the client is run against. */
export interface ClientBenchOptions {
  /** An existing folder; projects are made below it. */
  readonly directory: string;
  readonly pin: string;
  readonly urls: readonly string[];
  /** Packages of the lockfile, each once. */
  readonly releases: readonly WireRelease[];
  readonly runs: number;
  /** Packages of a large lockfile, verified from a file. */
  readonly large: number;
}

/** `npm ci` takes some ten seconds. */
const INSTALL_RUNS_MAX = 2;

interface Run {
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly peakMb: number;
}

/** Times the commands that people wait for. */
export async function benchClient(options: ClientBenchOptions): Promise<Section> {
  const { releases, runs } = options;
  const project = makeProject(options);
  let homes = 0;
  const home = (): string => join(options.directory, `home-${homes++}`);
  const [warm, offline] = [home(), home()];
  const start = async (args: readonly string[], where: string): Promise<Run> =>
    timed(process.execPath, args, project, where);

  const node = await repeat(runs, () => start(['-e', '0'], warm));
  const version = await repeat(runs, () => start([PROGRAM, '--version'], warm));
  const cold = await repeat(runs, () => start([PROGRAM, 'verify'], home()));
  await start([PROGRAM, 'verify'], warm);
  const again = await repeat(runs, () => start([PROGRAM, 'verify'], warm));
  await start([PROGRAM, 'verify', '--save-bundle', 'evidence.json'], offline);
  const bundled = await repeat(runs, () =>
    start([PROGRAM, 'verify', '--bundle', 'evidence.json'], offline),
  );
  const installs = Math.min(runs, INSTALL_RUNS_MAX);
  const npm = await repeat(installs, () => installByNpm(project, options.urls[0] ?? '', home()));
  const large = await repeat(runs, largeBundle(options));
  const count = releases.length;
  const rows: readonly (readonly [what: string, run: Run, base: Run | undefined])[] = [
    ['bare node', node, undefined],
    ['bftpkg --version', version, node],
    [`bftpkg verify, ${count} packages, first contact`, cold, node],
    [`bftpkg verify, ${count} packages, again`, again, node],
    [`bftpkg verify --bundle, ${count} packages, no network`, bundled, node],
    [`npm ci of the same lockfile, no scripts, from a replica`, npm, node],
    [`bftpkg verify, ${count} packages, first contact, beside npm ci`, cold, npm],
    [`bftpkg verify --bundle, ${options.large} packages, first contact`, large, node],
  ];
  const figures = rows.flatMap(([what, { cpuMs, wallMs, peakMb }, base]): Figure[] => [
    { what, value: cpuMs, unit: 'ms CPU', ...(base && { floor: base.cpuMs }) },
    { what: `${what}: wall`, value: wallMs, unit: 'ms', ...(base && { floor: base.wallMs }) },
    { what: `${what}: peak memory`, value: peakMb, unit: 'MB' },
  ]);
  const about =
    `Whole processes, medians of ${runs} (npm: ${installs}), beside a node that does nothing; a lockfile of ${count} ` +
    'packages, each with a maintainer set, two signatures of f + 1 = 2; first contact: nothing is remembered. CPU time has the kernel’s resolution of 10 ms.';
  return { name: 'cli', about, figures };
}

// What people wait for anyway: the same packages, fetched and unpacked by npm from the same machine.
async function installByNpm(project: string, url: string, home: string): Promise<Run> {
  rmSync(join(project, 'node_modules'), { recursive: true, force: true });
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier'];
  return await timed('npm', ['ci', ...flags, `--registry=${url}/npm/`], project, home);
}

// A lockfile of thousands, and its evidence from a file: no machine of ours publishes that many in a minute.
function largeBundle({ directory, urls, large }: ClientBenchOptions): () => Promise<Run> {
  const folder = join(directory, 'large');
  mkdirSync(folder);
  const log = logOf(large);
  const names = Array.from({ length: large }, (_, i) => `package-${i}`);
  const subjects = names.map((name) => ({ kind: 'release', name, version: '1.0.0' }) as const);
  const time = Math.floor(Date.now() / 1000);
  const releases = names.map((name) => ({
    name,
    version: '1.0.0',
    sha512: artifactDigest(releasePurl(name, '1.0.0')),
  }));
  const project = makeProject({ directory: folder, pin: log.pin, urls, releases });
  writeFileSync(join(project, 'evidence.json'), formatEvidence(log.evidence(subjects, { time })));
  let homes = 0;
  const age = ['--max-checkpoint-age', '1h'];
  return () =>
    timed(
      process.execPath,
      [PROGRAM, 'verify', '--bundle', 'evidence.json', ...age],
      project,
      join(folder, `home-${homes++}`),
    );
}

interface ProjectOptions extends Pick<ClientBenchOptions, 'directory' | 'pin' | 'urls'> {
  readonly releases: readonly Pick<WireRelease, 'name' | 'version' | 'sha512'>[];
}

function makeProject({ directory, pin, urls, releases }: ProjectOptions): string {
  const project = join(directory, 'project');
  mkdirSync(project);
  const own = { name: 'bench-app', version: '1.0.0' };
  const root = {
    ...own,
    dependencies: Object.fromEntries(releases.map(({ name, version }) => [name, version])),
  };
  const packages = Object.fromEntries(
    releases.map(({ name, version, sha512 }) => [
      `node_modules/${name}`,
      {
        version,
        // As npm writes it; bftpkg binds the entry to the log whatever stands here.
        resolved: `${urls[0] ?? ''}/npm/${name}/-/${name}-${version}.tgz`,
        integrity: `sha512-${encodeBase64(sha512)}`,
      },
    ]),
  );
  const lock = { ...own, lockfileVersion: 3, requires: true, packages: { '': root, ...packages } };
  const config = { format: 'bftpkg-config/v1', pin, replicas: urls };
  const documents = { 'package.json': root, 'package-lock.json': lock, 'bftpkg.json': config };
  for (const [file, content] of Object.entries(documents)) {
    writeFileSync(join(project, file), `${JSON.stringify(content, null, 2)}\n`);
  }
  return project;
}

async function repeat(runs: number, run: () => Promise<Run>): Promise<Run> {
  const all: Run[] = [];
  for (let i = 0; i < runs; i++) all.push(await run());
  return {
    cpuMs: all.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / runs,
    wallMs: median(all.map(({ wallMs }) => wallMs)),
    peakMb: Math.max(...all.map(({ peakMb }) => peakMb)),
  };
}

/** Runs a program to its end. Anything but exit code 0 is a broken benchmark. */
async function timed(
  program: string,
  args: readonly string[],
  cwd: string,
  home: string,
): Promise<Run> {
  const before = reapedCpuMs();
  const started = performance.now();
  const child = spawn(program, args, {
    cwd,
    env: cleanEnvironment({
      HOME: home,
      XDG_CONFIG_HOME: join(home, 'config'),
      XDG_STATE_HOME: join(home, 'state'),
      XDG_CACHE_HOME: join(home, 'cache'),
    }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let told = '';
  child.stdout.on('data', (chunk: Buffer) => (told += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  let peakMb = 0;
  const watch = setInterval(() => {
    try {
      peakMb = Math.max(peakMb, processMemory(child.pid ?? 0).peakMb || 0);
    } catch {
      // It has just ended.
    }
  }, MEMORY_EVERY_MS);
  const [code] = (await event(child, 'close')) as [number | null];
  clearInterval(watch);
  const wallMs = performance.now() - started;
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${told}`);
  return { cpuMs: reapedCpuMs() - before, wallMs, peakMb };
}

/** CPU time of all ended children, milliseconds, in steps of 10 (Linux only). */
function reapedCpuMs(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * 10;
}
