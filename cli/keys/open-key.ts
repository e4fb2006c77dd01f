// From what was typed after --key to a key: a file, a name in the user's folder, or a key of the SSH agent.
import { resolve } from 'node:path';

import { keyId, type PublicKey } from '../../verifier/ed25519.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { agentSigner, findAgentKey } from './agent/agent-signer.ts';
import { AGENT_WAITS, type AgentAccess } from './agent/client.ts';
import { fingerprint } from './agent/wire.ts';
import { keysFolder } from './folder.ts';
import { loadKey, loadNamedKey, unlockKey, type KeyFile } from './key-file.ts';
import { askPassphrase, canRetry } from './passphrase.ts';
import { memorySigner, type Signer } from './signer.ts';

/** `agent:` for the only key of the agent, `agent:<fingerprint|comment>` for one of several. */
const AGENT_PREFIX = 'agent:';
/** A mistyped passphrase is no reason to begin anew. */
const TRIES = 3;

/** The public half of a key. */
export interface PublicHalf {
  readonly name: string;
  readonly publicKey: PublicKey;
  readonly keyId: string;
}

/** The agent that the environment names. */
export function agentAccess({ context }: Invocation): AgentAccess {
  return { socket: context.env['SSH_AUTH_SOCK'], signal: context.signal, ...AGENT_WAITS };
}

/** Whether it names a key of the agent. */
export function isAgentKey(what: string): boolean {
  return what.startsWith(AGENT_PREFIX);
}

/**
 * The key file that somebody means: by path (anything with a slash, or `….json`), or by its name in the user's
 * folder. The secret stays locked.
 *
 * @throws {CliError} BP8001, BP9003
 */
export async function openKeyFile(invocation: Invocation, what: string): Promise<KeyFile> {
  const { context } = invocation;
  if (/[/\\]/.test(what) || what.endsWith('.json')) {
    return await loadKey(resolve(context.cwd, what));
  }
  return await loadNamedKey(keysFolder(context), what);
}

/** The public half of a key in a file or in the agent; asks for no passphrase. @throws {CliError} BP8001, BP8004 */
export async function openKey(invocation: Invocation, what: string): Promise<PublicHalf> {
  if (!isAgentKey(what)) return await openKeyFile(invocation, what);
  const which = what.slice(AGENT_PREFIX.length);
  const { publicKey, comment } = await findAgentKey(agentAccess(invocation), which);
  return { name: comment || fingerprint(publicKey), publicKey, keyId: keyId(publicKey) };
}

// One run asks for each passphrase once, however many drafts it signs.
const openSigners = new WeakMap<Invocation, Map<string, Signer>>();

/**
 * A key that can sign, named as for `openKey`; asks for the passphrase where one is needed.
 *
 * @throws {CliError} BP8001, BP8003, BP8004
 */
export async function openSigner(invocation: Invocation, what: string): Promise<Signer> {
  const known = openSigners.get(invocation)?.get(what);
  if (known !== undefined) return known;
  const signer = await makeSigner(invocation, what);
  rememberSigner(invocation, what, signer);
  return signer;
}

/** Lets a key that was just made sign in this run without asking for the passphrase that was just typed. */
export function rememberSigner(invocation: Invocation, what: string, signer: Signer): void {
  const signers = openSigners.get(invocation) ?? new Map<string, Signer>();
  openSigners.set(invocation, signers.set(what, signer));
}

async function makeSigner(invocation: Invocation, what: string): Promise<Signer> {
  if (isAgentKey(what)) {
    const { name, publicKey } = await openKey(invocation, what);
    return agentSigner(agentAccess(invocation), name, publicKey);
  }
  const file = await openKeyFile(invocation, what);
  if (file.secret.kind === 'agent') {
    return agentSigner(agentAccess(invocation), file.name, file.publicKey);
  }
  if (file.secret.kind === 'plain') {
    invocation.notice(`warning: the key ${file.name} has no passphrase: bftpkg key passwd ${what}`);
  }
  return memorySigner(file.name, await unlocked(invocation, file));
}

/**
 * The secret of a key file; asks for the passphrase where one is needed.
 *
 * @throws {CliError} BP8003; BP8004 for a key whose secret only an agent has
 */
export async function unlocked(invocation: Invocation, file: KeyFile): Promise<SigningKey> {
  if (file.secret.kind === 'plain') return file.secret.key;
  if (file.secret.kind === 'agent') {
    throw new CliError('BP8004', `${file.name}: only the ssh-agent has the secret of this key`);
  }
  const { opened } = await withPassphrase(invocation, file.name, (passphrase) =>
    unlockKey(file, passphrase),
  );
  return opened;
}

/**
 * Opens something with the passphrase that is asked for, a few times if a person mistypes it.
 *
 * @param what for the question
 * @param open throws BP8003 for another passphrase
 * @throws {CliError} BP8003
 */
export async function withPassphrase<T>(
  invocation: Invocation,
  what: string,
  open: (passphrase: string) => Promise<T>,
): Promise<{ readonly opened: T; readonly passphrase: string }> {
  for (let tries = canRetry(invocation) ? TRIES : 1; ; tries--) {
    const passphrase = await askPassphrase(invocation, what);
    try {
      return { opened: await open(passphrase), passphrase };
    } catch (error) {
      const isWrong = error instanceof CliError && error.diagnostic.code === 'BP8003';
      if (!isWrong || tries <= 1) throw error;
      invocation.notice('not its passphrase, try again');
    }
  }
}
