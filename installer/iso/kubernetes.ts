/**
 * The k3s an image carries: a release's files where somebody has them, otherwise the lab's stand-in over upstream
 * Kubernetes, which says of itself that it is one. A folder with `k3s` (the program) and `images/` (archives).
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type K3sVersion, parseVersion } from '../../appliance/cluster/k3s.ts';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';

export type KubernetesFiles = K3sVersion & { directory: string; images: string[] };

/**
 * @param given a folder with a release; undefined: the stand-in, built where it is not cached (test/lab/k3s)
 * @throws CroftError `invalid-input` when the folder holds no k3s, `missing-component` when the stand-in cannot be built
 */
export async function kubernetesFiles(home: string, given: string | undefined): Promise<KubernetesFiles> {
  const directory = given ?? (await standIn(home));
  const program = join(directory, 'k3s');
  if (!(await stat(program).catch(() => undefined))?.isFile())
    throw new CroftError('invalid-input', `--k3s: ${directory} has no file k3s.`);
  const { stdout } = await run([program, '--version'], { timeout: 60_000 });
  const images = await readdir(join(directory, 'images')).catch(() => []); // Without archives pods need the internet.
  return { ...parseVersion(stdout), directory, images: images.sort() };
}

async function standIn(home: string): Promise<string> {
  try {
    const { stdout } = await run(['sh', join(home, 'test/lab/k3s/build.sh')], { timeout: 40 * 60_000 });
    return stdout.trim().split('\n').at(-1) as string;
  } catch (cause) {
    throw new CroftError('missing-component', 'There is neither a k3s release nor the stand-in that takes its place.', {
      cause,
      fix: ['Name a folder with a release: npm run iso -- --k3s FOLDER (k3s and images/*.tar), or install Go and gcc.'],
    });
  }
}
