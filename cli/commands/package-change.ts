// `bftpkg package propose-change`, `approve`, `history`: how the keys of a package change. Sequence k+1
// is signed by f+1 of the maintainers of sequence k and by every key that is new (DESIGN 4.4).
import { resolve } from 'node:path';

import { keyId, publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import type { VerifiedPackage } from '../../verifier/evidence/subject.ts';
import { packagePurl, parsePurl } from '../../verifier/npm/purl.ts';
import {
  formatMaintainerSet,
  maintainerKeys,
  maintainerSetWarnings,
  maintainerThreshold,
  MAINTAINERS_PAYLOAD_TYPE,
  type Maintainer,
  type MaintainerSet,
} from '../../verifier/statements/maintainers.ts';
import { historyOf, type HistoryStep } from '../audit/history.ts';
import type { Invocation } from '../context.ts';
import { CliError, fromUsage, usageError } from '../errors.ts';
import { diagnostic, doneReport, type Diagnostic, type Report } from '../output/report.ts';
import {
  describeDraft,
  draftId,
  loadDraft,
  makeDraft,
  saveDraft,
  signersAmong,
  type Draft,
} from '../release/draft.ts';
import { requireObserved } from '../release/observed.ts';
import { lookUpPackage, type SeenHead } from '../session/look-up.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { readFaulty, readMaintainer } from './maintainer-fields.ts';
import { confirm, signWith, type SignOptions } from './sign.ts';

/** Options of `package propose-change`. */
export interface ProposeOptions {
  /** `name=<public key hex>`, or the name of a key of our own. */
  readonly add: readonly string[];
  /** Labels, or public keys. */
  readonly remove: readonly string[];
  readonly faulty?: string;
  readonly key: readonly string[];
  readonly out: string;
}

/** `package propose-change <name>`: a draft of the next maintainer set. */
export async function packageProposeChange(
  invocation: Invocation,
  name: string,
  options: ProposeOptions,
): Promise<Report> {
  const added: Maintainer[] = [];
  for (const text of options.add) added.push(await readMaintainer(invocation, text));
  return await withSession(invocation, {}, async (session) => {
    const { head, found } = await lookUpPackage(session, name);
    if (found === undefined) throw notRegistered(name);
    const maintainers = changed(found.set, added, options.remove);
    const faulty =
      options.faulty === undefined
        ? found.set.faulty
        : readFaulty(options.faulty, maintainers.length);
    if (faulty + 1 > maintainers.length) {
      throw usageError(
        `${maintainers.length} maintainers can't give the ${faulty + 1} signatures of a release`,
        '--faulty <number>',
      );
    }
    const set: MaintainerSet = {
      package: packagePurl(name),
      sequence: found.sequence + 1,
      previous: found.setHash,
      faulty,
      maintainers,
      observed: new Map([[head.origin, { size: head.size, root: head.root }]]),
    };
    requireDifferent(found.set, set);
    const payload = fromUsage(() => formatMaintainerSet(set));
    const unsigned = makeDraft(MAINTAINERS_PAYLOAD_TYPE, payload);
    const draft =
      options.key.length === 0 ? unsigned : await signWith(invocation, unsigned, options.key);
    const path = resolve(invocation.context.cwd, options.out);
    await saveDraft(draft, path);
    const lines = [
      ...changeLines(found, draft),
      `draft in ${path}`,
      `next  bftpkg package approve ${options.out} --key <key>, then bftpkg package submit ${options.out}`,
    ];
    const data = { file: path, statement: draftId(draft), sequence: set.sequence };
    return doneReport('package propose-change', { data, lines }, warningsOf(name, set));
  });
}

/** `package approve <file>`: shows what would change, proven, and signs it. */
export async function packageApprove(
  invocation: Invocation,
  file: string,
  options: SignOptions,
): Promise<Report> {
  const { context } = invocation;
  const path = resolve(context.cwd, file);
  const draft = await loadDraft(path);
  const set = setOf(draft, file);
  const { name } = parsePurl(set.package);
  return await withSession(invocation, {}, async (session) => {
    const { found, head } = await requireNext(session, name, set);
    await requireObserved(session, set.observed, head, context.signal);
    const lines = [...changeLines(found, draft), ...describeDraft(draft)];
    const unread = await confirm(invocation, draft, lines, options.expectDigest, []);
    const signed = await signWith(invocation, draft, options.key);
    const out = options.out === undefined ? path : resolve(context.cwd, options.out);
    await saveDraft(signed, out);
    const missing = missingFor(found.set, signed);
    const data = {
      file: out,
      statement: draftId(signed),
      signatures: signed.signatures.map(({ keyid }) => keyid),
      missing: [...missing],
    };
    const isDone = missing.length === 0;
    const state = isDone
      ? ['nothing is missing: it can be submitted', `next  bftpkg package submit ${out}`]
      : missing;
    return doneReport(
      'package approve',
      { data, lines: [...unread, `signed, in ${out}`, ...state] },
      warningsOf(name, set),
    );
  });
}

/**
 * Requires enough signatures on a change before it is sent: replicas would refuse it anyway, later and
 * with less to say.
 *
 * @throws {CliError} BP2001, BP5003, BP5004
 */
export async function requireChangeSigned(session: LogSession, draft: Draft): Promise<void> {
  const set = setOf(draft, 'the draft');
  const { name } = parsePurl(set.package);
  const { found } = await lookUpPackage(session, name);
  // Submitting again what is in force is success.
  if (found?.setHash === draftId(draft)) return;
  const { set: before } = (await requireNext(session, name, set)).found;
  const missing = missingFor(before, draft);
  if (missing.length === 0) return;
  throw new CliError('BP2001', `${name}: the change is not signed by all who have to`, {
    details: missing.map((text) => ['missing', text] as const),
    hints: ['bftpkg package approve <file> --key <key>'],
  });
}

/** `package history <name>`: every maintainer set that the package ever had. */
export async function packageHistory(invocation: Invocation, name: string): Promise<Report> {
  return await withSession(invocation, {}, async (session) => {
    const { found } = await lookUpPackage(session, name);
    if (found === undefined) throw notRegistered(name);
    const verified = await session.verify([{ kind: 'package', name }]);
    const steps = await historyOf(verified, name);
    const { origin, size } = verified.evidence.checkpoint.checkpoint;
    const lines = steps.flatMap((step, i) => stepLines(step, steps[i - 1]));
    return doneReport('package history', {
      data: {
        package: name,
        checkpoint: { origin, size },
        sets: steps.map((step) => ({
          sequence: step.set.sequence,
          index: step.index,
          time: step.time,
          statement: step.hash,
          faulty: step.set.faulty,
          maintainers: step.set.maintainers.map(maintainerJson),
          signers: step.signers.map(keyId),
        })),
      },
      lines: [
        ...lines,
        `complete: proven by the map under a checkpoint of size ${size} of ${origin}`,
      ],
    });
  });
}

function setOf(draft: Draft, file: string): MaintainerSet {
  if (draft.statement.kind === 'maintainers') return draft.statement.set;
  throw usageError(`${file} is not a maintainer set`, 'bftpkg release sign');
}

function notRegistered(name: string): CliError {
  return new CliError('BP5003', `${name}: not registered in the log`, {
    hints: [`bftpkg package register ${name} --maintainer <name>=<key>`],
  });
}

// A draft that was made on top of an older set would be refused by the log, and shows the signer a
// change that is not the one that would happen.
async function requireNext(
  session: LogSession,
  name: string,
  set: MaintainerSet,
): Promise<{ readonly found: VerifiedPackage; readonly head: SeenHead }> {
  const { found, head } = await lookUpPackage(session, name);
  if (found === undefined) throw notRegistered(name);
  if (set.sequence === found.sequence + 1 && set.previous === found.setHash) return { found, head };
  throw new CliError(
    'BP5004',
    `${name}: the draft is sequence ${set.sequence} after another set than the one in force, ` +
      `which is sequence ${found.sequence}`,
    { hints: [`bftpkg package propose-change ${name}: make the change anew`] },
  );
}

function changed(
  before: MaintainerSet,
  added: readonly Maintainer[],
  removed: readonly string[],
): readonly Maintainer[] {
  const gone = removed.map((text) => {
    const found = before.maintainers.find(
      ({ name, key }) => name === text || publicKeyHex(key) === text,
    );
    if (found === undefined) throw usageError(`${text} is not one of the maintainers`);
    return found;
  });
  return [...before.maintainers.filter((maintainer) => !gone.includes(maintainer)), ...added];
}

function requireDifferent(before: MaintainerSet, after: MaintainerSet): void {
  const same = (set: MaintainerSet): string =>
    [
      set.faulty,
      ...set.maintainers.map(({ name, key }) => `${name} ${publicKeyHex(key)}`).toSorted(),
    ].join('\n');
  if (same(before) !== same(after)) return;
  throw usageError('nothing would change', '--add, --remove or --faulty');
}

function warningsOf(name: string, set: MaintainerSet): readonly Diagnostic[] {
  return maintainerSetWarnings(set).map((text) =>
    diagnostic('BP2001', `${name}: ${text}`, { severity: 'warning' }),
  );
}

interface Difference {
  readonly added: readonly Maintainer[];
  readonly removed: readonly Maintainer[];
}

// By key: a label that moves to another key is one maintainer less and another one more.
function difference(before: MaintainerSet | undefined, after: MaintainerSet): Difference {
  const old = new Set((before?.maintainers ?? []).map(({ key }) => publicKeyHex(key)));
  const now = new Set(after.maintainers.map(({ key }) => publicKeyHex(key)));
  return {
    added: after.maintainers.filter(({ key }) => !old.has(publicKeyHex(key))),
    removed: (before?.maintainers ?? []).filter(({ key }) => !now.has(publicKeyHex(key))),
  };
}

function differenceLines(before: MaintainerSet | undefined, after: MaintainerSet): string[] {
  const { added, removed } = difference(before, after);
  const needed = maintainerThreshold(after);
  const neededBefore = before === undefined ? needed : maintainerThreshold(before);
  return [
    ...removed.map(({ name, key }) => `  - ${name}  ${publicKeyHex(key)}`),
    ...added.map(({ name, key }) => `  + ${name}  ${publicKeyHex(key)}`),
    neededBefore === needed
      ? `    a release needs ${needed} of ${after.maintainers.length} signatures`
      : `    a release will need ${needed} of ${after.maintainers.length} signatures, now ${neededBefore}`,
  ];
}

function changeLines(found: VerifiedPackage, draft: Draft): readonly string[] {
  const set = setOf(draft, 'the draft');
  return [
    `change of ${set.package}: sequence ${found.sequence} to ${set.sequence}`,
    ...differenceLines(found.set, set),
    ...missingFor(found.set, draft),
  ];
}

/** Who still has to sign a change, as sentences; empty when nobody has to. */
function missingFor(before: MaintainerSet, draft: Draft): readonly string[] {
  const set = setOf(draft, 'the draft');
  const needed = maintainerThreshold(before);
  const signed = signersAmong(draft, maintainerKeys(before)).length;
  const { added } = difference(before, set);
  const present = signersAmong(draft, maintainerKeys({ ...set, maintainers: added })).map(
    publicKeyHex,
  );
  return [
    ...(signed >= needed
      ? []
      : [`  ${needed - signed} more signature(s) by maintainers of sequence ${before.sequence}`]),
    ...added
      .filter(({ key }) => !present.includes(publicKeyHex(key)))
      .map(
        ({ name, key }) => `  the signature of the new maintainer ${name}  ${publicKeyHex(key)}`,
      ),
  ];
}

function stepLines(step: HistoryStep, before: HistoryStep | undefined): readonly string[] {
  const time = new Date(step.time * 1000).toISOString();
  const known = [...(before?.set.maintainers ?? []), ...step.set.maintainers];
  const nameOf = (key: PublicKey): string => {
    const hex = publicKeyHex(key);
    return known.find((maintainer) => publicKeyHex(maintainer.key) === hex)?.name ?? hex;
  };
  return [
    `sequence ${step.set.sequence}  entry ${step.index}  ${time}`,
    ...differenceLines(before?.set, step.set),
    `    signed by ${step.signers.map(nameOf).join(', ')}`,
  ];
}

function maintainerJson({ name, key }: Maintainer): {
  readonly name: string;
  readonly key: string;
  readonly keyId: string;
} {
  return { name, key: publicKeyHex(key), keyId: keyId(key) };
}
