// Evidence for subjects (DESIGN 4.7): one document, complete in itself, checked by the client.
import type { Subject } from '../../verifier/evidence/subject.ts';
import { parseSubject } from '../../verifier/evidence/subject.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ObjectReader, readInteger, readString } from '../../verifier/json.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { isAnnouncedWithin, readDocument, readLargeDocument } from './body.ts';
import { HttpError } from './errors.ts';
import {
  DOCUMENT_BYTES_MAX,
  EVIDENCE_BUILDS_MAX,
  EVIDENCE_REQUEST_BYTES_MAX,
  EVIDENCE_REQUESTS_MAX,
  EVIDENCE_REQUESTS_PER_NETWORK_MAX,
  EVIDENCE_SUBJECTS_MAX,
  SharedGate,
} from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, incomingOf } from './routes.ts';
import { TurnGate } from './turn-gate.ts';

/** A request for evidence. */
export interface EvidenceRequest {
  /** Hash of the roster that the client's chain begins with, hex. */
  readonly pin: string;
  /** Size of the log that the client knows already; 0 for none. */
  readonly since: number;
  readonly subjects: readonly Subject[];
  /** For each subject the size of the log below which the client has read what it rests on. */
  readonly known?: readonly number[];
}

/** Adds POST /v1/evidence. */
export function evidenceRoutes(app: PublicApp, { face, held }: RouteContext): void {
  const asking = new SharedGate(EVIDENCE_REQUESTS_MAX, EVIDENCE_REQUESTS_PER_NETWORK_MAX);
  // Large ones have places of their own, and stand in them while they are read: who announces one and sends
  // nothing keeps out large ones only.
  const askingMuch = new SharedGate(EVIDENCE_REQUESTS_MAX, EVIDENCE_REQUESTS_PER_NETWORK_MAX);
  const building = new TurnGate(EVIDENCE_BUILDS_MAX);
  app.post('/v1/evidence', async (c) => {
    const incoming = incomingOf(c);
    const network = askerOf(c);
    // Reading ten thousand subjects is work too.
    const build = (body: Uint8Array): Promise<readonly string[] | undefined> =>
      building.run(network, () => face.store.evidence(parseEvidenceRequest(body)));
    const isSmall = isAnnouncedWithin(incoming, DOCUMENT_BYTES_MAX);
    const small = isSmall ? await readDocument(incoming, DOCUMENT_BYTES_MAX) : undefined;
    const built =
      small === undefined
        ? await askingMuch.run(network, async () =>
            build(await readLargeDocument(incoming, EVIDENCE_REQUEST_BYTES_MAX)),
          )
        : await asking.run(network, () => build(small));
    if (built === undefined) {
      throw new HttpError(503, 'BUSY', 'too many evidence requests at one time', 1);
    }
    if (built.value !== undefined) {
      const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
      return held.send(c, built.value, headers);
    }
    if ((await face.store.checkpoint()) === undefined) {
      throw new HttpError(503, 'NOT_READY', 'the log has no checkpoint yet', 1);
    }
    throw new HttpError(404, 'PIN_UNKNOWN', 'this log has no roster with that hash');
  });
}

/**
 * Reads a request for evidence. Nobody signs it, so it need not be canonical.
 *
 * @throws {HttpError} 400
 * @throws {VerifyError} `PACKAGE_NAME_INVALID`, `VERSION_INVALID` for a subject that can't be one
 */
export function parseEvidenceRequest(body: Uint8Array): EvidenceRequest {
  let pin: string;
  let since: number;
  let purls: readonly string[];
  let known: readonly number[] | undefined;
  try {
    const lengthMax = EVIDENCE_REQUEST_BYTES_MAX;
    const { value } = parseForeignJson(decodeUtf8(body), { lengthMax });
    const reader = new ObjectReader(value, '');
    pin = reader.string('roster', 64);
    since = reader.integer('since', 0);
    purls = reader.array('subjects', EVIDENCE_SUBJECTS_MAX, (item, path) =>
      readString(item, path, 512),
    );
    if (reader.optional('known') !== undefined) {
      known = reader.array('known', purls.length, (item, path) =>
        readInteger(item, path, 0, Number.MAX_SAFE_INTEGER),
      );
    }
    reader.end();
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new HttpError(400, 'REQUEST_MALFORMED', error.message);
  }
  if (!/^[0-9a-f]{64}$/.test(pin)) {
    throw new HttpError(400, 'REQUEST_MALFORMED', 'roster is not 64 lower-case hexadecimal digits');
  }
  if (known !== undefined && known.length !== purls.length) {
    throw new HttpError(400, 'REQUEST_MALFORMED', 'known does not have a number for each subject');
  }
  if (purls.length === 0) throw new HttpError(400, 'REQUEST_MALFORMED', 'subjects is empty');
  return {
    pin,
    since,
    subjects: purls.map(parseSubject),
    ...(known === undefined ? {} : { known }),
  };
}
