// What comes back on a stream of frames: for each frame one answer, and the next frame waits for it. An
// acknowledgement is a MAC that only the peer can make. A refusal is for people, proves nothing, and is the last
// thing that is said on its stream.
import { utf8 } from '../../verifier/bytes.ts';
import { MAC_LENGTH } from './frames.ts';
import { PeerRefusal } from './handshake.ts';

const ACKNOWLEDGED = 1;
const REFUSED = 2;

/** Longest reason of a refusal, bytes: what its length of one byte can say. */
const REASON_LENGTH_MAX = 255;

/** The first byte, the length of a reason, and the reason. */
const ANSWER_LENGTH_MAX: number = 2 + REASON_LENGTH_MAX;

/** What a peer says of a frame. */
export type Answer =
  | { readonly kind: 'acknowledged'; readonly mac: Uint8Array }
  | { readonly kind: 'refused'; readonly reason: string };

/** @param mac see `acknowledge` */
export function encodeAcknowledgement(mac: Uint8Array): Uint8Array {
  const answer = new Uint8Array(1 + MAC_LENGTH);
  answer[0] = ACKNOWLEDGED;
  answer.set(mac, 1);
  return answer;
}

/** @param reason is cut where it is too long */
export function encodeRefusal(reason: string): Uint8Array {
  const text = utf8(reason).subarray(0, REASON_LENGTH_MAX);
  return Uint8Array.of(REFUSED, text.length, ...text);
}

/** Reads the answer to one frame after the other. After a refusal it must not be used any more. */
export class AnswerReader {
  readonly #held: Uint8Array = new Uint8Array(ANSWER_LENGTH_MAX);
  #length = 0;

  /**
   * Takes in what has come.
   *
   * @returns the answer as soon as it is whole
   * @throws {PeerRefusal} for what is no answer, and for anything behind one
   */
  read(chunk: Uint8Array): Answer | undefined {
    // The longest is longer than this only when something is behind it.
    if (chunk.length > ANSWER_LENGTH_MAX - this.#length) throw moreThanOne();
    this.#held.set(chunk, this.#length);
    this.#length += chunk.length;
    const wanted = this.#wanted();
    if (wanted === undefined || this.#length < wanted) return undefined;
    if (this.#length > wanted) throw moreThanOne();
    this.#length = 0;
    if (this.#held[0] === ACKNOWLEDGED) {
      return { kind: 'acknowledged', mac: this.#held.slice(1, wanted) };
    }
    return { kind: 'refused', reason: Buffer.from(this.#held.subarray(2, wanted)).toString() };
  }

  #wanted(): number | undefined {
    const [kind, length] = this.#held;
    if (this.#length === 0) return undefined;
    if (kind === ACKNOWLEDGED) return 1 + MAC_LENGTH;
    if (kind !== REFUSED) throw new PeerRefusal('an answer of no known kind');
    return this.#length === 1 ? undefined : 2 + (length ?? 0);
  }
}

function moreThanOne(): PeerRefusal {
  return new PeerRefusal('more than one answer to a frame');
}
