// Documents that prove misbehaviour, of each kind: reports of what one replica signed and heads that the
// log never had (from a replica's public API), and fork evidence (from a client). Checked against a pin,
// offline.
import {
  CONTRADICTION_FORMAT,
  parseContradiction,
  verifyContradiction,
  type ProvenContradiction,
} from '../../verifier/evidence/contradiction.ts';
import {
  parseForkEvidence,
  verifyForkEvidence,
  FORK_FORMAT,
} from '../../verifier/evidence/fork.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import {
  parseMisbehaviour,
  REPORT_BYTES_MAX,
  REPORT_FORMAT,
  verifyMisbehaviour,
  type ProvenGuilt,
} from '../../verifier/replication/report.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { decodeUtf8 } from '../../verifier/text.ts';

/** The largest document that is read. */
export const DOCUMENT_BYTES_MAX: number = REPORT_BYTES_MAX;

/** What a document proves, for the report of a command. */
export interface Finding {
  /** False for a proposal that only whoever executes it can judge. */
  readonly isConclusive: boolean;
  readonly data: JsonObject;
  readonly lines: readonly string[];
}

// CONSENSUS 2.13, in words for people who run replicas.
const MISDEEDS: Readonly<Record<ProvenGuilt['rule'], string>> = {
  X1: 'voted to prepare two different batches in one view at one height',
  X2: 'voted to commit two different batches in one view at one height',
  X3: 'hid its own commit vote when the leader was replaced',
  X4: 'said two different things about its state in one change of leader',
  X5: 'opened one view in two different ways, as its leader',
  X6: 'voted against what its own view had to propose',
  X7: 'cosigned two logs that contradict each other',
  X8: 'proposed a batch that another replica found invalid',
};

/**
 * Checks a document, whichever kind it is.
 *
 * @param pin hash of a roster of the log, hex
 * @throws {VerifyError} when it is malformed, of another log, or proves nothing
 */
export async function checkDocument(
  source: Uint8Array,
  pin: string,
  verifier: SignatureVerifier,
): Promise<Finding> {
  if (source.length > DOCUMENT_BYTES_MAX) {
    throw new VerifyError('EVIDENCE_MALFORMED', `longer than ${DOCUMENT_BYTES_MAX} bytes`);
  }
  // Editors and our own writer end files with a newline; nothing else is forgiven.
  const text = decodeUtf8(source).replace(/\n$/, '');
  // The kind decides which strict parser reads it; a text that names both is refused by either.
  if (text.includes(`"format":"${FORK_FORMAT}"`)) return forkFinding(text, pin, verifier);
  if (text.includes(`"format":"${REPORT_FORMAT}"`)) return reportFinding(text, pin, verifier);
  if (text.includes(`"format":"${CONTRADICTION_FORMAT}"`)) {
    return contradictionFinding(text, pin, verifier);
  }
  throw new VerifyError('FORMAT_UNSUPPORTED', 'it is no evidence of misbehaviour that I know of', {
    expected: `${REPORT_FORMAT}, ${FORK_FORMAT} or ${CONTRADICTION_FORMAT}`,
  });
}

async function forkFinding(
  text: string,
  pin: string,
  verifier: SignatureVerifier,
): Promise<Finding> {
  const { origin, size, roots, signers } = await verifyForkEvidence(
    parseForkEvidence(text),
    pin,
    verifier,
  );
  const names = signers.map(({ name }) => name).join(' ');
  return {
    isConclusive: true,
    data: {
      kind: 'fork',
      origin,
      size,
      roots,
      signers: signers.map(({ name, key }) => ({ name, key })),
    },
    lines: [
      `PROVEN: log ${origin} has two checkpoints of size ${size}, each cosigned by a quorum`,
      `root A       ${roots[0]}`,
      `root B       ${roots[1]}`,
      signers.length === 0
        ? 'signed both  nobody: the two sides were signed under different rosters'
        : `signed both  ${names}   (provably faulty)`,
    ],
  };
}

async function contradictionFinding(
  text: string,
  pin: string,
  verifier: SignatureVerifier,
): Promise<Finding> {
  const proven = await verifyContradiction(parseContradiction(text), pin, verifier);
  const { origin, size, claimed, logged, checkpointSize, witness, faulty, signedOther } = proven;
  const names = (list: readonly { readonly name: string }[]): string =>
    list.map(({ name }) => name).join(' ');
  return {
    isConclusive: true,
    data: {
      kind: 'contradiction',
      origin,
      size,
      claimed,
      logged,
      checkpointSize,
      witness:
        witness === null
          ? null
          : {
              statement: witness.statement,
              package: witness.package,
              sequence: witness.sequence,
              signers: witness.signers.map(({ name, keyId }) => ({ name, keyId })),
            },
      faulty: faulty.map(({ name, key }) => ({ name, key })),
      signedOther: signedOther.map(({ name, key }) => ({ name, key })),
    },
    lines: [
      contradictionVerdict(proven),
      `claimed      ${claimed}`,
      `in the log   ${logged}   (checkpoint of size ${checkpointSize})`,
      ...(witness === null
        ? [
            faulty.length === 0
              ? 'signed both  nobody: nobody is proven faulty'
              : `signed both  ${names(faulty)}   (provably faulty)`,
            ...(signedOther.length === 0
              ? []
              : [
                  `signed other ${names(signedOther)}   (the claimed branch only: no proof of guilt)`,
                ]),
          ]
        : [
            `signed by    ${names(witness.signers)}, maintainers of ${witness.package}: ` +
              'they were shown another log, or say so falsely',
          ]),
    ],
  };
}

// The one line that lists show. Of a note it blames nobody who may just have followed a forked log.
function contradictionVerdict({ origin, size, witness, faulty }: ProvenContradiction): string {
  if (witness !== null) {
    return `PROVEN: log ${origin} never had the head of size ${size} that is claimed`;
  }
  const two = `PROVEN: log ${origin} has two heads of size ${size}, each signed by replicas`;
  return faulty.length === 0
    ? `${two}: the log forked, or who signed the claimed one lies`
    : `${two}, some by the same`;
}

async function reportFinding(
  text: string,
  pin: string,
  verifier: SignatureVerifier,
): Promise<Finding> {
  const guilt = await verifyMisbehaviour(parseMisbehaviour(text), pin, verifier);
  const { rule, name, accused, origin, epoch, needsExecution } = guilt;
  return {
    isConclusive: !needsExecution,
    data: {
      kind: 'misbehaviour',
      rule,
      replica: name,
      key: accused,
      origin,
      epoch,
      needsExecution,
    },
    lines: [
      needsExecution
        ? `SIGNED, NOT JUDGED: replica ${name} of log ${origin} ${MISDEEDS[rule]}`
        : `PROVEN: replica ${name} of log ${origin} ${MISDEEDS[rule]}`,
      `rule         ${rule} (epoch ${epoch})`,
      `vote key     ${accused}`,
      ...(needsExecution
        ? ['to judge it, a replica has to execute the batch on the log before it']
        : []),
    ],
  };
}
