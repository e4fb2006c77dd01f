// The other side of ArchiveThread: reads a tarball, checks it, answers with what its package.json says.
import { readFile } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';

import { checkTarball } from '../../verifier/archive/tarball.ts';
import { VerifyError, assert } from '../../verifier/errors.ts';
import { canonicalJson } from '../../verifier/json.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { READY, type ArchiveAnswer } from './archive-answer.ts';

assert(parentPort !== null, 'this file runs as a worker of an ArchiveThread');
const port = parentPort;

async function answerTo(path: string): Promise<ArchiveAnswer> {
  try {
    const { name, version, manifest } = await checkTarball(await readFile(path), gunzip);
    return { kind: 'checked', name, version, manifest: canonicalJson(manifest) };
  } catch (error) {
    if (error instanceof VerifyError) {
      return { kind: 'refused', code: error.code, message: error.message };
    }
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}

port.on('message', (path: string) => {
  void answerTo(path).then((answer) => port.postMessage(answer, []));
});
port.postMessage(READY, []);
