// `bftpkg release verify`: whether the registry that the project's npm uses serves what the log has.
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import { withWorkspace } from '../release/artifact.ts';
import { fetchListings } from '../release/fetch.ts';
import { wantedOf } from '../release/proposals.ts';
import { requirePublished } from '../release/registry-release.ts';
import { lookUpRelease } from '../session/look-up.ts';
import { withSession } from '../session/log-session.ts';

/** `release verify [name@version…]`; by default the newest release of this folder's package. */
export async function releaseVerify(
  invocation: Invocation,
  specs: readonly string[],
): Promise<Report> {
  const wanted = specs.length === 0 ? [undefined] : specs;
  return await withWorkspace((workspace) =>
    withSession(invocation, {}, async (session) => {
      const lines: string[] = [];
      const checked: { subject: string; integrity: string; url: string | null; index: number }[] =
        [];
      for (const spec of wanted) {
        const { name, version } = await wantedOf(invocation, spec);
        const found = version ?? (await latestOf());
        const { release } = await lookUpRelease(session, name, found);
        if (release === undefined) throw new CliError('BP5003', `${name}@${found}: not in the log`);
        const listings = await fetchListings(invocation, session, [release]);
        const packageJson = listings.get(`${name}@${found}`)?.packageJson;
        const { url } = await requirePublished(invocation, release, packageJson, workspace);
        const integrity = formatSri(release.sha512);
        const subject = `${name}@${found}`;
        checked.push({ subject, integrity, url, index: release.index });
        lines.push(`${subject} ${integrity}`, `  log       entry ${release.index}`);
        lines.push(`  registry  ${url ?? 'does not say where'}: the same bytes`);

        async function latestOf(): Promise<string> {
          const [first] = (await session.verify([{ kind: 'package', name }])).evidence.subjects;
          const latest = first?.kind === 'package' ? first.package.latest : null;
          if (latest === null) throw new CliError('BP5003', `${name}: no release in the log`);
          return latest;
        }
      }
      return doneReport('release verify', { data: { checked }, lines });
    }),
  );
}
