/** The root of the Debian image: which packages, and the few files that are ours. */
import { chmod, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../../appliance/errors.ts';
import type { Run } from '../tiny/kernel.ts';

/** What is in the guest, each with its reason. Dependencies come along, recommendations don't. */
export const guestPackages: Readonly<Record<string, string>> = {
  'linux-image-amd64': 'the generic kernel: unlike the cloud one it has drivers of SATA disks and e1000e NICs',
  'initramfs-tools': 'makes its initramfs, also after upgrades',
  'systemd-sysv': 'init',
  udev: 'devices',
  dbus: 'hostnamectl and friends',
  'systemd-resolved': 'name service for what netplan configures',
  'systemd-timesyncd': 'the time',
  'cloud-init': 'host name, users, keys, network from the seed',
  'netplan.io': 'carries out the seed’s network data',
  'cloud-guest-utils': 'growpart: the root grows with its disk',
  'openssh-server': 'signing in',
  'qemu-guest-agent': 'addresses and freezing for snapshots',
  'grub-efi-amd64-signed': 'boot loader under UEFI',
  'shim-signed': 'the same under Secure Boot',
  'ca-certificates': 'https',
  curl: 'fetching things',
  iproute2: 'ip',
  'iputils-ping': 'ping',
  kmod: 'modules',
  less: 'reading',
  sudo: 'the account debian becomes root by it',
  'vim-tiny': 'editing',
  zstd: 'compressed initramfs',
};

const trimmed = ['doc', 'man', 'info', 'locale', 'lintian', 'bash-completion'];

/**
 * no_timer_check, as other clouds' images have it: on a busy box a virtual CPU may not get its turn while the kernel looks
 * whether its timer ticks, and the kernel then gives up.
 */
const grubConfig = `serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
search --no-floppy --label root --set root
menuentry "Debian" {
  linux /vmlinuz root=LABEL=root ro console=tty0 console=ttyS0,115200 no_timer_check
  initrd /initrd.img
}
`;

/** Written over what the packages brought. The kernel's package keeps the links /vmlinuz and /initrd.img right. */
const files: Readonly<Record<string, string>> = {
  'boot/grub/grub.cfg': grubConfig,
  'etc/fstab': 'LABEL=root / ext4 errors=remount-ro 0 1\nLABEL=ESP /boot/efi vfat umask=0077,nofail 0 1\n',
  'etc/hostname': 'debian\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 debian\n::1 localhost ip6-localhost ip6-loopback\n',
  'etc/cloud/cloud.cfg.d/90_croft.cfg': '# Croft hands the seed in as a disk.\ndatasource_list: [NoCloud, None]\n',
  // Empty and not absent: the guest makes its own at its first start.
  'etc/machine-id': '',
};

/** The suite and sources of this machine's own Debian. @throws CroftError `missing-component` */
export async function debianSources(run: Run): Promise<{ suite: string; lines: string[] }> {
  const format = '$(SITE)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)';
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']);
  return parseSources(stdout);
}

/** Pure half of debianSources. Suites in order of the list; the plain one names the release. */
export function parseSources(targets: string): { suite: string; lines: string[] } {
  const found = targets.split('\n').flatMap((line) => {
    const [site = '', release = '', component = '', signedBy = ''] = line.split('|');
    const [, suite] = /^(bookworm|trixie|forky|sid)(?:-updates|-security)?$/.exec(release) ?? [];
    const option = signedBy.startsWith('/') ? `[signed-by=${signedBy}] ` : '';
    return suite && component === 'main'
      ? [{ suite, plain: suite === release, line: `deb ${option}${site} ${release} main` }]
      : [];
  });
  const suite = found.find(({ plain }) => plain)?.suite;
  if (!suite) {
    throw new CroftError(
      'missing-component',
      'apt knows no Debian mirror on this machine: the image is built from the one apt uses.',
      {
        fix: [
          'Give apt a Debian mirror, run apt-get update, then try again; or add the image by its name: croft image add debian-13.',
        ],
      },
    );
  }
  return { suite, lines: [...new Set(found.filter((entry) => entry.suite === suite).map(({ line }) => line))] };
}

/** Fills `tree`. @throws CroftError `missing-component`, `command-failed`, `command-timeout` */
export async function makeDebianTree(
  tree: string,
  {
    suite,
    lines,
    onLine,
    signal,
  }: { suite: string; lines: readonly string[]; onLine?: (line: string) => void; signal?: AbortSignal },
  run: Run,
): Promise<void> {
  const sources = `${tree}.list`;
  await writeFile(sources, `${lines.join('\n')}\n`);
  const excludes = trimmed.map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`);
  await run(
    [
      'mmdebstrap',
      '--variant=minbase',
      '--mode=root',
      '--format=directory',
      '--skip=check/qemu',
      '--aptopt=APT::Install-Recommends "false"',
      '--aptopt=Acquire::Retries "3"',
      ...excludes,
      '--dpkgopt=path-include=/usr/share/doc/*/copyright',
      `--include=${Object.keys(guestPackages).join(',')}`,
      suite,
      tree,
      sources,
    ],
    { timeout: 45 * 60_000, ...(onLine ? { onLine } : {}), ...(signal ? { signal } : {}) },
  );
  await settle(tree);
}

async function settle(tree: string): Promise<void> {
  for (const path of ['var/lib/apt/lists', 'var/cache/apt', 'var/log/apt'])
    await rm(join(tree, path), { recursive: true, force: true });
  for (const path of ['var/lib/apt/lists/partial', 'var/cache/apt/archives/partial', 'boot/efi', 'boot/grub']) {
    await mkdir(join(tree, path), { recursive: true });
  }
  // Every guest makes its own.
  const keys = (await readdir(join(tree, 'etc/ssh'))).filter((name) => name.startsWith('ssh_host_'));
  for (const name of keys) await rm(join(tree, 'etc/ssh', name));
  for (const [path, content] of Object.entries(files)) await writeFile(join(tree, path), content);
  await chmod(join(tree, 'boot/grub/grub.cfg'), 0o644);
  await rm(join(tree, 'etc/resolv.conf'), { force: true });
  await symlink('../run/systemd/resolve/stub-resolv.conf', join(tree, 'etc/resolv.conf'));
}
