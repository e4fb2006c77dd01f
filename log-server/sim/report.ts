// What the simulator prints: a line per run, and for a violation how to see it again.
import type { MutantName } from '../../verifier/replication/mutants.ts';
import type { RunResult } from './run.ts';
import type { Wishes } from './swarm.ts';

/** Lines of the transcript before a violation that are shown. */
export const LINES_SHOWN = 80;

/** One line. */
export function summaryLine(result: RunResult): string {
  const { options } = result;
  const traitors = options.treasons
    .map(({ node, behaviours, twins }) => `r${node}:${twins ? 'twins' : behaviours.join('+')}`)
    .join(' ');
  return [
    `seed ${String(result.seed).padEnd(7)}`,
    options.family.padEnd(7),
    `n ${String(options.members.length).padEnd(2)}`,
    `height ${String(result.height).padEnd(4)}`,
    `views ${String(result.viewChanges).padEnd(3)}`,
    `epochs ${result.epochs}`,
    `crashes ${String(result.crashes).padEnd(3)}`,
    `messages ${String(result.messages).padEnd(6)}`,
    `settled in ${String(result.convergenceTicks).padEnd(4)} ticks, ${String(result.convergenceViews).padEnd(2)} views`,
    result.fingerprint,
    outcome(result),
    traitors,
  ].join('  ');
}

function outcome({ violation, verdict }: RunResult): string {
  if (violation !== undefined) return `VIOLATION ${violation.message}`;
  if (verdict === undefined) return 'ok';
  const { height, accused, rules } = verdict;
  return `ok: forked at height ${height}, ${accused.join(' ')} proven guilty by ${rules.join(' ')}`;
}

/** The command that shows a run again, whole. */
export function replayCommand({
  seed,
  members,
  mutants,
  realSignatures,
  ledger,
  family,
  behaviours,
  without,
}: Wishes): string {
  const words = [`npm run sim -- --seed ${seed}`];
  if (members !== undefined) words.push(`--n ${members}`);
  for (const mutant of mutants ?? []) words.push(`--mutant ${mutant}`);
  if (family !== undefined) words.push(`--family ${family}`);
  for (const behaviour of behaviours ?? []) words.push(`--behaviour ${behaviour}`);
  if (without !== undefined && without.length > 0) words.push(`--without ${without.join(',')}`);
  if (realSignatures === true) words.push('--real-signatures');
  if (ledger === 'real') words.push('--real-ledger');
  return [...words, '--verbose'].join(' ');
}

/** What is shown of a run that broke an invariant. */
export function violationReport(wishes: Wishes, result: RunResult): string {
  return [
    '',
    ...result.lines.slice(-LINES_SHOWN),
    '',
    `violation: ${result.violation?.message ?? ''}`,
    `see it again: ${replayCommand(wishes)}`,
    `what it takes: ${replayCommand(wishes).replace('--verbose', '--shrink')}`,
  ].join('\n');
}

/** When a planted bug was found. */
export interface MutantFinding {
  readonly mutant: MutantName;
  /** Runs until it was found, this one included; undefined when it was not. */
  readonly runs: number | undefined;
  readonly seed: number | undefined;
  readonly violation: string;
}

/** The table of planted bugs. */
export function mutantTable(findings: readonly MutantFinding[]): string {
  const rows = findings.map(({ mutant, runs, violation }) =>
    [mutant.padEnd(34), String(runs ?? '-').padStart(5), violation].join('  '),
  );
  return [['planted bug'.padEnd(34), 'runs ', 'found as'].join('  '), ...rows].join('\n');
}
