// The pages of the explorer: what the log says, made readable. No script, and nothing here is proof: a
// page that a replica serves can't judge that replica, and says so.
import { statementHash } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { Entry, StatementEntry } from '../../verifier/entry.ts';
import type { PackageRecord, ReleaseRecord } from '../../verifier/map/records.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { parseRoster, type Roster } from '../../verifier/roster.ts';
import { maintainerThreshold, parseMaintainerSet } from '../../verifier/statements/maintainers.ts';
import { parseRelease } from '../../verifier/statements/release.ts';
import { parseWithdrawal } from '../../verifier/statements/withdrawal.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { markup, type Html, type HtmlValue } from './html.ts';

/** Entries in one list. */
export const ENTRIES_PER_PAGE = 50;

/** Versions on the page of a package; the whole list is at its packument. */
export const VERSIONS_SHOWN_MAX = 500;

/** Characters of a statement's payload that are shown. */
const PAYLOAD_SHOWN_MAX = 65_536;

/** An entry with its place. */
export interface PlacedEntry {
  readonly index: number;
  readonly entry: Entry;
}

/** The style sheet. */
export const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .5rem;border-bottom:1px solid #8885}
code,pre,td.hash{font-family:ui-monospace,monospace;overflow-wrap:anywhere}
pre{white-space:pre-wrap;border:1px solid #8885;padding:.5rem}
aside{border-left:.3rem solid #c80;padding:.1rem .8rem;margin:1rem 0}
.revoked{font-weight:bold}
form{display:flex;gap:.5rem}input{flex:1;font:inherit;padding:.3rem}button{font:inherit}
`;

/** What every page has around it. */
function page(title: string, body: HtmlValue): string {
  const shown = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title}</title>
        <link rel="stylesheet" href="/explorer.css" />
      </head>
      <body>
        <nav>
          <a href="/">log</a> · <a href="/explore/log">entries</a> ·
          <a href="/v1/misbehaviour">misbehaviour</a> ·
          <a href="/v1/contradictions">contradicted heads</a> · <a href="/readyz">health</a>
        </nav>
        <h1>${title}</h1>
        ${body}
      </body>
    </html> `;
  return shown.text;
}

function caution(command: string): Html {
  return markup`<aside>
    <p>
      This page is the word of one replica, and proves nothing. Ask all of them, and check the
      signatures: <code>${command}</code>
    </p>
  </aside>`;
}

/** The front page. */
export function overviewPage(
  roster: Roster,
  note: string | undefined,
  newest: readonly PlacedEntry[],
): string {
  const { origin, epoch, replicas, thresholds } = roster;
  return page(origin, [
    markup`<form action="/explore" role="search">
      <input
        name="q"
        maxlength="300"
        aria-label="package, package@version or number of an entry"
        placeholder="package, package@version or number of an entry"
      />
      <button>look up</button>
    </form>`,
    caution('bftpkg inspect <package>'),
    markup`<h2>Newest checkpoint</h2>
      <pre>${note ?? 'none yet'}</pre>`,
    markup`<h2>Replicas of epoch ${epoch}</h2>
      <p>
        A quorum is weight ${thresholds.quorum} of ${thresholds.total}; up to weight
        ${roster.faultyWeight} may be faulty.
      </p>
      <table>
        <tr>
          <th>name</th>
          <th>weight</th>
          <th>address</th>
        </tr>
        ${replicas.map(
          ({ name, weight, url }) =>
            markup`<tr>
              <td>${name}</td>
              <td>${weight}</td>
              <td>${url}</td>
            </tr>`,
        )}
      </table>`,
    markup`<h2>Newest entries</h2>
      ${entryTable(newest)}`,
  ]);
}

/** A stretch of the log, the newest first. */
export function logPage(entries: readonly PlacedEntry[], size: number): string {
  const oldest = entries.at(-1)?.index ?? 0;
  const newer = (entries[0]?.index ?? 0) + ENTRIES_PER_PAGE;
  return page(`Entries of ${size}`, [
    entryTable(entries),
    markup`<p>
      ${newer - ENTRIES_PER_PAGE < size - 1 ? markup`<a href="/explore/log?upto=${newer}">newer</a> ` : ''}
      ${oldest > 0 ? markup`<a href="/explore/log?upto=${oldest - 1}">older</a>` : ''}
    </p>`,
  ]);
}

function entryTable(entries: readonly PlacedEntry[]): Html {
  return markup`<table>
    <tr>
      <th>entry</th>
      <th>time</th>
      <th>kind</th>
      <th>about</th>
    </tr>
    ${entries.map(
      ({ index, entry }) =>
        markup`<tr>
          <td><a href="/explore/entry/${index}">${index}</a></td>
          <td>${timeOf(entry.time)}</td>
          <td>${entry.kind}</td>
          <td>${aboutOf(entry)}</td>
        </tr>`,
    )}
  </table>`;
}

/** One entry with its statement. */
export function entryPage({ index, entry }: PlacedEntry, leaf: Uint8Array): string {
  const facts: (readonly [string, HtmlValue])[] = [
    ['kind', entry.kind],
    ['time', `${timeOf(entry.time)} (agreed by the replicas)`],
    ['leaf hash', encodeHex(leaf)],
    ['about', aboutOf(entry)],
  ];
  if (entry.kind === 'commit') {
    const { height, epoch, entries, map } = entry;
    facts.push(
      ['batch', height],
      ['epoch', epoch],
      ['entries', entries],
      ['map root', encodeHex(map)],
    );
    return page(`Entry ${index}`, factTable(facts));
  }
  const { payload, payloadType, signatures } = entry.envelope;
  facts.push(['statement', statementHash(payload)], ['type', payloadType]);
  facts.push(['signed by', signatures.map(({ keyid }) => markup`<code>${keyid}</code><br />`)]);
  const text = decodeUtf8(payload).slice(0, PAYLOAD_SHOWN_MAX);
  return page(`Entry ${index}`, [
    caution('bftpkg log fsck <url>'),
    factTable(facts),
    markup`<h2>Statement, as it was signed</h2>
      <pre>${text}</pre>`,
  ]);
}

/** One package. */
export interface ShownPackage {
  readonly name: string;
  readonly record: PackageRecord;
  readonly versions: readonly { readonly version: string; readonly record: ReleaseRecord }[];
  /** The entry of the set in force. */
  readonly maintainers: StatementEntry;
}

/** A package with its maintainers and versions. */
export function packagePage({ name, record, versions, maintainers }: ShownPackage): string {
  const set = parseMaintainerSet(maintainers.envelope.payload);
  const shown = versions
    .toSorted((a, b) => b.record.index - a.record.index)
    .slice(0, VERSIONS_SHOWN_MAX);
  return page(name, [
    caution(`bftpkg inspect ${name}`),
    markup`<h2>Maintainers</h2>
      <p>
        <a href="/explore/entry/${record.maintainers}">Set ${set.sequence}</a>:
        ${maintainerThreshold(set)} of ${set.maintainers.length} have to sign.
      </p>
      <ul>
        ${set.maintainers.map(
          (one) => markup`<li>${one.name} <code>${encodeHex(one.key)}</code></li>`,
        )}
      </ul>`,
    markup`<h2>Versions</h2>
      <p>
        ${versions.length} in the
        log${versions.length > shown.length ? `, the newest ${shown.length} are shown` : ''}; latest
        is ${record.latest ?? 'none'}.
      </p>
      <table>
        <tr>
          <th>version</th>
          <th>status</th>
          <th>entry</th>
        </tr>
        ${shown.map(
          ({ version, record: { status, index, withdrawal } }) =>
            markup`<tr>
              <td>${version}</td>
              <td class="${status}">
                ${status}${
                  withdrawal === null
                    ? ''
                    : markup` (<a href="/explore/entry/${withdrawal}">entry ${withdrawal}</a>)`
                }
              </td>
              <td><a href="/explore/entry/${index}">${index}</a></td>
            </tr>`,
        )}
      </table>`,
  ]);
}

/** Nothing was found. */
export function missingPage(what: string): string {
  return page('Not in this log', [
    markup`<p>This replica knows nothing of ${what}.</p>`,
    caution('bftpkg inspect <package>'),
  ]);
}

function factTable(facts: readonly (readonly [string, HtmlValue])[]): Html {
  return markup`<table>
    ${facts.map(
      ([name, value]) =>
        markup`<tr>
          <th>${name}</th>
          <td class="hash">${value}</td>
        </tr>`,
    )}
  </table>`;
}

/** What an entry is about, with links. Entries of a log that was checked: their statements are good. */
function aboutOf(entry: Entry): HtmlValue {
  switch (entry.kind) {
    case 'commit':
      return `batch ${entry.height} of ${entry.entries} entries`;
    case 'roster':
      return `epoch ${parseRoster(entry.envelope.payload).epoch}`;
    case 'maintainers': {
      const { package: purl, sequence } = parseMaintainerSet(entry.envelope.payload);
      return [packageLink(parsePurl(purl).name), ` maintainer set ${sequence}`];
    }
    case 'release':
      return parseRelease(entry.envelope.payload).subjects.map(
        ({ name, version, sha512 }) =>
          markup`${packageLink(name)} ${version} <code>${formatSri(sha512)}</code><br />`,
      );
    case 'withdrawal': {
      const {
        package: purl,
        version,
        kind,
        reason,
        text,
      } = parseWithdrawal(entry.envelope.payload);
      return [packageLink(parsePurl(purl).name), ` ${version} ${kind} (${reason}) ${text}`];
    }
  }
}

function packageLink(name: string): Html {
  return markup`<a href="/explore/package/${encodeURIComponent(name)}">${name}</a>`;
}

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}
