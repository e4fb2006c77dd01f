// The replica's own log: one JSON object per line on a stream, for machines first. Event names are a
// closed list, so that a dashboard can rely on them; everything that varies is a field. Secrets are
// never fields; text of strangers is cut and escaped.
import { quote } from '../verifier/errors.ts';

/** How loud: `error` needs a person, `warn` may, `info` tells the story, `debug` is for a lab. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** All levels, least important first. */
export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** What can happen. Part of the operator's interface: add, never rename. */
export type LogEvent =
  // life of the process
  | 'starting'
  | 'listening'
  | 'reloaded'
  | 'stopping'
  | 'stopped'
  | 'crashed'
  | 'rested'
  // safety
  | 'amnesia_guard'
  | 'life_unnoted'
  | 'halted'
  | 'misbehaviour'
  | 'head_contradicted'
  | 'head_unjudged'
  // consensus
  | 'batch_committed'
  | 'checkpoint_published'
  | 'view_wished'
  | 'view_entered'
  | 'epoch_entered'
  | 'catching_up'
  | 'proposal_refused'
  | 'build_failed'
  // peers
  | 'peer_connected'
  | 'peer_lost'
  | 'peer_refused'
  | 'peer_overflow'
  | 'message_refused'
  | 'messages_dropped'
  | 'follow_failed'
  // storage
  | 'rebuild_started'
  | 'rebuild_progress'
  | 'rebuilt'
  | 'scrubbed'
  // requests
  | 'entry_refused'
  | 'artifact_stored'
  | 'artifact_fetched'
  | 'artifact_unavailable'
  | 'request_failed'
  | 'proposal_posted'
  | 'mailbox_damaged';

/** What a field may hold: plain data only, so that no object with secrets slips in whole. */
export type LogField = string | number | boolean | null | undefined | readonly string[];

export type LogFields = Readonly<Record<string, LogField>>;

/** Where events go. */
export interface Log {
  debug(event: LogEvent, fields?: LogFields): void;
  info(event: LogEvent, fields?: LogFields): void;
  warn(event: LogEvent, fields?: LogFields): void;
  error(event: LogEvent, fields?: LogFields): void;
}

/** What a log writes to and what time it is, so that tests need neither. */
export interface LogSink {
  write(line: string): void;
  nowMs(): number;
}

/** No field is longer: a stranger's text must not fill the disk. */
export const LOG_FIELD_LENGTH_MAX = 500;

/**
 * A log that writes JSON lines.
 *
 * @param replica this replica's name, in every line
 * @param levelMin events below it are dropped; asked for at each event, so that it can change
 */
export function createLog(
  replica: string,
  levelMin: LogLevel | (() => LogLevel),
  sink: LogSink,
): Log {
  const least = typeof levelMin === 'string' ? (): LogLevel => levelMin : levelMin;
  const at =
    (level: LogLevel) =>
    (event: LogEvent, fields: LogFields = {}): void => {
      if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least())) return;
      sink.write(`${formatLogLine(level, replica, event, fields, sink.nowMs())}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A log that says nothing, for tests and tools. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** One line without its newline. The fixed fields come first and can't be overridden by `fields`. */
export function formatLogLine(
  level: LogLevel,
  replica: string,
  event: LogEvent,
  fields: LogFields,
  nowMs: number,
): string {
  const safe = Object.entries(fields).map(([name, value]) => [name, clean(value)]);
  return JSON.stringify({
    ...Object.fromEntries(safe),
    time: new Date(nowMs).toISOString(),
    level,
    replica,
    event,
  });
}

// Control characters and bidi marks are escaped a second time on purpose: a terminal that shows the
// log through `jq -r` would otherwise obey them.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function clean(value: LogField): LogField {
  if (typeof value === 'string') return cleanText(value);
  if (Array.isArray(value)) return (value as readonly string[]).slice(0, 100).map(cleanText);
  return value;
}

function cleanText(text: string): string {
  const cut = text.length > LOG_FIELD_LENGTH_MAX ? `${text.slice(0, LOG_FIELD_LENGTH_MAX)}…` : text;
  return cut.replace(UNSAFE, (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);
}

/** An error as a log field: code and message, or the stack when it is a bug of ours. */
export function describeError(thrown: unknown): string {
  if (!(thrown instanceof Error)) return quote(String(thrown));
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
  // Node's own messages begin with it.
  if (code === '' || thrown.message.startsWith(code)) return thrown.message;
  return `${code}: ${thrown.message}`;
}
