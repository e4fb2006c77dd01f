// Addresses of replicas in a roster. There is no URL parser in this folder (it would be another one
// in every runtime); one spelling per address is accepted and everything else is refused, so that two
// replicas can't have one address in two spellings.
import { parseUint } from './encoding.ts';

/** Longest address, in characters. */
export const BASE_URL_LENGTH_MAX = 200;

// scheme, host, port, path. No user, query or fragment: there is no place for them.
const URL_PATTERN =
  /^(https?):\/\/(\[[0-9a-f:]+\]|[a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?((?:\/[A-Za-z0-9._~-]+)*)$/;
const LABEL_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const OCTET_PATTERN = /^(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])$/;
const GROUP_PATTERN = /^(?:0|[1-9a-f][0-9a-f]{0,3})$/;
const PORT_MAX = 65_535;
const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
]);

/**
 * Whether a text is an http(s) address in normal form without a final slash, such as
 * `https://log.example.org:8443/one`: lower-case host (a name, a dotted IPv4 address or an RFC 5952
 * IPv6 address in brackets), no default port, plain path segments.
 */
export function isBaseUrl(text: string): boolean {
  if (text.length > BASE_URL_LENGTH_MAX) return false;
  const match = URL_PATTERN.exec(text);
  if (match === null) return false;
  const [, scheme = '', host = '', port, path = ''] = match;
  if (port !== undefined) {
    const number = parseUint(port);
    if (number > PORT_MAX || DEFAULT_PORTS.get(scheme) === number) return false;
  }
  // URL parsers take these two segments out, which would be a second spelling.
  if (path.split('/').some((segment) => segment === '.' || segment === '..')) return false;
  return host.startsWith('[') ? isIpv6(host.slice(1, -1)) : isHostName(host);
}

function isHostName(host: string): boolean {
  const labels = host.split('.');
  if (!labels.every((label) => LABEL_PATTERN.test(label))) return false;
  // URL parsers read a host whose last label is a number as IPv4, in decimal, octal or hexadecimal
  // and with fewer parts; only the dotted decimal form is its own normal form.
  const last = labels.at(-1) ?? '';
  if (!/^(?:[0-9]+|0x[0-9a-f]*)$/.test(last)) return true;
  return labels.length === 4 && labels.every((label) => OCTET_PATTERN.test(label));
}

function isIpv6(address: string): boolean {
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (![...head, ...tail].every((group) => GROUP_PATTERN.test(group))) return false;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return false;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  return formatIpv6(groups) === address;
}

// RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals, is `::`.
function formatIpv6(groups: readonly string[]): string {
  let start = 0;
  let length = 1;
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === '0') end++;
    if (end - i > length) [start, length] = [i, end - i];
  }
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}
