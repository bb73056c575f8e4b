import { describe, expect, test } from 'vitest';
import { buildArgv } from '../../../appliance/qemu/argv.ts';
import { diskDevice, isNodeOf, netdev, nicDevice, parseDeviceId } from '../../../appliance/qemu/devices.ts';
import { rootPorts } from '../../../appliance/qemu/pci.ts';
import { runDirOf } from '../../../appliance/qemu/run-dir.ts';
import type { GuestDisk, GuestNic, GuestSpec } from '../../../appliance/vm/hypervisor.ts';

const id = '01a1fe4f-6dba-7c2e-a1de-adca7d41ce7b';
const io = `/run/croft/vms/${id}/io`;
const context = {
  binary: 'qemu-system-x86_64',
  accelerator: 'tcg' as const,
  machine: 'pc-q35-7.2',
  runDir: runDirOf('/run/croft/vms', id),
};
const root: GuestDisk = {
  name: 'root',
  index: 0,
  kind: 'disk',
  bus: 'virtio',
  bootOrder: 1,
  graph: {
    nodes: [
      { driver: 'file', 'node-name': 'd0-file', filename: '/p/v.qcow2' },
      { driver: 'qcow2', 'node-name': 'd0', file: 'd0-file' },
    ],
    top: 'd0',
  },
};
const lan: GuestNic = {
  name: 'lan',
  index: 0,
  mac: '52:54:00:00:00:01',
  model: 'virtio',
  tap: { ifname: 'ctadca7d41cen0', offloads: true, mtu: 1500 },
};
const spec: GuestSpec = {
  id,
  title: 'default/a,b',
  epoch: 1,
  cpus: { sockets: 1, cores: 2, threads: 1 },
  memory: 256 * 2 ** 20,
  firmware: 'bios',
  disks: [root],
  nics: [lan],
  graphics: false,
};

/** One option with its value per line. */
const lines = (argv: string[]): string[] => {
  const found: string[] = [];
  for (const word of argv) {
    if (found.length === 0 || word.startsWith('-')) found.push(word);
    else found[found.length - 1] += ` ${word}`;
  }
  return found;
};

test('enlightenments, hidden KVM, a zone and Secure Boot are on the command line', () => {
  const wish = { relaxed: {}, spinlocks: { spinlocks: 8191 }, synictimer: { direct: {} }, vapic: { enabled: false } };
  const windows: GuestSpec = {
    ...spec,
    hyperv: wish,
    hideKvm: true,
    timezone: 'Europe/Berlin',
    firmware: 'efi',
    secureBoot: true,
  };
  const kvm = { ...context, accelerator: 'kvm' as const, efi: { code: '/c', vars: '/v' } };
  const argv = buildArgv(windows, kvm);
  expect(argv[argv.indexOf('-cpu') + 1]).toBe('host,hv-time,hv-relaxed,hv-stimer,hv-stimer-direct,hv-spinlocks=8191,kvm=off');
  expect(argv[argv.indexOf('-rtc') + 1]).toBe('base=localtime,driftfix=slew');
  expect(argv[argv.indexOf('-machine') + 1]).toContain('smm=on');
  expect(argv).toContain('driver=cfi.pflash01,property=secure,value=on');
  // Emulated, there is nothing to enlighten.
  const emulated = buildArgv(windows, context);
  expect(emulated[emulated.indexOf('-cpu') + 1]).toBe('max');
});

test('a kernel of its own is on the command line, each word as it is', () => {
  const kernel = { file: '/f/k,1', initrd: '/f/i', args: 'console=ttyS0 a=b,c' };
  expect(lines(buildArgv({ ...spec, kernel }, context)).filter((line) => /^-(kernel|initrd|append)/.test(line))).toEqual([
    '-kernel /f/k,1',
    '-initrd /f/i',
    '-append console=ttyS0 a=b,c',
  ]);
  expect(buildArgv(spec, context)).not.toContain('-kernel');
});

test('a CD drive may be empty', () => {
  expect(diskDevice({ name: 'cd', index: 2, kind: 'cdrom', bus: 'sata' })).toEqual({
    driver: 'ide-cd',
    id: 'disk2-cd',
    bus: 'ide.2',
  });
});

