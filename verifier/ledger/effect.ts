// What an entry changes, as data: the rules say it, the state (a scratch copy, a database) does it.
import type { Envelope } from '../dsse.ts';
import type { JsonObject } from '../json.ts';
import type { ReleaseStatus } from '../map/records.ts';
import type { Roster } from '../roster.ts';
import type { SignaturePlan } from '../signatures.ts';
import type { MaintainerSet } from '../statements/maintainers.ts';

/** A version that a release entry binds. */
export interface ReleasedVersion {
  readonly name: string;
  readonly version: string;
}

/** What an entry changes once it is in the log. */
export type Effect =
  | {
      readonly kind: 'maintainers';
      readonly name: string;
      readonly set: MaintainerSet;
      readonly hash: string;
    }
  | {
      readonly kind: 'release';
      readonly statement: string;
      readonly releases: readonly ReleasedVersion[];
    }
  | {
      readonly kind: 'withdrawal';
      readonly name: string;
      readonly version: string;
      /** What the release is from now on. */
      readonly status: ReleaseStatus;
    }
  | { readonly kind: 'roster'; readonly roster: Roster; readonly envelope: Envelope };

/** An artifact that a release statement names, with what it says about it (DESIGN 5, rule 4). */
export interface ArtifactClaim {
  /** Lower-case hex. */
  readonly sha512: string;
  /** Bytes. */
  readonly size: number;
  readonly name: string;
  readonly version: string;
  readonly manifest: JsonObject;
}

/** A submission that breaks no rule, if its signatures are good. */
export interface CheckedSubmission {
  /** Its signatures. Its value is of no interest: that it finishes is. */
  readonly plan: SignaturePlan<unknown>;
  readonly effect: Effect;
  /** Every artifact that has to be held before voting. */
  readonly artifacts: readonly ArtifactClaim[];
}
