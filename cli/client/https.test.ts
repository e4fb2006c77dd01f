import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { TransportError } from '../errors.ts';
import { HttpClient } from './http.ts';

// Made for this test: of a server at 127.0.0.1, signed by itself, valid until 2126.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg45vRgP4W1LH0HIRk
AIZxObwt/mANXvItUK620rVUhL2hRANCAAQ/W17ABXtISasx31WV0BlLROPfELHS
FYvR1Q31JycYZ3v52eOraE9gnETYPrRzf+C5S+/1FobVNyf7M3LB5K1X
-----END PRIVATE KEY-----
`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBkTCCATagAwIBAgIUYxdpkkGzys2EjSmui27NPGS0k0cwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMTE5MDkyNloYDzIxMjYxMDI4
MTkwOTI2WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ/W17ABXtISasx31WV0BlLROPfELHSFYvR1Q31JycYZ3v52eOraE9g
nETYPrRzf+C5S+/1FobVNyf7M3LB5K1Xo2QwYjAdBgNVHQ4EFgQUXxBME/OwBmky
Dc8reK61Xcl49W8wHwYDVR0jBBgwFoAUXxBME/OwBmkyDc8reK61Xcl49W8wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYC
IQCLk+GUD6FivWIyoab7tgEFFpoDc+Fhk0RHBr0JQx657AIhAIo3EYMS+KoRYucI
b7+ymxZQWvoFJHtmS0b7FuQ0mho0
-----END CERTIFICATE-----
`;

describe('HttpClient over TLS', () => {
  let server: Server;
  let url = '';
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-tls-'));
    await writeFile(join(folder, 'ca.pem'), CERTIFICATE);
    server = createServer({ key: KEY, cert: CERTIFICATE }, (_, response) => response.end('ok'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });

  it('refuses a certificate that nobody vouches for', async () => {
    const client = new HttpClient({ offline: false });
    try {
      const asked = client.exchange({
        method: 'GET',
        url,
        bytesMax: 10,
        timeoutMs: 60_000,
        statuses: [200],
        signal: AbortSignal.timeout(60_000),
      });
      await assert.rejects(
        asked,
        (error) =>
          error instanceof TransportError &&
          error.code === 'UNREACHABLE' &&
          /SELF_SIGNED/.test(error.message),
      );
    } finally {
      await client.close();
    }
  });

  it('takes one of an authority that the user adds (NODE_EXTRA_CA_CERTS)', async () => {
    const script = `
      import { HttpClient } from ${JSON.stringify(new URL('http.ts', import.meta.url).href)};
      const client = new HttpClient({ offline: false });
      const ask = () => client.exchange({
        method: 'GET', url: ${JSON.stringify(url)}, bytesMax: 10, timeoutMs: 60_000, statuses: [200],
        signal: AbortSignal.timeout(60_000),
      });
      await ask();
      const { body } = await ask();
      process.stdout.write(Buffer.from(body).toString());
      await client.close();
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', script],
      { env: { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem') }, timeout: 120_000 },
    );
    assert.equal(stdout, 'ok');
  });
});
