/** A guest that boots a kernel directly: kernel and initrd out of an image that is a tar archive, no disk at all. */
import { mkdir, copyFile, readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { run } from '../../appliance/host/exec.ts';
import { cpio } from '../../storage/images/tiny/cpio.ts';
import { fetchKernel } from '../../storage/images/tiny/kernel.ts';
import { createBox, type TestBox } from '../helpers/box.ts';
import { eventually } from '../helpers/eventually.ts';

let box: TestBox;

const init = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox mount -t proc proc /proc
echo "booted with: $(/bin/busybox cat /proc/cmdline)"
exec /bin/busybox sleep 100000
`;

/** An archive as `docker export` makes one, with a path below a directory. */
async function makeArchive(directory: string): Promise<string> {
  const { image } = await fetchKernel(process.env.CROFT_CACHE ?? join(homedir(), '.cache/croft'), run);
  const tree = join(directory, 'tree');
  await mkdir(join(tree, 'boot'), { recursive: true });
  await copyFile(image, join(tree, 'boot/vmlinuz'));
  const initrd = cpio([
    { path: 'bin', directory: true },
    { path: 'dev', directory: true },
    { path: 'dev/console', device: { major: 5, minor: 1 } },
    { path: 'bin/busybox', mode: 0o755, content: await readFile('/bin/busybox') },
    { path: 'init', mode: 0o755, content: Buffer.from(init) },
  ]);
  await writeFile(join(tree, 'boot/initrd.gz'), gzipSync(initrd));
  const file = join(directory, 'kernel.tar.gz');
  await run(['tar', '-czf', file, '-C', tree, '.']);
  return file;
}

beforeAll(async () => {
  box = await createBox();
  const archive = await makeArchive(box.directory);
  await box.start();
  await box.croft(['image', 'add', archive, '--name', 'kernels', '--timeout', '60s']);
}, 120_000);

afterAll(async () => {
  await box?.dispose();
}, 60_000);

const said = (name: string, text: string) =>
  box.croft(['vm', 'console', name, '--expect', text, '--timeout', '90s'], { timeout: 100_000 });

it('boots with its command line by BIOS and by UEFI, and again after a change', { timeout: 300_000 }, async () => {
  for (const firmware of ['bios', 'efi']) {
    const from = ['--kernel-image', 'kernels', '--kernel', '/boot/vmlinuz', '--initrd', '/boot/initrd.gz'];
    const args = ['--kernel-args', `console=ttyS0 quiet croft.test=${firmware}`, '--firmware', firmware];
    await box.croft(['vm', 'create', firmware, ...from, ...args, '--cpus', '1', '--memory', '192Mi']);
    await said(firmware, `booted with: .*croft.test=${firmware}`);
  }
  const kernelBoot = { image: 'kernels', kernel: 'boot/vmlinuz', initrd: 'boot/initrd.gz', args: 'console=ttyS0 croft.test=2' };
  await box.croft(['vm', 'stop', 'bios', '--force']);
  await box.croft(['api', 'PATCH', '/v1/vms/bios', '-H', 'If-Match=*', '-d', JSON.stringify({ kernelBoot })]);
  await box.croft(['vm', 'start', 'bios']);
  await said('bios', 'booted with: .*croft.test=2');
});

it('keeps its image, and says what is wrong with a path', { timeout: 120_000 }, async () => {
  const refused = await box.croft(['image', 'delete', 'kernels', '--yes'], { okCodes: [5] });
  expect(refused.stderr).toContain('has the kernel of 2 VMs: bios, efi');
  const from = ['--kernel-image', 'kernels', '--kernel', '/boot/none'];
  await box.croft(['vm', 'create', 'wrong', ...from, '--cpus', '1', '--memory', '64Mi', '--no-wait']);
  await eventually(
    async () =>
      expect((await box.croft(['vm', 'explain', 'wrong'])).stdout).toMatch(
        /Image kernels: There is no plain file \/boot\/none in the archive; it has boot\/(initrd.gz|vmlinuz), boot\//,
      ),
    { timeout: 30_000 },
  );
  // Their init hears no power button.
  await box.croft(['vm', 'stop', 'bios', 'efi', 'wrong', '--force']);
  for (const name of ['bios', 'efi', 'wrong']) await box.croft(['vm', 'delete', name, '--yes']);
  await box.croft(['image', 'delete', 'kernels', '--yes']);
});
