// Withdrawals: what maintainers say about a release that should no longer be used (DESIGN 4.4).
import { planSigners, type Envelope } from '../dsse.ts';
import type { PublicKey } from '../ed25519.ts';
import { VerifyError } from '../errors.ts';
import { parseVersion, VERSION_LENGTH_MAX } from '../npm/version.ts';
import type { SignaturePlan } from '../signatures.ts';
import { requirePrintable } from './labels.ts';
import { maintainerKeys, maintainerThreshold, type MaintainerSet } from './maintainers.ts';
import { observedJson, readObserved, type Observed } from './observed.ts';
import {
  formatStatement,
  openStatement,
  readPackage,
  readStatement,
  type OpenedStatement,
} from './payload.ts';

/** DSSE payload type of a withdrawal. */
export const WITHDRAWAL_PAYLOAD_TYPE = 'application/vnd.bftpkg.withdrawal+json';

const WITHDRAWAL_FORMAT = 'bftpkg-withdrawal/v1';

/** Longest explanation, in UTF-16 units. */
export const WITHDRAWAL_TEXT_LENGTH_MAX = 500;

/** What withdrawals do: `revoked` stops for ever; `yanked` warns and can be taken back. */
export const WITHDRAWAL_KINDS = ['revoked', 'yanked', 'unyanked'] as const;
export type WithdrawalKind = (typeof WITHDRAWAL_KINDS)[number];

/** Why, for programs. */
export const WITHDRAWAL_REASONS = [
  'malicious-code',
  'vulnerability',
  'key-compromise',
  'broken',
  'license',
  'mistake',
  'other',
] as const;
export type WithdrawalReason = (typeof WITHDRAWAL_REASONS)[number];

/** What a withdrawal says. */
export interface Withdrawal {
  /** purl without version. */
  readonly package: string;
  readonly version: string;
  readonly kind: WithdrawalKind;
  readonly reason: WithdrawalReason;
  /** Why, for people; may be empty. */
  readonly text: string;
  /** Hash of the payload of the release statement that is meant, hex. */
  readonly release: string;
  readonly observed: Observed;
}

/** A withdrawal whose signatures suffice. */
export interface VerifiedWithdrawal {
  readonly withdrawal: Withdrawal;
  /** Hex SHA-256 of the payload. */
  readonly hash: string;
  /** The distinct maintainers that signed, at least f + 1, in the order of their set. */
  readonly signers: readonly PublicKey[];
}

/**
 * Reads a withdrawal's payload.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `PACKAGE_NAME_INVALID`, `VERSION_INVALID`,
 *         `FORMAT_UNSUPPORTED`
 */
export function parseWithdrawal(payload: Uint8Array): Withdrawal {
  return readStatement(payload, (reader) => {
    reader.format('format', WITHDRAWAL_FORMAT);
    const purl = readPackage(reader, 'package');
    const version = reader.string('version', VERSION_LENGTH_MAX);
    parseVersion(version);
    const kind = reader.oneOf('kind', WITHDRAWAL_KINDS);
    const reason = reader.oneOf('reason', WITHDRAWAL_REASONS);
    const text = reader.string('text', WITHDRAWAL_TEXT_LENGTH_MAX);
    requirePrintable(text, 'text');
    reader.hex('release', 32);
    const release = reader.string('release', 64);
    const observed = readObserved(reader.required('observed'), 'observed');
    return { package: purl, version, kind, reason, text, release, observed };
  });
}

/**
 * The payload that says these things.
 *
 * @throws {VerifyError} as `parseWithdrawal`, for a withdrawal that no reader would accept
 */
export function formatWithdrawal(withdrawal: Withdrawal): Uint8Array {
  return formatStatement(
    {
      format: WITHDRAWAL_FORMAT,
      package: withdrawal.package,
      version: withdrawal.version,
      kind: withdrawal.kind,
      reason: withdrawal.reason,
      text: withdrawal.text,
      release: withdrawal.release,
      observed: observedJson(withdrawal.observed),
    },
    parseWithdrawal,
  );
}

/**
 * Plans the check of a withdrawal. Whether the release exists and has not been revoked is the
 * ledger's business, and so is refusing the same withdrawal twice.
 *
 * @param set the maintainer set of the package that has to have signed
 * @throws {VerifyError} (already when planning) what `parseWithdrawal` throws,
 *         `MAINTAINER_CHAIN_BROKEN` when the set is of another package; when finishing
 *         `MAINTAINER_SIGNATURES_MISSING`
 */
export function planWithdrawal(
  source: Envelope | OpenedStatement<Withdrawal>,
  set: MaintainerSet,
): SignaturePlan<VerifiedWithdrawal> {
  const opened = openStatement(source, WITHDRAWAL_PAYLOAD_TYPE, parseWithdrawal);
  const { envelope, statement: withdrawal, hash } = opened;
  const purl = withdrawal.package;
  // The maintainers of one package must not be able to withdraw another's releases.
  if (set.package !== purl) {
    throw new VerifyError('MAINTAINER_CHAIN_BROKEN', `${set.package} has no say about ${purl}`);
  }
  const plan = planSigners(envelope, maintainerKeys(set));
  const needed = maintainerThreshold(set);
  return {
    jobs: plan.jobs,
    finish: (valid) => {
      const signers = plan.finish(valid);
      if (signers.length < needed) {
        throw new VerifyError(
          'MAINTAINER_SIGNATURES_MISSING',
          `${purl}: withdrawal of ${withdrawal.version} is signed by ${signers.length} of the ` +
            `${needed} maintainers that have to`,
          { found: `${signers.length} signatures`, expected: `${needed} signatures` },
        );
      }
      return { withdrawal, hash, signers };
    },
  };
}
