// Envelopes by the one form that their canonical text has. A submission is mostly payload: having it parsed,
// written back and compared costs more than anything else that is done with it before its signatures.

/** The texts of an envelope's fields, as they stand in its JSON. Not an interface: it is to pass for a JSON value. */
export type EnvelopeTexts = {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
};

const HEAD = '{"payload":"';
const BEFORE_TYPE = '","payloadType":"';
const BEFORE_LINES = '","signatures":[';
const BEFORE_KEY = '{"keyid":"';
const BEFORE_SIGNATURE = '","sig":"';
const BEHIND_LINE = '"}';
const BEHIND_ALL = ']}';

/**
 * What JSON.parse makes of an envelope's canonical text, found by what must stand between its texts.
 *
 * The texts themselves are not looked at, but that they have no quotes and no escapes: the caller has to
 * refuse all that holds anything but printable ASCII. What is left is canonical: there is one way to write it.
 *
 * @param linesMax most signatures read
 * @returns undefined for what does not look like one, which may be canonical all the same
 */
export function splitEnvelope(text: string, linesMax: number): EnvelopeTexts | undefined {
  if (!text.startsWith(HEAD) || text.includes('\\')) return undefined;
  const payloadEnd = text.indexOf('"', HEAD.length);
  if (!text.startsWith(BEFORE_TYPE, payloadEnd)) return undefined;
  const typeStart = payloadEnd + BEFORE_TYPE.length;
  const typeEnd = text.indexOf('"', typeStart);
  if (!text.startsWith(BEFORE_LINES, typeEnd)) return undefined;
  const signatures = splitLines(text, typeEnd + BEFORE_LINES.length, linesMax);
  if (signatures === undefined) return undefined;
  return {
    payload: text.slice(HEAD.length, payloadEnd),
    payloadType: text.slice(typeStart, typeEnd),
    signatures,
  };
}

function splitLines(
  text: string,
  start: number,
  linesMax: number,
): EnvelopeTexts['signatures'] | undefined {
  const lines: EnvelopeTexts['signatures'][number][] = [];
  let at = start;
  while (lines.length < linesMax && text.startsWith(BEFORE_KEY, at)) {
    const keyStart = at + BEFORE_KEY.length;
    const keyEnd = text.indexOf('"', keyStart);
    if (!text.startsWith(BEFORE_SIGNATURE, keyEnd)) return undefined;
    const signatureStart = keyEnd + BEFORE_SIGNATURE.length;
    const signatureEnd = text.indexOf('"', signatureStart);
    if (!text.startsWith(BEHIND_LINE, signatureEnd)) return undefined;
    lines.push({
      keyid: text.slice(keyStart, keyEnd),
      sig: text.slice(signatureStart, signatureEnd),
    });
    at = signatureEnd + BEHIND_LINE.length;
    if (text.startsWith(BEHIND_ALL, at)) {
      return at + BEHIND_ALL.length === text.length ? lines : undefined;
    }
    if (text[at] !== ',') return undefined;
    at += 1;
  }
  return undefined;
}
