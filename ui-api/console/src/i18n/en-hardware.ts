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
    interfacesHelp: 'For example eth1; several, such as eth1, eth2, make a bond.',
    mode: 'Bond',
    modes: { 'active-backup': 'One works, the others wait', lacp: 'All work (LACP)' },
    vlans: 'VLANs',
    vlansHelp: 'Carried tagged, for example 20, 30; empty: all.',
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
