// Every byte string that a core holds on to: for the simulator, which compares them with the memory that
// they keep alive (I12). Found by walking through all of the state, so that no field is forgotten.
import type { Core } from './core.ts';

/** The byte strings of a core, some of them more than once. */
export function keptBytes(core: Core): readonly Uint8Array[] {
  const found: Uint8Array[] = [];
  collect([core, [...core.pool.requests()], core.votes.all()], found, new Set());
  return found;
}

function collect(value: unknown, found: Uint8Array[], seen: Set<object>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (value instanceof Uint8Array) {
    found.push(value);
    return;
  }
  if (value instanceof Map) {
    for (const inner of value.values()) collect(inner, found, seen);
    return;
  }
  for (const inner of Object.values(value)) collect(inner, found, seen);
}