describe('buildArgv', () => {
  test('a small BIOS guest, literally', () => {
    expect(lines(buildArgv(spec, context))).toEqual([
      'qemu-system-x86_64',
      '-name guest=default/a,,b,debug-threads=on',
      `-uuid ${id}`,
      '-machine pc-q35-7.2,memory-backend=ram0,vmport=off,hpet=off',
      '-accel tcg,thread=multi,tb-size=512',
      '-cpu max',
      '-smp 2,sockets=1,cores=2,threads=1',
      // Not a multiple of 256 KiB: dirty-pages.test.ts says why.
      '-m 262136K',
      '-object memory-backend-ram,id=ram0,size=262136K',
      '-no-user-config',
      '-nodefaults',
      '-S',
      '-display none',
      '-msg timestamp=on',
      '-action shutdown=pause,panic=pause,reboot=reset',
      '-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
      '-rtc base=utc,driftfix=slew',
      '-boot strict=on',
      `-chardev socket,id=control,path=${io}/control.sock,server=on,wait=off`,
      '-mon chardev=control,mode=control',
      `-chardev socket,id=rescue,path=${io}/rescue.sock,server=on,wait=off`,
      '-mon chardev=rescue,mode=control',
      '-object iothread,id=io0',
      '-device pcie-root-port,id=port-nic0,bus=pcie.0,addr=0x10.0x0,chassis=1,io-reserve=0,multifunction=on',
      '-device pcie-root-port,id=port-nic1,bus=pcie.0,addr=0x10.0x1,chassis=2,io-reserve=0',
      '-device pcie-root-port,id=port-nic2,bus=pcie.0,addr=0x10.0x2,chassis=3,io-reserve=0',
      '-device pcie-root-port,id=port-nic3,bus=pcie.0,addr=0x10.0x3,chassis=4,io-reserve=0',
      ...rootPorts('disk', [0]).map((port) => `-device ${port}`),
      `-chardev socket,id=serial,path=${io}/serial.sock,server=on,wait=off`,
      '-serial chardev:serial',
      '-device virtio-serial-pci,id=serial0,bus=pcie.0,addr=0x3',
      `-chardev socket,id=agent,path=${io}/agent.sock,server=on,wait=off`,
      '-device virtserialport,id=agent0,bus=serial0.0,nr=1,chardev=agent,name=org.qemu.guest_agent.0',
      '-device virtio-scsi-pci,id=scsi0,bus=pcie.0,addr=0x2',
      '-object rng-random,id=rng0,filename=/dev/urandom',
      '-device virtio-rng-pci,rng=rng0,bus=pcie.0,addr=0x4',
      '-device virtio-balloon-pci,id=balloon0,bus=pcie.0,addr=0x5,free-page-reporting=on',
      '-device pvpanic-pci,bus=pcie.0,addr=0x7',
      '-blockdev {"driver":"file","node-name":"d0-file","filename":"/p/v.qcow2"}',
      '-blockdev {"driver":"qcow2","node-name":"d0","file":"d0-file"}',
      '-device {"driver":"virtio-blk-pci","bus":"port-disk0","iothread":"io0","id":"disk0-root","drive":"d0","bootindex":1,"werror":"stop","rerror":"stop"}',
      '-netdev {"type":"tap","id":"net0","ifname":"ctadca7d41cen0","script":"no","downscript":"no","vnet_hdr":true,"vhost":false}',
      '-device {"driver":"virtio-net-pci","id":"nic0-lan","netdev":"net0","mac":"52:54:00:00:00:01","bus":"port-nic0","romfile":"","host_mtu":1500}',
    ]);
  });

  test('UEFI, KVM, graphics, seed, SMBIOS uuid and a machine of its own', () => {
    const argv = lines(
      buildArgv(
        { ...spec, firmware: 'efi', graphics: true, seedFile: '/d/seed,1.iso', smbiosUuid: 'aaaa', machine: 'pc-q35-7.1' },
        { ...context, accelerator: 'kvm', efi: { code: '/o/CODE.fd', vars: '/d/efi/x.fd' } },
      ),
    );
    for (const line of [
      '-blockdev {"driver":"file","node-name":"efi-code","filename":"/o/CODE.fd","read-only":true}',
      '-blockdev {"driver":"file","node-name":"efi-vars","filename":"/d/efi/x.fd"}',
      '-machine pc-q35-7.1,memory-backend=ram0,vmport=off,hpet=off,pflash0=efi-code,pflash1=efi-vars',
      '-accel kvm',
      '-cpu host',
      '-smbios type=1,uuid=aaaa',
      '-device VGA,id=vga0,bus=pcie.0,addr=0x1,vgamem_mb=16',
      '-device qemu-xhci,id=usb0,bus=pcie.0,addr=0x6',
      '-device usb-tablet,bus=usb0.0',
      `-vnc unix:${io}/vnc.sock,share=force-shared`,
      '-blockdev {"driver":"file","node-name":"seed-file","filename":"/d/seed,1.iso","read-only":true}',
      '-device pcie-root-port,id=port-seed,bus=pcie.0,addr=0x1c,chassis=41,io-reserve=0',
      '-device virtio-blk-pci,id=seed,drive=seed,bus=port-seed',
    ]) {
      expect(argv).toContain(line);
    }
  });

  test('a named CPU model is passed on; host-model means the own one', () => {
    expect(buildArgv({ ...spec, cpus: { ...spec.cpus, model: 'Skylake-Server' } }, context)).toContain('Skylake-Server');
    expect(buildArgv({ ...spec, cpus: { ...spec.cpus, model: 'host-model' } }, context)).toContain('max');
  });
});

