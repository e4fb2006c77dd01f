// `bftpkg trust`: what this machine believes about the log, and how it moves on.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';

import { applyEdits, modify } from 'jsonc-parser';

import { decodeHex, encodeBase64 } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { TrustState } from '../../verifier/evidence/trust.ts';
import type { JsonObject } from '../../verifier/json.ts';
import type { Roster } from '../../verifier/roster.ts';
import { withAccess, type Access } from '../audit/access.ts';
import { openView, type LogView } from '../audit/log-view.ts';
import { askUntilGood } from '../client/hedge.ts';
import type { Invocation } from '../context.ts';
import { CliError, configError, usageError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { formatAge } from '../output/human.ts';
import { doneReport, type Report } from '../output/report.ts';
import { isFinal } from '../output/diagnose.ts';
import { withSession } from '../session/log-session.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { loadConfig } from '../trust/config.ts';
import { stateFolder } from '../trust/folders.ts';
import { TrustStore } from '../trust/trust-store.ts';

// Evidence is asked for some subject. What counts here is the view that it comes with, so any will do,
// and a proof that there is no such package is as good as the package.
const ANY_PACKAGE = 'bftpkg';
const HASH_LENGTH = 32;

function nowSeconds({ context }: Invocation): number {
  return Math.floor(context.nowMs() / 1000);
}

/** `trust show`. Asks nobody. */
export async function trustShow(invocation: Invocation): Promise<Report> {
  const config = await loadConfig(invocation.context, invocation.globals);
  const store = new TrustStore(stateFolder(invocation.context.env), config.pin);
  const state = await store.read();
  const accepted =
    state === undefined
      ? ['accepted  nothing yet: the next contact is the first one']
      : stateLines(state, invocation);
  return doneReport('trust show', {
    data: {
      pin: config.pin,
      config: config.path,
      replicas: [...config.replicas],
      file: store.path,
      accepted: state === undefined ? null : stateData(state, invocation),
    },
    lines: [
      `pin       ${config.pin}   (${config.path})`,
      ...config.replicas.map((url) => `replica   ${url}`),
      ...accepted,
      `kept in   ${store.path}`,
    ],
  });
}

function stateData(state: TrustState, invocation: Invocation): JsonObject {
  const { origin, size, root, epoch, rosterHash, certifiedTime } = state;
  const ageSeconds = nowSeconds(invocation) - certifiedTime;
  return { origin, size, root: encodeBase64(root), epoch, rosterHash, certifiedTime, ageSeconds };
}

function stateLines(state: TrustState, invocation: Invocation): readonly string[] {
  const age = formatAge(nowSeconds(invocation) - state.certifiedTime);
  const time = new Date(state.certifiedTime * 1000).toISOString();
  return [
    `log       ${state.origin}`,
    `accepted  size ${state.size}, certified ${time} (${age} ago)`,
    `root      ${encodeBase64(state.root)}`,
    `roster    epoch ${state.epoch}, ${state.rosterHash}`,
  ];
}

/** `trust update`. @throws as a verification: a rollback, a fork, or too few replicas */
export async function trustUpdate(invocation: Invocation): Promise<Report> {
  return await withSession(invocation, { reach: 'current' }, async (session) => {
    const verified = await session.verify([{ kind: 'package', name: ANY_PACKAGE }]);
    const { trust } = verified.evidence;
    const before = verified.consistentWith;
    const step =
      before === null
        ? 'first contact: nothing was accepted before'
        : before === trust.size
          ? `size ${before} is still the newest`
          : `moved on from size ${before}, with proof that the log continues it`;
    return doneReport('trust update', {
      data: { before, accepted: stateData(trust, invocation) },
      lines: [step, ...stateLines(trust, invocation)],
    });
  });
}

/** `trust history`: the rosters, each signed by a quorum of the one before. */
export async function trustHistory(invocation: Invocation): Promise<Report> {
  return await withAccess(invocation, undefined, {}, async (access) => {
    const view = await askView(invocation, access);
    const steps = view.rosters.map((roster, i) => describeStep(roster, view.rosters[i - 1]));
    return doneReport('trust history', {
      data: {
        pin: access.pin,
        rosters: view.rosters.map((roster) => ({
          epoch: roster.epoch,
          hash: roster.hash,
          inForce: roster.hash === view.roster.hash,
          replicas: roster.replicas.map(({ name, url, weight }) => ({ name, url, weight })),
        })),
      },
      lines: steps.flatMap((lines, i) => (i === 0 ? [...lines, '  this one is pinned'] : lines)),
    });
  });
}

function describeStep(roster: Roster, before: Roster | undefined): readonly string[] {
  const { quorum, total, faulty } = roster.thresholds;
  const head = [
    `epoch ${roster.epoch}   ${roster.hash}`,
    `  ${roster.replicas.length} replicas, of weight ${faulty} may be faulty, quorum ${quorum} of ${total}`,
  ];
  const known = new Set(before?.replicas.map(({ name }) => name));
  const now = new Set(roster.replicas.map(({ name }) => name));
  if (before === undefined) return [...head, `  ${[...now].join(' ')}`];
  const added = [...now].filter((name) => !known.has(name));
  const removed = [...known].filter((name) => !now.has(name));
  const rekeyed = roster.replicas.filter((replica) => {
    const old = before.replicas.find(({ name }) => name === replica.name);
    return old !== undefined && old.cosignKey.keyHash !== replica.cosignKey.keyHash;
  });
  return [
    ...head,
    ...(added.length === 0 ? [] : [`  added ${added.join(' ')}`]),
    ...(removed.length === 0 ? [] : [`  removed ${removed.join(' ')}`]),
    ...rekeyed.map(({ name }) => `  ${name} has a new key`),
  ];
}

// A view that goes on from what this machine has accepted, as far as rosters can show that.
async function askView({ context }: Invocation, access: Access): Promise<LogView> {
  const { value } = await askUntilGood(
    access.replicas,
    (replica, signal) => openView(replica, access.pin, access.verifier, signal),
    { signal: context.signal, isFinal },
  );
  return value;
}

/**
 * `trust pin <hash>`: a later roster becomes the one from which trust starts. Only one to which the
 * present pin leads by signatures: for any other log, a new configuration has to be made on purpose.
 * What was accepted under the old pin stays accepted under the new one.
 */
export async function trustPin(invocation: Invocation, hash: string): Promise<Report> {
  if (!isHash(hash)) throw usageError('the hash of a roster has 64 hexadecimal digits');
  const { context, globals } = invocation;
  const config = await loadConfig(context, globals);
  return await withAccess(invocation, undefined, {}, async (access) => {
    const view = await askView(invocation, access);
    const roster = view.rosters.find((each) => each.hash === hash);
    if (roster === undefined) {
      throw new CliError('BP3003', 'the pinned roster does not lead to this one', {
        details: [
          ['pinned', config.pin],
          ['wanted', hash],
          ...view.rosters.map((each) => [`epoch ${each.epoch}`, each.hash] as const),
        ],
        hints: [
          'bftpkg trust history shows the rosters that it leads to',
          'for another log, make a configuration of its own',
        ],
      });
    }
    await carryOver(invocation, config.pin, roster);
    await writePin(config.path, hash);
    return doneReport('trust pin', {
      data: { before: config.pin, pin: hash, epoch: roster.epoch, config: config.path },
      lines: [
        `pinned    epoch ${roster.epoch}, ${hash}   (${config.path})`,
        `before    ${config.pin}, which leads to it`,
      ],
    });
  });
}

function isHash(text: string): boolean {
  try {
    decodeHex(text, HASH_LENGTH);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

// Before the configuration changes: with a new pin and no state, the next contact would be a first one,
// and everything that this machine has seen would be forgotten.
async function carryOver({ context }: Invocation, from: string, to: Roster): Promise<void> {
  const folder = stateFolder(context.env);
  const old = await new TrustStore(folder, from).read();
  if (old === undefined || from === to.hash) return;
  if (old.epoch < to.epoch) {
    throw new CliError('BP3003', `this machine has accepted epoch ${old.epoch} only so far`, {
      hints: ['bftpkg trust update, then pin again'],
    });
  }
  const store = new TrustStore(folder, to.hash);
  const known = await store.read();
  const outcome = await store.advance(known, { ...old, pin: to.hash });
  if (outcome.kind === 'moved') throw new CliError('BP9004', `${store.path}: was just changed`);
}

async function writePin(path: string, hash: string): Promise<void> {
  try {
    const text = await readFile(path, 'utf8');
    const place = basename(path) === 'package.json' ? ['bftpkg', 'pin'] : ['pin'];
    // In place, so that comments and order stay.
    await replaceFile(path, applyEdits(text, modify(text, place, hash, {})), 0o644);
  } catch (error) {
    throw configError(`${path}: ${systemReason(error, 'cannot be changed')}`, undefined, error);
  }
}
