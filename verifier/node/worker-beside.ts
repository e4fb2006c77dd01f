// Threads, started from the sources as from the compiled files.
import { Worker } from 'node:worker_threads';

/**
 * Starts the worker's file that lies beside a module: compiled next to compiled, source next to source.
 *
 * @param moduleUrl `import.meta.url` of that module
 * @param name      of the worker's file, without its ending
 */
export function startWorkerBeside(moduleUrl: string, name: string): Worker {
  if (!moduleUrl.endsWith('.ts')) {
    // No flags of this process: `--input-type` or `--eval` would keep the thread from starting.
    return new Worker(new URL(`./${name}.js`, moduleUrl), { execArgv: [] });
  }
  // In development tsx reads the sources, but on Node 20 its loader doesn't reach into threads.
  const source = new URL(`./${name}.ts`, moduleUrl);
  const loader = import.meta.resolve('tsx/esm/api');
  const script = `import(${JSON.stringify(loader)}).then((tsx) => {
    tsx.register();
    return import(${JSON.stringify(source.href)});
  });`;
  return new Worker(script, { eval: true, execArgv: [] });
}
