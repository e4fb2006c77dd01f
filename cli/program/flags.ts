// Flags that many commands share.
import { Option } from 'commander';

/** Flags of the commands that sign something drafted. */
export interface SigningFlags {
  readonly key: string[];
  readonly expectDigest?: string;
  readonly out?: string;
}

/** Collects a flag that may be given any number of times. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value];

/** Every command has `--key` any number of times where it signs. */
export const keyOption = (): Option =>
  new Option('--key <key>', 'name or file of a key of yours, or agent:<which>; repeatable')
    .argParser(collect)
    .default([], 'none');
