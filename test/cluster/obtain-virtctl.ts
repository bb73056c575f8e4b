/** Upstream's virtctl, built from its module when it isn't cached; says on standard error what it does. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** Path of the binary. Rejects when it cannot be had: never skip. */
export async function obtainVirtctl(): Promise<string> {
  const build = spawn(join(import.meta.dirname, '../lab/virtctl/build.sh'), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  build.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(build, 'close');
  if (code !== 0) throw new Error(`test/lab/virtctl/build.sh ended with code ${code}; see its output above`);
  return output.trim().split('\n').at(-1) as string;
}
