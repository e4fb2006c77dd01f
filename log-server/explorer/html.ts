// HTML whose every inserted value is text. Not a library's template: ours also shows the characters that
// are not seen, with which a name can look like another one (CVE-2021-42574), and has no way to insert
// markup that was not written here.

/** Markup that was written in this program. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What can stand in a template. */
export type HtmlValue = string | number | Html | readonly HtmlValue[];

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

// Control and format characters (bidi marks, zero-width ones), separators of lines, and what has no
// meaning yet. Newlines are for the page's style to show.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu;

/** A template tag: `` markup`<p>${anything}</p>` ``. */
export function markup(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const text = parts.map((part, i) => part + (i < values.length ? render(values[i]) : '')).join('');
  return new Html(text);
}

function render(value: HtmlValue | undefined): string {
  if (value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string') return value.map(render).join('');
  return value
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replaceAll(UNSEEN, (character) =>
      character === '\n'
        ? character
        : `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`,
    );
}
