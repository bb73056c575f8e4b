/**
 * Network namespaces for tests. Product code knows nothing of them: a test file that needs one runs itself again
 * inside (`runInside`), and makes fake guests as namespaces of their own within.
 */
import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const insideMark = 'CROFT_TEST_INSIDE';
export const inside = process.env[insideMark] !== undefined;

const ip = (...argv: string[]): string => execFileSync('ip', argv, { encoding: 'utf8' });

/** Why namespaces cannot be used here; undefined when they can. */
export function namespacesMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['ip', 'ovs-vswitchd', 'dnsmasq', 'nft', 'busybox', 'ethtool']) {
    try {
      execFileSync('sh', ['-c', `command -v ${program}`]);
    } catch {
      return `needs ${program}`;
    }
  }
  return undefined;
}

/** Runs a vitest file in a fresh namespace; resolves with its output, rejects with it when a test failed. */
export async function runInside(file: string, timeout: number): Promise<string> {
  const namespace = `croft-t-${process.pid}`;
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const config = fileURLToPath(new URL('../system/inside.config.ts', import.meta.url));
  ip('netns', 'add', namespace);
  try {
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
    const argv = ['netns', 'exec', namespace, process.execPath, vitest, 'run', '--config', config, file];
    return await new Promise<string>((resolve, reject) => {
      const child = spawn('ip', argv, { env: { ...process.env, [insideMark]: namespace }, timeout, killSignal: 'SIGINT' });
      let output = '';
      const take = (chunk: Buffer) => {
        output += String(chunk);
      };
      child.stdout.on('data', take);
      child.stderr.on('data', take);
      child.on('error', reject);
      child.on('close', (code) => {
        // Lines that begin so are for people, also when all is well.
        for (const line of output.split('\n')) if (line.startsWith('figure: ')) process.stdout.write(`${line}\n`);
        if (code === 0) resolve(output);
        else reject(new Error(`inside the namespace:\n${output}`));
      });
    });
  } finally {
    ip('netns', 'delete', namespace);
  }
}
