/** Writes a generated file, or with `--check` on the command line fails when the checked-in one differs. */
import { readFile, writeFile } from 'node:fs/promises';

export async function settle(path: string, content: string): Promise<void> {
  const present = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (present === content) return;
  if (process.argv.includes('--check')) {
    process.stderr.write(`${path} is not what its generator makes; run: node ${process.argv[1]}\n`);
    process.exitCode = 1;
    return;
  }
  await writeFile(path, content);
}
