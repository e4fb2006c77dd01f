// Replicas in reports: a liar that fails a thousand times is one line.

/** What one replica did wrong. */
export interface ReplicaProblem {
  readonly url: string;
  readonly problem: string;
}

/** One row for each replica, in the order of their first failure. */
export function groupReplicas(rows: readonly ReplicaProblem[]): readonly ReplicaProblem[] {
  const byUrl = new Map<string, string[]>();
  for (const { url, problem } of rows) {
    const problems = byUrl.get(url);
    if (problems === undefined) byUrl.set(url, [problem]);
    else problems.push(problem);
  }
  return [...byUrl].map(([url, problems]) => {
    const [first = ''] = problems;
    const more = problems.length - 1;
    return { url, problem: more === 0 ? first : `${first} (and ${more} more)` };
  });
}
