// Signing a draft: the one place where private keys are used. What is signed is shown in full first,
// and somebody has to say yes to exactly that digest; nothing is signed blindly.
import { resolve } from 'node:path';

import { formatSri } from '../../verifier/npm/integrity.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { CliError, usageError } from '../errors.ts';
import type { Invocation, Terminal } from '../context.ts';
import { openSigner } from '../keys/open-key.ts';
import { printable } from '../output/sanitize.ts';
import { doneReport, type Report } from '../output/report.ts';
import {
  describeDraft,
  draftId,
  loadDraft,
  saveDraft,
  signDraft,
  type Draft,
} from '../release/draft.ts';
import type { Artifact } from '../release/artifact.ts';
import { requireObserved } from '../release/observed.ts';
import { noteSigning } from '../release/signed-before.ts';
import { requireStated } from '../release/stated.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { lookUpPackage } from '../session/look-up.ts';
import { stateFolder } from '../trust/folders.ts';

/** Options of `sign`. */
export interface SignOptions {
  readonly key: readonly string[];
  /** `sha512-…` of the (only) tarball, where that is at hand to compare; or the hash of the statement. */
  readonly expectDigest?: string;
  /** File to write instead of the draft itself. */
  readonly out?: string;
}

/** `package sign <file>`, and `release sign <file>` for withdrawals. */
export async function sign(
  invocation: Invocation,
  command: string,
  file: string,
  options: SignOptions,
): Promise<Report> {
  const { context } = invocation;
  const path = resolve(context.cwd, file);
  const draft = await loadDraft(path);
  if (draft.statement.kind === 'release') {
    throw usageError(
      `${file} is a release: it is rebuilt before it is signed`,
      'bftpkg release sign',
    );
  }
  await withSession(invocation, {}, (session) => requireSeen(session, draft, context.signal));
  const lines = [...describeDraft(draft)];
  const unread = await confirm(invocation, draft, lines, options.expectDigest, []);
  const signed = await signWith(invocation, draft, options.key);
  const out = options.out === undefined ? path : resolve(context.cwd, options.out);
  await saveDraft(signed, out);
  const keyIds = signed.signatures.map(({ keyid }) => keyid);
  return doneReport(command, {
    data: { file: out, statement: draftId(signed), signatures: keyIds },
    lines: [...unread, `${keyIds.length} signature(s) in ${out}`],
  });
}

// A set or a withdrawal says what its signers have seen of the log, just as a release does.
async function requireSeen(session: LogSession, draft: Draft, signal: AbortSignal): Promise<void> {
  const { statement } = draft;
  if (statement.kind === 'release') throw new CliError('BP9004', 'a release is signed elsewhere');
  const stated = statement.kind === 'maintainers' ? statement.set : statement.withdrawal;
  const { head } = await lookUpPackage(session, parsePurl(stated.package).name);
  await requireObserved(session, stated.observed, head, signal);
}

/** Adds a signature by each of the named keys. */
export async function signWith(
  invocation: Invocation,
  draft: Draft,
  keys: readonly string[],
): Promise<Draft> {
  if (keys.length === 0) throw new CliError('BP9003', 'no --key to sign with');
  let signed = draft;
  for (const what of keys) {
    const signer = await openSigner(invocation, what);
    // Before the signature exists: whoever is asked to sign another artifact later must know of it.
    await noteSigning(stateFolder(invocation.context.env), draft);
    signed = await signDraft(signed, signer);
  }
  return signed;
}

/** What has to be given to sign: a release's digest, or the hash of another statement. */
function digestOf(draft: Draft): string {
  if (draft.statement.kind !== 'release') return draftId(draft);
  const { subjects } = draft.statement.release;
  const [only] = subjects;
  return subjects.length === 1 && only !== undefined ? formatSri(only.sha512) : draftId(draft);
}

