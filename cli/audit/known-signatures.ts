// Signatures of many batches checked in one go: whoever replays a log meets them a few at a time, while
// worker threads want hundreds. The answers are looked up when the rules ask; what was not foreseen is
// verified then. So this decides about speed and nothing else.
import { sha256 } from '@noble/hashes/sha2.js';

import { preAuthenticationEncoding, type Envelope } from '../../verifier/dsse.ts';
import { keyId, type PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError, assert } from '../../verifier/errors.ts';
import { parseRoster, ROSTER_PAYLOAD_TYPE, type Roster } from '../../verifier/roster.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  maintainerKeys,
  parseMaintainerSet,
} from '../../verifier/statements/maintainers.ts';

/** Keys that are remembered, some 250 bytes each: a long log may have named any number. */
const KEYS_MAX = 65_536;

/** A verifier that has been told what it will be asked. */
export class KnownSignatures implements SignatureVerifier {
  readonly #verifier: SignatureVerifier;
  readonly #keysMax: number;
  // The keys that sets and rosters have named last, by key id.
  readonly #keys = new Map<string, PublicKey>();
  #answers = new Map<string, boolean>();
  // Of the window before: a batch may begin in one and end in the next.
  #older = new Map<string, boolean>();
  /** Signatures verified so far. */
  verified = 0;

  constructor(verifier: SignatureVerifier, keysMax: number = KEYS_MAX) {
    this.#verifier = verifier;
    this.#keysMax = keysMax;
  }

  /**
   * Verifies the signatures of statements that are about to be replayed. The answers are kept until
   * the call after the next.
   */
  async foresee(envelopes: readonly Envelope[]): Promise<void> {
    for (const envelope of envelopes) this.#learn(envelope);
    const jobs = envelopes.flatMap((envelope) => this.#jobsOf(envelope));
    this.#older = this.#answers;
    this.#answers = new Map();
    await this.#ask(jobs);
  }

  /** Adds the keys of a roster. */
  learnRoster({ replicas, admission }: Roster): void {
    const registrars = admission.mode === 'registrars' ? admission.keys : [];
    for (const key of [...replicas.map(({ voteKey }) => voteKey), ...registrars]) this.#put(key);
  }

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    const ids = jobs.map(idOf);
    await this.#ask(jobs.filter((_, i) => this.#answerTo(ids[i] ?? '') === undefined));
    return ids.map((id) => this.#answerTo(id) === true);
  }

  #answerTo(id: string): boolean | undefined {
    return this.#answers.get(id) ?? this.#older.get(id);
  }

  async #ask(jobs: readonly SignatureJob[]): Promise<void> {
    if (jobs.length === 0) return;
    const answers = await this.#verifier.verifyMany(jobs);
    assert(answers.length === jobs.length, 'a verifier answers each job');
    this.verified += jobs.length;
    for (const [i, job] of jobs.entries()) this.#answers.set(idOf(job), answers[i] === true);
  }

  #learn({ payloadType, payload }: Envelope): void {
    try {
      if (payloadType === MAINTAINERS_PAYLOAD_TYPE) {
        for (const key of maintainerKeys(parseMaintainerSet(payload))) this.#put(key);
      } else if (payloadType === ROSTER_PAYLOAD_TYPE) {
        this.learnRoster(parseRoster(payload));
      }
    } catch (error) {
      // The replay will refuse it and say why.
      if (!(error instanceof VerifyError)) throw error;
    }
  }

  #put(key: PublicKey): void {
    const id = keyId(key);
    this.#keys.delete(id);
    this.#keys.set(id, key);
    if (this.#keys.size <= this.#keysMax) return;
    const [oldest = ''] = this.#keys.keys();
    this.#keys.delete(oldest);
  }

  #jobsOf({ payloadType, payload, signatures }: Envelope): readonly SignatureJob[] {
    const message = preAuthenticationEncoding(payloadType, payload);
    return signatures.flatMap(({ keyid, signature }) => {
      const publicKey = this.#keys.get(keyid);
      return publicKey === undefined ? [] : [{ publicKey, message, signature }];
    });
  }
}

// All three, whole: an answer must never be given to another question.
function idOf({ publicKey, message, signature }: SignatureJob): string {
  return `${encodeHex(publicKey)} ${encodeHex(signature)} ${encodeHex(sha256(message))}`;
}
