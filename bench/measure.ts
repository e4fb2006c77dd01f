// Clocks of the benchmarks. CPU time beside wall time: on a shared machine only the first says what the
// code costs, and only ratios taken within one run compare.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What some work took. */
export interface Cost {
  /** User and system time of the process with all its threads, milliseconds. */
  readonly cpuMs: number;
  readonly wallMs: number;
}

/** Fewer rounds than this say nothing about noise. */
const ROUNDS_MIN = 3;

/** More than this never changes a median here. */
const ROUNDS_MAX = 25;

/** How the repetitions of one figure are bounded. */
export interface Repetition {
  /** Rounds go on until they took this long together, within `ROUNDS_MIN` and `ROUNDS_MAX`. */
  readonly budgetMs: number;
}

/** Runs `work` once to warm it up and then repeatedly. @returns the medians of one run */
export async function measure(
  work: () => unknown,
  { budgetMs }: Repetition = { budgetMs: 1_500 },
): Promise<Cost> {
  await work();
  const costs: Cost[] = [];
  const deadline = performance.now() + budgetMs;
  while (costs.length < ROUNDS_MIN || performance.now() < deadline) {
    if (costs.length === ROUNDS_MAX) break;
    costs.push((await once(work)).cost);
  }
  return {
    cpuMs: median(costs.map(({ cpuMs }) => cpuMs)),
    wallMs: median(costs.map(({ wallMs }) => wallMs)),
  };
}

/** Runs `work` exactly once. */
export async function once<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly value: T; readonly cost: Cost }> {
  const started = performance.now();
  const before = process.cpuUsage();
  const value = await work();
  const { user, system } = process.cpuUsage(before);
  return {
    value,
    cost: { cpuMs: (user + system) / 1000, wallMs: performance.now() - started },
  };
}

/** The middle value; the upper of the two when there is an even number. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** @param q from 0 to 1 */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
  if (value === undefined) throw new Error('a quantile of nothing');
  return value;
}

/** CPU time that a running process has used so far, milliseconds (Linux only). */
export function processCpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name in parentheses may hold spaces; utime and stime are the 14th and 15th field.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / clockTicksPerSecond();
}

let ticks: number | undefined;

function clockTicksPerSecond(): number {
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  return ticks;
}

/** Resident memory of a process now and at its peak, megabytes (Linux only). */
export function processMemory(pid: number): { readonly nowMb: number; readonly peakMb: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) * 1024) / 1e6;
  return { nowMb: field('VmRSS'), peakMb: field('VmHWM') };
}
