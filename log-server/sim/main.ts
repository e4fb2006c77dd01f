// The simulator's command: npm run sim -- --seed N [--seeds K] [--n 4] [--mutant NAME] [--verbose]
import { parseArgs } from 'node:util';
import { MUTANTS, type MutantName } from '../../verifier/replication/mutants.ts';
import { huntMutant } from './mutants.ts';
import { mutantTable, replayCommand, summaryLine, violationReport } from './report.ts';
import { runSeed } from './run.ts';
import { shrink } from './shrink.ts';
import { PLAYS, play, playAt } from './twins.ts';
import type { Family, Wishes } from './swarm.ts';

const USAGE = `usage: npm run sim -- [--seed N] [--seeds K] [--n 4|7|10|…] [--verbose]
  --seed N             first seed (1)
  --seeds K            how many seeds, one after the other (1)
  --n N                number of replicas; drawn from the seed by default
  --family NAME        chaos, phases, calm, crowded, restarts, slow or beyond; drawn by default
  --behaviour NAME     only this kind of traitor (several: repeat); 'twins' is one
  --mutant NAME        plant this bug
  --mutants            hunt every planted bug, print how many runs each took
  --runs K             most runs per planted bug (200)
  --real-signatures    Ed25519 instead of the register
  --real-ledger        the rules of the real ledger instead of the toy
  --twins              all ways to deal four members, one of them running twice, over three rounds
  --play N             only this one of them
  --shrink             leave out of a failing seed what it does not need, one fault after the other
  --without A,B        leave out these faults, as --shrink names them
  --quiet              only violations and the total
  --verbose            the whole transcript

Exit code 1 when an invariant does not hold, or a planted bug is not found.
`;

/** Runs the command. @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      n: { type: 'string' },
      family: { type: 'string' },
      behaviour: { type: 'string', multiple: true },
      mutant: { type: 'string', multiple: true },
      mutants: { type: 'boolean', default: false },
      runs: { type: 'string', default: '200' },
      'real-signatures': { type: 'boolean', default: false },
      'real-ledger': { type: 'boolean', default: false },
      twins: { type: 'boolean', default: false },
      play: { type: 'string' },
      shrink: { type: 'boolean', default: false },
      without: { type: 'string' },
      quiet: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = (values.mutant ?? []).find((name) => !(name in MUTANTS));
  const [seed, seeds, runs] = [values.seed, values.seeds, values.runs].map(Number);
  const members = values.n === undefined ? undefined : Number(values.n);
  const numbers = [seed, seeds, runs, members ?? 4];
  if (
    unknown !== undefined ||
    !numbers.every((value) => Number.isSafeInteger(value) && (value ?? 0) > 0)
  ) {
    process.stderr.write(unknown === undefined ? USAGE : `no planted bug is called ${unknown}\n`);
    return 2;
  }
  const wishes: Wishes = {
    seed: seed ?? 1,
    members,
    mutants: new Set((values.mutant ?? []) as MutantName[]),
    realSignatures: values['real-signatures'],
    ledger: values['real-ledger'] ? 'real' : 'toy',
    behaviours: values.behaviour,
    family: values.family as Family | undefined,
    without: values.without?.split(','),
  };
  if (values.mutants) return huntAll(runs ?? 200);
  if (values.twins) {
    const only = values.play === undefined ? undefined : Number(values.play);
    if (only === undefined || (Number.isSafeInteger(only) && only >= 0 && only < PLAYS)) {
      return playAll(only, wishes.mutants);
    }
    process.stderr.write(`plays are numbered from 0 to ${PLAYS - 1}\n`);
    return 2;
  }
  if (values.shrink) return shrinkSeed(wishes);
  return runSeeds(wishes, seeds ?? 1, values);
}

async function runSeeds(
  first: Wishes,
  count: number,
  { quiet, verbose }: { readonly quiet: boolean; readonly verbose: boolean },
): Promise<number> {
  const started = performance.now();
  let [messages, violations] = [0, 0];
  for (let seed = first.seed; seed < first.seed + count; seed++) {
    const wishes = { ...first, seed };
    const result = await runSeed(wishes, verbose);
    messages += result.messages;
    if (verbose) process.stdout.write(`${result.lines.join('\n')}\n`);
    if (!quiet || result.violation !== undefined) process.stdout.write(`${summaryLine(result)}\n`);
    if (result.violation === undefined) continue;
    violations += 1;
    const again = verbose ? result : await runSeed(wishes, true);
    process.stdout.write(
      verbose
        ? `see it again: ${replayCommand(wishes)}\n`
        : `${violationReport(wishes, again)}\n\n`,
    );
  }
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(
    `${count} runs, ${violations} violations, ${messages} messages in ${seconds.toFixed(1)} s: ` +
      `${Math.round(messages / seconds)} messages/s\n`,
  );
  return violations > 0 ? 1 : 0;
}

async function playAll(only: number | undefined, mutants: Wishes['mutants']): Promise<number> {
  const started = performance.now();
  const numbers = only === undefined ? Array.from({ length: PLAYS }, (_, i) => i) : [only];
  let [messages, violations] = [0, 0];
  for (const number of numbers) {
    const result = await play(playAt(number), [...(mutants ?? [])]);
    messages += result.messages;
    if (result.violation === undefined) continue;
    violations += 1;
    process.stdout.write(
      `${result.violation.message}; see it again: npm run sim -- --twins --play ${number}\n`,
    );
  }
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(
    `${numbers.length} plays, ${violations} violations, ${messages} messages in ${seconds.toFixed(1)} s\n`,
  );
  return violations > 0 ? 1 : 0;
}

async function shrinkSeed(wishes: Wishes): Promise<number> {
  const shrunk = await shrink(wishes, (line) => process.stdout.write(`${line}\n`));
  if (shrunk === undefined) {
    process.stdout.write('nothing goes wrong in this world\n');
    return 0;
  }
  const { invariant, without, runs } = shrunk;
  process.stdout.write(
    `${invariant} still breaks, after ${runs} runs: ${replayCommand({ ...wishes, without })}\n`,
  );
  return 1;
}

async function huntAll(runsMax: number): Promise<number> {
  const findings = [];
  for (const mutant of Object.keys(MUTANTS) as MutantName[]) {
    const finding = await huntMutant(mutant, runsMax);
    findings.push(finding);
    process.stderr.write(`${mutant}: ${finding.runs ?? 'not found'}\n`);
  }
  process.stdout.write(`${mutantTable(findings)}\n`);
  return findings.every(({ runs }) => runs !== undefined) ? 0 : 1;
}

if (process.argv[1]?.includes('sim/main')) process.exitCode = await main(process.argv.slice(2));
