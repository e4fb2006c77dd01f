// The part of the benchmark that is measured, in a process that has nothing but the evidence: what a log in
// memory costs the garbage collector is not the verifier's. Started by verify.ts; answers on stdout.
import { createHash, createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { argv } from 'node:process';

import type { Evidence } from '../verifier/evidence/format.ts';
import type { Subject } from '../verifier/evidence/subject.ts';
import type { SignatureJob, SignatureVerifier } from '../verifier/signatures.ts';
import { measure, once, type Cost } from './measure.ts';

/** What is to be measured. */
export interface VerifyRunOrder {
  /** Folder of the verifier as it is to be measured: compiled, or the sources. */
  readonly modules: string;
  readonly extension: 'js' | 'ts';
  /** File with evidence for `package-0@1.0.0` to `package-<count - 1>@1.0.0`. */
  readonly evidence: string;
  readonly pin: string;
  readonly nowSeconds: number;
  readonly count: number;
  readonly budgetMs: number;
}

/** What it took, milliseconds of CPU unless the name says otherwise. */
export interface VerifyRunFigures {
  /** One run, before anything is compiled: what a program that runs once pays. */
  readonly first: number;
  readonly total: number;
  readonly wallMs: number;
  readonly threadedWallMs: number;
  readonly remembered: number;
  readonly portable: number;
  /** Signatures asked about. */
  readonly asked: number;
  readonly eachSignature: number;
  readonly hashing: number;
  readonly parse: number;
  readonly tree: number;
}

/** After this many runs V8 has compiled what it will compile. */
const WARM_UP_RUNS = 6;

// One run of the portable back end over thousands of releases takes as long as everything else here.
const PORTABLE_REPEATED_MAX = 100;

async function main(order: VerifyRunOrder): Promise<VerifyRunFigures> {
  const load = async <T>(name: string): Promise<T> =>
    (await import(`${order.modules}/${name}.${order.extension}`)) as T;
  const { parseEvidence } =
    await load<typeof import('../verifier/evidence/format.ts')>('evidence/format');
  const { ShownLog } =
    await load<typeof import('../verifier/evidence/shown-log.ts')>('evidence/shown-log');
  const { verifyEvidence } =
    await load<typeof import('../verifier/evidence/verify.ts')>('evidence/verify');
  const { parseCheckpoint } = await load<typeof import('../verifier/checkpoint.ts')>('checkpoint');
  const { parseNote } = await load<typeof import('../verifier/note.ts')>('note');
  const { nativeVerifier } =
    await load<typeof import('../verifier/node/ed25519.ts')>('node/ed25519');
  const { threadedVerifier } =
    await load<typeof import('../verifier/node/threaded-verifier.ts')>('node/threaded-verifier');
  const { portableVerifier } = await load<typeof import('../verifier/portable.ts')>('portable');

  const text = new Uint8Array(readFileSync(order.evidence));
  const subjects: Subject[] = Array.from({ length: order.count }, (_, i) => ({
    kind: 'release',
    name: `package-${i}`,
    version: '1.0.0',
  }));
  const check = async (
    verifier: SignatureVerifier,
    statements: SignatureVerifier = verifier,
  ): Promise<void> => {
    const { subjects: verdicts } = await verifyEvidence(
      {
        evidence: parseEvidence(text),
        pin: order.pin,
        subjects,
        nowSeconds: order.nowSeconds,
        checkpointAgeMaxSeconds: 60,
        clockSkewMaxSeconds: 0,
      },
      verifier,
      statements,
    );
    const bad = verdicts.filter(({ kind }) => kind !== 'verified').length;
    if (bad > 0) throw new Error(`${bad} of ${order.count} releases are not verified`);
  };

  const repetition = { budgetMs: order.budgetMs };
  const first = (await once(() => check(nativeVerifier))).cost.cpuMs;
  // What is measured first must not pay for the compiler alone.
  for (let i = 0; i < WARM_UP_RUNS; i++) await check(nativeVerifier);
  const total = await measure(() => check(nativeVerifier), repetition);
  const threaded = await measure(() => check(threadedVerifier), repetition);
  // The second run of a client: each signature is a look-up by its hash (cli/trust/remembered-signatures.ts).
  const known = new Set<string>();
  const memory: SignatureVerifier = {
    verifyMany: async (jobs) => {
      const ids = jobs.map(idOf);
      const isNew = ids.some((id) => !known.has(id));
      if (isNew) for (const id of ids) known.add(id);
      return isNew ? nativeVerifier.verifyMany(jobs) : jobs.map(() => true);
    },
  };
  const remembered = (await measure(() => check(nativeVerifier, memory), repetition)).cpuMs;
  const portable =
    order.count <= PORTABLE_REPEATED_MAX
      ? (await measure(() => check(portableVerifier), repetition)).cpuMs
      : (await once(() => check(portableVerifier))).cost.cpuMs;

  const jobs: SignatureJob[] = [];
  await check({
    verifyMany: (asked) => {
      jobs.push(...asked);
      return nativeVerifier.verifyMany(asked);
    },
  });
  const signatures: Cost = await measure(signatureFloor(jobs), repetition);
  const evidence = parseEvidence(text);
  const checkpoint = parseCheckpoint(parseNote(evidence.checkpoint).text);
  return {
    first,
    total: total.cpuMs,
    wallMs: total.wallMs,
    threadedWallMs: threaded.wallMs,
    remembered,
    portable,
    asked: jobs.length,
    eachSignature: signatures.cpuMs / jobs.length,
    hashing: (await measure(() => hashAll(evidence), repetition)).cpuMs,
    parse: (await measure(() => parseEvidence(text), repetition)).cpuMs,
    tree: (await measure(() => new ShownLog(evidence, checkpoint), repetition)).cpuMs,
  };
}

function idOf({ publicKey, message, signature }: SignatureJob): string {
  return createHash('sha256').update(publicKey).update(signature).update(message).digest('hex');
}

/** Nothing but the calls of OpenSSL, with keys that are ready. */
function signatureFloor(jobs: readonly SignatureJob[]): () => void {
  const prefix = Uint8Array.of(0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0);
  const ready = jobs.map(({ publicKey, message, signature }) => ({
    key: createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' }),
    message,
    signature,
  }));
  return () => {
    for (const { key, message, signature } of ready) {
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

const order = JSON.parse(argv[2] ?? '{}') as VerifyRunOrder;
process.stdout.write(JSON.stringify(await main(order)));
