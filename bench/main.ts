// `npm run bench [-- [--json] [--quick] [verify|publish|read|memory|cli …]]`: each figure beside its floor,
// all measured in this run. Writes bench/RESULTS.md when everything was run.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';

import { projectRoot } from '../fixtures/tree.ts';
import { benchLog } from './log-world.ts';
import { renderMarkdown, type Circumstances, type Section } from './report.ts';
import { benchVerify } from './verify.ts';

const SECTIONS = ['verify', 'publish', 'read', 'memory', 'cli'] as const;

/** Sections that need a log of real replicas; publishing fills it. */
const ON_A_LOG: readonly string[] = ['publish', 'read', 'memory', 'cli'];

const args = process.argv.slice(2);
const flags = new Set(args.filter((arg) => arg.startsWith('--')));
const named = args.filter((arg) => !arg.startsWith('--'));
const unknown = [
  ...[...flags].filter((flag) => !['--json', '--quick'].includes(flag)),
  ...named.filter((name) => !SECTIONS.some((section) => section === name)),
];
if (unknown.length > 0) {
  throw new Error(`usage: npm run bench -- [--json] [--quick] [${SECTIONS.join('|')}]`);
}
const wanted = new Set<string>(named.length > 0 ? named : SECTIONS);
const isQuick = flags.has('--quick');

const circumstances = look();
const sections: Section[] = [];
if (wanted.has('verify')) {
  const counts = isQuick ? [1, 100, 514] : [1, 100, 514, 2_000];
  sections.push(
    await benchVerify({ counts, budgetMs: isQuick ? 300 : 1_000, modules: 'compiled' }),
  );
}
if (ON_A_LOG.some((name) => wanted.has(name))) sections.push(...(await onALog()));
const document = renderMarkdown(sections, circumstances);
const json = `${JSON.stringify({ circumstances, sections }, null, 2)}\n`;
process.stdout.write(flags.has('--json') ? json : document);
// A part of the figures must not pass for the results.
if (wanted.size === SECTIONS.length) {
  writeFileSync(join(projectRoot, 'bench/RESULTS.md'), document);
}

async function onALog(): Promise<readonly Section[]> {
  const directory = mkdtempSync(join(tmpdir(), 'bftpkg-bench-'));
  try {
    return await benchLog({
      directory,
      replicas: 4,
      faulty: 1,
      packages: 514,
      // V8 compiles for thousands of releases, which at n = 10 would be most of the figure: with a thousand of
      // them before, a replica there took 1,216 us a release, with six 1,073. What a replica costs that runs
      // for months is what comes after.
      warmUp: isQuick ? 257 : 6_168,
      // A minute for whoever reads figures of publishing; enough for a log to read from otherwise.
      releases: isQuick ? 514 : 40_000,
      seconds: isQuick ? 5 : wanted.has('publish') ? 60 : 15,
      pacedReleases: isQuick ? 25 : 1_500,
      loads: isQuick ? [64] : [32, 128, 2_000],
      loadReleases: isQuick ? 128 : 1_028,
      perRequest: isQuick ? [0, 8] : [0, 1, 8, 64],
      perRequestReleases: isQuick ? 128 : 3_084,
      larger: [7, 10].map((replicas) => ({
        replicas,
        releases: isQuick ? 64 : 20_000,
        seconds: isQuick ? 5 : 60,
        pacedReleases: isQuick ? 10 : 750,
        withTwo: isQuick ? { releases: 64, seconds: 5 } : { releases: 10_000, seconds: 30 },
      })),
      stages: { batch: isQuick ? 100 : 500, batches: isQuick ? 6 : 12 },
      // Replicas look every ten seconds whether there is nothing to do.
      idleMs: isQuick ? 25_000 : 60_000,
      reads: isQuick ? 300 : 1_000,
      large: isQuick ? 514 : 2_000,
      runs: isQuick ? 3 : 5,
      wanted,
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function look(): Circumstances {
  const cores = availableParallelism();
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8' }).trim();
  const isClean = git('status', '--porcelain', '--', 'verifier', 'log-server', 'cli') === '';
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0]?.model ?? 'unknown'}, ${cores} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    versions: `node ${process.versions.node}, OpenSSL ${process.versions.openssl}, commit ${git('rev-parse', '--short', 'HEAD')}${isClean ? '' : ' with changes'}`,
    sizes: isQuick ? 'small (--quick)' : 'full',
    load: loadavg()[0] ?? 0,
    cores,
  };
}
