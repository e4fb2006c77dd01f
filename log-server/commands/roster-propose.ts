// `bftpkg-log roster propose` and `roster sign`: the draft of the next roster and its signatures. It
// travels from operator to operator as a file; each sees what it changes before the key signs it.
import { formatEnvelope, preAuthenticationEncoding, type Envelope } from '../../verifier/dsse.ts';
import { keyId, publicKeyHex } from '../../verifier/ed25519.ts';
import {
  ROSTER_PAYLOAD_TYPE,
  formatRoster,
  parseRoster,
  type Roster,
  type RosterFields,
} from '../../verifier/roster.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ConfigError } from '../config.ts';
import { createFile } from '../../verifier/node/durable-file.ts';
import {
  nextRoster,
  parseAddition,
  parseAdmission,
  parseMove,
  parseWeight,
  type SigningState,
} from '../roster-change.ts';
import { loadSetup, type Setup } from '../setup.ts';
import {
  presentChain,
  print,
  readDraft,
  reportOn,
  requireNext,
  writeDraft,
} from './roster-files.ts';

/** Options of `roster propose`. */
export interface ProposeOptions {
  readonly config: string;
  readonly out: string;
  readonly url?: string;
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
  readonly weight?: readonly string[];
  readonly move?: readonly string[];
  readonly faulty?: number;
  readonly admission?: string;
}

/** Writes the draft of the next roster, with this replica's signature. */
export async function proposeRoster(options: ProposeOptions): Promise<void> {
  const setup = await loadSetup(options.config, process.env);
  const { present } = await presentChain(setup, options.url);
  const { add = [], remove = [], weight = [], move = [] } = options;
  const fields = nextRoster(present, {
    add: add.map(parseAddition),
    remove,
    weights: new Map(weight.map(parseWeight)),
    moves: new Map(move.map(parseMove)),
    ...(options.faulty === undefined ? {} : { faultyWeight: options.faulty }),
    ...(options.admission === undefined ? {} : { admission: parseAdmission(options.admission) }),
  });
  const payload = payloadOf(fields);
  const roster = parseRoster(payload);
  const unsigned = { payloadType: ROSTER_PAYLOAD_TYPE, payload, signatures: [] };
  const envelope = signWith(setup, unsigned, present, roster);
  await createFile(options.out, `${formatEnvelope(envelope)}\n`, 0o644);
  const { json, state } = await reportOn({ envelope, roster }, present);
  print(json);
  for (const line of [...warnings(present, roster), ...nextSteps(options.out, state, present)]) {
    process.stderr.write(`bftpkg-log: ${line}\n`);
  }
}

// What is given on the command line decides, so it is a person's mistake and no bug.
function payloadOf(fields: RosterFields): Uint8Array {
  try {
    return formatRoster(fields);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError('roster', [error.message]);
  }
}

/** More replicas of which no more may fail: a quorum is larger, and the log stands still sooner. */
function warnings(present: Roster, next: Roster): readonly string[] {
  const [before, after] = [present.thresholds, next.thresholds];
  if (after.quorum <= before.quorum || after.faulty > before.faulty) return [];
  const enough = 3 * (after.faulty + 1) + 1;
  return [
    `warning: a quorum is ${after.quorum} of ${after.total} now, and bears a faulty weight of ${after.faulty} as before; ` +
      `${enough} would bear ${after.faulty + 1}`,
  ];
}

// On stderr: what is on stdout is read by programs.
function nextSteps(file: string, state: SigningState, present: Roster): readonly string[] {
  const { signed, quorum, weight, missing, isComplete } = state;
  const submit = `next  bftpkg-log roster submit ${file} --url <address of a replica>`;
  if (isComplete) return [submit];
  const others = present.replicas.filter(({ name }) => !signed.includes(name));
  const more = weight >= quorum ? [] : others.map(({ name }) => name);
  const some = more.length === 0 ? [] : [`weight ${quorum - weight} more of ${more.join(', ')}`];
  return [
    `next  bftpkg-log roster sign ${file} --config <its config.json>, by ${[...some, ...missing].join(', and ')}`,
    submit,
  ];
}

/** Options of `roster sign`. */
export interface SignOptions {
  readonly config: string;
  readonly url?: string;
}

/** Adds this replica's signature to a draft. */
export async function signRoster(file: string, options: SignOptions): Promise<void> {
  const setup = await loadSetup(options.config, process.env);
  const draft = await readDraft(file);
  const chain = await presentChain(setup, options.url);
  requireNext(file, draft, chain);
  const envelope = signWith(setup, draft.envelope, chain.present, draft.roster);
  await writeDraft(file, envelope);
  const { json, state } = await reportOn({ envelope, roster: draft.roster }, chain.present);
  print(json);
  for (const line of nextSteps(file, state, chain.present)) {
    process.stderr.write(`bftpkg-log: ${line}\n`);
  }
}

function signWith(setup: Setup, envelope: Envelope, present: Roster, next: Roster): Envelope {
  const { vote } = setup.keys;
  const own = publicKeyHex(vote.publicKey);
  const counts = [...present.replicas, ...next.replicas].some(
    ({ voteKey }) => publicKeyHex(voteKey) === own,
  );
  if (!counts) {
    throw new ConfigError(setup.config.keyFile, [
      'its vote key is in neither roster: the signature would count for nothing',
    ]);
  }
  const keyid = keyId(vote.publicKey);
  const message = preAuthenticationEncoding(envelope.payloadType, envelope.payload);
  const others = envelope.signatures.filter((line) => line.keyid !== keyid);
  return { ...envelope, signatures: [...others, { keyid, signature: vote.sign(message) }] };
}
