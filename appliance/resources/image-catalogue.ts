/**
 * Well-known cloud images by name: only addresses, never digests. The digest is read from the publisher's own checksum
 * file when an image is added, so that a newer build under the same address is taken as it is, and a file that the
 * publisher does not vouch for is refused. All addresses are https; `{file}` in a checksum address is the image's name.
 */
export type CatalogueImage = {
  /** What people type: `debian-13`. */
  name: string;
  title: string;
  /** Also understood: `fedora` for the newest Fedora listed here. */
  aliases?: readonly string[];
  /** Directory of the publisher, with a slash at its end. */
  base: string;
  file: string;
  /** Checksum file, relative to `base`: GNU or BSD style, or a bare digest. */
  checksums: string;
  /** Account that cloud-init gives the SSH keys to. */
  user: string;
  /** Firmware it boots under, where not both. */
  firmware?: 'bios' | 'efi';
};

const debian = (release: number, codename: string): CatalogueImage => ({
  name: `debian-${release}`,
  title: `Debian ${release} (${codename})`,
  base: `https://cloud.debian.org/images/cloud/${codename}/latest/`,
  // `generic`, not `genericcloud`: its kernel also has the drivers of SATA disks and e1000e NICs.
  file: `debian-${release}-generic-amd64.qcow2`,
  checksums: 'SHA512SUMS',
  user: 'debian',
});

const ubuntu = (release: string, codename: string): CatalogueImage => ({
  name: `ubuntu-${release}`,
  title: `Ubuntu ${release} LTS (${codename})`,
  base: `https://cloud-images.ubuntu.com/${codename}/current/`,
  file: `${codename}-server-cloudimg-amd64.img`,
  checksums: 'SHA256SUMS',
  user: 'ubuntu',
});

const alma = (release: number): CatalogueImage => ({
  name: `almalinux-${release}`,
  title: `AlmaLinux ${release}`,
  base: `https://repo.almalinux.org/almalinux/${release}/cloud/x86_64/images/`,
  file: `AlmaLinux-${release}-GenericCloud-latest.x86_64.qcow2`,
  checksums: 'CHECKSUM',
  user: 'almalinux',
});

export const imageCatalogue: readonly CatalogueImage[] = [
  debian(13, 'trixie'),
  debian(12, 'bookworm'),
  { ...ubuntu('24.04', 'noble'), aliases: ['ubuntu'] },
  ubuntu('22.04', 'jammy'),
  {
    name: 'fedora-43',
    title: 'Fedora Cloud 43',
    aliases: ['fedora'],
    base: 'https://dl.fedoraproject.org/pub/fedora/linux/releases/43/Cloud/x86_64/images/',
    file: 'Fedora-Cloud-Base-Generic-43-1.6.x86_64.qcow2',
    checksums: 'Fedora-Cloud-43-1.6-x86_64-CHECKSUM',
    user: 'fedora',
  },
  { ...alma(10), aliases: ['alma', 'almalinux'] },
  alma(9),
  {
    name: 'rocky-9',
    title: 'Rocky Linux 9',
    aliases: ['rocky'],
    base: 'https://dl.rockylinux.org/pub/rocky/9/images/x86_64/',
    file: 'Rocky-9-GenericCloud-Base.latest.x86_64.qcow2',
    checksums: '{file}.CHECKSUM',
    user: 'rocky',
  },
  {
    name: 'centos-stream-9',
    title: 'CentOS Stream 9',
    base: 'https://cloud.centos.org/centos/9-stream/x86_64/images/',
    file: 'CentOS-Stream-GenericCloud-9-latest.x86_64.qcow2',
    checksums: '{file}.SHA256SUM',
    user: 'cloud-user',
  },
  {
    name: 'opensuse-leap-15.6',
    title: 'openSUSE Leap 15.6',
    base: 'https://download.opensuse.org/distribution/leap/15.6/appliances/',
    file: 'openSUSE-Leap-15.6-Minimal-VM.x86_64-Cloud.qcow2',
    checksums: '{file}.sha256',
    user: 'opensuse',
  },
  {
    name: 'alpine-3.22',
    title: 'Alpine Linux 3.22',
    aliases: ['alpine'],
    base: 'https://dl-cdn.alpinelinux.org/alpine/v3.22/releases/cloud/',
    file: 'generic_alpine-3.22.2-x86_64-bios-cloudinit-r0.qcow2',
    checksums: '{file}.sha512',
    user: 'alpine',
    firmware: 'bios',
  },
  {
    name: 'arch',
    title: 'Arch Linux',
    base: 'https://geo.mirror.pkgbuild.com/images/latest/',
    file: 'Arch-Linux-x86_64-cloudimg.qcow2',
    checksums: '{file}.SHA256',
    user: 'arch',
  },
];

/** By name or alias. */
export const catalogueImageNamed = (name: string): CatalogueImage | undefined =>
  imageCatalogue.find((each) => each.name === name || each.aliases?.includes(name));

/** Where its bytes and the digests of them are. */
export const addressesOf = ({ base, file, checksums }: CatalogueImage): { url: string; checksums: string } => ({
  url: `${base}${file}`,
  checksums: `${base}${checksums.replace('{file}', file)}`,
});
