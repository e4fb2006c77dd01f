// `bftpkg package`: claiming a name by a first maintainer set, signed by every key in it.
import { resolve } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { VerifiedPackage } from '../../verifier/evidence/subject.ts';
import { packagePurl } from '../../verifier/npm/purl.ts';
import {
  formatMaintainerSet,
  maintainerSetWarnings,
  MAINTAINERS_PAYLOAD_TYPE,
  type Maintainer,
} from '../../verifier/statements/maintainers.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import { openKey } from '../keys/open-key.ts';
import { loadDraft, makeDraft, saveDraft, signersAmong, type Draft } from '../release/draft.ts';
import { submitDraft } from '../release/submit.ts';
import { lookUpPackage } from '../session/look-up.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { readFaulty, readMaintainer } from './maintainer-fields.ts';
import { requireChangeSigned } from './package-change.ts';
import { signWith } from './sign.ts';
import { submissionReport } from './submission-report.ts';

/** Options of `package register`. */
export interface RegisterOptions {
  /** `name=<public key hex>`, or the name of a key of our own. */
  readonly maintainer: readonly string[];
  readonly faulty?: string;
  readonly key: readonly string[];
  /** Write the draft instead of submitting it. */
  readonly out?: string;
}

/** `package register <name>`. */
export async function packageRegister(
  invocation: Invocation,
  name: string,
  options: RegisterOptions,
): Promise<Report> {
  const purl = readName(name);
  const maintainers = await readMaintainers(invocation, options);
  const faulty = faultyOf(options.faulty, maintainers.length);
  return await withSession(invocation, {}, async (session) => {
    const { head, found } = await lookUpPackage(session, name);
    if (found !== undefined) return alreadyRegistered(name, found, maintainers, faulty);
    const set = {
      package: purl,
      sequence: 0,
      previous: null,
      faulty,
      maintainers,
      observed: new Map([[head.origin, { size: head.size, root: head.root }]]),
    };
    const draft = makeDraft(MAINTAINERS_PAYLOAD_TYPE, formatMaintainerSet(set));
    const warnings = maintainerSetWarnings(set).map((text) =>
      diagnostic('BP2001', `${name}: ${text}`, { severity: 'warning' }),
    );
    return await finish(invocation, session, draft, options, warnings);
  });
}

async function finish(
  invocation: Invocation,
  session: LogSession,
  unsigned: Draft,
  options: RegisterOptions,
  warnings: readonly Diagnostic[],
): Promise<Report> {
  const draft =
    options.key.length === 0 ? unsigned : await signWith(invocation, unsigned, options.key);
  if (options.out !== undefined) {
    const out = resolve(invocation.context.cwd, options.out);
    await saveDraft(draft, out);
    const lines = [
      `draft in ${out}, ${missingSigners(draft).length} signature(s) missing`,
      `next  bftpkg package sign ${options.out} --key <key>, then bftpkg package submit ${options.out}`,
    ];
    return doneReport('package register', { data: { file: out }, lines }, warnings);
  }
  requireAllSigned(draft, '--out set.json, then bftpkg package sign set.json');
  const submitted = await submitDraft(session, draft, invocation);
  return submissionReport('package register', draft, submitted, warnings);
}

/** `package submit <file>`: a first set that all its members have signed, or a change. */
export async function packageSubmit(invocation: Invocation, file: string): Promise<Report> {
  const draft = await loadDraft(resolve(invocation.context.cwd, file));
  if (draft.statement.kind !== 'maintainers') {
    throw usageError(`${file} is not a maintainer set`, 'bftpkg release submit');
  }
  const { sequence } = draft.statement.set;
  if (sequence === 0) requireAllSigned(draft, `bftpkg package sign ${file}`);
  return await withSession(invocation, {}, async (session) => {
    if (sequence > 0) await requireChangeSigned(session, draft);
    return submissionReport('package submit', draft, await submitDraft(session, draft, invocation));
  });
}

function readName(name: string): string {
  try {
    return packagePurl(name);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw usageError(`not a name for a new package: ${error.message}`);
  }
}

// Own keys given with --key are maintainers too, under their own names, unless all are listed.
async function readMaintainers(
  invocation: Invocation,
  options: RegisterOptions,
): Promise<readonly Maintainer[]> {
  const maintainers: Maintainer[] = [];
  for (const text of options.maintainer) maintainers.push(await readMaintainer(invocation, text));
  if (maintainers.length === 0) {
    for (const what of options.key) {
      const { name, publicKey } = await openKey(invocation, what);
      maintainers.push({ name, key: publicKey });
    }
  }
  if (maintainers.length === 0) {
    throw usageError('no maintainers', '--maintainer <name>=<public key>, or --key <file>');
  }
  return maintainers;
}

// By default as many as can be bad while the good ones can still release: m >= 2f + 1.
function faultyOf(text: string | undefined, count: number): number {
  return text === undefined ? Math.floor((count - 1) / 2) : readFaulty(text, count);
}

function missingSigners(draft: Draft): readonly Maintainer[] {
  if (draft.statement.kind !== 'maintainers') return [];
  const { maintainers } = draft.statement.set;
  const signed = signersAmong(
    draft,
    maintainers.map(({ key }) => key),
  );
  return maintainers.filter(({ key }) => !signed.includes(key));
}

function requireAllSigned(draft: Draft, how: string): void {
  const missing = missingSigners(draft);
  if (missing.length === 0) return;
  throw new CliError('BP2001', 'every key of a first maintainer set has to sign it', {
    details: missing.map(({ name, key }) => [`missing ${name}`, publicKeyHex(key)] as const),
    hints: [`${how} --key <key>, by each of them`],
  });
}

// Registering again with the same people is what a repeated script does; with others it is a conflict.
function alreadyRegistered(
  name: string,
  found: VerifiedPackage,
  maintainers: readonly Maintainer[],
  faulty: number,
): Report {
  const describe = (list: readonly Maintainer[]): string =>
    list
      .map((maintainer) => publicKeyHex(maintainer.key))
      .toSorted()
      .join(' ');
  const same =
    found.sequence === 0 &&
    found.set.faulty === faulty &&
    describe(found.set.maintainers) === describe(maintainers);
  if (!same) {
    throw new CliError('BP5004', `${name}: registered already, with other maintainers`, {
      details: found.set.maintainers.map(
        ({ name: label, key }) => [label, publicKeyHex(key)] as const,
      ),
    });
  }
  return doneReport('package register', {
    data: { package: name, index: found.index, statement: found.setHash, already: true },
    lines: [`${name} is registered with these maintainers already, entry ${found.index}`],
  });
}
