/** The Kubernetes that cluster tests run on: a real k3s named by CROFT_K3S, or the lab stand-in, built when it isn't cached. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

export type ObtainedK3s = { binary: string /** Image archives for its images directory. */; images: string[] };

/** Builds at most once per content; says on standard error what it does. Rejects when it cannot be had: never skip. */
export async function obtainK3s(): Promise<ObtainedK3s> {
  const build = spawn(join(import.meta.dirname, '../lab/k3s/build.sh'), { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  build.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const [code] = await once(build, 'close');
  if (code !== 0) throw new Error(`test/lab/k3s/build.sh ended with code ${code}; see its output above`);
  const directory = output.trim().split('\n').at(-1) as string;
  const images = (await readdir(join(directory, 'images'))).map((name) => join(directory, 'images', name));
  const real = process.env.CROFT_K3S;
  if (!real) return { binary: join(directory, 'k3s'), images };
  // A release brings its own pause image, in the air-gap archive beside it; ours are only the tests' programs.
  const beside = (await readdir(dirname(real))).filter((name) => /^k3s-airgap-images.*\.tar(\.gz|\.zst)?$/.test(name));
  return {
    binary: real,
    images: [...images.filter((path) => !path.endsWith('pause.tar')), ...beside.map((name) => join(dirname(real), name))],
  };
}
