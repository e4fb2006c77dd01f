// The public interface of the verifier: pure functions over bytes, the same in Node and in browsers.
// Data in; a verdict, a checked object or a refusal (`VerifyError`) out. No I/O and no clock.
//
// Evidence as it comes from a replica or from a bundle is judged like this:
//
//   const evidence = parseEvidence(bytes);
//   const { subjects, trust } = await verifyEvidence(
//     { evidence, pin, subjects: [parseSubject('pkg:npm/left@1.0.0')], nowSeconds,
//       checkpointAgeMaxSeconds: 3600, clockSkewMaxSeconds: 30 },
//     portableVerifier, // or that of bftpkg/verifier/node, which is much faster
//   );
//
// What is not exported here is internal and may change at any time.

// refusals
export { AssertionError, VerifyError, quote } from './errors.ts';
export type { VerifyErrorCode, VerifyErrorOptions } from './errors.ts';

// evidence: the whole verification
export {
  EVIDENCE_BYTES_MAX,
  EVIDENCE_ENTRIES_MAX,
  formatEvidence,
  parseEvidence,
} from './evidence/format.ts';
export type { ConsistencyProof, Evidence, ShownEntry } from './evidence/format.ts';
export { SUBJECTS_MAX, verifyEvidence } from './evidence/verify.ts';
export type { EvidenceRequest, VerifiedEvidence } from './evidence/verify.ts';
export { parseSubject, subjectId } from './evidence/subject.ts';
export type {
  Signer,
  Subject,
  SubjectResult,
  VerifiedPackage,
  VerifiedRelease,
} from './evidence/subject.ts';
export { ForkError } from './evidence/trust.ts';
export type { ForkEvidence, TrustState } from './evidence/trust.ts';
export { formatForkEvidence, parseForkEvidence, verifyForkEvidence } from './evidence/fork.ts';
export type { ForkProof, ForkSigner } from './evidence/fork.ts';
export { formatMisbehaviour, parseMisbehaviour, verifyMisbehaviour } from './replication/report.ts';
export type { MisbehaviourDocument, ProvenGuilt } from './replication/report.ts';
export { buildEvidence } from './evidence/build.ts';
export type { EvidenceQuery, EvidenceSource } from './evidence/build.ts';

// keys and signatures
export { keyId, parsePublicKey, publicKeyHex } from './ed25519.ts';
export type { PublicKey } from './ed25519.ts';
export { portableVerifier } from './portable.ts';
export { runPlan, runPlans } from './signatures.ts';
export type { PlanOutcome, SignatureJob, SignaturePlan, SignatureVerifier } from './signatures.ts';
export { hasQuorum, hasWeakQuorum, thresholds, weightOf } from './quorum.ts';
export type { Thresholds } from './quorum.ts';

// C2SP: verifier keys, notes, checkpoints, cosignatures
export { formatVerifierKey, makeVerifierKey, parseVerifierKey } from './vkey.ts';
export type { VerifierKey } from './vkey.ts';
export { formatNote, parseNote, planNote } from './note.ts';
export type { NoteSignature, SignedNote, VerifiedNote } from './note.ts';
export { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
export type { Checkpoint } from './checkpoint.ts';
export { cosignatureMessage, makeCosignature, planCheckpoint } from './cosignature.ts';
export type { Cosignature, VerifiedCheckpoint } from './cosignature.ts';

// signed statements and what the log holds
export {
  formatEnvelope,
  parseEnvelope,
  planSigners,
  preAuthenticationEncoding,
  statementHash,
} from './dsse.ts';
export type { Envelope, EnvelopeSignature } from './dsse.ts';
export { formatRoster, parseRoster, planRosterChain } from './roster.ts';
export type { Admission, Replica, Roster, RosterFields } from './roster.ts';
export {
  formatMaintainerSet,
  maintainerSetWarnings,
  maintainerThreshold,
  parseMaintainerSet,
  planMaintainerSet,
} from './statements/maintainers.ts';
export type { Maintainer, MaintainerSet, VerifiedMaintainerSet } from './statements/maintainers.ts';
export { formatRelease, parseRelease, planRelease } from './statements/release.ts';
export type { Release, ReleaseSubject, VerifiedReleaseStatement } from './statements/release.ts';
export { formatWithdrawal, parseWithdrawal, planWithdrawal } from './statements/withdrawal.ts';
export type { VerifiedWithdrawal, Withdrawal } from './statements/withdrawal.ts';
export type { LogHead, Observed } from './statements/observed.ts';
export { formatEntry, parseEntry } from './entry.ts';
export type { CommitEntry, Entry, StatementEntry, StatementKind } from './entry.ts';

// the log's tree and the map
export { EMPTY_ROOT, leafHash, nodeHash } from './merkle/hash.ts';
export type { Hash } from './merkle/hash.ts';
export { checkInclusion } from './merkle/inclusion.ts';
export { formatTlogProof, parseTlogProof, planTlogProof } from './tlog-proof.ts';
export type { TlogProof } from './tlog-proof.ts';
export { checkConsistency } from './merkle/consistency.ts';
export { EMPTY_MAP_ROOT } from './map/node.ts';
export { packageKey, releaseKey } from './map/keys.ts';
export { parsePackageRecord, parseReleaseRecord } from './map/records.ts';
export type { PackageRecord, ReleaseRecord, ReleaseStatus } from './map/records.ts';
export { checkMapAbsence, checkMapPresence } from './map/proof.ts';
export { openPrunedMap } from './map/pruned-map.ts';
export type { MapFinding, PrunedMap } from './map/pruned-map.ts';

// npm: names, versions, artifacts
export { packagePurl, parsePurl, releasePurl } from './npm/purl.ts';
export type { Purl } from './npm/purl.ts';
export { formatSri, parseSri } from './npm/integrity.ts';
export { checkTarball } from './archive/tarball.ts';
export type { ArchiveListing, ExpectedPackage } from './archive/tarball.ts';
