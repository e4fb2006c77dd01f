// `bftpkg inspect`: everything that the log proves about a package or one release of it.
import { keyId } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { VerifyError } from '../../verifier/errors.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import type { Subject, VerifiedPackage, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { JsonObject, JsonValue } from '../../verifier/json.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { maintainerThreshold } from '../../verifier/statements/maintainers.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Invocation } from '../context.ts';
import { diagnoseRefusal } from '../output/diagnose.ts';
import { formatAge } from '../output/human.ts';
import {
  diagnostic,
  doneReport,
  failureReport,
  type CommandResult,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { withSession, type Verified } from '../session/log-session.ts';
import { reportCheckpoint } from '../session/report-subject.ts';
import { proofReport } from './inspect-proof.ts';
import { parseSpec } from './spec.ts';

const DEPENDENCY_FIELDS = ['dependencies', 'optionalDependencies', 'peerDependencies'] as const;
// Lines of each kind for people; JSON has all.
const LINES_MAX = 30;

/** `inspect <name[@version]>`. */
export async function inspect(
  invocation: Invocation,
  target: string,
  options: { readonly raw?: boolean; readonly proof?: boolean },
): Promise<Report> {
  const named = isPackageName(target) ? { name: target } : parseSpec(target);
  const subjects: Subject[] = [{ kind: 'package', name: named.name }];
  if ('version' in named) subjects.push({ kind: 'release', ...named });
  return await withSession(invocation, { reach: 'current' }, async (session) => {
    const verified = await session.verify(subjects);
    const [about, release] = verified.evidence.subjects;
    const found: Diagnostic[] = [];
    const lines: string[] = [];
    const data: Record<string, JsonValue> = { checkpoint: { ...checkpointData(verified) } };
    for (const result of [about, release]) {
      if (result?.kind === 'absent') found.push(absent(named.name, result.subject));
      if (result?.kind === 'refused') found.push(refused(target, result.error));
    }
    if (release?.kind === 'verified') {
      lines.push(...releaseLines(release.release), '');
      data['release'] = releaseData(release.release);
    }
    if (about?.kind === 'package') {
      lines.push(...packageLines(about.package));
      data['package'] = packageData(about.package);
    }
    lines.push(checkpointLine(verified));
    if (options.proof === true) {
      const proof = proofReport(verified, session.config.pin);
      data['proof'] = proof.data;
      lines.push('', ...proof.lines);
    }
    if (options.raw === true) {
      const raw = rawData(verified);
      data['entries'] = raw;
      lines.push('', ...raw.map((each) => JSON.stringify(each)));
    }
    const result: CommandResult = { data, lines };
    if (found.length > 0) return { ...failureReport('inspect', found), result };
    return doneReport('inspect', result, yankWarnings(release));
  });
}

function yankWarnings(result: Verified['evidence']['subjects'][number] | undefined): Diagnostic[] {
  if (result?.kind !== 'verified' || result.release.status !== 'yanked') return [];
  const { name, version } = result.release;
  return [diagnostic('BP5002', `${name}@${version}: yanked`, { severity: 'warning' })];
}

function absent(name: string, subject: Subject): Diagnostic {
  const spec = subject.kind === 'release' ? `${name}@${subject.version}` : name;
  return diagnostic('BP5003', `${spec}: not in the log, which is proven`);
}

function refused(target: string, error: VerifyError): Diagnostic {
  const found = diagnoseRefusal(error);
  return found.message.includes(target)
    ? found
    : { ...found, message: `${target}: ${found.message}` };
}

function checkpointData(verified: Verified): JsonObject {
  const { origin, size, certifiedTime, epoch, signers } = reportCheckpoint(verified);
  return { origin, size, certifiedTime, epoch, signers: [...signers] };
}

function checkpointLine(verified: Verified): string {
  const { origin, size, ageSeconds, signers } = reportCheckpoint(verified);
  return `as of checkpoint ${size} of ${origin}, ${formatAge(ageSeconds)} old, signed by ${signers.join(' ')}`;
}

function releaseData(release: VerifiedRelease): JsonObject {
  return {
    name: release.name,
    version: release.version,
    status: release.status,
    integrity: formatSri(release.sha512),
    sha512: encodeHex(release.sha512),
    size: release.size,
    entry: release.index,
    statement: release.statement,
    loggedAt: release.loggedAt,
    required: release.required,
    signers: release.signers.map(({ name, keyId: key }) => ({ name, keyId: key })),
    latest: release.latest,
    manifest: release.manifest,
  };
}

function releaseLines(release: VerifiedRelease): readonly string[] {
  const { signers, required, manifest } = release;
  return [
    `${release.name}@${release.version}   ${release.status}`,
    `  digest    ${formatSri(release.sha512)}   ${release.size} bytes`,
    `  logged    ${new Date(release.loggedAt * 1000).toISOString()}   entry ${release.index}`,
    `  statement ${release.statement}`,
    `  signed by ${signers.length} maintainers, ${required} needed`,
    ...signers.map(({ name, keyId: key }) => `    ✔ ${name}   key ${key}`),
    ...bounded(scriptLines(manifest)),
    ...bounded(dependencyLines(manifest)),
  ];
}

function textsOf(value: JsonValue | undefined): readonly (readonly [string, string])[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, text]) =>
    typeof text === 'string' ? [[name, text] as const] : [],
  );
}

function scriptLines(manifest: JsonObject): readonly string[] {
  const scripts = textsOf(manifest['scripts']);
  if (scripts.length === 0) return ['  scripts   none runs on install'];
  return scripts.map(([name, command]) => `  on install ${name}: ${command}`);
}

function dependencyLines(manifest: JsonObject): readonly string[] {
  return DEPENDENCY_FIELDS.flatMap((field) =>
    textsOf(manifest[field]).map(
      ([name, range]) => `  ${field.replace('ependencies', 'ependency')} ${name} ${range}`,
    ),
  );
}

function bounded(lines: readonly string[]): readonly string[] {
  if (lines.length <= LINES_MAX) return lines;
  return [...lines.slice(0, LINES_MAX), `  … and ${lines.length - LINES_MAX} more (--json)`];
}

function packageData(found: VerifiedPackage): JsonObject {
  const { set, sequence, releases, latest, index } = found;
  return {
    sequence,
    entry: index,
    releases,
    latest,
    required: maintainerThreshold(set),
    maintainers: set.maintainers.map(({ name, key }) => ({ name, keyId: keyId(key) })),
  };
}

function packageLines({
  set,
  sequence,
  releases,
  latest,
  index,
}: VerifiedPackage): readonly string[] {
  return [
    `${set.package}   ${releases} releases, latest ${latest ?? 'none'}`,
    `  maintainer set ${sequence} (entry ${index}): ${maintainerThreshold(set)} of ${set.maintainers.length} sign a release`,
    ...set.maintainers.map(({ name, key }) => `    ${name}   key ${keyId(key)}`),
  ];
}

function rawData(verified: Verified): JsonObject[] {
  return parseEvidence(verified.source).entries.map(({ index, data }) => ({ index, data }));
}
