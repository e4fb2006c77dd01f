// What a monitor tells people. Security notices ask somebody to look; availability notices ask an operator
// to act. The two are never mixed: who is woken at night is somebody else.
import { createHash } from 'node:crypto';

import { keyId, type PublicKey } from '../../verifier/ed25519.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  canonicalJson,
  ObjectReader,
  type JsonObject,
  type JsonValue,
} from '../../verifier/json.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { readSubmission, type Submission } from '../../verifier/ledger/submission.ts';
import { planSigners } from '../../verifier/dsse.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { maintainerThreshold, type MaintainerSet } from '../../verifier/statements/maintainers.ts';

/** What happened. */
export const NOTICE_KINDS = [
  // In the log, legally; whether it is meant is for people to say.
  'release',
  'withdrawal',
  'maintainers',
  'threshold',
  'key',
  'roster',
  'unreadable',
  // Misbehaviour.
  'fork',
  'rollback',
  'illegal',
  'bad-copy',
  // More than a monitor can keep.
  'more',
  // Availability.
  'replica',
  'quorum',
  'unchecked',
  'stale',
  'recovered',
] as const;
export type NoticeKind = (typeof NOTICE_KINDS)[number];

const AVAILABILITY: ReadonlySet<NoticeKind> = new Set<NoticeKind>([
  'replica',
  'quorum',
  'unchecked',
  'stale',
  'recovered',
]);
const MESSAGE_LENGTH_MAX = 4_096;
/** What cutting in the middle of a character leaves at the end. */
const HALF_CHARACTER = /[\uD800-\uDBFF]$/;

/** Whom a kind of notice is for. */
export function categoryOf(kind: NoticeKind): Notice['category'] {
  return AVAILABILITY.has(kind) ? 'availability' : 'security';
}

/** One thing to tell. */
export interface Notice {
  /** The same for the same happening, however often it is told: receivers drop doubles by it. */
  readonly id: string;
  readonly category: 'security' | 'availability';
  readonly kind: NoticeKind;
  /** Leaf index of the entry that it is about. */
  readonly entry: number | null;
  readonly message: string;
}

/** Makes a notice. @param identity what makes it this happening and no other */
export function notice(
  kind: NoticeKind,
  message: string,
  identity: readonly (string | number)[],
  entry: number | null = null,
): Notice {
  const id = createHash('sha256')
    .update(canonicalJson([kind, ...identity]))
    .digest('hex');
  return {
    id,
    category: categoryOf(kind),
    kind,
    entry,
    message: shortened(message),
  };
}

/**
 * What a state keeps of a text: servers' words are in it, as many as they like, and a state that is too long or has
 * half a character in it can't be read again.
 */
export function shortened(text: string): string {
  return text.slice(0, MESSAGE_LENGTH_MAX).replace(HALF_CHARACTER, '');
}

/** Stands for notices that there is no room for. @param first of them */
export function moreNotice(count: number, first: Notice): Notice {
  const from = first.entry === null ? '' : ` from entry ${first.entry} on`;
  const message =
    `${count} more notices${from} than a monitor keeps, and they are told nowhere else: read the ` +
    'log from there, or begin anew with --from-start and a narrower configuration';
  return notice('more', message, [first.id, count], first.entry);
}

/** The notice for machines. */
export function noticeJson({ id, category, kind, entry, message }: Notice): JsonObject {
  return { id, category, kind, entry, message };
}

/** Reads a kept notice. @throws {VerifyError} */
export function readNotice(value: JsonValue, path: string): Notice {
  const reader = new ObjectReader(value, path);
  const result: Notice = {
    id: reader.string('id', 64),
    category: reader.oneOf('category', ['security', 'availability'] as const),
    kind: reader.oneOf('kind', NOTICE_KINDS),
    entry: reader.required('entry') === null ? null : reader.integer('entry', 0),
    message: reader.string('message', MESSAGE_LENGTH_MAX),
  };
  reader.end();
  return result;
}

/** Who and what is watched, and the state just before an entry. */
export interface Watch {
  readonly watches: (name: string) => boolean;
  readonly keys: readonly PublicKey[];
  readonly setBefore: (name: string) => MaintainerSet | undefined;
}

/**
 * What is to be told about an entry of the log. Whether it was legal is the replay's to say; an entry
 * that can't be read is told about, and never stops a monitor.
 */
