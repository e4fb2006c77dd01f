// Asking the application once more about requests that wait, before anything is done on their account: since
// they were admitted a rival may have been committed, and nobody may be suspected for what is invalid now, nor
// may it go round for ever (CONSENSUS.md Q6).
import type { Core } from './core.ts';
import type { Request } from '../../verifier/replication/messages.ts';

/** Requests in one question: so few that the view timer, which asks too, does not wait for long. */
export const RECHECK_MAX = 64;

/** Asks about requests. One question at a time: nobody may do so while `core.recheck` is there. */
export function recheck(
  core: Core,
  cause: 'timer' | 'starved' | 'overdue',
  requests: readonly Request[],
): void {
  core.recheck = { cause, view: core.voter.view, height: core.committedHeight };
  core.admit({ lane: core.config.self, recheck: true, requests });
}
