// `bftpkg explain`: what a code or a topic means. Works without any network or configuration.
import type { JsonObject } from '../../verifier/json.ts';
import { usageError } from '../errors.ts';
import { codeEntry, CODES, isDiagnosticCode, type DiagnosticCode } from '../output/codes.ts';
import { EXIT_CODES } from '../output/exit-codes.ts';
import { doneReport, type CommandResult, type Report } from '../output/report.ts';
import { TOPICS } from '../output/topics.ts';

const ALL: readonly DiagnosticCode[] = Object.keys(CODES).filter(isDiagnosticCode);

/** Codes and topics that can be asked for. */
export function explainable(): readonly string[] {
  return [...ALL, 'exit-codes', 'env', ...TOPICS.map(({ name }) => name)];
}

/**
 * `explain <code>`, `explain <topic>`, `explain --list`.
 *
 * @param environment makes the topic `env`, which is about the flags of the whole program
 */
export function explain(
  what: string | undefined,
  list: boolean,
  environment: () => CommandResult,
): Report {
  if (list || what === undefined) return doneReport('explain', listAll());
  const topic = what.toLowerCase();
  if (topic === 'exit-codes') return doneReport('explain', listExits());
  if (topic === 'env') return doneReport('explain', environment());
  const found = TOPICS.find(({ name }) => name === topic);
  if (found !== undefined) {
    const { name, title, paragraphs } = found;
    return doneReport('explain', {
      data: { topic: name, title, paragraphs: [...paragraphs] },
      lines: [`${name}: ${title}`, ...paragraphs.flatMap((text) => ['', text])],
    });
  }
  const code = what.toUpperCase();
  if (!isDiagnosticCode(code)) {
    throw usageError(`no code or topic ${what}`, 'bftpkg explain --list');
  }
  return doneReport('explain', explainCode(code));
}

function explainCode(code: DiagnosticCode): CommandResult {
  const { title, exit, happened, matters, innocent, attack, action, suppress } = codeEntry(code);
  return {
    data: { code, title, exit, happened, matters, innocent, attack, action, suppress },
    lines: [
      `${code}: ${title} (exit ${exit})`,
      '',
      `What happened      ${happened}`,
      `Why it matters     ${matters}`,
      `Innocent causes    ${innocent}`,
      `Possible attacks   ${attack}`,
      `What to do         ${action}`,
      `How to suppress    ${suppress}`,
    ],
  };
}

function listAll(): CommandResult {
  const codes: JsonObject[] = ALL.map((code) => ({ code, title: codeEntry(code).title }));
  const topics: readonly (readonly [string, string])[] = [
    ['exit-codes', 'the table of exit codes'],
    ['env', 'environment variables'],
    ...TOPICS.map(({ name, title }) => [name, title] as const),
  ];
  return {
    data: { codes, topics: topics.map(([name]) => name) },
    lines: [
      ...ALL.map((code) => `${code}      ${codeEntry(code).title}`),
      '',
      ...topics.map(([name, title]) => `${name.padEnd(12)}${title}`),
    ],
  };
}

function listExits(): CommandResult {
  return {
    data: { exitCodes: EXIT_CODES.map((entry) => ({ ...entry })) },
    lines: EXIT_CODES.map(
      ({ code, meaning, retry }) => `${String(code).padStart(4)}  ${meaning}  (retry: ${retry})`,
    ),
  };
}
