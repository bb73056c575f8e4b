/**
 * Where the answers of an unattended installation come from; the first that is there is taken:
 * `croft.answers=URL` on the kernel command line, a second medium labelled CROFT-ANSWERS (CROFTANSWER on FAT,
 * whose labels are short) with the file answers.yaml, or the answers embedded in the installation medium.
 */
import { access, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError, messageOf } from '../appliance/errors.ts';
import { run } from '../appliance/host/exec.ts';
import { argumentOf } from './kernel-arguments.ts';

export type FoundAnswers = { text: string; source: string };

const labels = ['CROFT-ANSWERS', 'CROFTANSWER'];
const downloadTimeout = 60_000;

/** @throws CroftError `not-found` naming the places looked at, `download-failed` */
export async function findAnswers(commandLine: string, medium: string): Promise<FoundAnswers> {
  const url = argumentOf(commandLine, 'croft.answers');
  const found = url ? await download(url) : ((await onSecondMedium()) ?? (await embedded(medium)));
  if (found) return found;
  throw new CroftError(
    'not-found',
    `There are no answers: neither croft.answers=URL on the kernel command line, nor a medium labelled ${labels.join(' or ')} with answers.yaml, nor answers embedded in this medium.`,
    { fix: ['Give the answers in one of these ways and start again; docs/appliance.md describes them.'] },
  );
}

async function download(url: string): Promise<FoundAnswers> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeout) });
    if (!response.ok) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    return { text: await response.text(), source: url };
  } catch (cause) {
    throw new CroftError('download-failed', `croft.answers: ${url} could not be fetched: ${messageOf(cause)}`, { cause });
  }
}

async function onSecondMedium(): Promise<FoundAnswers | undefined> {
  for (const label of labels) {
    const device = `/dev/disk/by-label/${label}`;
    const there = await access(device).then(
      () => true,
      () => false,
    );
    if (!there) continue;
    const root = '/run/croft/answers';
    await mkdir(root, { recursive: true });
    await run(['mount', '-o', 'ro', device, root]);
    try {
      return { text: await readFile(join(root, 'answers.yaml'), 'utf8'), source: `answers.yaml on ${label}` };
    } finally {
      await run(['umount', root]);
    }
  }
  return undefined;
}

/** The medium reserves a file of zeros for them; `croft iso customize` fills it in place. */
async function embedded(medium: string): Promise<FoundAnswers | undefined> {
  const text = (await readFile(join(medium, 'croft/answers.yaml'), 'utf8')).replace(/\0+$/, '');
  return text.trim() === '' ? undefined : { text, source: 'answers embedded in the medium' };
}
