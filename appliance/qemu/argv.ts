/** From a guest's spec to QEMU's command line. Pure: same spec and context, same argv; compared with literal text in the tests. */
import type { HypervFeatures } from '../resources/guest-features.ts';
import type { GuestDisk, GuestNic, GuestSpec } from '../vm/hypervisor.ts';
import { diskDevice, iothread, netdev, nicDevice, scsiController } from './devices.ts';
import { fixedSlots, rootPorts, seedPort, seedRootPort } from './pci.ts';
import type { RunDir } from './run-dir.ts';

export type ArgvContext = {
  /** Program name or path. */
  binary: string;
  accelerator: 'kvm' | 'tcg';
  /** Versioned machine type where the spec has none, e.g. `pc-q35-7.2`. */
  machine: string;
  runDir: RunDir;
  /** UEFI's code (shared) and variables (this VM's own); needed where `firmware` is efi. */
  efi?: { code: string; vars: string };
};

/** QEMU's option syntax doubles a comma inside a value. */
const escape = (value: string): string => value.replaceAll(',', ',,');

const mebibyte = 2 ** 20;

/**
 * The guest always starts with stopped vCPUs (`-S`): the service listens to monitor and serial console first, so
 * that neither an event nor a boot message is missed, and then lets it run.
 * @throws CroftError `invalid-input` when a device has no place
 */
export function buildArgv(spec: GuestSpec, context: ArgvContext): string[] {
  return [
    context.binary,
    ...option('-name', `guest=${escape(spec.title)},debug-threads=on`, '-uuid', spec.id),
    ...machineArgs(spec, context),
    ...kernelArgs(spec.kernel),
    ...cpuArgs(spec, context.accelerator),
    ...memoryArgs(spec, context.accelerator),
    ...option('-no-user-config', '-nodefaults', '-S', '-display', 'none', '-msg', 'timestamp=on'),
    ...(spec.incoming ? ['-incoming', 'defer'] : []),
    // The end of a guest is read from the monitor before QEMU is told to quit.
    ...option('-action', 'shutdown=pause,panic=pause,reboot=reset'),
    ...option('-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'),
    // The zone itself is in QEMU's environment.
    ...option('-rtc', `base=${spec.timezone === undefined ? 'utc' : 'localtime'},driftfix=slew`, '-boot', 'strict=on'),
    ...monitorArgs(context.runDir),
    ...option('-object', `iothread,id=${iothread}`),
    ...rootPorts(
      'nic',
      spec.nics.map(({ index }) => index),
      spec.ports?.nic,
    ).flatMap(device),
    ...rootPorts(
      'disk',
      spec.disks.map(({ index }) => index),
      spec.ports?.disk,
    ).flatMap(device),
    ...channelArgs(context.runDir),
    ...platformArgs(),
    ...(spec.graphics ? graphicsArgs(context.runDir) : []),
    ...spec.disks.flatMap(diskArgs),
    ...(spec.seedFile === undefined ? [] : seedArgs(spec.seedFile)),
    ...spec.nics.flatMap(nicArgs),
  ];
}

/** Words that belong together. */
const option = (...words: string[]): string[] => words;
const device = (options: string): string[] => option('-device', options);
const json = (options: unknown): string => JSON.stringify(options);

function machineArgs(spec: GuestSpec, { accelerator, machine, efi }: ArgvContext): string[] {
  const type = spec.machine ?? machine;
  const useEfi = spec.firmware === 'efi' && efi;
  const flash = useEfi ? ',pflash0=efi-code,pflash1=efi-vars' : '';
  return [
    ...(useEfi
      ? [
          ...option('-blockdev', json({ driver: 'file', 'node-name': 'efi-code', filename: efi.code, 'read-only': true })),
          ...option('-blockdev', json({ driver: 'file', 'node-name': 'efi-vars', filename: efi.vars })),
        ]
      : []),
    ...option('-machine', `${type},memory-backend=ram0,vmport=off,hpet=off${useEfi && spec.secureBoot ? ',smm=on' : ''}${flash}`),
    // Only System Management Mode may write the variables: else a guest could enrol a key of its own.
    ...(useEfi && spec.secureBoot
      ? option('-global', 'driver=cfi.pflash01,property=secure,value=on', '-global', 'ICH9-LPC.disable_s3=1')
      : []),
    ...option('-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi,tb-size=512'),
    ...(spec.smbiosUuid === undefined ? [] : ['-smbios', `type=1,uuid=${spec.smbiosUuid}`]),
  ];
}

const kernelArgs = (kernel: GuestSpec['kernel']): string[] =>
  kernel
    ? [
        ...option('-kernel', kernel.file),
        ...(kernel.initrd === undefined ? [] : ['-initrd', kernel.initrd]),
        ...(kernel.args === undefined ? [] : ['-append', kernel.args]),
      ]
    : [];

/** Upstream's names for "this machine's own CPU"; emulated, the most that TCG can do. */
const ownCpu = new Set<string | undefined>([undefined, 'host-passthrough', 'host-model']);

/** KubeVirt's names → QEMU's (docs/system/i386/hyperv.rst). */
const enlightenments: Record<Exclude<keyof HypervFeatures, 'spinlocks' | 'vendorid'>, string> = {
  relaxed: 'hv-relaxed',
  vapic: 'hv-vapic',
  vpindex: 'hv-vpindex',
  runtime: 'hv-runtime',
  synic: 'hv-synic',
  synictimer: 'hv-stimer',
  reset: 'hv-reset',
  frequencies: 'hv-frequencies',
  reenlightenment: 'hv-reenlightenment',
  tlbflush: 'hv-tlbflush',
  ipi: 'hv-ipi',
};

