/**
 * The questions of an installation at the machine, as data: each screen shows lines, asks one thing, and accepts an
 * input or says what would be right. Plain lines of text, so that a serial line shows and takes the same as a screen.
 * Pure; converse.ts asks them.
 */
import { expectations, hostnamePattern, leastPassword } from '../answers.ts';
import type { Answers } from '../answers.ts';
import type { Disk } from '../disks.ts';
import { checkMachine, gibibytes, type Machine, refuseDisk } from '../preflight.ts';
import type { Release } from '../release.ts';

export type Facts = { release: Release; machine: Machine; disks: readonly Disk[] };
export type Choices = { disk?: Disk; hostname?: string; user?: string; password?: string };

export type Screen = {
  title: string;
  lines(facts: Facts, choices: Choices): string[];
  question: string;
  /** Taken for an empty line. */
  standard?(facts: Facts, choices: Choices): string | undefined;
  /** The input is not shown. */
  secret?: true;
  /** What the question is for, shown for `?`. */
  help: string;
  /** The choices with this input, or what would be right. */
  accept(input: string, facts: Facts, choices: Choices): Choices | string;
};

/** One line about a disk. */
export const describeDisk = (disk: Disk): string =>
  [
    disk.path,
    gibibytes(disk.size),
    disk.model,
    disk.serial && `serial ${disk.serial}`,
    disk.unfinished ? 'an unfinished installation' : disk.content.length > 0 ? `NOT EMPTY: ${disk.content.join(', ')}` : 'empty',
  ]
    .filter((part) => part !== '')
    .join(', ');

/** The first disk that is empty and fits. */
const emptyDisk = ({ disks, release }: Facts): number =>
  disks.findIndex((disk) => !disk.removable && refuseDisk(disk, release, false) === undefined);

const welcome: Screen = {
  title: 'Install Croft',
  lines: ({ release, machine }) => {
    const findings = checkMachine(machine, release).map(({ blocks, text }) => `${blocks ? 'STOP: ' : 'Note: '}${text}`);
    return [
      `This puts Croft ${release.version} on a disk of this machine. Nothing is written before you confirm.`,
      'Enter takes what stands in brackets, < goes back, ? explains.',
      ...findings,
    ];
  },
  question: 'Begin?',
  standard: () => 'yes',
  help: 'Four questions follow: the disk, the name, the administrator, the password. Then you confirm.',
  accept: (input, { release, machine }, choices) => {
    const blocking = checkMachine(machine, release).find(({ blocks }) => blocks);
    if (blocking) return `${blocking.text} It cannot be installed here.`;
    return /^y(es)?$/i.test(input) ? choices : 'Type yes, or switch the machine off.';
  },
};

const disk: Screen = {
  title: 'System disk',
  lines: (facts) => facts.disks.map((each, index) => `${index + 1}  ${describeDisk(each)}`),
  question: 'Number of the disk',
  standard: (facts) => (emptyDisk(facts) < 0 ? undefined : String(emptyDisk(facts) + 1)),
  help: 'Croft takes the whole disk: two places for releases, the rest for settings and virtual machines.',
  accept: (input, { disks, release }, choices) => {
    const chosen = disks[Number(input) - 1];
    if (!/^\d+$/.test(input) || !chosen)
      return disks.length === 0 ? 'The machine has no disk.' : `A number from 1 to ${disks.length}.`;
    return refuseDisk(chosen, release, true) ?? { ...choices, disk: chosen };
  },
};

const hostname: Screen = {
  title: 'Name of the box',
  lines: () => [],
  question: 'Name',
  standard: (_facts, choices) => choices.hostname ?? 'croft1',
  help: 'The name the box shows and is found by in your network. It can be changed later.',
  accept: (input, _facts, choices) =>
    new RegExp(hostnamePattern).test(input) ? { ...choices, hostname: input } : `The name ${expectations.hostname}.`,
};

const user: Screen = {
  title: 'Administrator',
  lines: () => ['Signs in to the console and over the network.'],
  question: 'User name',
  standard: (_facts, choices) => choices.user ?? 'admin',
  help: 'The first account. It can make others, and be replaced by them.',
  accept: (input, _facts, choices) =>
    new RegExp(hostnamePattern).test(input) ? { ...choices, user: input } : 'The name must be 1 to 63 of a-z, 0-9 and -.',
};

const password: Screen = {
  title: 'Password',
  lines: (_facts, choices) => [`For ${choices.user}, at least ${leastPassword} characters. It is not shown while you type.`],
  question: 'Password',
  secret: true,
  help: 'Kept as a hash once the box has started. A forgotten one is reset at the machine.',
  accept: (input, _facts, choices) =>
    input.length >= leastPassword
      ? { ...choices, password: input }
      : `${input.length} characters; it must be at least ${leastPassword}.`,
};

const confirm: Screen = {
  title: 'Ready',
  lines: (_facts, choices) => [
    `Disk           ${choices.disk ? describeDisk(choices.disk) : ''}`,
    `Name           ${choices.hostname}`,
    `Administrator  ${choices.user}`,
    'Network        an address by DHCP on every wired port',
    '',
    `EVERYTHING ON ${choices.disk?.path} IS ERASED.`,
  ],
  question: 'Type erase to begin',
  help: 'From here on the disk is written. Ended half way, start the medium again and repeat.',
  accept: (input, _facts, choices) => (input === 'erase' ? choices : 'Type the word erase, or < to change something.'),
};

export const screens: readonly Screen[] = [welcome, disk, hostname, user, password, confirm];

/** What the choices come to, for planInstallation: the chosen disk is the only one, and what is on it was agreed to. */
export function decide({ disk: chosen, hostname: name, user: administrator, password: secret }: Choices): {
  answers: Answers;
  disks: Disk[];
} {
  if (!chosen || !name || !administrator || !secret) throw new TypeError('a question was not answered');
  return {
    answers: { version: 1, hostname: name, systemDisk: 'auto', administrator: { name: administrator, password: secret } },
    disks: [{ ...chosen, content: [], removable: false }],
  };
}
