/** English: what is plugged into the box: uplinks, and the disks of replicated pools. */
import { count } from './count.ts';

export const enHardware = {
  disksOf: {
    title: (pool: string) => `Disks of ${pool}`,
    map: 'Disks, one by one',
    survives: (disks: number) =>
      disks === 0
        ? 'If a disk fails now, data may be lost.'
        : `Nothing is lost if ${count(disks, 'disk fails', 'disks fail')} now.`,
    replace: 'Replace…',
    replaceNamed: (disk: string) => `Replace ${disk}`,
    replaceTitle: (disk: string) => `Replace ${disk}`,
    replaceHelp: 'The copies that were on it are made anew on the other; machines go on meanwhile.',
    replaceSubmit: 'Replace',
    recovery: 'Copies that are there',
    recoveryLabel: (percent: number, pace: string | undefined, seconds: number | undefined) =>
      [
        `${percent} %`,
        pace === undefined ? undefined : `${pace} a second`,
        seconds === undefined ? undefined : seconds < 90 ? `${seconds} s to go` : `${Math.round(seconds / 60)} min to go`,
      ]
        .filter(Boolean)
        .join(', '),
    hours: (hours: number) => `${hours} h in use`,
    remove: 'Take out…',
    removeTitle: (disk: string) => `Take out ${disk}`,
    removeHelp: (path: string) =>
      `All that is on ${path} is moved to the other disks first; machines go on meanwhile. It may be pulled once it is gone from this page.`,
    removeSubmit: 'Take out',
    blink: 'Let it blink',
    blinkEnd: 'Stop blinking',
    blinkNamed: (disk: string) => `Let the light of ${disk} blink`,
    blinks: (what: string) => (what === 'light' ? 'Its light blinks.' : 'Its activity light goes on and off each second.'),
    add: 'Add disk',
    addTitle: (pool: string) => `Add a disk to ${pool}`,
    addHelp: 'It takes its share of the copies while machines go on.',
    path: 'Disk',
    pathHelp: 'For example /dev/disk/by-id/…; it must be empty, or be named below.',
    serial: 'Serial number, if it may be overwritten',
    serialHelp: 'Only this very disk is then wiped; left empty, a disk with data is refused.',
  },
  uplinks: {
    add: 'Create uplink',
    interfaces: 'Network devices',
    interfacesHelp: 'One, or several that work together as a bond.',
    otherDevice: 'Another device, by its name',
    takenBy: (uplink: string) => `It is in the uplink ${uplink}.`,
    edit: 'Edit',
    editTitle: (name: string) => `Settings of the uplink ${name}`,
    carries: 'What it carries',
    ways: { all: 'All VLANs', some: 'Some VLANs', one: 'One VLAN' },
    wayDetails: {
      all: 'A trunk with whatever the switch sends',
      some: 'A trunk with those you name',
      one: 'An access port: untagged on the wire',
    },
    native: 'Untagged on the wire',
    nativeHelp: 'A VLAN that the switch sends without a tag; empty: none.',
    mtuHelp: '1280 to 9216; empty: as it is.',
    mtuBad: 'Write a number from 1280 to 9216.',
    mode: 'Bond',
    modes: { 'active-backup': 'One works, the others wait', lacp: 'All work (LACP)' },
    vlans: 'VLANs',
    vlansHelp: 'Carried tagged, for example 20, 30.',
    accessOf: (vlan: number) => `VLAN ${vlan} only`,
    nativeOf: (vlan: number) => `untagged: ${vlan}`,
    mtu: 'MTU',
    memberStates: { up: 'link up', down: 'no link', missing: 'not there' } as Record<string, string>,
    undoes: 'Undo it by itself unless I confirm it within a minute',
    undoesHelp: 'A device this browser reaches the box by could be cut off; the box then puts everything back.',
    unconfirmed: (name: string, time: string) => `Uplink ${name}: undone at ${time} unless you keep it`,
    unconfirmedDetail: 'You read this, so the box is still reached.',
    keep: 'Keep it',
    empty: 'No uplinks yet',
    emptyDetail: 'An uplink is a network device of this box by which VLANs reach your switch.',
    deleteTitle: (name: string) => `Delete uplink ${name}?`,
    deleteBody: 'Its networks stay, but lead nowhere beyond this box until another uplink carries their VLANs.',
  },
} as const;
