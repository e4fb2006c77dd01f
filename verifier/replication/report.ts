// A report of misbehaviour as a document: what a replica serves and what anybody can check offline. It
// brings the rosters along, so all that a reader needs is a pin of the log.
import { envelopeJson, readEnvelope, type Envelope } from '../dsse.ts';
import { encodeBase64 } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import { requireBoundedShape } from '../evidence/json-shape.ts';
import { planLinkedRosters } from '../evidence/linked-rosters.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../json.ts';
import { readingAs } from '../refusals.ts';
import { ROSTER_CHAIN_MAX, type Roster } from '../roster.ts';
import { runPlan, type SignatureVerifier } from '../signatures.ts';
import { certificateJobs, certificateProblem } from './certificates.ts';
import {
  decodeCertificate,
  decodeHeader,
  encodeCertificate,
  encodeHeader,
  genesisHeader,
  headerDigest,
} from './encode.ts';
import { MESSAGE_BYTES_MAX, decodeEvidence, encodeEvidence } from './encode-message.ts';
import { planEvidence, type Guilt } from './judge.ts';
import { Members, NO_MUTANTS } from './members.ts';
import type { CertifiedHeader, Header } from './messages.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import { REPORT_BYTES_MAX } from './report-limits.ts';

export { REPORT_BYTES_MAX };

/** The name of the document's format. */
export const REPORT_FORMAT = 'bftpkg-misbehaviour/v1';

/** Values of the document: up to 200 a roster with its signatures. */
const VALUES_MAX = 100_000;

const REPORT_LENGTH_MAX = 2 * MESSAGE_BYTES_MAX + 4096;

/** A header has at most some 450 bytes, a certificate 65 a member. */
const START_LENGTH_MAX = 16 * 1024;

/** The document, well formed and otherwise unchecked. */
export interface MisbehaviourDocument {
  /** All rosters from epoch 0 to the newest that whoever made the document knew. */
  readonly rosters: readonly Envelope[];
  /** The batch that ended the epoch before the report's; `null` in epoch 0. */
  readonly epochStart: CertifiedHeader | null;
  readonly report: Misbehaviour;
}

/** What a document proves. */
export interface ProvenGuilt extends Guilt {
  readonly origin: string;
  readonly epoch: number;
  /** The accused's name in the epoch's roster. */
  readonly name: string;
}

/** The document's text. */
export function formatMisbehaviour({ rosters, epochStart, report }: MisbehaviourDocument): string {
  return canonicalJson({
    format: REPORT_FORMAT,
    rosters: rosters.map(envelopeJson),
    epochStart:
      epochStart === null
        ? null
        : {
            header: encodeBase64(encodeHeader(epochStart.header)),
            certificate: encodeBase64(encodeCertificate(epochStart.certificate)),
          },
    report: encodeBase64(encodeEvidence(report)),
  });
}

/** @throws {VerifyError} `EVIDENCE_MALFORMED`, `MESSAGE_MALFORMED`, `FORMAT_UNSUPPORTED` */
export function parseMisbehaviour(source: string): MisbehaviourDocument {
  return readingAs('EVIDENCE_MALFORMED', 'report of misbehaviour', () => {
    if (source.length > REPORT_BYTES_MAX) {
      throw new VerifyError('EVIDENCE_MALFORMED', `report longer than ${REPORT_BYTES_MAX}`);
    }
    requireBoundedShape(source, VALUES_MAX);
    const reader = new ObjectReader(parseCanonicalJson(source, REPORT_BYTES_MAX), '');
    reader.format('format', REPORT_FORMAT);
    const document = {
      rosters: reader.array('rosters', ROSTER_CHAIN_MAX, readEnvelope),
      epochStart: readEpochStart(reader),
      report: decodeEvidence(reader.base64('report', REPORT_LENGTH_MAX)),
    };
    reader.end();
    return document;
  });
}

function readEpochStart(reader: ObjectReader): CertifiedHeader | null {
  if (reader.required('epochStart') === null) return null;
  const fields = reader.object('epochStart');
  const header = decodeHeader(fields.base64('header', START_LENGTH_MAX));
  const certificate = decodeCertificate(fields.base64('certificate', START_LENGTH_MAX));
  fields.end();
  return { header, certificate };
}

/**
 * Checks a report against a pin.
 *
 * @throws {VerifyError} `ROSTER_NOT_PINNED`, `ROSTER_CHAIN_BROKEN`; `MESSAGE_REFUSED` when it proves
 *         nothing
 */
export async function verifyMisbehaviour(
  document: MisbehaviourDocument,
  pin: string,
  verifier: SignatureVerifier,
): Promise<ProvenGuilt> {
  const { report } = document;
  const rosters = await runPlan(verifier, planLinkedRosters(pin, document.rosters));
  const roster = rosters.find(({ epoch }) => epoch === report.epoch);
  if (roster === undefined) throw refused('no roster of the epoch that it is about');
  const epochStart = await provenStart(document, roster, rosters, verifier);
  const members = new Members(roster, report.accused);
  const context = { members, epochStart, mutants: NO_MUTANTS };
  const guilt = await runPlan(verifier, planEvidence(report, context));
  const name = roster.replicas[members.self ?? -1]?.name ?? '';
  return { ...guilt, origin: roster.origin, epoch: report.epoch, name };
}

// A view change may name the header that the epoch started from without proof, since its members know
// it. A stranger has to be shown: a wrong one could make an honest message look like a lie.
async function provenStart(
  { epochStart }: MisbehaviourDocument,
  roster: Roster,
  rosters: readonly Roster[],
  verifier: SignatureVerifier,
): Promise<Header> {
  if (roster.epoch === 0) {
    if (epochStart !== null) throw refused('epoch 0 starts from nothing');
    return genesisHeader(roster.origin);
  }
  const before = rosters.find(({ epoch }) => epoch === roster.epoch - 1);
  if (epochStart === null || before === undefined) {
    throw refused('the batch that started the epoch is not shown');
  }
  const { header, certificate } = epochStart;
  if (header.origin !== roster.origin || header.nextRoster !== roster.hash) {
    throw refused('the batch shown did not start the epoch');
  }
  const members = new Members(before, '');
  const expected = { epoch: before.epoch, height: header.height, digest: headerDigest(header) };
  const problem =
    header.epoch === before.epoch
      ? certificateProblem(members, certificate, 'commit', expected, NO_MUTANTS)
      : 'header of another epoch';
  if (problem !== undefined) throw refused(`the batch that started the epoch: ${problem}`);
  return runPlan(verifier, {
    jobs: certificateJobs(members, certificate),
    finish(valid) {
      if (valid.includes(false)) throw refused('a signature on the epoch’s start is not valid');
      return header;
    },
  });
}

function refused(problem: string): VerifyError {
  return new VerifyError('MESSAGE_REFUSED', `report refused: ${problem}`);
}
