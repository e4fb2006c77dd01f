// `bftpkg policy show|check`: what applies here, which file says so, and what of it has run out.
import type { JsonObject } from '../../verifier/json.ts';
import type { Invocation } from '../context.ts';
import { configError } from '../errors.ts';
import { formatAge } from '../output/human.ts';
import { diagnostic, doneReport, failureReport, type Report } from '../output/report.ts';
import { scriptTargetText } from '../policy/scripts.ts';
import { dayOf, exceptionTarget, type Layer, type Rule } from '../policy/policy.ts';
import {
  CHECKPOINT_AGE_MAX_SECONDS,
  combineConfig,
  loadConfig,
  readConfigFiles,
  userConfigPath,
  type Config,
} from '../trust/config.ts';

/** `policy show`: what applies, with where each value comes from when that is asked. */
export async function policyShow(
  invocation: Invocation,
  options: { readonly showOrigin?: boolean },
): Promise<Report> {
  const { context, globals } = invocation;
  const config = await loadConfig(context, globals);
  const { policy } = config;
  const from = (text: string, source: string): string =>
    options.showOrigin === true ? `${text}   (${source})` : text;
  const lines = [
    from(`log      ${config.pin}`, config.path),
    ...config.replicas.map((url) => from(`replica  ${url}`, config.path)),
    from(`view     at most ${formatAge(config.checkpointAgeMaxSeconds)} old`, ageSource(config)),
    ...policy.layers.flatMap((layer) => [
      ...layer.rules.map((rule) =>
        from(`rule     ${rule.packages.join(' ')}: ${describeRule(rule)}`, layer.source),
      ),
      ...layer.exceptions.map((each) =>
        from(
          `except   ${exceptionTarget(each)} ${each.code} until ${each.expires}: ${each.reason}`,
          layer.source,
        ),
      ),
      ...(layer.allowScripts ?? []).map((target) =>
        from(`scripts  ${scriptTargetText(target)} may run on install`, layer.source),
      ),
    ]),
  ];
  if (policy.baseline !== undefined) {
    const { packages, path } = policy.baseline;
    lines.push(from(`baseline ${packages.length} packages`, path));
  }
  if (policy.layers.some(({ origin }) => origin === 'user') && policy.layers.length > 1) {
    lines.push(
      policy.trustsProject
        ? 'your own file trusts this project: its exceptions count against your rules too'
        : 'all rules apply; exceptions of the project do not lift what your own file refuses',
    );
  }
  return doneReport('policy show', { data: describeConfig(config), lines });
}

function ageSource({ policy, checkpointAgeMaxSeconds }: Config): string {
  const owner = policy.layers.find(
    (layer) => layer.checkpointAgeMaxSeconds === checkpointAgeMaxSeconds,
  );
  return owner?.source ?? `built in, ${CHECKPOINT_AGE_MAX_SECONDS} s`;
}

function describeRule(rule: Rule): string {
  const parts = [
    rule.releaseAgeMinSeconds === undefined
      ? undefined
      : `in the log for ${formatAge(rule.releaseAgeMinSeconds)}`,
    rule.signersMin === undefined ? undefined : `${rule.signersMin} signers`,
    rule.signersNotFewer === undefined ? undefined : 'no fewer signers than before',
    rule.maintainerKeys === undefined
      ? undefined
      : `signed by ${rule.maintainerKeys.map((key) => key.slice(0, 12)).join(', ')}`,
    rule.installScripts === undefined
      ? undefined
      : rule.installScripts === 'refuse'
        ? 'no install scripts'
        : 'no new install script in a patch release',
    rule.yanked === undefined ? undefined : 'not yanked',
    rule.unlogged === undefined ? undefined : 'in the log',
  ];
  return parts.filter((part) => part !== undefined).join('; ');
}

function describeConfig(config: Config): JsonObject {
  const { policy } = config;
  return {
    path: config.path,
    pin: config.pin,
    replicas: config.replicas,
    checkpointAgeMaxSeconds: {
      value: config.checkpointAgeMaxSeconds,
      source: ageSource(config),
    },
    layers: policy.layers.map(describeLayer),
    baseline:
      policy.baseline === undefined
        ? null
        : { path: policy.baseline.path, packages: policy.baseline.packages.length },
    trustsProject: policy.trustsProject,
  };
}

function describeLayer({ origin, source, rules, exceptions, allowScripts }: Layer): JsonObject {
  return {
    origin,
    source,
    rules: rules.map((rule): JsonObject => ({ ...rule })),
    exceptions: exceptions.map((each) => ({
      package: exceptionTarget(each),
      code: each.code,
      reason: each.reason,
      expires: each.expires,
    })),
    allowScripts: allowScripts === undefined ? null : allowScripts.map(scriptTargetText),
  };
}

/** How long before its last day an exception is announced. */
const NOTICE_DAYS = 14;
const DAY_MS = 86_400_000;

/** `policy check`: whether the files can be read, and which exceptions have run out or soon will. */
export async function policyCheck({ context, globals }: Invocation): Promise<Report> {
  const files = await readConfigFiles(context, globals);
  const config = combineConfig(files);
  if (config === undefined) {
    throw configError(
      `no configuration for ${globals.project}`,
      'bftpkg init --pin <roster hash> --replica https://…',
    );
  }
  const nowMs = context.nowMs();
  const [today, soon] = [dayOf(nowMs), dayOf(nowMs + NOTICE_DAYS * DAY_MS)];
  const found = config.policy.layers.flatMap((layer) =>
    layer.exceptions
      .filter(({ expires }) => expires < soon)
      .map((each) => {
        const isOver = each.expires < today;
        const text = `the exception of ${exceptionTarget(each)} for ${each.code} ${isOver ? 'expired' : 'ends'} on ${each.expires}`;
        return diagnostic('BP6002', text, {
          severity: isOver ? 'error' : 'warning',
          details: [
            ['reason', each.reason],
            ['in', layer.source],
          ],
          hints: ['remove the reason for it, or renew it: bftpkg policy except add'],
        });
      }),
  );
  if (found.some(({ severity }) => severity === 'error')) {
    return failureReport('policy check', found);
  }
  const read = [files.user?.path, files.project?.path, files.baseline?.path].filter(
    (path) => path !== undefined,
  );
  const user =
    files.user === undefined ? [`no file of yours (${userConfigPath(context.env)})`] : [];
  const data = { files: read, warnings: found.length };
  const lines = [...read.map((path) => `ok  ${path}`), ...user];
  return doneReport('policy check', { data, lines }, found);
}
