// Publishing logged bytes to the npm registry, and looking whether it serves them. The registry is believed
// nothing: what counts are the bytes that it hands out.
import { setTimeout as sleep } from 'node:timers/promises';

import { formatSri } from '../../verifier/npm/integrity.ts';
import { sha512 } from '../../verifier/node/sha512.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { hasDigest } from '../npm/artifact-store.ts';
import { ProjectRegistry, type PublishFlags, type RegistryVersion } from '../npm/registry.ts';
import { ARTIFACT_BYTES_MAX } from '../client/replica.ts';
import { type Artifact } from './artifact.ts';

/** Registries show a new version after some seconds. */
const LOOKS_MAX = 10;
const LOOK_PAUSE_MS = 2_000;

/** What was done at the registry. */
export interface Published {
  readonly label: string;
  /** `present`: it was there before. */
  readonly kind: 'published' | 'present';
  /** Where it is, as the registry says; `null` where it was not asked. */
  readonly url: string | null;
}

/**
 * Publishes a tarball that is in the log, unless the registry has it already, and requires the registry to
 * serve exactly these bytes. Doing it again is safe.
 *
 * @throws {CliError} BP1004 when it serves others, BP7004 when npm fails
 */
export async function publishArtifact(
  invocation: Invocation,
  artifact: Artifact,
  flags: PublishFlags,
  workspace: string,
): Promise<Published> {
  const { name, version, packageJson } = artifact.checked;
  const label = `${name}@${version}`;
  const registry = new ProjectRegistry(invocation, name, packageJson, workspace);
  const before = await registry.look(version);
  if (before !== undefined) {
    await requireServed(registry, label, version, artifact.sha512);
    return { label, kind: 'present', url: before.url };
  }
  invocation.progress(`publishing ${label} with npm`);
  try {
    await registry.publish(artifact.path, flags);
  } catch (error) {
    // Cut off, or somebody else was faster: what the registry has by now decides.
    const now = await registry.look(version).catch(() => undefined);
    if (now === undefined) throw error;
  }
  await requireVisible(invocation, registry, label, version, artifact.sha512);
  return { label, kind: 'published', url: null };
}

/**
 * Requires the project's registry to serve the bytes of a digest.
 *
 * @param packageJson of the release, if it is at hand: it may name another registry
 * @throws {CliError} BP1004 for other bytes, BP7004 when it has no such version
 */
export async function requirePublished(
  invocation: Invocation,
  release: { readonly name: string; readonly version: string; readonly sha512: Uint8Array },
  packageJson: Uint8Array | undefined,
  workspace: string,
): Promise<RegistryVersion> {
  const { name, version, sha512: digest } = release;
  const label = `${name}@${version}`;
  const registry = new ProjectRegistry(invocation, name, packageJson, workspace);
  const found = await registry.look(version);
  if (found === undefined) throw notThere(label);
  await requireServed(registry, label, version, digest);
  return found;
}

// A registry shows a new version after a moment; until then npm finds none.
async function requireVisible(
  { context }: Invocation,
  registry: ProjectRegistry,
  label: string,
  version: string,
  digest: Uint8Array,
): Promise<void> {
  for (let look = 1; ; look++) {
    try {
      await requireServed(registry, label, version, digest);
      return;
    } catch (error) {
      const isAbsent = error instanceof CliError && error.diagnostic.code === 'BP7004';
      if (!isAbsent || look === LOOKS_MAX || context.signal.aborted) throw error;
    }
    await sleep(LOOK_PAUSE_MS, undefined, { signal: context.signal }).catch(() => undefined);
  }
}

async function requireServed(
  registry: ProjectRegistry,
  label: string,
  version: string,
  digest: Uint8Array,
): Promise<void> {
  const bytes = await registry.download(version, ARTIFACT_BYTES_MAX);
  if (hasDigest(bytes, digest)) return;
  throw new CliError('BP1004', `${label}: the registry serves other bytes than the log has`, {
    details: [
      ['logged', formatSri(digest)],
      ['served', formatSri(sha512(bytes))],
    ],
    hints: ['do not announce the release; ask the registry to remove it, and revoke its tokens'],
  });
}

function notThere(label: string): CliError {
  return new CliError('BP7004', `${label}: the registry has no such version`, {
    hints: ['bftpkg release publish'],
  });
}
