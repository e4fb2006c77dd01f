// Certificates checked from scratch (I5): who signed, how much they weigh, and every signature.
import { decodeHex } from '../../verifier/encoding.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { cosignatureMessage } from '../../verifier/cosignature.ts';
import { voteBytes } from '../../verifier/replication/encode.ts';
import type {
  Certificate,
  CosignedCheckpoint,
  Digest,
  NewViewContent,
  ViewChangeContent,
} from '../consensus/types.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { ORIGIN, simNode } from './nodes.ts';
import type { EpochOracle } from './quorum-oracle.ts';
import type { Signatures } from './signatures.ts';
import { Violation } from './violation.ts';

/** Checks what correct replicas believe. */
export class CertificateChecker {
  readonly #signatures: Signatures;
  readonly #nodeOf: ReadonlyMap<string, number>;
  readonly #good = new WeakSet<object>();

  /** @param nodeOf machine index by vote key */
  constructor(signatures: Signatures, nodeOf: ReadonlyMap<string, number>) {
    this.#signatures = signatures;
    this.#nodeOf = nodeOf;
  }

  /** @throws {Violation} I5 */
  certificate(
    oracle: EpochOracle,
    certificate: Certificate,
    phase: Certificate['phase'],
    digest: Digest,
    height: number,
  ): void {
    if (this.#good.has(certificate)) return;
    const { vote, signatures } = certificate;
    const isRight =
      certificate.phase === phase &&
      vote.digest === digest &&
      vote.height === height &&
      vote.epoch === oracle.epoch;
    if (!isRight) throw new Violation('I5', `a ${phase} certificate about something else`);
    const message = voteBytes(phase, ORIGIN, vote);
    const signers = new Set<string>();
    for (const { signer, signature } of signatures) {
      const peer = oracle.peerAt(signer);
      const node = this.#nodeOf.get(peer ?? '');
      if (peer === undefined || node === undefined) throw new Violation('I5', 'signed by nobody');
      const { publicKey } = simNode(node).voteKey;
      if (!this.#signatures.verify({ publicKey, message, signature })) {
        throw new Violation('I5', `a ${phase} certificate with a forged signature of ${signer}`);
      }
      signers.add(peer);
    }
    if (oracle.weightOfAll(signers) < oracle.quorum) {
      throw new Violation('I5', `a ${phase} certificate without a quorum at height ${height}`);
    }
    this.#good.add(certificate);
  }

  /** What a VIEW-CHANGE claims is proven by certificates. @throws {Violation} I5 */
  viewChange(oracle: EpochOracle, content: ViewChangeContent): void {
    if (this.#good.has(content)) return;
    const { last, prepared, view } = content;
    if (last.certificate !== undefined) {
      const { header, certificate } = last;
      this.certificate(oracle, certificate, 'commit', headerDigest(header), header.height);
    }
    if (prepared !== undefined) {
      const { header, certificate } = prepared;
      this.certificate(oracle, certificate, 'prepare', headerDigest(header), header.height);
      if (certificate.vote.view >= view) throw new Violation('I5', 'prepared in a later view');
      if (header.height !== last.header.height + 1) {
        throw new Violation('I5', 'a prepared batch that is not the next one');
      }
    }
    this.#good.add(content);
  }

  /** A NEW-VIEW rests on a quorum of proven VIEW-CHANGEs. @throws {Violation} I5 */
  newView(oracle: EpochOracle, { view, viewChanges }: NewViewContent): void {
    const signers = viewChanges.map(({ content }) => oracle.peerAt(content.signer) ?? '');
    if (oracle.weightOfAll(signers) < oracle.quorum) {
      throw new Violation('I5', `view ${view} was opened without a quorum`);
    }
    for (const { content } of viewChanges) {
      if (content.view !== view) throw new Violation('I5', 'a VIEW-CHANGE into another view');
      this.viewChange(oracle, content);
    }
  }

  /** @throws {Violation} I5 */
  cosignedCheckpoint(oracle: EpochOracle, checkpoint: CosignedCheckpoint): void {
    const { size, root, cosignatures } = checkpoint;
    const text = formatCheckpoint({ origin: ORIGIN, size, root: decodeHex(root) });
    const signers = new Set<string>();
    for (const { signer, time, signature } of cosignatures) {
      const peer = oracle.peerAt(signer);
      const node = this.#nodeOf.get(peer ?? '');
      if (peer === undefined || node === undefined) throw new Violation('I5', 'signed by nobody');
      const { publicKey } = simNode(node).cosignKey;
      const message = cosignatureMessage(text, time);
      if (!this.#signatures.verify({ publicKey, message, signature })) {
        throw new Violation('I5', `a forged cosignature of ${signer}`);
      }
      signers.add(peer);
    }
    if (oracle.weightOfAll(signers) < oracle.quorum) {
      throw new Violation('I5', `a checkpoint of size ${size} without a quorum`);
    }
  }
}
