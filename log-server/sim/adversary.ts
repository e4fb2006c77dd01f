// What all traitors of a world know and can do together: they see every message, remember it, and sign
// anything with the traitors' keys, and with no other key.
import { cosignatureMessage } from '../../verifier/cosignature.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { Roster } from '../../verifier/roster.ts';
import {
  headerDigest,
  newViewBytes,
  viewChangeBytes,
  voteBytes,
} from '../../verifier/replication/encode.ts';
import type {
  Batch,
  Certificate,
  CosignMessage,
  Digest,
  Header,
  Message,
  NewView,
  NewViewContent,
  PeerId,
  PrePrepareMessage,
  ReplicaIndex,
  ViewChange,
  ViewChangeContent,
  Vote,
  VoteSignature,
} from '../consensus/types.ts';
import { ORIGIN, type SimNode } from './nodes.ts';
import type { Signatures } from './signatures.ts';

type Phase = 'prepare' | 'commit';

/** Signatures of anybody on one vote. */
export interface KnownVotes {
  readonly phase: Phase;
  readonly vote: Vote;
  readonly signatures: Map<ReplicaIndex, Uint8Array>;
}

/** A message that was sent at some time. */
export interface Exhibit {
  readonly from: PeerId;
  readonly message: Message;
}

// What an adversary remembers is bounded only so that long runs stay fast.
const MUSEUM_MAX = 400;
const BATCHES_MAX = 60;
const GROUPS_MAX = 120;

/** The traitors' common mind. */
export class Adversary {
  readonly nodes: readonly SimNode[];
  /** Batches that were proposed, by digest. */
  readonly batches: Map<Digest, Batch> = new Map();
  /** Votes that were sent, by exact content. */
  readonly votes: Map<string, KnownVotes> = new Map();
  /** `epoch/view` -> VIEW-CHANGEs by signer. */
  readonly viewChanges: Map<string, Map<ReplicaIndex, ViewChange>> = new Map();
  readonly museum: Exhibit[] = [];
  newestNewView: NewView | undefined;
  readonly #signatures: Signatures;
  #shown = 0;

  constructor(nodes: readonly SimNode[], signatures: Signatures) {
    this.nodes = nodes;
    this.#signatures = signatures;
  }

  // ---- knowledge

  /** The traitors listen on every wire. */
  observe(from: PeerId, message: Message): void {
    this.museum[this.#shown++ % MUSEUM_MAX] = { from, message };
    switch (message.kind) {
      case 'pre-prepare': {
        const { header, body } = message;
        const digest = headerDigest(header);
        if (body !== undefined) remember(this.batches, digest, { header, body }, BATCHES_MAX);
        return;
      }
      case 'prepare':
      case 'commit':
        this.#learnVote(message.kind, message.vote, message.signer, message.signature);
        return;
      case 'view-change':
        this.#learnViewChange(message.viewChange);
        return;
      case 'new-view':
        this.newestNewView = message.newView;
        for (const viewChange of message.newView.content.viewChanges) {
          this.#learnViewChange(viewChange);
        }
        return;
      case 'cosign':
      case 'status':
      case 'forward':
      case 'get-body':
      case 'body':
      case 'get-batches':
      case 'batches':
      case 'evidence':
      case 'prefetch':
    }
  }

  #learnVote(phase: Phase, vote: Vote, signer: ReplicaIndex, signature: Uint8Array): void {
    const name = `${phase}/${vote.epoch}/${vote.view}/${vote.nv}/${vote.height}/${vote.digest}`;
    let known = this.votes.get(name);
    if (known === undefined) {
      known = { phase, vote, signatures: new Map() };
      remember(this.votes, name, known, GROUPS_MAX);
    }
    known.signatures.set(signer, signature);
  }

  #learnViewChange(viewChange: ViewChange): void {
    const { epoch, view, signer } = viewChange.content;
    const name = `${epoch}/${view}`;
    const known = this.viewChanges.get(name) ?? new Map<ReplicaIndex, ViewChange>();
    known.set(signer, viewChange);
    this.viewChanges.delete(name);
    remember(this.viewChanges, name, known, 20);
  }

  /** Distinct votes of a phase at a height, newest last. */
  votesAt(phase: Phase, epoch: number, height: number): readonly KnownVotes[] {
    return [...this.votes.values()].filter(
      (known) =>
        known.phase === phase && known.vote.epoch === epoch && known.vote.height === height,
    );
  }

  // ---- signing

  isTraitor(peer: PeerId): boolean {
    return this.nodes.some((node) => node.peer === peer);
  }

  /** A vote by one of the traitors, about anything. */
  signVote(node: SimNode, phase: Phase, vote: Vote): Uint8Array {
    return this.#signatures.sign(node.voteKey, voteBytes(phase, ORIGIN, vote));
  }

  voteMessage(
    node: SimNode,
    signer: ReplicaIndex,
    phase: Phase,
    vote: Vote,
  ): Extract<Message, { kind: 'prepare' | 'commit' }> {
    return { kind: phase, vote, signer, signature: this.signVote(node, phase, vote) };
  }

  proposal(
    node: SimNode,
    { epoch, view, nv }: Pick<Vote, 'epoch' | 'view' | 'nv'>,
    { header, body }: { readonly header: Header; readonly body: Batch['body'] | undefined },
  ): PrePrepareMessage {
    const vote = { epoch, view, nv, height: header.height, digest: headerDigest(header) };
    const signature = this.signVote(node, 'prepare', vote);
    return { kind: 'pre-prepare', epoch, view, nv, header, body, signature };
  }

  viewChange(node: SimNode, content: ViewChangeContent): ViewChange {
    const bytes = viewChangeBytes(ORIGIN, content);
    return { content, signature: this.#signatures.sign(node.voteKey, bytes) };
  }

  newView(node: SimNode, content: NewViewContent): NewView {
    const bytes = newViewBytes(ORIGIN, content);
    return { content, signature: this.#signatures.sign(node.voteKey, bytes) };
  }

  cosign(node: SimNode, message: Omit<CosignMessage, 'kind' | 'signature'>): CosignMessage {
    const { size, root, time } = message;
    const text = formatCheckpoint({ origin: ORIGIN, size, root: decodeHex(root) });
    const bytes = cosignatureMessage(text, time);
    const signature = this.#signatures.sign(node.cosignKey, bytes);
    return { kind: 'cosign', ...message, signature };
  }

  /**
   * A certificate of everything that anybody signed on this vote and of all traitors' signatures;
   * whether it has a quorum is another question.
   */
  assemble(roster: Roster, phase: Phase, vote: Vote): Certificate {
    const name = `${phase}/${vote.epoch}/${vote.view}/${vote.nv}/${vote.height}/${vote.digest}`;
    const signatures = new Map(this.votes.get(name)?.signatures);
    for (const [index, { voteKey }] of roster.replicas.entries()) {
      const traitor = this.nodes.find(({ peer }) => peer === publicKeyHex(voteKey));
      if (traitor !== undefined) signatures.set(index, this.signVote(traitor, phase, vote));
    }
    const list: VoteSignature[] = [...signatures]
      .map(([signer, signature]) => ({ signer, signature }))
      .sort((a, b) => a.signer - b.signer);
    return { phase, vote, signatures: list };
  }

  /** Whether a certificate weighs enough; the traitors can count too. */
  isQuorum(roster: Roster, certificate: Certificate): boolean {
    let weight = 0;
    for (const { signer } of certificate.signatures) weight += roster.replicas[signer]?.weight ?? 0;
    return weight >= roster.thresholds.quorum;
  }
}

function remember<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.set(key, value);
  if (map.size <= max) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
