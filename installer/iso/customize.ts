/**
 * Puts answers into an installation medium without making it anew: the image reserves room for them, which is
 * overwritten in place. Boot records and the hybrid partition table stay as they are. The answers are outside the
 * release's checksums: who can write the image can change them.
 */
import { open } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { parseAnswers } from '../answers.ts';
import { reserved } from './image.ts';

export type Customization = {
  /** The answers file's text; it is checked first. */
  answers?: string;
  /** The menu entry that starts by itself. */
  entry?: 'live' | 'ask' | 'install';
  /** Seconds the menu waits. */
  timeout?: number;
  /** Added to the kernel command line. */
  kernelArguments?: string;
};

const sectorSize = 2048;

/** Changes the image file. @throws CroftError `invalid-input` for answers that are wrong or too long */
export async function customizeIso(iso: string, { answers, entry, timeout, kernelArguments }: Customization): Promise<void> {
  if (answers !== undefined) {
    parseAnswers(answers);
    await overwrite(iso, 'croft/answers.yaml', answers, '\0');
  }
  const settings = [
    ...(entry === undefined ? [] : [`set default=${entry}`]),
    ...(timeout === undefined ? [] : [`set timeout=${timeout}`]),
    ...(kernelArguments === undefined ? [] : [`set croft_arguments="${quotable(kernelArguments)}"`]),
  ];
  if (settings.length > 0) await overwrite(iso, 'croft/boot.cfg', `${settings.join('\n')}\n`, '\n');
}

function quotable(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text) && !/["\\$]/.test(text)) return text;
  throw new CroftError('invalid-input', `kernel arguments: ${JSON.stringify(text)} may hold printable ASCII except ", \\ and $.`);
}

async function overwrite(iso: string, name: keyof typeof reserved, text: string, padding: string): Promise<void> {
  const content = Buffer.alloc(reserved[name], padding);
  const bytes = Buffer.from(text);
  if (bytes.length > content.length) {
    throw new CroftError('invalid-input', `${name}: ${bytes.length} bytes; the image has room for ${content.length}.`);
  }
  bytes.copy(content);
  const position = await positionOf(iso, name);
  const handle = await open(iso, 'r+');
  try {
    await handle.write(content, 0, content.length, position);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function positionOf(iso: string, name: keyof typeof reserved): Promise<number> {
  const { stdout } = await run(['xorriso', '-indev', iso, '-find', `/${name}`, '-exec', 'report_lba'], { timeout: 120_000 });
  const [, first, size] = /^File data lba:\s*\d+\s*,\s*(\d+)\s*,\s*\d+\s*,\s*(\d+)\s*,/m.exec(stdout) ?? [];
  if (first === undefined || Number(size) !== reserved[name]) {
    throw new CroftError('invalid-input', `${iso} is no Croft installation medium: it reserves no room for ${name}.`);
  }
  return Number(first) * sectorSize;
}
