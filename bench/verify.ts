// Verifying releases with the evidence in hand: what `bftpkg verify` does after the network has answered.
import { createHash, createPublicKey, verify } from 'node:crypto';

import { populatedLog, type SyntheticLog } from '../fixtures/synthetic-log.ts';
import { formatEvidence, parseEvidence, type Evidence } from '../verifier/evidence/format.ts';
import { ShownLog } from '../verifier/evidence/shown-log.ts';
import type { Subject } from '../verifier/evidence/subject.ts';
import { verifyEvidence } from '../verifier/evidence/verify.ts';
import { parseCheckpoint } from '../verifier/checkpoint.ts';
import { nativeVerifier } from '../verifier/node/ed25519.ts';
import { threadedVerifier } from '../verifier/node/threaded-verifier.ts';
import { parseNote } from '../verifier/note.ts';
import { portableVerifier } from '../verifier/portable.ts';
import type { SignatureJob, SignatureVerifier } from '../verifier/signatures.ts';
import { measure, type Cost } from './measure.ts';
import type { Figure, Section } from './report.ts';

/** Maintainers that have to sign: f + 1 with f = 1. */
const SIGNERS_NEEDED = 2;

/** The portable back end takes a millisecond for each signature: measured up to here. */
const PORTABLE_RELEASES_MAX = 100;

const MANIFEST = {
  bin: { tool: 'bin/tool.js' },
  dependencies: { 'left-pad': '^1.3.0', '@scope/utilities': '~2.0.1', semver: '^7.0.0' },
  engines: { node: '>=18' },
  peerDependencies: { react: '^18 || ^19' },
};

/** Options of the benchmark. */
export interface VerifyBenchOptions {
  /** Numbers of releases, ascending. */
  readonly counts: readonly number[];
  /** Time for each figure. */
  readonly budgetMs: number;
}

/** Measures the verification of evidence. */
export async function benchVerify({ counts, budgetMs }: VerifyBenchOptions): Promise<Section> {
  const figures: Figure[] = [];
  const log = logOf(counts.at(-1) ?? 0);
  const totals = new Map<number, Cost>();
  for (const count of counts) totals.set(count, await verifyCount(log, count, budgetMs, figures));
  const [first, last] = [counts.at(-2), counts.at(-1)];
  if (first !== undefined && last !== undefined) {
    const added = (totals.get(last)?.cpuMs ?? 0) - (totals.get(first)?.cpuMs ?? 0);
    figures.push({
      what: `per release added between ${first} and ${last}`,
      value: (1000 * added) / (last - first),
      unit: 'µs CPU',
      floor: (1000 * (totals.get(first)?.cpuMs ?? 0)) / first,
      note: `floor: mean of the first ${first}; about 1 is linear`,
    });
  }
  return {
    name: 'verify',
    about:
      'Evidence in hand, one release per package, each package with its own maintainer set of three (f = 1), ' +
      'sets signed by all three, releases by two, four replicas. CPU time of one process, all threads.',
    figures,
  };
}

