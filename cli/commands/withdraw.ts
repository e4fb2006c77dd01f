// `bftpkg revoke`, `yank`, `unyank`: what maintainers say about a release that should no longer be used.
// Revoked is a hard stop for ever; yanked lets existing lockfiles go on with a warning.
import { resolve } from 'node:path';

import { formatSri } from '../../verifier/npm/integrity.ts';
import { packagePurl, parsePurl } from '../../verifier/npm/purl.ts';
import {
  formatWithdrawal,
  WITHDRAWAL_PAYLOAD_TYPE,
  WITHDRAWAL_REASONS,
  type WithdrawalKind,
  type WithdrawalReason,
} from '../../verifier/statements/withdrawal.ts';
import type { Invocation } from '../context.ts';
import { CliError, fromUsage, usageError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import { describeDraft, draftId, makeDraft, saveDraft, type Draft } from '../release/draft.ts';
import { requireSigners } from '../release/signers.ts';
import { submitDraft, type Submitted } from '../release/submit.ts';
import { lookUpRelease } from '../session/look-up.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { confirm, signWith } from './sign.ts';
import { parseSpec, type Spec } from './spec.ts';
import { submissionReport } from './submission-report.ts';

/** Options of all three commands. */
export interface WithdrawOptions {
  readonly reason?: string;
  readonly text?: string;
  readonly key: readonly string[];
  /** `sha512-…` of the release that is meant; without it, a person is asked before anything is signed. */
  readonly expectDigest?: string;
  /** Write a draft for the others to sign, instead of submitting. */
  readonly out?: string;
}

const COMMANDS: Readonly<Record<WithdrawalKind, string>> = {
  revoked: 'revoke',
  yanked: 'yank',
  unyanked: 'unyank',
};

/** `revoke|yank|unyank <name@version>`. */
export async function withdraw(
  invocation: Invocation,
  kind: WithdrawalKind,
  target: string,
  options: WithdrawOptions,
): Promise<Report> {
  const command = COMMANDS[kind];
  const spec = parseSpec(target);
  const reason = readReason(kind, options.reason);
  return await withSession(invocation, {}, async (session) => {
    const made = await makeWithdrawal(session, spec, kind, reason, options.text ?? '');
    const { draft, unread } = await signed(invocation, made, options);
    if (options.out === undefined) {
      const how = '--out draft.json, then bftpkg release sign draft.json';
      const report = await submit(session, invocation, draft, { command, how });
      return withLines(unread, report);
    }
    const path = resolve(invocation.context.cwd, options.out);
    await saveDraft(draft, path);
    return doneReport(command, {
      data: { file: path, statement: draftId(draft), signatures: draft.signatures.length },
      lines: [
        ...unread,
        `draft in ${path}, ${draft.signatures.length} signature(s) so far`,
        `next  bftpkg release sign ${options.out} --key <key>, then bftpkg release submit ${options.out}`,
      ],
    });
  });
}

/** `release submit <file>` of a draft that withdraws a release. */
export async function withdrawalSubmit(
  invocation: Invocation,
  draft: Draft,
  command: string,
  file: string,
): Promise<Report> {
  const how = `bftpkg release sign ${file}`;
  return await withSession(invocation, {}, (session) =>
    submit(session, invocation, draft, { command, how }),
  );
}

interface Made {
  readonly draft: Draft;
  /** Of the tarball of the release that is meant, as a lockfile has it. */
  readonly digest: string;
}

// A passphrase alone is no yes: the log that a folder's bftpkg.json names says which release that version is. The
// statement's hash can't be known before it is made, since it names the newest head; the tarball's digest can.
async function signed(
  invocation: Invocation,
  { draft, digest }: Made,
  { key, expectDigest }: WithdrawOptions,
): Promise<{ readonly draft: Draft; readonly unread: readonly string[] }> {
  if (key.length === 0) return { draft, unread: [] };
  const lines = [...describeDraft(draft), `  digest    ${digest}`];
  const unread = await confirm(invocation, draft, lines, expectDigest, [], digest);
  return { draft: await signWith(invocation, draft, key), unread };
}

function withLines(lines: readonly string[], report: Report): Report {
  if (report.result === null) return report;
  return { ...report, result: { ...report.result, lines: [...lines, ...report.result.lines] } };
}

async function makeWithdrawal(
  session: LogSession,
  { name, version }: Spec,
  kind: WithdrawalKind,
  reason: WithdrawalReason,
  text: string,
): Promise<Made> {
  // Throws for a release that is revoked already.
  const { head, release } = await lookUpRelease(session, name, version);
  if (release === undefined) throw new CliError('BP5003', `${name}@${version}: not in the log`);
  const isYanked = release.status === 'yanked';
  if ((kind === 'yanked' && isYanked) || (kind === 'unyanked' && !isYanked)) {
    const state = isYanked ? 'yanked already' : 'not yanked';
    throw new CliError('BP5004', `${name}@${version}: ${state}, there is nothing to do`);
  }
  const withdrawal = {
    package: packagePurl(name),
    version,
    kind,
    reason,
    text,
    release: release.statement,
    observed: new Map([[head.origin, { size: head.size, root: head.root }]]),
  };
  const payload = fromUsage(() => formatWithdrawal(withdrawal));
  return { draft: makeDraft(WITHDRAWAL_PAYLOAD_TYPE, payload), digest: formatSri(release.sha512) };
}

// A revocation stops every user of the release: it has to say why.
function readReason(kind: WithdrawalKind, text: string | undefined): WithdrawalReason {
  if (text === undefined && kind !== 'revoked') return 'other';
  const reason = WITHDRAWAL_REASONS.find((each) => each === text);
  if (reason !== undefined) return reason;
  throw usageError(
    text === undefined ? 'revoking needs a --reason' : `${text} is not a reason`,
    `--reason ${WITHDRAWAL_REASONS.join('|')}`,
  );
}

async function submit(
  session: LogSession,
  invocation: Invocation,
  draft: Draft,
  { command, how }: { readonly command: string; readonly how: string },
): Promise<Report> {
  await requireSigned(session, draft, how);
  const submitted = await submitDraft(session, draft, invocation);
  const report = submissionReport(command, draft, submitted);
  if (report.result === null) return report;
  const shown = statusLine(submitted);
  const { data, lines } = report.result;
  return {
    ...report,
    result: { data: { ...data, status: shown.status }, lines: [...lines, shown.line] },
  };
}

// What every client is shown from now on, from the evidence that was just verified.
function statusLine({ verified }: Submitted): { readonly status: string; readonly line: string } {
  const [result] = verified.evidence.subjects;
  const proven = 'proven by the map under this checkpoint';
  if (result?.kind === 'refused' && result.error.code === 'RELEASE_REVOKED') {
    return { status: 'revoked', line: `clients refuse it from now on, ${proven}` };
  }
  if (result?.kind === 'verified') {
    const { status } = result.release;
    return { status, line: `its status is ${status}, ${proven}` };
  }
  return { status: 'unknown', line: 'its status could not be shown' };
}

async function requireSigned(session: LogSession, draft: Draft, how: string): Promise<void> {
  if (draft.statement.kind !== 'withdrawal') return;
  const { name } = parsePurl(draft.statement.withdrawal.package);
  await requireSigners(session, draft, name, `${how} --key <key>, by another one`);
}
