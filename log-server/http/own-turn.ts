// Requests that were sent before the answer to the one before them was read. Node hands them to us at once and
// keeps their answers until it is their turn; when the connection ends before that, such an answer never says
// `close`, and whatever waits for it (a place in a gate, bytes that are counted) would wait for ever.
import type { HttpBindings } from '@hono/node-server';

/** Connections on which a request waits for its turn. */
const waiting = new WeakSet<object>();

/**
 * Waits until an answer without a socket is the next one on its connection.
 *
 * Not refused at once: who has read the last byte of an answer may ask again before we have ended that answer.
 * For this one request is enough; who sends two ahead (no client of ours does) is hung up on.
 *
 * @returns `false` when it never will be: nothing may be done for it
 */
export async function hasItsTurn({ incoming, outgoing }: HttpBindings): Promise<boolean> {
  const { socket } = incoming;
  if (socket.destroyed) return false;
  if (waiting.has(socket)) {
    socket.destroy();
    return false;
  }
  waiting.add(socket);
  return new Promise((resolve) => {
    const settle = (): void => {
      waiting.delete(socket);
      socket.off('close', settle);
      outgoing.off('socket', settle);
      resolve(outgoing.socket !== null);
    };
    socket.once('close', settle);
    // Said by Node when the answer before has been sent.
    outgoing.once('socket', settle);
  });
}
