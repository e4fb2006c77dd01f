// The JSON Schema (2020-12) of what `bftpkg verify --json` prints. Fields are only ever added under this
// name, so it is open: readers ignore what they do not know.
import type { JsonObject } from '../../verifier/json.ts';
import { CODES } from './codes.ts';
import { EXIT_CODES } from './exit-codes.ts';
import { doneReport, type Report } from './report.ts';

const text: JsonObject = { type: 'string' };
const textOrNull: JsonObject = { type: ['string', 'null'] };
const count: JsonObject = { type: 'integer', minimum: 0 };
const countOrNull: JsonObject = { type: ['integer', 'null'], minimum: 0 };
const code: JsonObject = { enum: Object.keys(CODES) };
const time: JsonObject = { type: 'string', format: 'date-time' };

function object(
  properties: JsonObject,
  optional: readonly string[] = [],
  description?: string,
): JsonObject {
  return {
    type: 'object',
    ...(description === undefined ? {} : { description }),
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
  };
}

function orNull(schema: JsonObject): JsonObject {
  return { anyOf: [schema, { type: 'null' }] };
}

function list(items: JsonObject): JsonObject {
  return { type: 'array', items };
}

const VERDICTS = [
  'verified',
  'rejected',
  'inconclusive',
  'local',
  'bundled',
  'omitted',
  'excepted',
  'baseline',
];

const diagnostic = object({
  code,
  severity: { enum: ['error', 'inconclusive', 'warning'] },
  message: text,
  details: list(object({ label: text, text })),
  hints: list(text),
});

const decision = object(
  {
    kind: { enum: ['excepted', 'baseline'] },
    reason: text,
    expires: textOrNull,
    source: text,
    suppressed: list({ $ref: '#/$defs/diagnostic' }),
  },
  [],
  'Why something that was refused is allowed all the same.',
);

const subject = object({
  id: text,
  name: text,
  version: textOrNull,
  location: orNull(object({ file: text, line: { type: ['integer', 'null'], minimum: 1 } })),
  paths: list(list(text)),
  verdict: { enum: VERDICTS },
  origin: orNull(object({ kind: text, notes: list(text) })),
  digest: object({ logged: textOrNull, found: textOrNull }),
  entry: orNull(object({ index: count, loggedAt: orNull(time) })),
  maintainers: orNull(
    object({
      required: count,
      valid: count,
      signatures: list(object({ keyId: text, label: text, status: { enum: ['valid'] } })),
    }),
  ),
  decision: orNull({ $ref: '#/$defs/decision' }),
  diagnostics: list({ $ref: '#/$defs/diagnostic' }),
});

const policy = object({
  source: text,
  attestations: count,
  total: count,
  faulty: count,
  maxCheckpointAgeSeconds: count,
});

const checkpoint = object(
  {
    origin: text,
    size: count,
    root: text,
    epoch: count,
    signers: list(text),
    consistentWith: countOrNull,
    timestamp: time,
    ageSeconds: { type: 'integer' },
  },
  // Left out by --reproducible.
  ['timestamp', 'ageSeconds'],
);

/** The schema, as a document. */
export const VERIFY_JSON_SCHEMA: JsonObject = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:bftpkg:schema:verify:v1',
  title: 'Report of bftpkg verify, install and ci',
  ...object(
    {
      schema: { const: 'urn:bftpkg:schema:verify:v1' },
      tool: object({ name: { const: 'bftpkg' }, version: text }),
      command: { enum: ['verify', 'install', 'ci'] },
      startedAt: time,
      durationMs: count,
      verdict: { enum: ['verified', 'allowed', 'rejected', 'inconclusive', 'error'] },
      exit: object({
        code: { enum: EXIT_CODES.map((entry) => entry.code) },
        reason: orNull(code),
      }),
      source: textOrNull,
      policy: orNull(policy),
      checkpoint: orNull(checkpoint),
      summary: object({
        subjects: count,
        ...Object.fromEntries(VERDICTS.map((name) => [name, count])),
      }),
      replicas: list(object({ url: text, problem: text })),
      installed: orNull(
        object({
          packages: count,
          allowed: count,
          folder: text,
          scripts: object({ ran: list(text), skipped: list(text), failed: list(text) }),
        }),
      ),
      bytesFetched: count,
      subjects: list({ $ref: '#/$defs/subject' }),
      diagnostics: list({ $ref: '#/$defs/diagnostic' }),
      evidence: list(text),
    },
    ['startedAt', 'durationMs', 'bytesFetched'],
  ),
  $defs: { diagnostic, decision, subject },
};

/** `verify --json-schema`. */
export function schemaReport(): Report {
  const raw = `${JSON.stringify(VERIFY_JSON_SCHEMA, null, 2)}\n`;
  return doneReport('verify', { data: VERIFY_JSON_SCHEMA, lines: [], raw });
}
