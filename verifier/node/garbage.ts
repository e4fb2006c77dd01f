// V8's collector, on request.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collector: (() => void) | undefined;

/**
 * Has V8 give back what is not used any more, which takes it some 20 ms: after something large was dropped
 * that it would keep for a while, since it collects by how much the heap has grown.
 */
export function collectGarbage(): void {
  if (collector === undefined) {
    // Without a flag on the command line, which users would have to know of: there is a function for it in
    // contexts that are made after this.
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
}
