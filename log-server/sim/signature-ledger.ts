// Every signature of a correct replica, ever, across restarts. Traitors' signatures need not be kept:
// they are assumed to exist for whatever helps. Most bugs show here long before they show as a fork
// (CONSENSUS.md 3.3): the ledger is asked at the moment of signing.
import type {
  CosignRequest,
  Digest,
  NewViewContent,
  PeerId,
  ViewChangeContent,
  Vote,
} from '../consensus/types.ts';
import type { EpochOracle } from './quorum-oracle.ts';
import { Violation } from './violation.ts';

type Phase = 'prepare' | 'commit';

/** All signatures on the same vote. */
interface Group {
  readonly vote: Vote;
  readonly signers: Set<PeerId>;
  weight: number;
}

/** The signatures of the correct replicas of a world. */
export class SignatureLedger {
  readonly #epochs: ReadonlyMap<number, EpochOracle>;
  /** `phase/epoch/height` -> the groups at that height, by exact vote. */
  readonly #groups = new Map<string, Map<string, Group>>();
  /** `phase/peer/epoch/view/height` -> what was voted for. */
  readonly #votes = new Map<string, Vote>();
  /** `peer/epoch` -> COMMITs, oldest first. */
  readonly #commits = new Map<string, Vote[]>();
  /** `peer/epoch` -> highest view promised. */
  readonly #promised = new Map<string, number>();
  /** `kind/peer/epoch/view` -> the bytes that were signed. */
  readonly #frozen = new Map<string, string>();
  readonly #cosigned = new Map<PeerId, { readonly size: number; readonly root: Digest }>();
  /** `epoch/size` -> root -> weight of correct cosigners. */
  readonly #roots = new Map<string, Map<Digest, Set<PeerId>>>();

  readonly #mayFork: boolean;

  /**
   * @param epochs filled as epochs begin
   * @param mayFork more members are faulty than may be: what many of them can do together is not looked
   *        at, what each correct one must not do is
   */
  constructor(epochs: ReadonlyMap<number, EpochOracle>, mayFork: boolean) {
    this.#epochs = epochs;
    this.#mayFork = mayFork;
  }

  /** I6, I7, I9, Lemma A, Lemma B, I1: a PREPARE or COMMIT is being signed. */
  vote(peer: PeerId, phase: Phase, vote: Vote): void {
    const { epoch, view, height, digest } = vote;
    const slot = `${phase}/${peer}/${epoch}/${view}/${height}`;
    const known = this.#votes.get(slot);
    if (known !== undefined && (known.digest !== digest || known.nv !== vote.nv)) {
      throw new Violation('I6', `${phase} signed twice in view ${view} at height ${height}`);
    }
    const promised = this.#promised.get(`${peer}/${epoch}`) ?? 0;
    if (view < promised) {
      throw new Violation('I7', `${phase} in view ${view} after the promise of view ${promised}`);
    }
    if (known !== undefined) return;
    this.#votes.set(slot, vote);
    if (phase === 'commit') append(this.#commits, `${peer}/${epoch}`, vote);
    const group = this.#file(peer, phase, vote);
    if (this.#mayFork) return;
    if (phase === 'prepare') this.#checkProtected(vote);
    else this.#checkChoosable(group);
    this.#checkCertificates(phase, group);
  }

  #file(peer: PeerId, phase: Phase, vote: Vote): Group {
    const groups = this.#groupsAt(phase, vote.epoch, vote.height);
    const name = `${vote.view}/${vote.nv}/${vote.digest}`;
    let group = groups.get(name);
    if (group === undefined) {
      group = { vote, signers: new Set(), weight: 0 };
      groups.set(name, group);
    }
    if (!group.signers.has(peer)) {
      group.signers.add(peer);
      group.weight += this.#oracle(vote.epoch).weightOf(peer);
    }
    return group;
  }

  #groupsAt(phase: Phase, epoch: number, height: number): Map<string, Group> {
    const name = `${phase}/${epoch}/${height}`;
    let groups = this.#groups.get(name);
    if (groups === undefined) {
      groups = new Map();
      this.#groups.set(name, groups);
    }
    return groups;
  }

