// Where keys are by default.
import { join } from 'node:path';

import type { Context } from '../context.ts';
import { configFolder } from '../trust/folders.ts';

/** `$XDG_CONFIG_HOME/bftpkg/keys`. */
export function keysFolder(context: Pick<Context, 'env'>): string {
  return join(configFolder(context.env), 'keys');
}
