// What the command tree asks of whoever runs it.
import type { Invocation } from '../context.ts';
import type { Report } from '../output/report.ts';

/**
 * Runs a command with its flags read, and reports.
 *
 * @param timeout its time where no --timeout says otherwise
 */
export type Run = (
  command: string,
  action: (invocation: Invocation) => Promise<Report>,
  timeout?: string,
) => void;
