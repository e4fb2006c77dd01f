// `bftpkg evidence`: proofs that somebody who runs a replica has misbehaved. Whoever made a document,
// and whoever serves it, need not be believed.
import { open } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { withAccess, type AccessOptions } from '../audit/access.ts';
import { asError } from '../client/hedge.ts';
import type { ReplicaClient } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { configError, systemCode, UnreachableError, usageError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { checkDocument, DOCUMENT_BYTES_MAX } from '../evidence/check-file.ts';
import { describeFailure } from '../output/diagnose.ts';
import {
  diagnostic,
  doneReport,
  failureReport,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { createFile } from '../../verifier/node/durable-file.ts';
import { loadConfig } from '../trust/config.ts';

const HASH_PATTERN = /^[0-9a-f]{64}$/;

/** Documents of one replica that are fetched and checked: one per rule and replica of a small log. */
const DOCUMENTS_MAX = 64;

/** `evidence verify <file>`: what a document proves, without asking anybody. */
export async function evidenceVerify(
  invocation: Invocation,
  file: string,
  options: AccessOptions,
): Promise<Report> {
  const { context, globals } = invocation;
  if (options.pin !== undefined && !HASH_PATTERN.test(options.pin)) {
    throw usageError('--pin is the hash of a roster: 64 hexadecimal digits');
  }
  const pin = options.pin ?? (await loadConfig(context, globals)).pin;
  const source = await readDocument(resolve(context.cwd, file));
  const finding = await checkDocument(source, pin, nativeVerifier);
  const result = { data: finding.data, lines: finding.lines };
  if (finding.isConclusive) return doneReport('evidence verify', result);
  const open = diagnostic(
    'BP7005',
    `${file}: the signature is genuine, the guilt is not decided here`,
  );
  return { ...failureReport('evidence verify', [open]), result };
}

/** The bytes of a file that may be evidence. @throws {CliError} BP9004 */
export async function readDocument(path: string): Promise<Uint8Array> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > DOCUMENT_BYTES_MAX) throw configError(`${path}: longer than evidence can be`);
      return new Uint8Array(await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    throw configError(`${path}: ${systemReason(error)}`, undefined, error);
  }
}

/** A document as it was checked. */
interface Checked {
  readonly id: string;
  readonly url: string;
  readonly data: JsonObject;
  readonly line: string;
  /** Where it was kept; `null` when that was not asked for. */
  readonly saved: string | null;
}

/** `evidence list [url]`: the proofs that replicas keep, each fetched and checked. */
export async function evidenceList(
  invocation: Invocation,
  url: string | undefined,
  options: AccessOptions & { readonly save?: string },
): Promise<Report> {
  return await withAccess(invocation, url, options, async ({ replicas, pin }) => {
    const { signal, cwd } = invocation.context;
    const folder = options.save === undefined ? undefined : resolve(cwd, options.save);
    const found = new Map<string, Checked>();
    const warnings: Diagnostic[] = [];
    const failures: { url: string; error: Error }[] = [];
    await Promise.all(
      replicas.map(async (replica) => {
        try {
          for (const { id, document } of await proofsOf(replica, signal)) {
            // The same misdeed is noticed by all the others; one proof of it is enough.
            if (found.has(id) || found.size >= DOCUMENTS_MAX) continue;
            const checked = await check(replica, id, document, pin, folder);
            if ('data' in checked) found.set(id, checked);
            else warnings.push(checked);
          }
        } catch (error) {
          failures.push({ url: replica.url, error: asError(error) });
        }
      }),
    );
    if (failures.length === replicas.length) {
      throw new UnreachableError('could not check: no replica answered', failures);
    }
    for (const { url: at, error } of failures) {
      warnings.push(
        diagnostic('BP7001', `${at}: ${describeFailure(error)}`, { severity: 'warning' }),
      );
    }
    const all = [...found.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
    const lines = all.flatMap(({ id, line, saved }) => [line, `  ${saved ?? id}`]);
    return doneReport(
      'evidence list',
      {
        data: {
          asked: replicas.length - failures.length,
          reports: all.map(({ id, url: at, data, saved }) => ({ id, url: at, saved, ...data })),
        },
        lines:
          all.length === 0 ? [`no proofs at ${replicas.length - failures.length} replicas`] : lines,
      },
      warnings,
    );
  });
}

/** A proof that a replica keeps: what one replica signed, or a head that the log never had. */
interface Kept {
  readonly id: string;
  readonly document: () => Promise<Uint8Array>;
}

async function proofsOf(replica: ReplicaClient, signal: AbortSignal): Promise<readonly Kept[]> {
  const [reports, heads] = await Promise.all([
    replica.misbehaviour(signal),
    replica.contradictions(signal),
  ]);
  return [
    ...reports.map((id) => ({ id, document: () => replica.misbehaviourDocument(id, signal) })),
    ...heads.map((id) => ({ id, document: () => replica.contradictionDocument(id, signal) })),
  ];
}

// What a replica serves and what does not hold is a fault of that replica, not a proof about another.
async function check(
  replica: ReplicaClient,
  id: string,
  fetchDocument: () => Promise<Uint8Array>,
  pin: string,
  folder: string | undefined,
): Promise<Checked | Diagnostic> {
  const document = await fetchDocument();
  try {
    const { data, lines } = await checkDocument(document, pin, nativeVerifier);
    // At once, so that many large ones are never in memory together.
    const saved = folder === undefined ? null : await save(folder, id, document);
    return { id, url: replica.url, data, line: lines[0] ?? '', saved };
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    const message = `${replica.url}: ${id} proves nothing: ${describeFailure(error)}`;
    return diagnostic('BP4008', message, { severity: 'warning' });
  }
}

async function save(folder: string, id: string, document: Uint8Array): Promise<string> {
  const path = join(folder, `bftpkg-misbehaviour-${id}.json`);
  try {
    await createFile(path, document, 0o644);
  } catch (error) {
    // The same document from another time is as good.
    if (systemCode(error) !== 'EEXIST') {
      throw configError(`${path}: ${systemReason(error)}`, undefined, error);
    }
  }
  return path;
}
