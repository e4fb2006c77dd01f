// An entry of a log as lines for people. It was proven to be in the log, which says nothing about what it
// says: an auditor also has to be able to look at entries that should not be there.
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { readSubmission, type Submission } from '../../verifier/ledger/submission.ts';
import { decodeUtf8 } from '../../verifier/text.ts';

/** What an entry says, or why it can't be read. */
export function describeEntry(data: Uint8Array): readonly string[] {
  try {
    return linesOf(data);
  } catch (error) {
    if (!(error instanceof VerifyError || error instanceof LedgerError)) throw error;
    return [`it can't be read by this version of bftpkg: ${error.code}, ${error.message}`];
  }
}

/** The entry's text; `null` when it is none. */
export function entryText(data: Uint8Array): string | null {
  try {
    return decodeUtf8(data);
  } catch (error) {
    if (error instanceof VerifyError) return null;
    throw error;
  }
}

function linesOf(data: Uint8Array): readonly string[] {
  const entry = parseEntry(data);
  const time = new Date(entry.time * 1000).toISOString();
  if (entry.kind === 'commit') {
    return [
      `commit of height ${entry.height}, epoch ${entry.epoch}, ${entry.entries} entries, ${time}`,
      `map root ${encodeHex(entry.map)}`,
    ];
  }
  const submission = readSubmission(entry.envelope);
  return [
    `${entry.kind} logged ${time}, statement ${submission.id}`,
    ...statementLines(submission),
    ...entry.envelope.signatures.map(({ keyid }) => `  signature by key ${keyid}`),
  ];
}

function statementLines(submission: Submission): readonly string[] {
  switch (submission.kind) {
    case 'maintainers': {
      const { package: purl, sequence, maintainers, faulty } = submission.set;
      const needed = `${faulty + 1} have to sign`;
      return [`  ${purl}, sequence ${sequence}: ${maintainers.length} maintainers, ${needed}`];
    }
    case 'release':
      return submission.release.subjects.map(({ purl }) => `  ${purl}`);
    case 'withdrawal': {
      const { package: purl, version, kind, reason, text } = submission.withdrawal;
      return [`  ${purl}@${version} ${kind}: ${reason} ${text}`];
    }
    case 'roster': {
      const { epoch, replicas, hash } = submission.roster;
      return [`  epoch ${epoch}: ${replicas.length} replicas, roster ${hash}`];
    }
  }
}
