// A proof of misbehaviour as bytes: the rule, who broke it, and the signed messages, each as it was sent.
import type { Digest, Message, Misbehaviour } from './messages.ts';
import { MISBEHAVIOUR_RULES as RULES } from './misbehaviour.ts';
import { type Reader, type Writer, malformed } from './wire.ts';

/** Two messages contradict each other; no rule needs a third. */
export const EVIDENCE_MESSAGES_MAX = 2;

const CONSISTENCY_HASHES_MAX = 64;

/** @param encode bytes of a message */
export function writeEvidence(
  writer: Writer,
  report: Misbehaviour,
  encode: (message: Message) => Uint8Array,
): void {
  writer.uint8(RULES.indexOf(report.rule)).digest(report.accused);
  writer.uint64(report.epoch).uint8(report.messages.length);
  for (const message of report.messages) {
    const bytes = encode(message);
    writer.uint32(bytes.length).raw(bytes);
  }
  writer.optional(report.consistency, ({ root, hashes }) => {
    writer.digest(root).uint8(hashes.length);
    for (const hash of hashes) writer.digest(hash);
  });
}

/**
 * @param decode reads a message, and refuses EVIDENCE: proofs inside of proofs would be read as deep as
 *        somebody likes
 * @throws {VerifyError} `MESSAGE_MALFORMED`
 */
export function readEvidence(reader: Reader, decode: (bytes: Uint8Array) => Message): Misbehaviour {
  const rule = RULES[reader.uint8()];
  if (rule === undefined) throw malformed('unknown rule');
  const accused = reader.digest();
  const epoch = reader.uint64();
  const messages = reader.list(reader.uint8(), EVIDENCE_MESSAGES_MAX, () =>
    decode(reader.raw(reader.uint32())),
  );
  const consistency = reader.optional(() => readConsistency(reader));
  const report: Misbehaviour = { rule, accused, epoch, messages };
  return consistency === undefined ? report : { ...report, consistency };
}

function readConsistency(reader: Reader): { root: Digest; hashes: readonly Digest[] } {
  const root = reader.digest();
  const hashes = reader.list(reader.uint8(), CONSISTENCY_HASHES_MAX, () => reader.digest());
  return { root, hashes };
}
