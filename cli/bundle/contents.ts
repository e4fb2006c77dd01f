// What a bundle is about. Nothing is verified here: this says which questions the document can answer.
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { Evidence } from '../../verifier/evidence/format.ts';
import { subjectId, type Subject } from '../../verifier/evidence/subject.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { parseMaintainerSet } from '../../verifier/statements/maintainers.ts';
import { parseRelease } from '../../verifier/statements/release.ts';

/**
 * The packages and releases whose entries are shown, each once, packages first. Entries that can't be
 * read are passed over, as the verifier does.
 */
export function shownSubjects(evidence: Evidence): readonly Subject[] {
  const subjects = evidence.entries.flatMap(({ data }) => readSubjects(data));
  const distinct = new Map(subjects.map((subject) => [subjectId(subject), subject]));
  const all = [...distinct.values()];
  return [
    ...all.filter(({ kind }) => kind === 'package'),
    ...all.filter(({ kind }) => kind === 'release'),
  ];
}

function readSubjects(data: string): readonly Subject[] {
  try {
    const entry = parseEntry(data);
    if (entry.kind === 'maintainers') {
      const { package: purl } = parseMaintainerSet(entry.envelope.payload);
      return [{ kind: 'package', name: parsePurl(purl).name }];
    }
    if (entry.kind !== 'release') return [];
    const { subjects } = parseRelease(entry.envelope.payload);
    return subjects.map(({ name, version }) => ({ kind: 'release', name, version }));
  } catch (error) {
    if (error instanceof VerifyError) return [];
    throw error;
  }
}