  #oracle(epoch: number): EpochOracle {
    const oracle = this.#epochs.get(epoch);
    if (oracle === undefined) throw new Violation('I5', `signature of unknown epoch ${epoch}`);
    return oracle;
  }

  /** I9, from the side of the PREPARE. */
  #checkProtected({ epoch, view, height, digest }: Vote): void {
    const { quorum, faulty } = this.#oracle(epoch);
    for (const other of this.#groupsAt('commit', epoch, height).values()) {
      const isChoosable = other.weight >= quorum - faulty;
      if (isChoosable && other.vote.view < view && other.vote.digest !== digest) {
        throw new Violation(
          'I9',
          `PREPARE in view ${view} against what view ${other.vote.view} may have decided at height ${height}`,
        );
      }
    }
  }

  /** I9, from the side of the COMMIT that makes a value choosable. */
  #checkChoosable({ vote, weight }: Group): void {
    const { epoch, height, view, digest } = vote;
    const { quorum, faulty } = this.#oracle(epoch);
    if (weight < quorum - faulty) return;
    for (const other of this.#groupsAt('prepare', epoch, height).values()) {
      if (other.vote.view > view && other.vote.digest !== digest) {
        throw new Violation(
          'I9',
          `COMMIT in view ${view} became choosable after a PREPARE of view ${other.vote.view} against it at height ${height}`,
        );
      }
    }
  }

  /** Certificates that traitors could put together from what exists. */
  #isCertificate({ vote, weight }: Group): boolean {
    const { quorum, traitors } = this.#oracle(vote.epoch);
    return weight + traitors >= quorum;
  }

  #checkCertificates(phase: Phase, group: Group): void {
    if (!this.#isCertificate(group)) return;
    const { epoch, view, height, digest } = group.vote;
    const prepares = [...this.#groupsAt('prepare', epoch, height).values()];
    const commits = [...this.#groupsAt('commit', epoch, height).values()];
    const others = (groups: readonly Group[]): readonly Vote[] =>
      groups
        .filter((other) => other.vote.digest !== digest && this.#isCertificate(other))
        .map(({ vote }) => vote);
    if (phase === 'commit') {
      const [conflict] = others(commits);
      if (conflict !== undefined) {
        throw new Violation(
          'I1',
          `two commit certificates at height ${height}, views ${conflict.view} and ${view}`,
        );
      }
      const later = others(prepares).find((vote) => vote.view > view);
      if (later !== undefined) {
        throw new Violation(
          'lemma-B',
          `prepare certificate of view ${later.view} against the decision of view ${view} at height ${height}`,
        );
      }
      return;
    }
    if (others(prepares).some((vote) => vote.view === view)) {
      throw new Violation(
        'lemma-A',
        `two prepare certificates in view ${view} at height ${height}`,
      );
    }
    const decided = others(commits).find((vote) => vote.view < view);
    if (decided !== undefined) {
      throw new Violation(
        'lemma-B',
        `prepare certificate of view ${view} against the decision of view ${decided.view} at height ${height}`,
      );
    }
  }

  /** I6, I8: a VIEW-CHANGE is being signed; from now on I7 holds against it. */
  viewChange(peer: PeerId, content: ViewChangeContent, bytes: Uint8Array): void {
    const { epoch, view } = content;
    this.#freeze('VIEW-CHANGE', peer, epoch, view, bytes);
    const name = `${peer}/${epoch}`;
    const promised = this.#promised.get(name) ?? 0;
    if (view < promised) {
      throw new Violation(
        'I7',
        `VIEW-CHANGE into view ${view} after the promise of view ${promised}`,
      );
    }
    this.#promised.set(name, view);
    const hidden = this.#commits.get(name)?.find((vote) => hides(content, vote));
    if (hidden !== undefined) {
      throw new Violation(
        'I8',
        `VIEW-CHANGE into view ${view} hides the COMMIT of view ${hidden.view} at height ${hidden.height}`,
      );
    }
  }

  /** I6: a NEW-VIEW is being signed. */
  newView(peer: PeerId, { epoch, view }: NewViewContent, bytes: Uint8Array): void {
    this.#freeze('NEW-VIEW', peer, epoch, view, bytes);
  }

  #freeze(kind: string, peer: PeerId, epoch: number, view: number, bytes: Uint8Array): void {
    const name = `${kind}/${peer}/${epoch}/${view}`;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    const known = this.#frozen.get(name);
    if (known !== undefined && known !== text) {
      throw new Violation('I6', `two different ${kind}s for view ${view}`);
    }
    this.#frozen.set(name, text);
  }

  /** I2, I6: a COSIGN is being signed. */
  cosign(peer: PeerId, { epoch, size, root }: CosignRequest): void {
    const newest = this.#cosigned.get(peer);
    if (newest !== undefined && size < newest.size) {
      throw new Violation('I6', `cosigned size ${size} after ${newest.size}`);
    }
    if (newest !== undefined && size === newest.size && root !== newest.root) {
      throw new Violation('I6', `cosigned two roots for size ${size}`);
    }
    this.#cosigned.set(peer, { size, root });
    if (this.#mayFork) return;
    const name = `${epoch}/${size}`;
    const roots = this.#roots.get(name) ?? new Map<Digest, Set<PeerId>>();
    this.#roots.set(name, roots);
    const cosigners = roots.get(root) ?? new Set<PeerId>();
    roots.set(root, cosigners.add(peer));
    const oracle = this.#oracle(epoch);
    const { quorum, traitors } = oracle;
    const complete = [...roots.values()].filter(
      (peers) => oracle.weightOfAll(peers) + traitors >= quorum,
    );
    if (complete.length > 1) throw new Violation('I2', `two checkpoints of size ${size}`);
  }
}

/** I8: whether a VIEW-CHANGE says nothing of a COMMIT that its signer gave before. */
function hides({ last, prepared }: ViewChangeContent, commit: Vote): boolean {
  if (last.header.height >= commit.height) return false;
  if (prepared === undefined || prepared.header.height !== commit.height) return true;
  return prepared.certificate.vote.view < commit.view;
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
