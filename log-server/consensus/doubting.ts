// Hands cosignatures over that contradict the log (cosign-doubts.ts), or may.
import type { CosignMessage, Header } from '../../verifier/replication/messages.ts';
import type { CosignDoubts } from './cosign-doubts.ts';
import type { Core } from './core.ts';
import type { IgnoreReason } from './types.ts';

/** R2 for COSIGN of a size that is past: of use is only what may contradict the log. */
export function wantsPastCosign(core: Core, message: CosignMessage): IgnoreReason | undefined {
  switch (judge(core, message)) {
    case 'told':
      return 'known-offender';
    case 'true':
    case 'too-often':
      return 'old-height';
    case 'false':
    case 'unknown':
  }
  return undefined;
}

/** Hands over a verified cosignature, of a size that is committed here, if the log may have another root. */
export function doubtCosign(core: Core, message: CosignMessage): void {
  const verdict = judge(core, message);
  if (verdict !== 'false' && verdict !== 'unknown') return;
  core.doubts.handed(message.signer, verdict, core.tick);
  core.contradict(message);
}

/** Looks at what was cosigned ahead of the log, now that it has come so far. */
export function doubtCommitted(core: Core, before: Header): void {
  const { header } = core.voter.committed;
  core.doubts.committed(header);
  for (const messages of core.cosigns.values()) {
    for (const message of messages) {
      if (message.size > before.size && message.size <= header.size) doubtCosign(core, message);
    }
  }
}

function judge(core: Core, message: CosignMessage): ReturnType<CosignDoubts['judge']> {
  return core.doubts.judge(message, core.tick, core.config.timing.cosignTicks);
}
