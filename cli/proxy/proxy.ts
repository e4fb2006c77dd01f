// The parts of the proxy, put together.
import type { Invocation } from '../context.ts';
import type { LogSession } from '../session/log-session.ts';
import { ProxyLedger } from './ledger.ts';
import { PermittedPackages } from './permitted.ts';
import { RegistryRoutes } from './routes.ts';
import { startProxyServer, type ProxyServer } from './server.ts';
import { VerifiedRegistry } from './verified-registry.ts';

/** A proxy that listens. */
export interface Proxy {
  readonly server: ProxyServer;
  readonly registry: VerifiedRegistry;
  readonly ledger: ProxyLedger;
  readonly session: LogSession;
}

/** How it is started. */
export interface ProxySettings {
  /** 0, the default, lets the system choose. */
  readonly port?: number;
  /** Hears each refusal at once; the user unless told otherwise. */
  readonly tell?: (line: string) => void;
  /** The default registry for what a policy allows without the log; npm's own unless told otherwise. */
  readonly upstream?: string | undefined;
}

/** Starts a proxy on 127.0.0.1; the caller closes its server. */
export async function openProxy(
  invocation: Invocation,
  session: LogSession,
  { port = 0, tell = invocation.notice, upstream }: ProxySettings = {},
): Promise<Proxy> {
  const ledger = new ProxyLedger((line) => tell(line));
  const permitted = new PermittedPackages(invocation, session.config.policy, upstream);
  const registry = new VerifiedRegistry(invocation, session, ledger, permitted);
  const routesAt = (address: string): RegistryRoutes => new RegistryRoutes(registry, address);
  const server = await startProxyServer(routesAt, ledger, port);
  return { server, registry, ledger, session };
}
