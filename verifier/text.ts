// UTF-8 decoding that refuses what is not well formed. `TextDecoder` exists in Node and in browsers
// but in no type library that this folder may see; its one needed shape is declared here.
import { VerifyError } from './errors.ts';

declare class TextDecoder {
  constructor(label: 'utf-8', options: { fatal: boolean; ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}

// Without `stream`, each call stands alone; making one costs more than decoding an entry.
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Decodes UTF-8. Over-long forms, surrogates and truncated sequences are refused; a byte order mark
 * stays part of the text, so that what is read is what was signed.
 *
 * @throws {VerifyError} `ENCODING_MALFORMED`
 */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes);
  } catch (cause) {
    throw new VerifyError('ENCODING_MALFORMED', 'not well-formed UTF-8', { cause });
  }
}

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Whether the text has a UTF-8 form: a lone surrogate would silently become U+FFFD when signed. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}
