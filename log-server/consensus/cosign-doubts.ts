// Cosignatures of trees that are not this log's (DESIGN 4.4). X7 needs two of one signer side by side, of
// one size or of two with a proof. A liar shows one replica a false root and signs the true log later, of
// another size: then the log itself is the other side, and whoever keeps notes against it (the driver)
// proves who signed both.
import type {
  CosignMessage,
  Digest,
  Header,
  ReplicaIndex,
} from '../../verifier/replication/messages.ts';

/** Sizes whose roots are remembered: late cosignatures of these cost no signature check and no question. */
const SIZES_MAX = 64;

/** What is remembered of an epoch in order to judge cosignatures of what is committed here. */
export class CosignDoubts {
  readonly #roots = new Map<number, Digest>();
  /** Members whose contradiction was handed over: one is proof enough. */
  readonly #told = new Set<ReplicaIndex>();
  /** When a cosignature was handed over that can't be judged here, by signer. */
  readonly #ticks = new Map<ReplicaIndex, number>();

  /** @param newest the newest batch that is committed here */
  constructor(newest: Header) {
    this.committed(newest);
  }

  /** A batch ends at this size with this root. */
  committed({ size, root }: Header): void {
    this.#roots.set(size, root);
    const [oldest] = this.#roots.keys();
    if (this.#roots.size > SIZES_MAX && oldest !== undefined) this.#roots.delete(oldest);
  }

  /**
   * What is to be done about a cosignature of the present size or one before it.
   *
   * @param restTicks how often one that can't be judged here may be handed over, of each signer
   */
  judge(
    { signer, size, root }: CosignMessage,
    tick: number,
    restTicks: number,
  ): 'true' | 'false' | 'unknown' | 'told' | 'too-often' {
    if (this.#told.has(signer)) return 'told';
    const known = this.#roots.get(size);
    if (known !== undefined) return known === root ? 'true' : 'false';
    return tick - (this.#ticks.get(signer) ?? -Infinity) < restTicks ? 'too-often' : 'unknown';
  }

  /** It was handed over. */
  handed(signer: ReplicaIndex, verdict: 'false' | 'unknown', tick: number): void {
    if (verdict === 'false') this.#told.add(signer);
    else this.#ticks.set(signer, tick);
  }
}