export async function entryNotices(
  index: number,
  data: Uint8Array,
  watch: Watch,
): Promise<readonly Notice[]> {
  try {
    const entry = parseEntry(data);
    if (entry.kind === 'commit') return [];
    const submission = readSubmission(entry.envelope);
    return [
      ...statementNotices(index, submission, watch),
      ...(await keyNotices(index, submission, watch)),
    ];
  } catch (error) {
    if (!(error instanceof VerifyError || error instanceof LedgerError)) throw error;
    return [
      notice('unreadable', `entry ${index} cannot be read: ${error.message}`, [index], index),
    ];
  }
}

function statementNotices(index: number, it: Submission, watch: Watch): readonly Notice[] {
  switch (it.kind) {
    case 'release':
      return it.release.subjects
        .filter(({ name }) => watch.watches(name))
        .map(({ name, version }) =>
          notice(
            'release',
            `${name}@${version} was released (entry ${index})`,
            [index, name, version],
            index,
          ),
        );
    case 'withdrawal': {
      const { name } = parsePurl(it.withdrawal.package);
      const { version, kind, reason, text } = it.withdrawal;
      if (!watch.watches(name)) return [];
      const why = text === '' ? reason : `${reason}, ${text}`;
      return [notice('withdrawal', `${name}@${version} was ${kind}: ${why}`, [index], index)];
    }
    case 'roster': {
      const { epoch, replicas, hash } = it.roster;
      const message = `roster of epoch ${epoch} with ${replicas.length} replicas: ${hash}`;
      return [notice('roster', message, [hash], index)];
    }
    case 'maintainers':
      return setNotices(index, it.set, watch);
  }
}

function setNotices(index: number, set: MaintainerSet, watch: Watch): readonly Notice[] {
  const { name } = parsePurl(set.package);
  if (!watch.watches(name)) return [];
  const before = watch.setBefore(name);
  const notices: Notice[] = [];
  const describe = ({ name: label, key }: MaintainerSet['maintainers'][number]): string =>
    `${label} (key ${keyId(key)})`;
  const ids = (it: MaintainerSet | undefined): ReadonlySet<string> =>
    new Set(it?.maintainers.map(({ key }) => keyId(key)));
  const [old, now] = [ids(before), ids(set)];
  const added = set.maintainers.filter(({ key }) => !old.has(keyId(key))).map(describe);
  const removed = (before?.maintainers ?? [])
    .filter(({ key }) => !now.has(keyId(key)))
    .map(describe);
  const changes = [
    ...(added.length === 0 ? [] : [`added ${added.join(', ')}`]),
    ...(removed.length === 0 ? [] : [`removed ${removed.join(', ')}`]),
  ].join('; ');
  const what = before === undefined ? 'was claimed' : 'has other maintainers';
  if (changes !== '') {
    notices.push(notice('maintainers', `${name} ${what}: ${changes}`, [index], index));
  }
  if (before !== undefined && maintainerThreshold(before) !== maintainerThreshold(set)) {
    const message =
      `${name}: a release needs ${maintainerThreshold(set)} signatures from now on, ` +
      `${maintainerThreshold(before)} before`;
    notices.push(notice('threshold', message, [index], index));
  }
  return notices;
}

// A key that signs something unexpected is the first sign of a stolen key.
async function keyNotices(index: number, it: Submission, watch: Watch): Promise<readonly Notice[]> {
  if (watch.keys.length === 0) return [];
  const signers = await runPlan(nativeVerifier, planSigners(it.envelope, watch.keys));
  const named =
    it.kind === 'maintainers'
      ? watch.keys.filter((key) =>
          it.set.maintainers.some((each) => keyId(each.key) === keyId(key)),
        )
      : [];
  const all = new Map([...signers, ...named].map((key) => [keyId(key), signers.includes(key)]));
  return [...all].map(([id, hasSigned]) => {
    const message = `watched key ${id} ${hasSigned ? 'signed' : 'is named by'} ${describeStatement(it)} (entry ${index})`;
    return notice('key', message, [index, id], index);
  });
}

function describeStatement(it: Submission): string {
  switch (it.kind) {
    case 'release':
      return `the release of ${it.release.subjects.map(({ name, version }) => `${name}@${version}`).join(', ')}`;
    case 'withdrawal':
      return `the withdrawal of ${parsePurl(it.withdrawal.package).name}@${it.withdrawal.version}`;
    case 'roster':
      return `the roster of epoch ${it.roster.epoch}`;
    case 'maintainers':
      return `maintainer set ${it.set.sequence} of ${parsePurl(it.set.package).name}`;
  }
}