/** CPU flags of the enlightenments asked for; each that is there is on unless it says `enabled: false`. */
function hypervFlags(wish: HypervFeatures | undefined): string[] {
  if (!wish) return [];
  const flags = Object.entries(enlightenments).flatMap(([name, flag]) => {
    const feature = wish[name as keyof typeof enlightenments];
    return feature && feature.enabled !== false ? [flag] : [];
  });
  if (wish.synictimer && wish.synictimer.enabled !== false && wish.synictimer.direct && wish.synictimer.direct.enabled !== false)
    flags.push('hv-stimer-direct');
  if (wish.spinlocks && wish.spinlocks.enabled !== false) flags.push(`hv-spinlocks=${wish.spinlocks.spinlocks ?? 4096}`);
  if (wish.vendorid?.vendorid && wish.vendorid.enabled !== false) flags.push(`hv-vendor-id=${wish.vendorid.vendorid}`);
  // Windows wants the reference time counter with any of the others; QEMU's docs name it as their base.
  return flags.length > 0 ? ['hv-time', ...flags] : [];
}

function cpuArgs({ cpus, hyperv, hideKvm }: GuestSpec, accelerator: 'kvm' | 'tcg'): string[] {
  const own = accelerator === 'kvm' ? 'host' : 'max';
  const { sockets, cores, threads } = cpus;
  // They are KVM's: an emulated CPU has none of them.
  const flags = accelerator === 'kvm' ? [...hypervFlags(hyperv), ...(hideKvm ? ['kvm=off'] : [])] : [];
  return [
    ...option('-cpu', [ownCpu.has(cpus.model) ? own : escape(cpus.model as string), ...flags].join(',')),
    ...option('-smp', `${sockets * cores * threads},sockets=${sockets},cores=${cores},threads=${threads}`),
  ];
}

/** KiB. QEMU's own grain of `-m` (system/vl.c). */
const grain = 8;

/**
 * Emulated guests get one grain less than they ask for. QEMU before 9.0 forgets what an emulated guest writes while its
 * memory is being sent, where the memory's size is a multiple of 256 KiB: it then takes 64 pages' marks at once and does not
 * tell the vCPUs, which write on unmarked (mended by QEMU's 03bfc2188f). Any other size makes it take page by page, rightly.
 * Of both boxes of a migration the same size is demanded, so this asks for no version. Proof: dirty-pages.test.ts.
 */
function memoryArgs({ memory }: GuestSpec, accelerator: 'kvm' | 'tcg'): string[] {
  const whole = Math.max(1, Math.floor(memory / mebibyte));
  const size = accelerator === 'kvm' ? `${whole}M` : `${whole * 1024 - grain}K`;
  return ['-m', size, '-object', `memory-backend-ram,id=ram0,size=${size}`];
}

const listening = (id: string, path: string): string[] => ['-chardev', `socket,id=${id},path=${escape(path)},server=on,wait=off`];

const monitorArgs = (dir: RunDir): string[] => [
  ...listening('control', dir.control),
  ...option('-mon', 'chardev=control,mode=control'),
  ...listening('rescue', dir.rescue),
  ...option('-mon', 'chardev=rescue,mode=control'),
];

const channelArgs = (dir: RunDir): string[] => [
  ...listening('serial', dir.serial),
  ...option('-serial', 'chardev:serial'),
  ...device(`virtio-serial-pci,id=serial0,bus=pcie.0,addr=0x${fixedSlots.serial}`),
  ...listening('agent', dir.agent),
  ...device('virtserialport,id=agent0,bus=serial0.0,nr=1,chardev=agent,name=org.qemu.guest_agent.0'),
];

const platformArgs = (): string[] => [
  ...device(`virtio-scsi-pci,id=${scsiController},bus=pcie.0,addr=0x${fixedSlots.scsi}`),
  ...option('-object', 'rng-random,id=rng0,filename=/dev/urandom'),
  ...device(`virtio-rng-pci,rng=rng0,bus=pcie.0,addr=0x${fixedSlots.rng}`),
  // Statistics only: the guest gives unused pages back by itself, and what it uses can be asked.
  ...device(`virtio-balloon-pci,id=balloon0,bus=pcie.0,addr=0x${fixedSlots.balloon},free-page-reporting=on`),
  ...device(`pvpanic-pci,bus=pcie.0,addr=0x${fixedSlots.panic}`),
];

const graphicsArgs = (dir: RunDir): string[] => [
  ...device(`VGA,id=vga0,bus=pcie.0,addr=0x${fixedSlots.vga},vgamem_mb=16`),
  // A tablet, for its absolute coordinates; a guest without USB has the machine's PS/2 keyboard and mouse.
  ...device(`qemu-xhci,id=usb0,bus=pcie.0,addr=0x${fixedSlots.usb}`),
  ...device('usb-tablet,bus=usb0.0'),
  ...option('-vnc', `unix:${escape(dir.vnc)},share=force-shared`),
];

const diskArgs = (disk: GuestDisk): string[] => [
  ...(disk.graph?.nodes ?? []).flatMap((node) => ['-blockdev', json(node)]),
  ...device(json(diskDevice(disk))),
];

const seedArgs = (filename: string): string[] => [
  ...option('-blockdev', json({ driver: 'file', 'node-name': 'seed-file', filename, 'read-only': true })),
  ...option('-blockdev', json({ driver: 'raw', 'node-name': 'seed', file: 'seed-file', 'read-only': true })),
  ...device(seedRootPort()),
  ...device(`virtio-blk-pci,id=seed,drive=seed,bus=${seedPort.id}`),
];

const nicArgs = (nic: GuestNic): string[] => ['-netdev', json(netdev(nic)), ...device(json(nicDevice(nic)))];