function logOf(count: number): SyntheticLog {
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
  budgetMs: number,
  figures: Figure[],
): Promise<Cost> {
  const subjects: Subject[] = Array.from({ length: count }, (_, i) => ({
    kind: 'release',
    name: `package-${i}`,
    version: '1.0.0',
  }));
  const text = formatEvidence(log.evidence(subjects));
  const evidence = parseEvidence(text);
  const check = async (verifier: SignatureVerifier): Promise<void> => {
    const { subjects: verdicts } = await verifyEvidence(
      {
        evidence: parseEvidence(text),
        pin: log.pin,
        subjects,
        nowSeconds: log.time,
        checkpointAgeMaxSeconds: 60,
        clockSkewMaxSeconds: 0,
      },
      verifier,
    );
    const bad = verdicts.filter(({ kind }) => kind !== 'verified').length;
    if (bad > 0) throw new Error(`${bad} of ${count} releases are not verified`);
  };
  const asked = await jobsOf(check);
  const repetition = { budgetMs };
  const total = await measure(() => check(nativeVerifier), repetition);
  const floorJobs = asked.slice(0, SIGNERS_NEEDED * count);
  const hashing = (await measure(() => hashAll(evidence), repetition)).cpuMs;
  const checkJobs = signatureFloor(asked);
  const eachMs = (await measure(() => checkJobs(asked.length), repetition)).cpuMs / asked.length;
  const floor = eachMs * floorJobs.length + hashing;
  const label = `${count} release${count === 1 ? '' : 's'}`;
  figures.push(
    {
      what: `${label}: N x (f+1) floor`,
      value: total.cpuMs,
      unit: 'ms CPU',
      floor,
      note: `${floorJobs.length} native verifications and the hashing`,
    },
    {
      what: `${label}: beside all signatures that the promise asks for`,
      value: total.cpuMs,
      unit: 'ms CPU',
      floor: eachMs * asked.length + hashing,
      note: `${asked.length} with those of maintainer sets, rosters and checkpoint`,
    },
  );
  const parse = (await measure(() => parseEvidence(text), repetition)).cpuMs;
  const checkpoint = parseCheckpoint(parseNote(evidence.checkpoint).text);
  const tree = (await measure(() => new ShownLog(evidence, checkpoint), repetition)).cpuMs;
  const signatures = eachMs * asked.length;
  figures.push(
    { what: `${label}: stage: reading the document`, value: parse, unit: 'ms CPU' },
    {
      what: `${label}: stage: tree, map and entries`,
      value: tree,
      unit: 'ms CPU',
      floor: hashing,
      note: 'floor: native SHA-256 of the same bytes',
    },
    { what: `${label}: stage: signatures`, value: signatures, unit: 'ms CPU' },
    {
      what: `${label}: stage: statements, chains and verdicts`,
      value: Math.max(0, total.cpuMs - parse - tree - signatures),
      unit: 'ms CPU',
      note: 'what remains of the total',
    },
    { what: `${label}: evidence`, value: text.length / 1000, unit: 'kB' },
  );
  const pooled = await measure(() => check(threadedVerifier), repetition);
  figures.push({
    what: `${label}: wall time on all cores`,
    value: pooled.wallMs,
    unit: 'ms',
    floor: total.wallMs,
    note: 'beside one thread',
  });
  if (count <= PORTABLE_RELEASES_MAX) {
    figures.push({
      what: `${label}: portable back end`,
      value: (await measure(() => check(portableVerifier), repetition)).cpuMs,
      unit: 'ms CPU',
      floor,
    });
  }
  return total;
}

/** The signatures that a verification asks about, each once. */
async function jobsOf(
  check: (verifier: SignatureVerifier) => Promise<void>,
): Promise<readonly SignatureJob[]> {
  const jobs: SignatureJob[] = [];
  await check({
    verifyMany: (asked) => {
      jobs.push(...asked);
      return nativeVerifier.verifyMany(asked);
    },
  });
  // The rounds ask for the view first and for the statements then; the dearest are the statements'.
  return jobs.toReversed();
}

/** Nothing but the calls of OpenSSL, with keys that are ready. */
function signatureFloor(jobs: readonly SignatureJob[]): (count: number) => void {
  const prefix = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0);
  const ready = jobs.map(({ publicKey, message, signature }) => ({
    key: createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' }),
    message,
    signature,
  }));
  return (count) => {
    for (const { key, message, signature } of ready.slice(0, count)) {
      if (!verify(null, message, key, signature)) throw new Error('a signature is not valid');
    }
  };
}

/** Each entry as a leaf and as a statement, and the nodes above: what has to be hashed at least. */
function hashAll(evidence: Evidence): void {
  for (const { data } of evidence.entries) {
    createHash('sha256').update(data).digest();
    createHash('sha256')
      .update(data.slice(0, Math.floor((data.length * 3) / 4)))
      .digest();
  }
  const node = new Uint8Array(65);
  for (let i = 0; i < evidence.entries.length + evidence.log.length; i++) {
    createHash('sha256').update(node).digest();
  }
}
