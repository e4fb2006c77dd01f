// `bftpkg log`: what an auditor asks of a log. Nothing here needs the evidence interface of a replica,
// only the files that any web server could serve.
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { encodeBase64, encodeHex, parseUint } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatNote } from '../../verifier/note.ts';
import { releasePurl } from '../../verifier/npm/purl.ts';
import { parseRelease } from '../../verifier/statements/release.ts';
import { formatTlogProof } from '../../verifier/tlog-proof.ts';
import { withAccess, type Access, type AccessOptions } from '../audit/access.ts';
import { describeEntry, entryText } from '../audit/describe-entry.ts';
import { describeParted, forkAmong, partedRosters } from '../audit/compare-views.ts';
import { ageOf, ageWarnings, headData, headLines } from '../audit/head-report.ts';
import { fetchEntry, type ProvenEntry } from '../audit/inclusion.ts';
import { openView, type LogView } from '../audit/log-view.ts';
import { TileClient } from '../audit/tile-client.ts';
import { askUntilGood, asError, type Hedged } from '../client/hedge.ts';
import type { ReplicaClient } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { CliError, UnreachableError, usageError, type ReplicaFailure } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { diagnoseFailures, describeFailure, isFinal } from '../output/diagnose.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { keepForkEvidence } from '../session/fork-file.ts';
import { withSession, type Verified } from '../session/log-session.ts';
import { parseSpec } from './spec.ts';

/** `log head [--all-replicas]`: the newest checkpoint, and who cosigned it. */
export async function logHead(
  invocation: Invocation,
  url: string | undefined,
  options: AccessOptions & { readonly allReplicas?: boolean },
): Promise<Report> {
  return await withAccess(invocation, url, options, async (access) => {
    if (options.allReplicas === true) return await headsOfAll(invocation, access);
    const { value: view, failures } = await askOne(invocation, access, (replica, signal) =>
      openView(replica, access.pin, access.verifier, signal),
    );
    return doneReport(
      'log head',
      { data: headData(view, invocation), lines: headLines(view, invocation) },
      [...ageWarnings(view, access, invocation), ...failureWarnings(failures)],
    );
  });
}

// Every replica of the configuration and of the newest roster that any of them shows.
async function headsOfAll(invocation: Invocation, access: Access): Promise<Report> {
  const { signal } = invocation.context;
  const views: LogView[] = [];
  const failures: ReplicaFailure[] = [];
  await Promise.all(
    access.replicas.map(async (replica) => {
      try {
        views.push(await openView(replica, access.pin, access.verifier, signal));
      } catch (error) {
        failures.push({ url: replica.url, error: asError(error) });
      }
    }),
  );
  const newest = views.reduce<LogView | undefined>(
    (best, view) => (best === undefined || sizeOf(view) > sizeOf(best) ? view : best),
    undefined,
  );
  if (newest === undefined) throw unreachable(failures);
  const fork = forkAmong(views);
  if (fork !== undefined) throw await keepForkEvidence(fork, invocation.context.cwd);
  const parted = partedRosters(views);
  if (parted !== undefined) throw new CliError('BP4003', describeParted(parted));
  const shown = access.replicas.flatMap(({ url }) => views.filter((view) => view.url === url));
  const lines = shown.map((view) => {
    const { size, root } = view.checkpoint.checkpoint;
    const behind = sizeOf(newest) - size;
    const lag = behind === 0 ? '' : `, ${behind} behind`;
    return `${view.url}  size ${size}${lag}  root ${encodeBase64(root)}  ${ageOf(view, invocation)} old`;
  });
  const data = {
    newest: headData(newest, invocation),
    replicas: shown.map((view) => ({ url: view.url, ...headData(view, invocation) })),
  };
  return doneReport('log head', { data, lines: [...headLines(newest, invocation), ...lines] }, [
    ...ageWarnings(newest, access, invocation),
    ...failureWarnings(failures),
  ]);
}

/** `log entry <index>`: an entry, proven to be in the log. */
export async function logEntry(
  invocation: Invocation,
  index: string,
  url: string | undefined,
  options: AccessOptions & { readonly out?: string },
): Promise<Report> {
  const wanted = readIndex(index);
  return await withAccess(invocation, url, options, async (access) => {
    const { value: proven, failures } = await askEntry(invocation, access, wanted);
    const out = await writeOut(invocation, options.out, proven.data);
    return doneReport(
      'log entry',
      {
        data: { ...provenData(proven), entry: entryText(proven.data), ...out.data },
        lines: [...provenLines(proven), ...describeEntry(proven.data), ...out.lines],
      },
      failureWarnings(failures),
    );
  });
}

