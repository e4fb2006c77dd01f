// `bftpkg log fsck`: is everything that a log ever did legal, and does this server have all of it?
import { tmpdir } from 'node:os';

import { encodeBase64, encodeHex } from '../../verifier/encoding.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { TemporaryPages } from '../../verifier/node/temporary-pages.ts';
import { withAccess, type Access, type AccessOptions } from '../audit/access.ts';
import type { Finding } from '../audit/entry-check.ts';
import { checkLog, type FsckResult } from '../audit/fsck.ts';
import { ageWarnings, headLines } from '../audit/head-report.ts';
import { openView, type LogView } from '../audit/log-view.ts';
import { loadAudit, saveAudit } from '../audit/saved-audit.ts';
import { TileClient } from '../audit/tile-client.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import {
  diagnostic,
  doneReport,
  failureReport,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { keepForkEvidence } from '../session/fork-file.ts';
import { stateFolder } from '../trust/folders.ts';
import { TrustStore } from '../trust/trust-store.ts';

/** Options of `log fsck`. */
export interface FsckOptions extends AccessOptions {
  /** File of an earlier check to go on from. */
  readonly from?: string;
  /** File to write the state to, for the next check. */
  readonly save?: string;
}

/** `log fsck [url]`. */
export async function logFsck(
  invocation: Invocation,
  url: string | undefined,
  options: FsckOptions,
): Promise<Report> {
  return await withAccess(invocation, url, options, async (access) => {
    const { context } = invocation;
    const [replica] = access.replicas;
    if (replica === undefined) throw new CliError('BP9004', 'the configuration names no replica');
    const trust = new TrustStore(stateFolder(context.env), access.pin);
    const trusted = await trust.read();
    const earlier =
      options.from === undefined
        ? undefined
        : await loadAudit(context.cwd, options.from, access.pin);
    const view = await openView(replica, access.pin, access.verifier, context.signal);
    const pages = new TemporaryPages(tmpdir());
    try {
      const result = await checkLog({
        view,
        tiles: new TileClient(replica.url, access.http),
        pin: access.pin,
        verifier: access.verifier,
        signal: context.signal,
        trusted,
        pages,
        earlier,
        progress: invocation.progress,
      });
      return await report(invocation, access, view, result, options);
    } catch (error) {
      if (error instanceof ForkError) throw await keepForkEvidence(error, context.cwd);
      throw error;
    } finally {
      pages.close();
    }
  });
}

async function report(
  invocation: Invocation,
  access: Access,
  view: LogView,
  result: FsckResult,
  options: FsckOptions,
): Promise<Report> {
  const data = resultData(view, result);
  const warnings = ageWarnings(view, access, invocation);
  if (result.findings.length > 0) {
    const found = result.findings.map((finding) => diagnose(finding, view.url));
    const failure = failureReport('log fsck', [...found, ...warnings]);
    const more = result.more === 0 ? [] : [`and ${result.more} more findings`];
    return { ...failure, result: { data, lines: [...headLines(view, invocation), ...more] } };
  }
  // Only a state without findings is worth going on from.
  const saved =
    options.save === undefined
      ? []
      : [
          `state saved to ${await saveAudit(invocation.context.cwd, options.save, access.pin, view, result)}`,
        ];
  const lines = [
    ...headLines(view, invocation),
    ...resultLines(result),
    `every transition was legal, and ${view.url} has all of it`,
    ...saved,
  ];
  return doneReport('log fsck', { data, lines }, warnings);
}

function diagnose(finding: Finding, url: string): Diagnostic {
  switch (finding.kind) {
    case 'tile':
    case 'entry':
      return diagnostic('BP4004', `${url}: ${finding.message}`, {
        hints: ['bftpkg log fsck <another replica>: the log may be whole elsewhere'],
      });
    case 'batch': {
      const { height, start, refusal } = finding.error;
      return diagnostic('BP4010', finding.error.message, {
        details: [
          ['height', String(height)],
          ['from entry', String(start)],
          ['rule', refusal.code],
        ],
        hints: ['bftpkg explain BP4010', `bftpkg log entry ${start}`],
      });
    }
  }
}

interface Counts {
  readonly entries: number;
  readonly batches: number;
  readonly signatures: number;
  readonly tiles: number;
}

function countsOf(result: FsckResult): Counts {
  const { batches, signatures, tiles, from } = result;
  return { entries: result.leaves.size - from, batches, signatures, tiles };
}

function resultData(view: LogView, result: FsckResult): JsonObject {
  const { origin, size, root } = view.checkpoint.checkpoint;
  const { tip } = result.ledger;
  return {
    url: view.url,
    checkpoint: { origin, size, root: encodeBase64(root), epoch: view.roster.epoch },
    from: result.from,
    checked: { ...countsOf(result) },
    // Where the replay got to: all of the log when nothing was found.
    replayed: { size: tip.size, height: tip.height, epoch: tip.epoch, map: encodeHex(tip.map) },
    findings: result.findings.length + result.more,
  };
}

function resultLines(result: FsckResult): readonly string[] {
  const { entries, batches, signatures, tiles } = countsOf(result);
  const { tip } = result.ledger;
  const since = result.from === 0 ? '' : ` since size ${result.from}`;
  return [
    `tree     ${tiles} hash tiles agree and lead to the cosigned root`,
    `entries  ${entries}${since}, each the leaf that the tree has`,
    `replay   ${batches} batches, ${signatures} signatures, up to height ${tip.height} of epoch ${tip.epoch}`,
    `map      ${encodeHex(tip.map)}, derived from the entries`,
  ];
}
