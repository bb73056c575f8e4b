/** Debian packages of the image's layers, with the reason for each. */

export type Variant = 'mini' | 'full';

/** What builds images, in a root of its own: the host needs only mmdebstrap. */
export const toolPackages: Record<string, string> = {
  xorriso: 'ISO images',
  'grub-pc-bin': 'GRUB for BIOS',
  'grub2-common': 'grub-mkimage',
  'grub-common': 'grub-mkimage',
  'grub-efi-amd64-signed': 'the GRUB that Secure Boot starts',
  'shim-signed': 'what Microsoft’s keys start',
  mtools: 'fills the EFI image',
  dosfstools: 'file systems of EFI partitions',
  'squashfs-tools': 'the root file system',
};

/** In every image: it boots, installs itself and watches its own health. */
const base: Record<string, string> = {
  systemd: 'service manager',
  'systemd-sysv': 'init, reboot',
  'systemd-repart': 'partitions the system disk',
  udev: 'device names',
  dbus: 'systemctl talks over it',
  kmod: 'modules',
  'live-boot': 'the root from CD, stick, slot or HTTP',
  'live-boot-initramfs-tools': 'the same, its part in the initramfs',
  'initramfs-tools': 'builds the initramfs',
  zstd: 'compresses it',
  dosfstools: 'the EFI and environment partitions',
  mtools: 'fills them without mounting',
  e2fsprogs: 'the state partition',
  xorriso: 'writes a slot',
  libatomic1: 'Node.js',
  'libstdc++6': 'Node.js',
  'ca-certificates': 'answers and bundles over HTTPS',
};

/** `mini` has the virtual machines' kernel without USB: for tests of boot, installation and updates only. */
const ofVariant: Record<Variant, Record<string, string>> = {
  mini: { 'linux-image-cloud-amd64': 'kernel for virtual machines' },
  full: {
    'linux-image-amd64': 'kernel',
    iproute2: 'ip: taps, addresses, links',
    'openvswitch-switch': 'the virtual switch',
    nftables: 'packet filter',
    'dnsmasq-base': 'DHCP and DNS on served networks',
    ethtool: 'link settings',
    'qemu-system-x86': 'runs virtual machines',
    'qemu-utils': 'disk images',
    ovmf: 'UEFI firmware of virtual machines',
    swtpm: 'their TPMs',
    genisoimage: 'cloud-init seeds',
    chrony: 'time',
    lldpd: 'neighbours of uplinks',
    smartmontools: 'health of disks',
    'nvme-cli': 'health of NVMe disks',
  },
};

export const imagePackages = (variant: Variant): string[] => Object.keys({ ...base, ...ofVariant[variant] }).sort();

/** npm packages the code in a variant imports, dependencies not counted. */
export const npmPackages: Record<Variant, string[]> = {
  mini: ['execa', 'typebox', 'yaml'],
  full: [
    '@fastify/rate-limit',
    '@fastify/websocket',
    '@node-rs/argon2',
    'commander',
    'execa',
    'fastify',
    'pino',
    'prom-client',
    'typebox',
    'ws',
    'yaml',
  ],
};

/** What of the source tree goes to /usr/lib/croft. */
export const sourceParts: Record<Variant, string[]> = {
  mini: ['package.json', 'installer', 'appliance/errors.ts', 'appliance/host'],
  full: ['package.json', 'LICENSE', 'bin', 'installer', 'appliance', 'storage', 'network', 'ui-api'],
};

/** Services of Debian that cost start time or write where nothing can be written. */
export const maskedUnits = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'ldconfig.service',
  'systemd-hwdb-update.service',
  'systemd-journal-catalog-update.service',
  'systemd-networkd-wait-online.service',
  'systemd-repart.service',
  'systemd-growfs-root.service',
];

/** Units of Debian that its packages leave off. */
export const enabledUnits: Record<Variant, string[]> = { mini: [], full: ['systemd-networkd.service'] };
