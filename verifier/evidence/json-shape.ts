// A look at JSON text before it is parsed. `JSON.parse` makes objects of whatever it is given: 64 MiB
// of `{},{},{}` become gigabytes of memory and half a minute of work, before any reader of ours has
// a say. Counting characters costs neither.
import { VerifyError } from '../errors.ts';
import { JSON_DEPTH_MAX } from '../json.ts';

const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Refuses text that would parse to too many or too deeply nested values. It says nothing about
 * whether the text is JSON.
 *
 * @param valuesMax most values: each follows an opening bracket or a comma outside of strings
 * @throws {VerifyError} `JSON_MALFORMED`
 */
export function requireBoundedShape(text: string, valuesMax: number): void {
  let values = 1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case OPEN_ARRAY:
      case OPEN_OBJECT:
        depth += 1;
        values += 1;
        break;
      case CLOSE_ARRAY:
      case CLOSE_OBJECT:
        depth -= 1;
        break;
      case COMMA:
        values += 1;
        break;
      default:
    }
    if (depth > JSON_DEPTH_MAX) throw malformed(`nested deeper than ${JSON_DEPTH_MAX}`);
    if (values > valuesMax) throw malformed(`more than ${valuesMax} values`);
  }
}

// Position of the closing quote, or the end of the text when there is none.
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (character === QUOTE) return at;
    if (character === BACKSLASH) at += 1;
  }
  return text.length;
}

function malformed(detail: string): VerifyError {
  return new VerifyError('JSON_MALFORMED', `malformed JSON: ${detail}`);
}
