// Verifying releases with the evidence in hand: what `bftpkg verify` does after the network has answered.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { populatedLog, type SyntheticLog } from '../fixtures/synthetic-log.ts';
import { formatEvidence } from '../verifier/evidence/format.ts';
import type { Subject } from '../verifier/evidence/subject.ts';
import type { Figure, Section } from './report.ts';
import type { VerifyRunFigures, VerifyRunOrder } from './verify-run.ts';

/** Maintainers that have to sign: f + 1 with f = 1. */
const SIGNERS_NEEDED = 2;

/** What each package asks for: of the first ones, since a lockfile has to have what is asked for. */
const DEPENDENCIES = { 'package-0': '^1.0.0', 'package-1': '~1.0.0', 'package-2': '^1.0.0' };

const MANIFEST = {
  bin: { tool: 'bin/tool.js' },
  dependencies: DEPENDENCIES,
  engines: { node: '>=18' },
  peerDependencies: { react: '^18 || ^19' },
};

/** Options of the benchmark. */
export interface VerifyBenchOptions {
  /** Numbers of releases, ascending. */
  readonly counts: readonly number[];
  /** Time for each figure. */
  readonly budgetMs: number;
  /** What is measured: the compiled program as users have it, or (in tests) the sources. */
  readonly modules: 'compiled' | 'sources';
}

/** Where the verifier is, as it is measured. */
const MODULES = {
  compiled: { modules: new URL('../dist/verifier', import.meta.url).href, extension: 'js' },
  sources: { modules: new URL('../verifier', import.meta.url).href, extension: 'ts' },
} as const;

/** Measures the verification of evidence. */
export async function benchVerify(options: VerifyBenchOptions): Promise<Section> {
  const { counts } = options;
  const figures: Figure[] = [];
  const log = logOf(counts.at(-1) ?? 0);
  const totals = new Map<number, number>();
  for (const count of counts) totals.set(count, await verifyCount(log, count, options, figures));
  const [first, last] = [counts.at(-2), counts.at(-1)];
  if (first !== undefined && last !== undefined) {
    const added = (totals.get(last) ?? 0) - (totals.get(first) ?? 0);
    figures.push({
      what: `per release added between ${first} and ${last}`,
      value: (1000 * added) / (last - first),
      unit: 'µs CPU',
      floor: (1000 * (totals.get(first) ?? 0)) / first,
      note: `floor: mean of the first ${first}; about 1 is linear`,
    });
  }
  return {
    name: 'verify',
    about:
      'Evidence in hand, one release per package, each package with its own maintainer set of three (f = 1), ' +
      'sets signed by all three, releases by two, four replicas. CPU time of one process with all its threads, which ' +
      'has nothing but the evidence; medians, but for the first run, in which nothing is compiled yet.',
    figures,
  };
}

/** A log with one release of each of `package-0` to `package-<count - 1>`. */
export function logOf(count: number): SyntheticLog {
  const log = populatedLog(0);
  for (let i = 0; i < count; i++) {
    const people = ['ada', 'ben', 'eve'].map((person) => `${person} of ${i}`);
    const name = `package-${i}`;
    log.maintain(name, { maintainers: people, faulty: SIGNERS_NEEDED - 1 });
    const release = { name, version: '1.0.0', manifest: MANIFEST };
    log.release(release, people.slice(0, SIGNERS_NEEDED));
    if (i % 250 === 249) log.commit();
  }
  log.commit();
  return log;
}

async function verifyCount(
  log: SyntheticLog,
  count: number,
  options: VerifyBenchOptions,
  figures: Figure[],
): Promise<number> {
  const subjects: Subject[] = Array.from({ length: count }, (_, i) => ({
    kind: 'release',
    name: `package-${i}`,
    version: '1.0.0',
  }));
  const document = formatEvidence(log.evidence(subjects));
  const took = await runApart(document, log, count, options);
  const { total, asked, eachSignature, hashing } = took;
  const bare = SIGNERS_NEEDED * count;
  const floor = eachSignature * bare + hashing;
  const label = `${count} release${count === 1 ? '' : 's'}`;
  const signatures = eachSignature * asked;
  const cpu = (what: string, value: number, more: Partial<Figure> = {}): void => {
    figures.push({ what: `${label}: ${what}`, value, unit: 'ms CPU', ...more });
  };
  cpu('N x (f+1) floor', total, { floor, note: `${bare} native verifications and the hashing` });
  cpu('beside all signatures that the promise asks for', total, {
    floor: signatures + hashing,
    note: `${asked} with those of maintainer sets, rosters and checkpoint`,
  });
  cpu('again, signatures of statements remembered', took.remembered, {
    floor,
    note: 'the second run of a client; everything else is checked as before',
  });
  cpu('the first run in a process', took.first, { floor: signatures + hashing });
  cpu('portable back end', took.portable, { floor });
  cpu('stage: reading the document', took.parse);
  cpu('stage: tree, map and entries', took.tree, {
    floor: hashing,
    note: 'floor: native SHA-256 of the same bytes',
  });
  cpu('stage: signatures', signatures);
  cpu(
    'stage: statements, chains and verdicts',
    Math.max(0, total - took.parse - took.tree - signatures),
    { note: 'what remains of the total' },
  );
  figures.push(
    {
      what: `${label}: wall time on all cores`,
      value: took.threadedWallMs,
      unit: 'ms',
      floor: took.wallMs,
      note: 'beside one thread',
    },
    { what: `${label}: evidence`, value: document.length / 1000, unit: 'kB' },
  );
  return total;
}

// Measured in a process of its own (verify-run.ts).
async function runApart(
  document: Uint8Array,
  log: SyntheticLog,
  count: number,
  { budgetMs, modules }: VerifyBenchOptions,
): Promise<VerifyRunFigures> {
  const folder = mkdtempSync(join(tmpdir(), 'bftpkg-bench-verify-'));
  try {
    const evidence = join(folder, 'evidence.json');
    writeFileSync(evidence, document);
    const order: VerifyRunOrder = {
      ...MODULES[modules],
      evidence,
      pin: log.pin,
      nowSeconds: log.time,
      count,
      budgetMs,
    };
    const script = fileURLToPath(new URL('verify-run.ts', import.meta.url));
    const argv = ['--import', import.meta.resolve('tsx'), script, JSON.stringify(order)];
    const { stdout } = await promisify(execFile)(process.execPath, argv);
    return JSON.parse(stdout) as VerifyRunFigures;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