/**
 * Lets somebody say yes to exactly this draft. Nothing is signed that has not passed here.
 *
 * @param lines     what is shown before
 * @param expected  the digest that `--expect-digest` names; without it, a person is asked
 * @param artifacts of a release: the tarballs in the order of its subjects, `undefined` for one that is not
 *                  at hand
 * @param digest    what may be named instead of the statement's hash
 * @returns the lines that the report still has to have: none when a person has just read them on the screen that
 *          it is for
 * @throws {CliError} BP1001 for another digest, BP8002 without a yes, BP1009 when the statement says of a
 *         tarball what it is not
 */
export async function confirm(
  invocation: Invocation,
  draft: Draft,
  lines: readonly string[],
  expected: string | undefined,
  artifacts: readonly (Artifact | undefined)[],
  digest: string = digestOf(draft),
): Promise<readonly string[]> {
  const unseen = requireTrue(draft, artifacts);
  if (expected !== undefined) {
    if (expected === draftId(draft)) return lines;
    if (expected === digest && unseen.length === 0) return lines;
    if (expected === digest) throw digestIsNotEnough(draft, unseen);
    throw new CliError('BP1001', 'the draft is not the one that --expect-digest names', {
      details: [
        ['expected', expected],
        ['draft', digest],
      ],
    });
  }
  const { terminal } = invocation.context;
  // Nothing is left out, however long: what is cut off here is signed all the same. Where nobody can be
  // asked it is shown, too: a digest alone that a message asks for would be signed blindly the next time.
  const whole = lines.map((line) => printable(line, Number.POSITIVE_INFINITY));
  terminal.writeErr(`${whole.join('\n')}\n`);
  const ask = requireConfirmable(invocation, draft, expected, digest);
  const word = confirmationWord(draft);
  const typed = await ask?.(`type "${printable(word)}" to sign: `);
  if (typed?.trim() !== word) throw new CliError('BP8002', 'not confirmed, nothing was signed');
  return terminal.outIsTty ? [] : lines;
}

/** Requires that a release says of its tarballs what they are. @returns names of those not at hand */
function requireTrue(
  { statement }: Draft,
  artifacts: readonly (Artifact | undefined)[],
): readonly string[] {
  if (statement.kind !== 'release') return [];
  return statement.release.subjects.flatMap((subject, i) => {
    const artifact = artifacts[i];
    if (artifact === undefined) return [`${subject.name}@${subject.version}`];
    requireStated(subject, artifact);
    return [];
  });
}

// A digest says nothing about the words around it. A machine that knows the one of 1.0.0 would sign
// "2.0.0 has that digest", remember it, and refuse the true 2.0.0 for ever.
function digestIsNotEnough(draft: Draft, unseen: readonly string[]): CliError {
  return new CliError(
    'BP8002',
    'the digest is right, but says nothing about the rest of the draft',
    {
      details: unseen.map((name) => ['not at hand', `the tarball of ${name}`] as const),
      hints: [
        '--from <folder>: rebuild it',
        `--expect-digest ${draftId(draft)}: the statement, if you know it from elsewhere`,
      ],
    },
  );
}

/**
 * Requires that somebody can say yes, or has said it: asked before work that would be in vain.
 *
 * @throws {CliError} BP8002
 */
export function requireConfirmable(
  { context, globals }: Invocation,
  draft: Draft,
  expected: string | undefined,
  digest: string = digestOf(draft),
): Terminal['ask'] {
  if (expected !== undefined || (globals.input && context.terminal.ask !== undefined)) {
    return context.terminal.ask;
  }
  throw new CliError('BP8002', 'signing needs a confirmation', {
    hints: [`--expect-digest ${digest}`],
  });
}

function confirmationWord(draft: Draft): string {
  if (draft.statement.kind === 'withdrawal') return draft.statement.withdrawal.version;
  if (draft.statement.kind !== 'release') return 'sign';
  return draft.statement.release.subjects[0]?.version ?? 'sign';
}
