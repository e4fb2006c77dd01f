// A statement on its way from one maintainer to the next: the payload, the signatures so far, and for a
// release where its tarballs are. It is a working file: nothing in it is believed that the payload
// does not say, and every signature is checked before it is counted or sent.
import { lstat, readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';

import {
  ENVELOPE_LENGTH_MAX,
  ENVELOPE_SIGNATURES_MAX,
  formatEnvelope,
  preAuthenticationEncoding,
  statementHash,
  type Envelope,
  type EnvelopeSignature,
} from '../../verifier/dsse.ts';
import { keyId, publicKeyHex, SIGNATURE_LENGTH, type PublicKey } from '../../verifier/ed25519.ts';
import { encodeBase64, encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  canonicalJson,
  ObjectReader,
  parseCanonicalJson,
  readString,
  type JsonObject,
  type JsonValue,
} from '../../verifier/json.ts';
import { verifyNative } from '../../verifier/node/ed25519.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  parseMaintainerSet,
  type MaintainerSet,
} from '../../verifier/statements/maintainers.ts';
import type { Observed } from '../../verifier/statements/observed.ts';
import {
  parseRelease,
  RELEASE_PAYLOAD_TYPE,
  RELEASE_SUBJECTS_MAX,
  type Release,
} from '../../verifier/statements/release.ts';
import {
  parseWithdrawal,
  WITHDRAWAL_PAYLOAD_TYPE,
  type Withdrawal,
} from '../../verifier/statements/withdrawal.ts';
import { CliError, configError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import type { Signer } from '../keys/signer.ts';
import { printable } from '../output/sanitize.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { manifestLines } from './compare.ts';

const DRAFT_FORMAT = 'bftpkg-draft/v1';
const DRAFT_LENGTH_MAX = 4 * ENVELOPE_LENGTH_MAX;
const PATH_LENGTH_MAX = 4096;
/** Characters of a line that are shown at once: a few lines of a terminal, less than reports cut off. */
const PIECE_LENGTH = 1_000;

/** What a draft states. */
export type DraftStatement =
  | { readonly kind: 'maintainers'; readonly set: MaintainerSet }
  | { readonly kind: 'release'; readonly release: Release }
  | { readonly kind: 'withdrawal'; readonly withdrawal: Withdrawal };

/** A statement that is being signed. */
export interface Draft {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signatures: readonly EnvelopeSignature[];
  /** For a release: the tarball of each subject, in the order of the subjects; absolute paths. */
  readonly artifacts: readonly string[];
  readonly statement: DraftStatement;
}

/** A new draft. @throws {VerifyError} for a payload that no reader would accept */
export function makeDraft(
  payloadType: string,
  payload: Uint8Array,
  artifacts: readonly string[] = [],
): Draft {
  const statement = readStatementOf(payloadType, payload);
  return { payloadType, payload, signatures: [], artifacts, statement };
}

function readStatementOf(payloadType: string, payload: Uint8Array): DraftStatement {
  switch (payloadType) {
    case MAINTAINERS_PAYLOAD_TYPE:
      return { kind: 'maintainers', set: parseMaintainerSet(payload) };
    case RELEASE_PAYLOAD_TYPE:
      return { kind: 'release', release: parseRelease(payload) };
    case WITHDRAWAL_PAYLOAD_TYPE:
      return { kind: 'withdrawal', withdrawal: parseWithdrawal(payload) };
    default:
      throw new VerifyError('FORMAT_UNSUPPORTED', 'the draft states something unknown');
  }
}

/**
 * Reads a draft from a file.
 *
 * @throws {CliError} BP9004
 */
export async function loadDraft(path: string): Promise<Draft> {
  try {
    const facts = await lstat(path);
    if (facts.size > DRAFT_LENGTH_MAX) throw new Error('too large for a draft');
    const text = (await readFile(path, 'utf8')).replace(/\n$/, '');
    return parseDraft(text, dirname(path));
  } catch (error) {
    const detail = systemReason(error);
    throw configError(
      `${path}: ${detail}`,
      'bftpkg release prepare, package register and package propose-change make drafts',
      error,
    );
  }
}

/**
 * Reads the text of a draft.
 *
 * @param folder what relative paths of artifacts start from
 */
export function parseDraft(text: string, folder: string): Draft {
  const reader = new ObjectReader(parseCanonicalJson(text, DRAFT_LENGTH_MAX), '');
  reader.format('format', DRAFT_FORMAT);
  const payloadType = reader.string('payloadType', 128);
  const payload = reader.base64('payload', ENVELOPE_LENGTH_MAX);
  const signatures = reader.array('signatures', ENVELOPE_SIGNATURES_MAX, readSignature);
  const artifacts = reader
    .array('artifacts', RELEASE_SUBJECTS_MAX, (value, path) =>
      readString(value, path, PATH_LENGTH_MAX),
    )
    .map((path) => (isAbsolute(path) ? path : join(folder, path)));
  reader.end();
  return { ...makeDraft(payloadType, payload, artifacts), signatures };
}

function readSignature(value: JsonValue, path: string): EnvelopeSignature {
  const reader = new ObjectReader(value, path);
  const keyid = reader.string('keyid', 64);
  const signature = reader.base64('sig', SIGNATURE_LENGTH);
  reader.end();
  return { keyid, signature };
}

/** The draft's text; artifacts are given relative to `folder`, so that it can be handed on with them. */
export function formatDraft(draft: Draft, folder: string): string {
  return `${canonicalJson({
    format: DRAFT_FORMAT,
    payloadType: draft.payloadType,
    payload: encodeBase64(draft.payload),
    signatures: draft.signatures.map(({ keyid, signature }) => ({
      keyid,
      sig: encodeBase64(signature),
    })),
    artifacts: draft.artifacts.map((path) => relative(folder, path)),
  })}\n`;
}

/** Writes a draft, whole or not at all. */
export async function saveDraft(draft: Draft, path: string): Promise<void> {
  await replaceFile(path, formatDraft(draft, dirname(path)), 0o644);
}

/** The draft with a key's signature; signing twice with one key changes nothing. */
export async function signDraft(draft: Draft, signer: Signer): Promise<Draft> {
  if (signersAmong(draft, [signer.publicKey]).length > 0) return draft;
  const message = preAuthenticationEncoding(draft.payloadType, draft.payload);
  const added = { keyid: signer.keyId, signature: await signer.sign(message) };
  return { ...draft, signatures: [...draft.signatures, added] };
}

/** Which of some keys have a valid signature on the draft, each once. */
export function signersAmong(draft: Draft, keys: readonly PublicKey[]): readonly PublicKey[] {
  const message = preAuthenticationEncoding(draft.payloadType, draft.payload);
  return keys.filter((publicKey) =>
    draft.signatures.some(
      ({ keyid, signature }) =>
        keyid === keyId(publicKey) && verifyNative({ publicKey, message, signature }),
    ),
  );
}

/**
 * The draft with one valid line for each of some keys that have signed it, and nothing else: what comes
 * from others may hold bad lines in the name of good keys.
 */
export function onlySignedBy(draft: Draft, keys: readonly PublicKey[]): Draft {
  const signatures = keys.flatMap((publicKey) => {
    const own = draft.signatures.filter(({ keyid }) => keyid === keyId(publicKey));
    const good = own.find((line) => {
      const alone = { ...draft, signatures: [line] };
      return signersAmong(alone, [publicKey]).length > 0;
    });
    return good === undefined ? [] : [good];
  });
  return { ...draft, signatures };
}

/** The draft with the lines of another one of the same statement. Lines are not checked here. */
export function mergeDrafts(draft: Draft, other: Draft): Draft {
  const seen = new Set(draft.signatures.map(lineId));
  const added = other.signatures.filter((line) => !seen.has(lineId(line)));
  return { ...draft, signatures: [...draft.signatures, ...added] };
}

function lineId({ keyid, signature }: Draft['signatures'][number]): string {
  return `${keyid} ${Buffer.from(signature).toString('hex')}`;
}

/** Identity of what is stated: hex SHA-256 of the payload. */
export function draftId(draft: Draft): string {
  return statementHash(draft.payload);
}

/**
 * The signed envelope, as it is sent. Lines that are not 64 bytes or repeat a key are left out: they
 * could only get the whole refused.
 */
export function envelopeOf(draft: Draft): { readonly text: string; readonly envelope: Envelope } {
  const byKey = new Map<string, EnvelopeSignature>();
  for (const line of draft.signatures) {
    if (line.signature.length === SIGNATURE_LENGTH) byKey.set(line.keyid, line);
  }
  if (byKey.size === 0) throw new CliError('BP2001', 'nobody has signed it yet');
  const envelope = {
    payloadType: draft.payloadType,
    payload: draft.payload,
    signatures: [...byKey.values()],
  };
  return { envelope, text: formatEnvelope(envelope) };
}

/** The heads that signers say to have seen. */
export function observedLines(observed: Observed): readonly string[] {
  return [...observed].map(
    ([origin, { size, root }]) =>
      `  observed  ${origin}: size ${size}, root ${encodeHex(root).slice(0, 16)}…`,
  );
}

// A manifest of thousands of dependencies on one line hides a script at its end, whether or not a terminal
// or a report cuts it off.
function manifestText(manifest: JsonObject): readonly string[] {
  const lines = manifestLines(manifest);
  if (lines.length === 0) return ['  manifest  {}'];
  return ['  manifest', ...lines.flatMap((line) => inPieces(`    ${line}`))];
}

// Reports cut lines, and say so by a dot at the end; here nothing may be missing.
function inPieces(line: string): readonly string[] {
  const whole = printable(line, Number.POSITIVE_INFINITY);
  const pieces: string[] = [];
  for (let at = 0; at < whole.length; at += PIECE_LENGTH) {
    pieces.push(`${at === 0 ? '' : '      + '}${whole.slice(at, at + PIECE_LENGTH)}`);
  }
  return pieces;
}

/** The draft as lines for the person who is about to sign it: everything that it states. */
export function describeDraft(draft: Draft): readonly string[] {
  const { statement } = draft;
  if (statement.kind === 'maintainers') {
    const { set } = statement;
    return [
      `maintainer set of ${set.package}, sequence ${set.sequence}`,
      `  signatures needed for a release: ${set.faulty + 1} of ${set.maintainers.length}`,
      ...set.maintainers.map(({ name, key }) => `  maintainer ${name}  ${publicKeyHex(key)}`),
      `  previous  ${set.previous === null ? 'none: the first set' : `statement ${set.previous}`}`,
      ...observedLines(set.observed),
      `  statement ${draftId(draft)}`,
    ];
  }
  if (statement.kind === 'withdrawal') {
    const { withdrawal } = statement;
    return [
      `${withdrawal.package}@${withdrawal.version}: ${withdrawal.kind}`,
      ...(withdrawal.kind === 'revoked' ? ['  for ever: it can never be taken back'] : []),
      `  reason    ${withdrawal.reason}`,
      `  text      ${withdrawal.text}`,
      `  release   statement ${withdrawal.release}`,
      ...observedLines(withdrawal.observed),
      `  statement ${draftId(draft)}`,
    ];
  }
  return statement.release.subjects.flatMap((subject) => [
    `release ${subject.name}@${subject.version}`,
    `  digest    sha512-${encodeBase64(subject.sha512)}`,
    `  size      ${subject.size} bytes`,
    `  signed by maintainers of set ${subject.maintainers}`,
    ...manifestText(subject.manifest),
    `  statement ${draftId(draft)}`,
  ]);
}
