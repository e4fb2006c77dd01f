// `bftpkg explain`: what a code or a topic means. Works without any network or configuration.
import type { JsonObject } from '../../verifier/json.ts';
import { usageError } from '../errors.ts';
import { codeEntry, CODES, isDiagnosticCode, type DiagnosticCode } from '../output/codes.ts';
import { EXIT_CODES } from '../output/exit-codes.ts';
import { doneReport, type CommandResult, type Report } from '../output/report.ts';

const ALL: readonly DiagnosticCode[] = Object.keys(CODES).filter(isDiagnosticCode);

/** `explain <code>`, `explain exit-codes`, `explain --list`. */
export function explain(what: string | undefined, list: boolean): Report {
  if (list || what === undefined) return doneReport('explain', listCodes());
  if (what === 'exit-codes') return doneReport('explain', listExits());
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

function listCodes(): CommandResult {
  const codes: JsonObject[] = ALL.map((code) => ({ code, title: codeEntry(code).title }));
  return {
    data: { codes, topics: ['exit-codes'] },
    lines: [...ALL.map((code) => `${code}  ${codeEntry(code).title}`), 'exit-codes  the table'],
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
