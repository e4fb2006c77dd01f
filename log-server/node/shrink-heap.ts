// Makes V8's heap as small as it gets. What `gc()` collects leaves the young generation as large as the last burst
// made it: V8 takes it back only if less than 1 MB a second was allocated lately, which a replica that hears
// reports of its peers doesn't always come down to. For a process that is told to save memory there is another
// collection; of all that a program may call, the inspector's session alone asks for it.
import { collectGarbage } from '../../verifier/node/garbage.ts';

/**
 * Collects everything that is not used, and gives young and old generation back to the system. Takes a tenth of
 * a second, in which nothing else runs: for when there is nothing to do.
 */
export async function shrinkHeap(): Promise<void> {
  const inspector = await import('node:inspector').catch(() => undefined);
  // A Node that was built without it.
  if (inspector === undefined) return collectGarbage();
  // In this process only: no port is opened, and nothing can attach to it.
  const session = new inspector.Session();
  session.connect();
  try {
    await new Promise<void>((resolve, reject) => {
      session.post('HeapProfiler.collectGarbage', (error) =>
        error === null ? resolve() : reject(error),
      );
    });
  } finally {
    session.disconnect();
  }
}
