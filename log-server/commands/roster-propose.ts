// `bftpkg-log roster propose` and `roster sign`: the draft of the next roster and its signatures. It
// travels from operator to operator as a file; each sees what it changes before the key signs it.
import { formatEnvelope, preAuthenticationEncoding, type Envelope } from '../../verifier/dsse.ts';
import { keyId, publicKeyHex } from '../../verifier/ed25519.ts';
import {
  ROSTER_PAYLOAD_TYPE,
  formatRoster,
  parseRoster,
  type Roster,
} from '../../verifier/roster.ts';
import { ConfigError } from '../config.ts';
import { createFile } from '../../verifier/node/durable-file.ts';
import {
  nextRoster,
  parseAddition,
  parseAdmission,
  parseMove,
  parseWeight,
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
  readonly add: readonly string[];
  readonly remove: readonly string[];
  readonly weight: readonly string[];
  readonly move: readonly string[];
  readonly faulty?: number;
  readonly admission?: string;
}

/** Writes the draft of the next roster, with this replica's signature. */
export async function proposeRoster(options: ProposeOptions): Promise<void> {
  const setup = await loadSetup(options.config, process.env);
  const { present } = await presentChain(setup, options.url);
  const fields = nextRoster(present, {
    add: options.add.map(parseAddition),
    remove: options.remove,
    weights: new Map(options.weight.map(parseWeight)),
    moves: new Map(options.move.map(parseMove)),
    ...(options.faulty === undefined ? {} : { faultyWeight: options.faulty }),
    ...(options.admission === undefined ? {} : { admission: parseAdmission(options.admission) }),
  });
  const payload = formatRoster(fields);
  const roster = parseRoster(payload);
  const unsigned = { payloadType: ROSTER_PAYLOAD_TYPE, payload, signatures: [] };
  const envelope = signWith(setup, unsigned, present, roster);
  await createFile(options.out, `${formatEnvelope(envelope)}\n`, 0o644);
  print((await reportOn({ envelope, roster }, present)).json);
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
  print((await reportOn({ envelope, roster: draft.roster }, chain.present)).json);
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
