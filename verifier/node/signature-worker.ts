// The other side of SignaturePool: takes a packed chunk, answers with one byte for each job.
import { parentPort } from 'node:worker_threads';

import { assert } from '../errors.ts';
import { verifyNative } from './ed25519.ts';
import { READY, unpackJobs } from './packed-jobs.ts';

assert(parentPort !== null, 'this file runs as a worker of a SignaturePool');
const port = parentPort;

port.on('message', (chunk: Uint8Array) => {
  const answers = Uint8Array.from(unpackJobs(chunk), (job) => (verifyNative(job) ? 1 : 0));
  port.postMessage(answers, [answers.buffer]);
});
port.postMessage(READY);
