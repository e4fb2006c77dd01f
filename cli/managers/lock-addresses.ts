// Addresses in lockfiles. Yarn Classic and bun fetch from where their lockfile says; in the private folder
// that is the proxy, and in the project it is what it was before.
import type { ManagerKind } from './manager.ts';

const YARN_LINE = /^( {2}resolved ")(https?:\/\/[^/"\s]+\/)([^"\n]*")$/gm;
const BUN_ENTRY = /(\["((?:[^"\\\n]|\\.)*)", ")(https?:\/\/[^"\n]*)(", \{)/g;

/** The lockfile with every registry address leading to the proxy. */
export function toProxy(kind: ManagerKind, text: string, registry: string): string {
  switch (kind) {
    case 'yarn-classic':
      // The path stays: the proxy finds name and version at its end, wherever the registry had it.
      return text.replaceAll(YARN_LINE, (_, head: string, _host: string, path: string) => {
        return `${head}${registry}${path}`;
      });
    case 'bun':
      // Nothing stands for the registry that is configured.
      return text.replaceAll(
        BUN_ENTRY,
        (_, head: string, _name, _url, tail: string) => head + tail,
      );
    case 'pnpm':
    case 'yarn-berry':
      return text;
  }
}

/**
 * The lockfile that the manager has written, without the proxy's address: entries that were there before
 * have the address that they had, new ones that of their registry.
 *
 * @param before     the project's own; `undefined` when there was none
 * @param registryOf address of the registry of a new entry, with a slash at the end
 */
export function fromProxy(
  kind: ManagerKind,
  text: string,
  before: string | undefined,
  { registry, home }: { readonly registry: string; readonly home: string },
): string {
  switch (kind) {
    case 'yarn-classic': {
      const known = new Map<string, string>();
      for (const [, , host = '', path = ''] of (before ?? '').matchAll(YARN_LINE)) {
        known.set(path, host);
      }
      // The longest prefix that is ours first: what is behind it is a path of the registry.
      return text
        .split('\n')
        .map((line) => {
          const start = `  resolved "${registry}`;
          if (!line.startsWith(start)) return line;
          const path = line.slice(start.length);
          const host = known.get(path);
          // Yarn puts the SHA-1 there when its registry has one; the log has none.
          return `  resolved "${host ?? home}${path.replace(/#undefined"$/, '"')}`;
        })
        .join('\n');
    }
    case 'bun': {
      const known = new Map<string, string>();
      for (const [, , spec = '', url = ''] of (before ?? '').matchAll(BUN_ENTRY)) {
        known.set(spec, url);
      }
      return text.replaceAll(
        BUN_ENTRY,
        (whole: string, head: string, spec: string, url: string, tail: string) => {
          return url.startsWith(registry) ? head + (known.get(spec) ?? '') + tail : whole;
        },
      );
    }
    case 'pnpm':
    case 'yarn-berry':
      return text;
  }
}
