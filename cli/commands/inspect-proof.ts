// `bftpkg inspect --proof`: on what the answers rest, so that somebody else can follow it step by step.
import { utf8 } from '../../verifier/bytes.ts';
import { encodeBase64, encodeHex } from '../../verifier/encoding.ts';

import { parseEvidence, type Evidence } from '../../verifier/evidence/format.ts';
import { subjectId } from '../../verifier/evidence/subject.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { packageKey, releaseKey } from '../../verifier/map/keys.ts';
import { leafHash, type Hash } from '../../verifier/merkle/hash.ts';
import { checkInclusion } from '../../verifier/merkle/inclusion.ts';
import { pathFromPrunedTree } from '../../verifier/merkle/pruned-tree.ts';
import type { Verified } from '../session/log-session.ts';

/** A proof, for people and for programs. */
export interface ProofReport {
  readonly data: JsonObject;
  readonly lines: readonly string[];
}

/** Where one entry is in the log. */
interface ProvenLeaf {
  readonly index: number;
  readonly hash: Hash;
  /** From the leaf up. */
  readonly path: readonly Hash[];
}

/** What was verified, as one chain: pin, roster, checkpoint, commit entry, map, entries. */
export function proofReport(verified: Verified, pin: string): ProofReport {
  const evidence = parseEvidence(verified.source);
  const { checkpoint, roster, commit, subjects } = verified.evidence;
  const { size, root } = checkpoint.checkpoint;
  const leaves = provenLeaves(evidence, size, root);
  const cosignatures = checkpoint.cosignatures.map(({ replica, time }) => ({
    replica: roster.replicas[replica]?.name ?? '?',
    time,
  }));
  const keys = subjects.map(({ subject }) => ({
    subject: subjectId(subject),
    key: encodeHex(
      subject.kind === 'package'
        ? packageKey(subject.name)
        : releaseKey(subject.name, subject.version),
    ),
  }));
  return {
    data: {
      pin,
      roster: { epoch: roster.epoch, hash: roster.hash, quorum: roster.thresholds.quorum },
      checkpoint: evidence.checkpoint,
      cosignatures,
      certifiedTime: checkpoint.certifiedTime,
      commit: { entry: size - 1, height: commit.height, epoch: commit.epoch, time: commit.time },
      map: { root: encodeHex(commit.map), keys },
      entries: leaves.map(({ index, hash, path }) => ({
        index,
        leafHash: encodeBase64(hash),
        path: path.map(encodeBase64),
      })),
    },
    lines: [
      'proof',
      `  pin         ${pin}`,
      `  roster      epoch ${roster.epoch}   ${roster.hash}   (${evidence.rosters.length} from the pin on)`,
      ...cosignatures.map(
        ({ replica, time }) => `  cosigned    ${new Date(time * 1000).toISOString()}   ${replica}`,
      ),
      `  quorum      ${checkpoint.weight} of ${roster.thresholds.total}, ${roster.thresholds.quorum} needed`,
      `  log         size ${size}   root ${encodeBase64(root)}`,
      `  map         root ${encodeHex(commit.map)}   (entry ${size - 1}, height ${commit.height})`,
      ...keys.map(({ subject, key }) => `  map key     ${key}   ${subject}`),
      ...leaves.flatMap(({ index, hash, path }) => [
        `  entry       ${index}   leaf ${encodeBase64(hash)}   path of ${path.length}`,
        ...path.map((sibling) => `                ${encodeBase64(sibling)}`),
      ]),
    ],
  };
}

// Each path is followed again here: what is shown to others has been seen to hold.
function provenLeaves(evidence: Evidence, size: number, root: Hash): readonly ProvenLeaf[] {
  const leaves = new Map(evidence.entries.map(({ index, data }) => [index, leafHash(utf8(data))]));
  return [...leaves].map(([index, hash]) => {
    const path = pathFromPrunedTree(size, leaves, evidence.log, index);
    checkInclusion(hash, index, size, path, root);
    return { index, hash, path };
  });
}
