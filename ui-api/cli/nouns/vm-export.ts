/** `croft vm export`: a VM as an OVA, or a disk of it as qcow2, fetched into a file; goes on after a cut connection. */
import { createWriteStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Option, type Command } from 'commander';
import { Unreachable } from '../../client/problem.ts';
import type { Export, Task } from '../../client/types.ts';
import { usageError } from '../exit.ts';
import { waitOptions } from '../options.ts';
import { bytes } from '../output/values.ts';
import { onAction, type Session, type Shell } from '../session.ts';
import { taskIdOf, waitForTask } from '../wait.ts';

type ExportOptions = { format?: 'ova' | 'qcow2'; disk?: string; snapshot?: string; file?: string; keep?: boolean };

/** Breaks in a row without a new byte until it gives up. */
const patience = 20;

export function addExport(vm: Command, shell: Shell): void {
  const command = vm
    .command('export <vm>')
    .description('fetch a VM as an OVA, or one disk as qcow2, also while it runs')
    .addOption(new Option('--format <format>', 'ova or qcow2').choices(['ova', 'qcow2']))
    .option('--disk <disk>', 'qcow2: which disk (default: the first)')
    .option('--snapshot <snapshot>', 'as it was in this snapshot')
    .option('--file <path>', 'where to write it (default: the VM’s name, here)')
    .option('--keep', 'leave it on the box too, for a day');
  waitOptions(command);
  onAction<ExportOptions>(command, shell, async ({ args: [name = ''], options, session }) => {
    const { format, disk, snapshot } = options;
    if (options.file !== undefined) await mustBeFree(options.file);
    const answer = await session.client.vms.act(name, 'export', { format, disk, snapshot }, session.project);
    const id = taskIdOf(answer as { body?: Task; location?: string }) ?? '';
    if (options.wait === false) return session.print(`${id}\n`);
    await waitForTask(session, id);
    const { body: made } = await session.client.request<Export>('GET', `/v1/exports/${id}`, { signal: session.io.signal });
    const file = options.file ?? made.file;
    await mustBeFree(file);
    await fetchInto(session, made, file);
    if (!options.keep) await session.client.request('DELETE', `/v1/exports/${id}`);
    session.say(`${file}: ${bytes(made.size)}.`);
  });
}

/** @throws CliError usage */
async function mustBeFree(file: string): Promise<void> {
  const there = await stat(file).catch(() => undefined); // to be made
  if (there) throw usageError(`${file} is there already.`, 'Give another --file.');
}

async function fetchInto(session: Session, { id, size }: Export, file: string): Promise<void> {
  const part = `${file}.part`;
  let done = 0;
  let breaks = 0;
  const target = createWriteStream(part, { mode: 0o600 });
  try {
    while (done < size) {
      try {
        const headers: Record<string, string> = done > 0 ? { range: `bytes=${done}-` } : {};
        for await (const chunk of session.client.download(`/v1/exports/${id}/data`, { headers, signal: session.io.signal })) {
          if (!target.write(chunk)) await new Promise((resolve) => target.once('drain', resolve));
          done += chunk.length;
          breaks = 0;
          session.progress.update(`${file}: ${bytes(done)} of ${bytes(size)}`);
        }
      } catch (error) {
        if (!(error instanceof Unreachable) || ++breaks > patience) throw error;
        await sleep(1_000, undefined, { signal: session.io.signal });
      }
    }
  } finally {
    await new Promise<void>((resolve, reject) => target.end((error?: Error | null) => (error ? reject(error) : resolve())));
    session.progress.clear();
  }
  await rename(part, file);
}
