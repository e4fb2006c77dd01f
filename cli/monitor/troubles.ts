// What is out of order now: told when it begins and when it ends, not in every round in between.
import { asError } from '../client/hedge.ts';
import { isNotReady } from '../client/replica.ts';
import { isQuorum, sizeOf, type Views } from '../audit/compare-views.ts';
import { describeFailure } from '../output/diagnose.ts';
import { formatAge } from '../output/human.ts';
import type { MonitorConfig } from './config.ts';
import { notice, shortened, type Notice } from './notices.ts';
import type { MonitorState } from './state.ts';

type Trouble = readonly [kind: 'replica' | 'quorum' | 'unchecked' | 'stale', text: string];

/** By id, what is out of order. */
export type Troubles = ReadonlyMap<string, Trouble>;

/** What a round knows of the replicas' service. */
export interface Service {
  readonly config: MonitorConfig;
  readonly nowSeconds: number;
  readonly views: Views;
  /** Addresses that showed a checkpoint and kept back what is below it, and how. */
  readonly withheld: ReadonlyMap<string, Error>;
  /** Whether nobody gave the log to its end, and nothing worse was found in it. */
  readonly isUnchecked: boolean;
}

// A monitor that was told of too few replicas, or of those of a roster that is over, never has a quorum, however well
// they are.
function unnamed({ newest }: Views, named: readonly string[]): string {
  const members = newest?.roster.replicas.map(({ url }) => url) ?? [];
  const others = members.filter((url) => !named.includes(url));
  if (others.length === 0) return '';
  return `; the log has ${members.length}: name all of them in the configuration, also ${others.join(' ')}`;
}

/** What is out of order now. */
export function troublesOf({
  config,
  nowSeconds,
  views,
  withheld,
  isUnchecked,
}: Service): Troubles {
  const troubles = new Map<string, Trouble>();
  // Before the first entry there is nothing to show, and nothing wrong.
  const isEmpty =
    views.failures.length > 0 && views.failures.every(({ error }) => isNotReady(error));
  if (isEmpty && views.views.length === 0) return troubles;
  for (const { url, error } of views.failures) {
    troubles.set(`replica ${url}`, ['replica', `${url}: ${describeFailure(asError(error))}`]);
  }
  for (const [url, error] of withheld) {
    const text = `${url}: shows a checkpoint, and not what is below it: ${describeFailure(error)}`;
    troubles.set(`replica ${url}`, ['replica', text]);
  }
  if (!isQuorum(views)) {
    const named = config.replicas.length;
    const text = `no quorum: ${views.views.length} of ${named} replicas answered${unnamed(views, config.replicas)}`;
    troubles.set('quorum', ['quorum', text]);
  }
  const { newest } = views;
  if (newest === undefined) return troubles;
  if (isUnchecked) {
    const text = `no server gave the log up to size ${sizeOf(newest)}, or as far as another shows it: not checked`;
    troubles.set('unchecked', ['unchecked', text]);
  }
  const age = nowSeconds - newest.checkpoint.certifiedTime;
  if (age > config.checkpointAgeMaxSeconds) {
    const text = `the newest checkpoint is ${formatAge(age)} old: the log stands still, or is hidden`;
    troubles.set('stale', ['stale', text]);
  }
  return troubles;
}

/** The state with the troubles of now, what is new about them, and what goes on. */
export function withTroubles(
  before: MonitorState,
  now: Troubles,
  nowSeconds: number,
): {
  readonly state: MonitorState;
  readonly notices: readonly Notice[];
  readonly ongoing: readonly Notice[];
} {
  const began = [...now].filter(([id]) => !before.troubles.has(id));
  const ended = [...before.troubles].filter(([id]) => !now.has(id));
  const troubles = new Map([...now].map(([id, [, text]]) => [id, shortened(text)]));
  return {
    state: { ...before, troubles },
    // The next time that the same thing fails is another happening.
    notices: [
      ...began.map(([id, [kind, text]]) => notice(kind, text, [id, nowSeconds])),
      ...ended.map(([id]) => notice('recovered', `${id}: in order again`, [id, nowSeconds])),
    ],
    ongoing: [...now].map(([id, [kind, text]]) => notice(kind, text, [id])),
  };
}
