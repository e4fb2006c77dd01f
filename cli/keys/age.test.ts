import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeBase64 } from '../../verifier/encoding.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { CliError } from '../errors.ts';
import { isArmored, seal, unseal } from './age.ts';
import { parseKeyText } from './key-format.ts';

const PASSPHRASE = 'correct horse';

// Made by age 1.1.1 (Go): `age -p -a` over the key file of the key whose seed is 07…07.
const BY_AGE = `-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCB1M3YxVlVUSm9zS24rNkV4
VDVPL2VRIDE4CjFHY1Y3QStMMHV3WUxlb2tpNk1mUkRld0c0eGVhTkZoSkdCS2pi
b1FIdW8KLS0tIDFiUmtpdUpiR3NIdHZ0d29Ka3hZQ3NyNHgrWmN1SGZQTnlNejds
anp6YVkKEWVhhwLlKc5IZadFA1TqcZwq1io+69ympxnMB3RM6UDuto1HRkaeFv5C
8Lw5uxKQHN2ciVzvwBAjiY5Tq5oeUKw85VE5WTTNL7zXTVuEUqE8kq4v9mHPsLQC
14HCqhvq5kIIt7Ttj2IVtzFNOlyk+hzqgRXBgLhbiDt30c9IwgnO1R25BXuLYZHX
Ngv+eK2ybWYKqIQMgCsYRyIP2i0z/laaPqoUNhkCkszqF+OmtV+WXRlCv5923seu
0R7dpUTsqw8WoxEyNG3aEqK7C4ya44WkYxIbu9G6MLUKmRsApcstg802
-----END AGE ENCRYPTED FILE-----`;

async function code(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CliError, `refused, not ${String(error)}`);
  return error.diagnostic.code;
}

/** The text inside the armor; the header is in front of what is encrypted. */
function header(armored: string): string {
  const lines = armored.split('\n').slice(1, -1);
  return Buffer.from(decodeBase64(lines.join(''))).toString('latin1');
}

describe('age', () => {
  it('writes with the work factor of the program, for nobody but who has the passphrase', async () => {
    const sealed = await seal('a text', PASSPHRASE);
    assert.equal(isArmored(sealed), true);
    assert.match(header(sealed), /^age-encryption\.org\/v1\n-> scrypt [A-Za-z0-9+/]{22} 18\n/);
    assert.equal(header(sealed).match(/^-> /gm)?.length, 1);
  });

  it('reads what age itself has written', async () => {
    const { name, secret } = parseKeyText(await unseal(BY_AGE, PASSPHRASE, 'a file'));
    assert.equal(name, 'vector');
    assert.equal(secret.kind, 'plain');
    const { publicKey } = SigningKey.fromSeed(new Uint8Array(32).fill(7));
    assert.deepEqual(secret.key.publicKey, publicKey);
  });

  it('tells another passphrase from damage', async () => {
    const sealed = await seal('a text', PASSPHRASE, 2);
    assert.equal(await unseal(sealed, PASSPHRASE, 'a file'), 'a text');
    assert.equal(await code(unseal(sealed, 'correct house', 'a file')), 'BP8003');
    const damaged = [
      sealed.slice(0, -40),
      sealed.replace(/[A-Za-z0-9](?=[A-Za-z0-9+/=]*\n-----END)/, (c) => (c === 'A' ? 'B' : 'A')),
      '',
      'a text',
    ];
    for (const text of damaged) assert.equal(await code(unseal(text, PASSPHRASE, 'x')), 'BP8001');
  });

  it('takes no work factor that would cost gigabytes', async () => {
    const sealed = await seal('a text', PASSPHRASE, 2);
    const raw = header(sealed).replace(/ 2\n/, ' 31\n');
    const text = Buffer.from(raw, 'latin1').toString('base64').replaceAll(/.{64}/g, '$&\n');
    const begin = '-----BEGIN AGE ENCRYPTED FILE-----';
    const armored = [begin, text.trimEnd(), begin.replace('BEGIN', 'END')].join('\n');
    assert.equal(await code(unseal(armored, PASSPHRASE, 'a file')), 'BP8001');
  });
});
