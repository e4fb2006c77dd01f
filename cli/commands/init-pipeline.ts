// The job that `bftpkg init --ci` writes for a build server: verify before anything is installed.
//
// npx is started in an empty folder. In the checkout it takes a bftpkg of its node_modules for the one that is asked
// for, and fetches it from the registry that its .npmrc names (both tried): a pull request brought its own verdict.
import { join } from 'node:path';

/** A file that is about to be written. */
export interface PlannedFile {
  readonly path: string;
  /** `undefined` when there is none yet. */
  readonly before: string | undefined;
  readonly after: string;
}

/** Files for a build server, and what is left for people to do. */
export interface Pipeline {
  readonly files: readonly PlannedFile[];
  readonly next: readonly string[];
}

const GITHUB_PATH = join('.github', 'workflows', 'bftpkg.yml');
const GITLAB_PATH = join('.gitlab', 'bftpkg.yml');
const GITLAB_MAIN = '.gitlab-ci.yml';
const GITLAB_INCLUDE = `include:
  - local: .gitlab/bftpkg.yml
`;

/**
 * Plans the files for a build server. A file of people's own is never changed: what it needs is said.
 *
 * @param host `github`, `gitlab`, or another word for none
 * @param version of bftpkg that the job runs: whatever is newest one day is nothing that anybody has looked at
 * @param read the text of a file; `undefined` when there is none
 */
export async function planPipeline(
  project: string,
  host: string | undefined,
  version: string,
  read: (path: string) => Promise<string | undefined>,
): Promise<Pipeline> {
  const plan = async (name: string, after: string): Promise<PlannedFile> => {
    const path = join(project, name);
    return { path, before: await read(path), after };
  };
  if (host === 'github') return { files: [await plan(GITHUB_PATH, github(version))], next: [] };
  if (host !== 'gitlab') return { files: [], next: [] };
  const files = [await plan(GITLAB_PATH, gitlab(version))];
  const main = await read(join(project, GITLAB_MAIN));
  if (main === undefined) files.push(await plan(GITLAB_MAIN, GITLAB_INCLUDE));
  const isIncluded = main === undefined || main.includes('.gitlab/bftpkg.yml');
  return {
    files,
    next: isIncluded ? [] : [`add to ${GITLAB_MAIN}: include: [{ local: .gitlab/bftpkg.yml }]`],
  };
}

const github = (
  version: string,
): string => `# Verifies every dependency before anything of it is installed.
name: bftpkg
on: [push, pull_request]
permissions:
  contents: read
jobs:
  verify:
    runs-on: ubuntu-latest
    steps:
      # Pin these to commits that you have looked at.
      - uses: actions/checkout@v4
      - uses: actions/setup-node@v4
        with:
          node-version: 22
      # Not in the checkout: npx would obey its .npmrc, and take a bftpkg from its node_modules.
      - run: npx --yes --ignore-scripts bftpkg@${version} -C "$GITHUB_WORKSPACE" verify --format github --no-input
        working-directory: \${{ runner.temp }}
`;

// .pre comes before every other stage, whatever the project calls its own.
const gitlab = (
  version: string,
): string => `# Verifies every dependency before anything of it is installed.
bftpkg:
  stage: .pre
  # Pin it to a digest that you have looked at.
  image: node:22
  variables:
    # Nothing from a cache that another job could have written.
    GIT_STRATEGY: clone
  cache: []
  script:
    # Not in the checkout: npx would obey its .npmrc, and take a bftpkg from its node_modules.
    - cd "$(mktemp -d)"
    - npx --yes --ignore-scripts bftpkg@${version} -C "$CI_PROJECT_DIR" verify --no-input --report "junit=$CI_PROJECT_DIR/bftpkg-junit.xml"
  artifacts:
    when: always
    reports:
      junit: bftpkg-junit.xml
`;
