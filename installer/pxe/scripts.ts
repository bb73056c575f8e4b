/**
 * What machines are told that start over the network; pure. The firmware's own PXE loads iPXE by TFTP, iPXE asks again
 * by DHCP and gets an address of our HTTP server, whose script names the machine by its MAC address and is told what
 * to do: install (there are answers for it, and it was not installed yet) or go on with its next boot device.
 */
import { isIPv4 } from 'node:net';
import { CroftError } from '../../appliance/errors.ts';

/** `52-54-00-12-34-56`, as iPXE's `hexhyp` writes it; undefined for anything else. */
export const macName = (text: string): string | undefined => {
  const name = text.toLowerCase().replaceAll(':', '-');
  return /^[0-9a-f]{2}(-[0-9a-f]{2}){5}$/.test(name) ? name : undefined;
};

/** The first script: the same for all. */
export const firstScript = (base: string): string => `#!ipxe\nchain ${base}/machine/\${mac:hexhyp}.ipxe || exit\n`;

/** For a machine that is to be left alone. */
export const passScript = (why: string): string => `#!ipxe\necho Croft: ${why}\nsleep 3\nexit\n`;

/** For a machine that is to be installed. `initrd=` is what a kernel under UEFI needs to find it. */
export function installScript(base: string, mac: string, extra = ''): string {
  const words = [
    'initrd=initrd.img',
    'boot=live',
    `fetch=${base}/live/filesystem.squashfs`,
    'ip=dhcp',
    'croft.install',
    `croft.from=${base}`,
    `croft.answers=${base}/machine/${mac}.yaml`,
    `croft.report=${base}/machine/${mac}/installed`,
    'panic=20',
    'console=tty0',
    'console=ttyS0,115200',
    ...(extra === '' ? [] : [extra]),
  ];
  return `#!ipxe\nkernel ${base}/live/vmlinuz ${words.join(' ')}\ninitrd --name initrd.img ${base}/live/initrd.img\nboot\n`;
}

export type DhcpPlan = {
  interface: string;
  /** Our address on it. */
  address: string;
  /** `FIRST-LAST`: addresses that we give; without it another server gives them, and we only say what to start. */
  range?: string;
  /** Folder with undionly.kpxe and snponly.efi. */
  loaders: string;
  base: string;
  leases: string;
};

/** Arguments of dnsmasq(8). @throws CroftError `invalid-input` for a range that is none */
export function dnsmasqArguments({ interface: link, address, range, loaders, base, leases }: DhcpPlan): [string, ...string[]] {
  const [first = '', last = '', ...more] = range?.split('-') ?? [];
  if (range !== undefined && !(isIPv4(first) && isIPv4(last) && more.length === 0)) {
    throw new CroftError('invalid-input', `--range: ${JSON.stringify(range)} is not FIRST-LAST, e.g. 192.0.2.50-192.0.2.99.`);
  }
  const script = `${base}/boot.ipxe`;
  return [
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--log-facility=-',
    '--port=0',
    `--interface=${link}`,
    '--bind-interfaces',
    `--dhcp-leasefile=${leases}`,
    '--enable-tftp',
    `--tftp-root=${loaders}`,
    '--dhcp-match=set:ipxe,175',
    '--dhcp-match=set:efi,option:client-arch,7',
    '--dhcp-match=set:efi,option:client-arch,9',
    ...(range === undefined
      ? [
          `--dhcp-range=${address},proxy`,
          '--pxe-service=tag:!ipxe,x86PC,Croft,undionly.kpxe',
          '--pxe-service=tag:!ipxe,X86-64_EFI,Croft,snponly.efi',
          '--pxe-service=tag:!ipxe,BC_EFI,Croft,snponly.efi',
          `--dhcp-boot=tag:ipxe,${script}`,
        ]
      : [
          `--dhcp-range=${first},${last},1h`,
          // No way out and no names: an installation needs this server only.
          '--dhcp-option=option:router',
          '--dhcp-option=option:dns-server',
          `--dhcp-boot=tag:ipxe,${script}`,
          `--dhcp-boot=tag:!ipxe,tag:efi,snponly.efi,,${address}`,
          `--dhcp-boot=tag:!ipxe,tag:!efi,undionly.kpxe,,${address}`,
        ]),
  ];
}
