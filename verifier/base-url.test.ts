import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BASE_URL_LENGTH_MAX, isBaseUrl } from './base-url.ts';

describe('isBaseUrl', () => {
  const accepted = [
    'http://localhost:4101',
    'https://log.example.org',
    'https://log.example.org:8443/one/two',
    'http://10.0.0.255:1',
    'http://a:65535',
    'http://a:443',
    'https://a:80',
    'http://[::1]:4101',
    'http://[::]',
    'http://[2001:db8::1]',
    'http://[2001:db8:0:1:1:1:1:1]',
    'http://[2001:0:0:1::1]',
    'http://[fe80::1:0:0:1]',
    'http://1a.example/x-y_z.~',
    `http://a/${'b'.repeat(BASE_URL_LENGTH_MAX - 9)}`,
  ];
  for (const text of accepted) {
    it(`accepts ${text.slice(0, 60)}`, () => {
      assert.equal(isBaseUrl(text), true);
      // An independent opinion: the platform's parser changes nothing but the slash of an empty path.
      const normal = new URL(text).href;
      assert.equal(normal, new URL(text).pathname === '/' ? `${text}/` : text);
    });
  }

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['another scheme', 'ftp://a'],
    ['a scheme that reads files', 'file:///etc'],
    ['upper-case scheme', 'HTTP://a'],
    ['upper-case host', 'http://A'],
    ['no host', 'http://'],
    ['a user', 'http://u@a'],
    ['a password', 'http://u:p@a'],
    ['a query', 'http://a?b'],
    ['a fragment', 'http://a#b'],
    ['a final slash', 'http://a/'],
    ['a final slash after a path', 'http://a/b/'],
    ['an empty segment', 'http://a//b'],
    ['a dot segment', 'http://a/./b'],
    ['a parent segment', 'http://a/../b'],
    ['an escape', 'http://a/%2e%2e'],
    ['a backslash', 'http://a\\b'],
    ['white space in front', ' http://a'],
    ['a line break behind', 'http://a\n'],
    ['http with its default port', 'http://a:80'],
    ['https with its default port', 'https://a:443'],
    ['port 0', 'http://a:0'],
    ['a port with a leading zero', 'http://a:080'],
    ['a port above 65535', 'http://a:65536'],
    ['an empty port', 'http://a:'],
    ['two dots in the host', 'http://a..b'],
    ['a dot at the end of the host', 'http://a.'],
    ['a hyphen at the start of a label', 'http://-a'],
    ['a label of 64 characters', `http://${'a'.repeat(64)}`],
    ['a host that is not ASCII', 'http://exämple'],
    ['IPv4 as one number', 'http://2130706433'],
    ['IPv4 in hexadecimal', 'http://0x7f.1'],
    ['IPv4 with too few parts', 'http://127.1'],
    ['IPv4 with leading zeros', 'http://127.0.0.01'],
    ['IPv4 out of range', 'http://256.0.0.1'],
    ['IPv6 without brackets', 'http://::1'],
    ['IPv6 in upper case', 'http://[2001:DB8::1]'],
    ['IPv6 with leading zeros', 'http://[2001:0db8::1]'],
    ['IPv6 written out', 'http://[0:0:0:0:0:0:0:1]'],
    ['IPv6 with the shorter run cut', 'http://[2001::1:0:0:0:1]'],
    ['IPv6 with the second of equal runs cut', 'http://[1:0:0:1:1::1]'],
    ['IPv6 with one zero cut', 'http://[1:2:3::5:6:7:8]'],
    ['IPv6 with two cuts', 'http://[1::2::3]'],
    ['IPv6 with seven groups', 'http://[1:2:3:4:5:6:7]'],
    ['IPv6 with nine groups', 'http://[1:2:3:4:5:6:7:8:9]'],
    ['IPv6 with a zone', 'http://[fe80::1%25eth0]'],
    ['IPv6 with a long group', 'http://[12345::1]'],
    ['empty brackets', 'http://[]'],
    ['one character too many', `http://a/${'b'.repeat(BASE_URL_LENGTH_MAX - 8)}`],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => assert.equal(isBaseUrl(text), false));
  }
});
