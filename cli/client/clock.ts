// Time, as whoever waits for servers sees it. A port, so that tests can say how long something waits
// without waiting, and without a machine that is busy having a say in it.

/** A clock that only goes forward. */
export interface WaitClock {
  /** Milliseconds since some moment. */
  nowMs(): number;
  /** Resolves after a while; never, once `signal` is aborted. Keeps no process alive. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

/** The clock of this machine. */
export const machineClock: WaitClock = {
  nowMs: () => performance.now(),
  pause: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return;
      const stop = (): void => clearTimeout(timer);
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', stop);
        resolve();
      }, ms);
      // The process must not be kept waiting for a question that is no longer asked.
      timer.unref();
      signal.addEventListener('abort', stop, { once: true });
    }),
};
