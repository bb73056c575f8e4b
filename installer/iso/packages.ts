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

/** What builds the tiny guest, beside toolPackages. Its kernel is unpacked here and never started. */
export const guestToolPackages: Record<string, string> = {
  'linux-image-cloud-amd64': 'the guest’s kernel',
  'busybox-static': 'all programs of the guest',
  'grub-efi-amd64-bin': 'the guest’s boot loader under UEFI',
  fdisk: 'its partition table',
  e2fsprogs: 'its root file system',
  'xz-utils': 'unpacks kernel modules',
  'qemu-utils': 'qemu-img',
  kmod: 'order of kernel modules',
  libatomic1: 'Node.js',
  'libstdc++6': 'Node.js',
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
    'intel-microcode': 'processors’ own corrections',
    'amd64-microcode': 'processors’ own corrections',
    'firmware-bnx2': 'network adapters: Broadcom NetXtreme II',
    'firmware-bnx2x': 'network adapters: Broadcom NetXtreme II 10Gb',
    'firmware-cavium': 'network adapters: Cavium LiquidIO',
    'firmware-intel-misc': 'network adapters: Intel E100, ice',
    'firmware-misc-nonfree': 'network adapters: Chelsio, Mellanox and others',
    'firmware-myricom': 'network adapters: Myri-10G',
    'firmware-netronome': 'network adapters: Netronome Flow',
    'firmware-netxen': 'network adapters: QLogic 3000 and 3100',
    'firmware-qlogic': 'storage and network adapters: QLogic',
    'firmware-realtek': 'network adapters: Realtek',
    'util-linux': 'lsblk, mount, blockdev',
    procps: 'sysctl',
    iproute2: 'ip: taps, addresses, links',
    ethtool: 'link settings',
    'systemd-resolved': 'names the uplink’s servers know',
    'openvswitch-switch': 'the virtual switch',
    nftables: 'packet filter',
    conntrack: 'kube-proxy ends connections with it',
    'dnsmasq-base': 'DHCP and DNS on served networks',
    ipxe: 'other machines are installed over the network from here',
    keepalived: 'an address that moves between boxes',
    'qemu-system-x86': 'runs virtual machines',
    'qemu-utils': 'disk images',
    'qemu-block-extra': 'replicated pools: QEMU’s librbd',
    ovmf: 'UEFI firmware of virtual machines',
    swtpm: 'their TPMs',
    genisoimage: 'cloud-init seeds',
    'xz-utils': 'unpacks images',
    'ceph-mon': 'replicated pools',
    'ceph-mgr': 'replicated pools',
    'ceph-osd': 'replicated pools',
    'ceph-common': 'replicated pools',
    'python3-rados': 'replicated pools',
    'python3-rbd': 'replicated pools',
    lvm2: 'disks of replicated pools, and leftovers on used disks',
    mdadm: 'leftovers on used disks',
    chrony: 'time',
    lldpd: 'neighbours of uplinks',
    smartmontools: 'health of disks',
    'nvme-cli': 'health of NVMe disks',
    'openssh-server': 'a shell over the network, off until somebody asks for it',
    'vim-tiny': 'an editor for repairs',
    less: 'reading logs',
    'iputils-ping': 'is the network there?',
    tcpdump: 'what does the network say?',
  },
};

/** Components of Debian a variant takes packages from. */
export const components: Record<Variant, string[]> = { mini: ['main'], full: ['main', 'non-free-firmware'] };

export const imagePackages = (variant: Variant): string[] => Object.keys({ ...base, ...ofVariant[variant] }).sort();

/** npm packages the code in a variant imports, dependencies not counted. */
export const npmPackages: Record<Variant, string[]> = {
  mini: ['execa', 'typebox', 'yaml'],
  full: [
    '@fastify/rate-limit',
    '@fastify/websocket',
    '@kubernetes/client-node',
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

/** npm packages that are built into the console's files, dependencies not counted. */
export const consolePackages = [
  '@novnc/novnc',
  '@patternfly/patternfly',
  '@patternfly/react-core',
  '@patternfly/react-icons',
  '@patternfly/react-table',
  '@tanstack/react-query',
  '@xterm/addon-fit',
  '@xterm/xterm',
  'react',
  'react-dom',
  'react-router',
  'uplot',
];

/** What of the source tree goes to /usr/lib/croft. */
export const sourceParts: Record<Variant, string[]> = {
  mini: ['package.json', 'installer', 'appliance/errors.ts', 'appliance/host'],
  full: ['package.json', 'LICENSE', 'bin', 'installer', 'appliance', 'storage', 'network', 'ui-api'],
};

/** Services of Debian that cost start time or write where nothing can be written. */
export const maskedUnits: Record<Variant, string[]> = {
  mini: [
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
  ],
  full: [
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'dpkg-db-backup.timer',
    'e2scrub_all.timer',
    'e2scrub_reap.service',
    'ldconfig.service',
    'systemd-hwdb-update.service',
    'systemd-journal-catalog-update.service',
    'systemd-networkd-wait-online.service',
    'systemd-repart.service',
    'systemd-growfs-root.service',
    'mdmonitor-oneshot.timer',
    'mdcheck_start.timer',
    'mdcheck_continue.timer',
  ],
};

/** Units of Debian that its packages switch on and Croft starts where they are configured; ssh when somebody asks for it. */
export const disabledUnits: Record<Variant, string[]> = {
  mini: [],
  full: [
    'ssh.service',
    'keepalived.service',
    'ceph.target',
    'ceph-mon.target',
    'ceph-mgr.target',
    'ceph-osd.target',
    'ceph-crash.service',
    'rbdmap.service',
    'lvm2-monitor.service',
    'blk-availability.service',
    'nvmf-autoconnect.service',
    'nvmefc-boot-connections.service',
    'uuidd.socket',
    'dm-event.socket',
  ],
};

/** Units of Debian that only an installed box starts: a live system installs, and should be quick. */
export const installedOnlyUnits: Record<Variant, string[]> = {
  mini: [],
  full: [
    'openvswitch-switch.service',
    'ovsdb-server.service',
    'ovs-vswitchd.service',
    'ovs-record-hostname.service',
    'chrony.service',
    'lldpd.service',
    'smartmontools.service',
  ],
};

/** Units of Debian that its packages leave off. */
export const enabledUnits: Record<Variant, string[]> = {
  mini: [],
  full: ['systemd-networkd.service', 'systemd-resolved.service'],
};

/** Taken out of the full image: nothing Croft starts uses it. */
export const trimmed = [
  'usr/bin/radosgw-admin',
  'usr/bin/ceph-monstore-tool',
  'usr/bin/ceph-osdomap-tool',
  'usr/bin/ceph-kvstore-tool',
  'usr/bin/cephfs-journal-tool',
  'usr/bin/cephfs-table-tool',
  'usr/bin/cephfs-data-scan',
  'usr/bin/qemu-system-i386',
  'usr/share/qemu/hppa-firmware.img',
] as const;

/** Folders of kernel modules a server has no hardware for. */
export const trimmedModules = [
  'sound',
  'drivers/media',
  'drivers/net/wireless',
  'drivers/staging',
  'drivers/bluetooth',
  'drivers/iio',
  'net/mac80211',
  'net/bluetooth',
  'drivers/gpu/drm/amd',
  'drivers/gpu/drm/radeon',
  'drivers/gpu/drm/i915',
  'drivers/gpu/drm/xe',
  'drivers/gpu/drm/nouveau',
] as const;