describe('devices', () => {
  test('over a userspace switch a virtio NIC leaves nothing to the host', () => {
    const device = nicDevice({ ...lan, tap: { ifname: 't', offloads: false, mtu: 9000 } });
    for (const name of [
      'csum',
      'gso',
      'guest_csum',
      'guest_tso4',
      'guest_tso6',
      'guest_ecn',
      'guest_ufo',
      'host_tso4',
      'host_tso6',
    ]) {
      expect(device[name]).toBe(false);
    }
    expect(device.host_mtu).toBe(9000);
  });

  test('without a tap: user-mode networking; e1000e has no virtio options; a boot order keeps the boot ROM', () => {
    const nic: GuestNic = { ...lan, tap: undefined, model: 'e1000e', bootOrder: 2 };
    expect(netdev(nic)).toEqual({ type: 'user', id: 'net0' });
    expect(nicDevice(nic)).toEqual({
      driver: 'e1000e',
      id: 'nic0-lan',
      netdev: 'net0',
      mac: lan.mac,
      bus: 'port-nic0',
      bootindex: 2,
    });
  });

  test('SCSI and SATA', () => {
    expect(diskDevice({ ...root, bus: 'scsi', index: 3, bootOrder: undefined, serial: 's1' })).toEqual({
      driver: 'scsi-hd',
      bus: 'scsi0.0',
      'scsi-id': 0,
      lun: 3,
      id: 'disk3-root',
      drive: 'd0',
      serial: 's1',
      werror: 'stop',
      rerror: 'stop',
    });
    expect(diskDevice({ ...root, bus: 'sata', kind: 'cdrom' })).toEqual({
      driver: 'ide-cd',
      bus: 'ide.0',
      id: 'disk0-root',
      drive: 'd0',
      bootindex: 1,
    });
    expect(() => diskDevice({ ...root, bus: 'sata', index: 6 })).toThrow(/6 ports/);
    expect(() => diskDevice({ ...root, kind: 'cdrom' })).toThrow(/needs bus sata or scsi/);
  });

  test('ids are read back; block nodes belong to one index', () => {
    expect(parseDeviceId('disk12-my-data')).toEqual({ kind: 'disk', index: 12, name: 'my-data' });
    expect(parseDeviceId('port-disk0')).toBeUndefined();
    expect(parseDeviceId('seed')).toBeUndefined();
    expect(isNodeOf(1, 'd1-file')).toBe(true);
    expect(isNodeOf(1, 'd10')).toBe(false);
  });
});

describe('rootPorts', () => {
  test('addresses depend on the index alone, and spare ones are left', () => {
    const few = rootPorts('disk', [0]);
    const many = rootPorts('disk', [0, 9]);
    expect(few).toHaveLength(8);
    expect(many).toHaveLength(14);
    expect(many.slice(0, 8)).toEqual(few);
    expect(many[8]).toBe('pcie-root-port,id=port-disk8,bus=pcie.0,addr=0x13.0x0,chassis=25,io-reserve=0,multifunction=on');
  });

  test('refuses what has no place', () => {
    expect(() => rootPorts('nic', [16])).toThrow(/16 nics/);
  });
});
