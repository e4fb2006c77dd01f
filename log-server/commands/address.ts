// Addresses of replicas that are given on the command line.
import { isBaseUrl } from '../../verifier/base-url.ts';
import { quote } from '../../verifier/errors.ts';
import { ConfigError } from '../config.ts';

/** Reads `--url`. @throws {ConfigError} */
export function readAddress(text: string): string {
  const url = text.replace(/\/$/, '');
  if (isBaseUrl(url)) return url;
  throw new ConfigError('--url', [`${quote(text)} is no address like http://127.0.0.1:8700`]);
}
