// Keys that an SSH agent holds, as signers. The agent signs the bytes as they are: they begin with
// "DSSEv1 ", which neither a login (a session id comes first) nor a signed file ("SSHSIG") can begin with, so
// no signature given here can be used as one of those, or the other way round.
import { keyId, publicKeyHex, type PublicKey } from '../../../verifier/ed25519.ts';
import { verifyNative } from '../../../verifier/node/ed25519.ts';
import { CliError } from '../../errors.ts';
import type { Signer } from '../signer.ts';
import { agentError, asAgentError, exchange, type AgentAccess } from './client.ts';
import {
  AGENT_FRAME_BYTES_MAX,
  decodeKeys,
  decodeSignature,
  encodeListRequest,
  encodeSignRequest,
  fingerprint,
  type AgentKey,
  type AgentKeys,
} from './wire.ts';

/** Bytes of a sign request beside the message. */
const REQUEST_OVERHEAD = 128;

/** The keys that the agent holds. @throws {CliError} BP8004 */
export async function listAgentKeys(access: AgentAccess): Promise<AgentKeys> {
  const answer = await exchange(access, encodeListRequest(), access.listMsMax);
  return read(() => decodeKeys(answer));
}

/**
 * The one key that somebody means.
 *
 * @param which a fingerprint as of `ssh-add -l`, a public key in hex, or a comment; empty for the only one
 * @throws {CliError} BP8004 when there is none or more than one
 */
export async function findAgentKey(access: AgentAccess, which: string): Promise<AgentKey> {
  const { keys, others } = await listAgentKeys(access);
  const found = keys.filter(
    ({ publicKey, comment }) =>
      which === '' ||
      which === fingerprint(publicKey) ||
      which === publicKeyHex(publicKey) ||
      which === comment,
  );
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const wanted = which === '' ? 'Ed25519 key' : `key ${which}`;
  const problem =
    found.length === 0
      ? `holds no ${wanted}${others === 0 ? '' : ` (and ${others} that are not Ed25519)`}`
      : `holds ${found.length} keys like that: name one by its fingerprint`;
  throw new CliError('BP8004', `ssh-agent: ${problem}`, {
    details: keys.map(({ publicKey, comment }) => [fingerprint(publicKey), comment] as const),
    hints: found.length === 0 ? ['ssh-add <key file>', 'ssh-add -l'] : [],
  });
}

/** A signer for a key that the agent holds. Nothing is asked before the first signature. */
export function agentSigner(access: AgentAccess, name: string, publicKey: PublicKey): Signer {
  return {
    name,
    publicKey,
    keyId: keyId(publicKey),
    sign: (message) => signByAgent(access, name, publicKey, message),
  };
}

async function signByAgent(
  access: AgentAccess,
  name: string,
  publicKey: PublicKey,
  message: Uint8Array,
): Promise<Uint8Array> {
  if (message.length > AGENT_FRAME_BYTES_MAX - REQUEST_OVERHEAD) {
    throw agentError(`${message.length} bytes are too many for an agent to sign`);
  }
  // Asked first: an agent says "failure" both for a key that it lacks and for a refusal.
  await findAgentKey(access, publicKeyHex(publicKey));
  const request = encodeSignRequest(publicKey, message);
  const answer = await exchange(access, request, access.signMsMax);
  const signature = read(() => decodeSignature(answer));
  if (signature === undefined) {
    throw agentError(`refused to sign with ${name}`, ['it may be locked (ssh-add -X) or ask you']);
  }
  // A broken or hostile agent must not get its bytes into a statement under this key's name.
  if (verifyNative({ publicKey, message, signature })) return signature;
  throw agentError(`gave a signature by ${name} that is not valid; nothing was signed`);
}

function read<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw asAgentError(error);
  }
}
