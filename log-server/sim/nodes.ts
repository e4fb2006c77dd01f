// The machines of the simulated world and the rosters that they form.
import { parsePublicKey, publicKeyHex } from '../../verifier/ed25519.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';
import { type Roster, formatRoster, parseRoster } from '../../verifier/roster.ts';
import { KEY_TYPE_COSIGNATURE, makeVerifierKey } from '../../verifier/vkey.ts';
import type { PeerId } from '../consensus/types.ts';
import { namedKey } from './signatures.ts';

/** The log that all simulations run. */
export const ORIGIN = 'sim.example/log';

/** Most machines in one world. */
export const NODES_MAX = 16;

/** A machine with its two keys. */
export interface SimNode {
  /** Position in the world; not its index in any roster. */
  readonly index: number;
  readonly name: string;
  readonly peer: PeerId;
  readonly voteKey: SigningKey;
  readonly cosignKey: SigningKey;
  /** Under which it asks for batches after it lost its disk: it must not vote with its key (C5). */
  readonly learner: PeerId;
}

/** A machine's place in a roster. */
export interface Member {
  readonly node: number;
  /** At least 1. */
  readonly weight: number;
}

const nodes = new Map<number, SimNode>();

/** The machine with this index; the same in every world. */
export function simNode(index: number): SimNode {
  let node = nodes.get(index);
  if (node === undefined) {
    const name = `r${index}`;
    const voteKey = namedKey(`${name} vote`);
    node = {
      index,
      name,
      peer: publicKeyHex(voteKey.publicKey),
      voteKey,
      cosignKey: namedKey(`${name} cosign`),
      learner: publicKeyHex(parsePublicKey(namedKey(`${name} learner`).publicKey)),
    };
    nodes.set(index, node);
  }
  return node;
}

const rosters = new Map<string, Roster>();

/** The roster with these members, the successor of another one or the first. */
export function simRoster(
  members: readonly Member[],
  faultyWeight: number,
  previous?: Roster,
): Roster {
  const name = JSON.stringify([members, faultyWeight, previous?.hash]);
  let roster = rosters.get(name);
  if (roster === undefined) {
    roster = parseRoster(
      formatRoster({
        origin: ORIGIN,
        epoch: previous === undefined ? 0 : previous.epoch + 1,
        previous: previous === undefined ? null : previous.hash,
        faultyWeight,
        admission: { mode: 'open' },
        replicas: members.map(({ node, weight }) => {
          const { name, voteKey, cosignKey } = simNode(node);
          return {
            name,
            cosignKey: makeVerifierKey(name, KEY_TYPE_COSIGNATURE, cosignKey.publicKey),
            voteKey: voteKey.publicKey,
            weight,
            url: `http://${name}.example`,
            peerUrl: `http://${name}.peers.example`,
          };
        }),
      }),
    );
    rosters.set(name, roster);
  }
  return roster;
}