/** `log proof <index or name@version>`: an inclusion proof that other tools can check. */
export async function logProof(
  invocation: Invocation,
  target: string,
  options: AccessOptions & { readonly out?: string; readonly withEntry?: boolean },
): Promise<Report> {
  const index = /^[0-9]+$/.test(target)
    ? readIndex(target)
    : await indexOfRelease(invocation, target);
  return await withAccess(invocation, undefined, options, async (access) => {
    const { value: proven, failures } = await askEntry(invocation, access, index);
    const text = formatTlogProof({
      index,
      hashes: proven.hashes,
      extra: options.withEntry === true ? proven.data : new Uint8Array(0),
      checkpoint: formatNote(proven.view.note),
    });
    const file = options.out ?? `${index}.tlog-proof`;
    const out = await writeOut(invocation, file, text);
    return doneReport(
      'log proof',
      {
        data: { ...provenData(proven), hashes: proven.hashes.map(encodeBase64), ...out.data },
        lines: [...provenLines(proven), ...out.lines],
      },
      failureWarnings(failures),
    );
  });
}

async function indexOfRelease(invocation: Invocation, target: string): Promise<number> {
  const { name, version } = parseSpec(target);
  return await withSession(invocation, {}, async (session) => {
    const verified = await session.verify([{ kind: 'release', name, version }]);
    const [result] = verified.evidence.subjects;
    if (result?.kind === 'verified') return result.release.index;
    // A release that was revoked is in the log for ever, and its proof is wanted more than others.
    const isRevoked = result?.kind === 'refused' && result.error.code === 'RELEASE_REVOKED';
    const index = isRevoked ? releaseEntry(verified, releasePurl(name, version)) : undefined;
    if (index !== undefined) return index;
    if (result?.kind === 'refused') throw result.error;
    throw new CliError('BP5003', `${target}: not in the log`);
  });
}

function releaseEntry({ source }: Verified, purl: string): number | undefined {
  return parseEvidence(source).entries.find(({ data }) => {
    const entry = parseEntry(data);
    if (entry.kind !== 'release') return false;
    return parseRelease(entry.envelope.payload).subjects.some((subject) => subject.purl === purl);
  })?.index;
}

function readIndex(text: string): number {
  try {
    return parseUint(text);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw usageError(`${text} is not the index of an entry`);
  }
}

async function askEntry(
  invocation: Invocation,
  access: Access,
  index: number,
): Promise<Hedged<ProvenEntry>> {
  return await askOne(invocation, access, async (replica, signal) => {
    const view = await openView(replica, access.pin, access.verifier, signal);
    const { size } = view.checkpoint.checkpoint;
    if (index >= size) {
      throw new CliError('BP5003', `the log has ${size} entries, none with index ${index}`);
    }
    return await fetchEntry(view, new TileClient(replica.url, access.http), index, signal);
  });
}

// One replica after the other until one gives a good answer.
async function askOne<T>(
  { context }: Invocation,
  access: Access,
  ask: (replica: ReplicaClient, signal: AbortSignal) => Promise<T>,
): Promise<Hedged<T>> {
  try {
    return await askUntilGood(access.replicas, ask, {
      signal: context.signal,
      isFinal: (error) => isFinal(error) || error instanceof CliError,
    });
  } catch (error) {
    if (error instanceof UnreachableError) throw unreachable(error.failures);
    throw error;
  }
}

// With one server to ask, its bad answer is the answer; among several, silence of others leaves hope.
function unreachable(failures: readonly ReplicaFailure[]): CliError {
  const decisive = failures.every(({ error }) => error instanceof VerifyError);
  const message = `could not check: none of ${failures.length} servers gave a usable answer`;
  const found = diagnoseFailures(message, failures, decisive);
  return new CliError(found.code, found.message, { details: found.details, hints: found.hints });
}

async function writeOut(
  { context }: Invocation,
  file: string | undefined,
  content: string | Uint8Array,
): Promise<{ readonly data: JsonObject; readonly lines: readonly string[] }> {
  if (file === undefined) return { data: {}, lines: [] };
  const path = resolve(context.cwd, file);
  try {
    await writeFile(path, content);
  } catch (error) {
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be written')}`);
  }
  return { data: { file: path }, lines: [`written to ${path}`] };
}

function sizeOf(view: LogView): number {
  return view.checkpoint.checkpoint.size;
}

function failureWarnings(failures: readonly ReplicaFailure[]): readonly Diagnostic[] {
  return failures.map(({ url, error }) =>
    diagnostic('BP7001', `replica ${url}: ${describeFailure(error)}`, { severity: 'warning' }),
  );
}

function provenData({ view, index, leaf }: ProvenEntry): JsonObject {
  const { origin, size } = view.checkpoint.checkpoint;
  return { index, leaf: encodeHex(leaf), checkpoint: { origin, size } };
}

function provenLines({ view, index, leaf }: ProvenEntry): readonly string[] {
  const { origin, size } = view.checkpoint.checkpoint;
  return [
    `entry ${index} of ${origin}, proven under a checkpoint of size ${size}`,
    `leaf ${encodeHex(leaf)}`,
  ];
}
