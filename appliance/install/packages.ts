/**
 * The one list of Debian packages Croft uses, with the reason for each. `npm start`, `npm test`, `.ci/run`, the
 * image builders and uninstall all read it; nothing else in the project names a package to install.
 *
 * Everything is installed without Recommends, so each program we call is listed by the package that carries it,
 * also where another package happens to bring it. Names are the same in Debian 12 and 13 unless `names` says
 * otherwise (checked against the package lists of both).
 */

/** What a package is needed for. `run` the service; `replicate` pools on several disks; `build-image` the tiny image; `build-debian` the Debian image; `build-iso` the appliance’s medium; `test` the tests. */
export type Need = 'run' | 'replicate' | 'build-image' | 'build-debian' | 'build-iso' | 'test';

/** What somebody is about to do; each purpose brings the needs of what it does. */
export type Purpose = 'run' | 'replicate' | 'build-image' | 'build-debian' | 'iso' | 'test-iso' | 'test';

export type DebianRelease = '12' | '13';

export type PackageEntry = {
  name: string;
  /** Which of our programs use it, and for what. */
  why: string;
  needed: Need;
  /** Another name in a release. */
  names?: Partial<Record<DebianRelease, string>>;
  /** Without it no VM can run at all; without the others something is missing, which the service names. */
  essential?: true;
};

export const packages: readonly PackageEntry[] = [
  { name: 'qemu-system-x86', why: 'runs the virtual machines', needed: 'run', essential: true },
  { name: 'qemu-utils', why: 'qemu-img: makes, clones, converts and checks disks', needed: 'run', essential: true },
  { name: 'ovmf', why: 'UEFI firmware for guests', needed: 'run' },
  { name: 'openvswitch-switch', why: 'the virtual switch: VLANs, trunks, uplinks', needed: 'run' },
  { name: 'dnsmasq-base', why: 'DHCP and DNS on the networks Croft serves', needed: 'run' },
  { name: 'nftables', why: 'address translation and packet filter of those networks', needed: 'run' },
  { name: 'iproute2', why: 'ip: taps, addresses, links', needed: 'run' },
  { name: 'ethtool', why: 'turns checksum offload off where the switch runs in user space', needed: 'run' },
  { name: 'util-linux', why: 'nsenter: the network namespace of a VM’s pod in a cluster', needed: 'run' },
  { name: 'kmod', why: 'modprobe: loads the kernel modules of KVM and Open vSwitch where there are any', needed: 'run' },
  { name: 'genisoimage', why: 'cloud-init seeds and driver CDs', needed: 'run' },
  { name: 'xz-utils', why: 'unpacks .xz images; kernel modules of the tiny image', needed: 'run' },
  { name: 'zstd', why: 'unpacks .zst images', needed: 'run' },
  { name: 'ceph-mon', why: 'replicated pools: the cluster’s map and keys', needed: 'replicate' },
  { name: 'ceph-mgr', why: 'replicated pools: the cluster’s figures', needed: 'replicate' },
  { name: 'ceph-osd', why: 'replicated pools: one per disk', needed: 'replicate' },
  { name: 'ceph-common', why: 'replicated pools: monmaptool, the account ceph', needed: 'replicate' },
  { name: 'python3-rados', why: 'replicated pools: commands to the cluster, records of volumes', needed: 'replicate' },
  { name: 'python3-rbd', why: 'replicated pools: makes, clones and snapshots disks', needed: 'replicate' },
  { name: 'qemu-block-extra', why: 'replicated pools: QEMU’s librbd', needed: 'replicate' },
  { name: 'busybox-static', why: 'the user space of the tiny image', needed: 'build-image' },
  { name: 'cpio', why: 'the initial RAM disk of the tiny image', needed: 'build-image' },
  { name: 'fdisk', why: 'sfdisk: partitions the images we build', needed: 'build-image' },
  { name: 'e2fsprogs', why: 'mke2fs -d: fills a root file system without mounting it', needed: 'build-image' },
  { name: 'dosfstools', why: 'mkfs.vfat: the EFI partition of the images we build', needed: 'build-image' },
  { name: 'mtools', why: 'mcopy: fills that partition without mounting it', needed: 'build-image' },
  { name: 'grub-pc-bin', why: 'boot loader of the images under BIOS', needed: 'build-image' },
  { name: 'grub-efi-amd64-bin', why: 'boot loader of the images under UEFI', needed: 'build-image' },
  { name: 'mmdebstrap', why: 'builds the roots of the Debian image and of the appliance', needed: 'build-debian' },
  { name: 'xorriso', why: 'finds the room for answers in a finished medium', needed: 'build-iso' },
  { name: 'git', why: 'the date of the last commit, which is that of the medium', needed: 'build-iso' },
  { name: 'chromium', why: 'the console’s end-to-end tests', needed: 'test' },
  { name: 'fonts-dejavu-core', why: 'text in that browser', needed: 'test' },
  { name: 'procps', why: 'ps and sysctl in the tests that compare the machine before and after', needed: 'test' },
];

const needsOf: Record<Purpose, readonly Need[]> = {
  // The first start builds the tiny image in the background.
  run: ['run', 'build-image'],
  // Only where somebody makes such a pool: Ceph takes much disk.
  replicate: ['replicate'],
  'build-image': ['build-image'],
  'build-debian': ['build-image', 'build-debian'],
  // Whatever else builds comes into roots of its own (installer/iso/packages.ts): the same bytes on every host.
  iso: ['build-debian', 'build-iso'],
  'test-iso': ['run', 'build-image', 'build-debian', 'build-iso'],
  test: ['run', 'replicate', 'build-image', 'test'],
};

/** The packages for a purpose, in list order. */
export function packagesFor(purpose: Purpose): PackageEntry[] {
  const needs = needsOf[purpose];
  return packages.filter((entry) => needs.includes(entry.needed));
}

/** The name of a package in a release. */
export const nameIn = (entry: PackageEntry, release: DebianRelease): string => entry.names?.[release] ?? entry.name;

/**
 * Megabytes all packages cost on a minimal system, dependencies included, measured in minimal Debian 12 and 13
 * (126 and 107 packages). Shown only where the package lists that would tell exactly are not there yet.
 */
export const roughSize: Record<DebianRelease, { packages: number; downloadMb: number; diskMb: number }> = {
  '12': { packages: 126, downloadMb: 62, diskMb: 277 },
  '13': { packages: 107, downloadMb: 59, diskMb: 277 },
};

/** Which Debian this is, from the text of os-release(5); undefined when it is none Croft knows. */
export function debianRelease(osRelease: string): DebianRelease | undefined {
  const field = (key: string): string => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1] ?? '';
  if (field('ID') !== 'debian') return undefined;
  const version = field('VERSION_ID').split('.')[0];
  return version === '12' || version === '13' ? version : undefined;
}
