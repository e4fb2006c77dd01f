// The ledger as the consensus driver sees it: submissions are admitted, batches built and checked, all
// on the state after the last durable batch. Committing is the store's.
import { canonicalJson } from '../../verifier/json.ts';
import { envelopeJson, parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { equalBytes, utf8 } from '../../verifier/bytes.ts';
import { ENTRY_BYTES_MAX, formatEntry, parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import { COMMIT_ENTRY_BYTES_MAX, buildBatch, executeBatch } from '../../verifier/ledger/batch.ts';
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { checkSubmission, readSubmission } from '../../verifier/ledger/submission.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { bodyHash, headerDigest } from '../consensus/encode.ts';
import type { Body, Header } from '../consensus/types.ts';
import type { LedgerState } from '../store/ledger-state.ts';
import type {
  Admission,
  Application,
  BatchContent,
  BatchLimits,
  BuiltBatch,
  LedgerRequest,
  Refusal,
  Tip,
  Validation,
} from './application.ts';
import { requireArtifacts, type ArtifactIndex } from './artifact-check.ts';
import type { Executions } from './executions.ts';
