// `bftpkg-log roster show`: the present roster, verified from the pin.
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { formatVerifierKey } from '../../verifier/vkey.ts';
import { EXIT } from '../exit-codes.ts';
import { fetchRosterChain } from '../roster-source.ts';
import { loadSetup } from '../setup.ts';
import { presentChain, print } from './roster-files.ts';

/** Options of the command: a replica's configuration, or a pin and whom to ask. */
export type ShowOptions =
  | { readonly config: string; readonly url?: string }
  | { readonly pin: string; readonly url: string };

/** Prints the roster in force as one JSON object. */
export async function showRoster(options: ShowOptions): Promise<void> {
  const chain =
    'config' in options
      ? await presentChain(await loadSetup(options.config, process.env), options.url)
      : await fetchRosterChain(options.pin, [options.url]);
  if (chain === undefined) {
    process.stderr.write('bftpkg-log: error: no chain of rosters from that pin is shown there\n');
    process.exitCode = EXIT.unavailable;
    return;
  }
  const { origin, epoch, hash, faultyWeight, thresholds, admission, replicas } = chain.present;
  print({
    origin,
    epoch,
    roster: hash,
    chain: chain.rosters.map((roster) => roster.hash),
    totalWeight: thresholds.total,
    faultyWeight,
    quorum: thresholds.quorum,
    admission:
      admission.mode === 'open'
        ? { mode: 'open' }
        : { ...admission, keys: admission.keys.map(publicKeyHex) },
    replicas: replicas.map(({ name, cosignKey, voteKey, weight, url, peerUrl }) => ({
      name,
      cosignKey: formatVerifierKey(cosignKey),
      voteKey: publicKeyHex(voteKey),
      weight,
      url,
      peerUrl,
    })),
  });
}
