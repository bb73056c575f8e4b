/**
 * What k3s finds before each start on an installed box. The root is read-only and forgets: its configuration is made
 * anew, its data, the kubelet's and the archives of its images lie on the state partition.
 *
 * The node's address is one of the box's own, on a dummy link (units/full/70-croft-node.netdev): etcd must never see
 * it change, and an address from DHCP does.
 */
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { holdArchive, holdImageArchive } from '../appliance/cluster/hold-image.ts';
import { k3sConfig } from '../appliance/cluster/k3s-config.ts';
import { thisArchitecture } from '../appliance/cluster/k3s-release.ts';
import { run } from '../appliance/host/exec.ts';
import { writeFileAtomic } from '../appliance/host/files.ts';
import { thisNodeName } from '../appliance/host/node-name.ts';

/** As in units/full/70-croft-node.network. */
export const nodeAddress = '198.18.0.1';
export const kubernetesPaths = {
  config: '/etc/rancher/k3s/config.yaml',
  kubeconfig: '/etc/rancher/k3s/k3s.yaml',
  data: '/var/lib/croft/k3s',
  kubelet: '/var/lib/croft/kubelet',
} as const;

const shippedImages = '/usr/lib/croft/k3s/images';

/** Idempotent. @throws CroftError `command-failed` when the kubelet's directory cannot be mounted */
export async function prepareKubernetes(): Promise<void> {
  const { config, kubeconfig, data, kubelet } = kubernetesPaths;
  const plan = { role: 'first', nodeName: thisNodeName(), nodeIp: nodeAddress, dataDir: data, kubeconfig } as const;
  await mkdir(join(config, '..'), { recursive: true });
  await writeFile(config, k3sConfig(plan), { mode: 0o600 });
  const images = join(data, 'agent/images');
  await linkImages(images);
  // What VMs' pods consist of: without it none is ever placed.
  await writeFileAtomic(join(images, holdArchive), holdImageArchive(thisArchitecture()));
  for (const path of [kubelet, '/var/lib/kubelet']) await mkdir(path, { recursive: true });
  const mounted = await run(['mountpoint', '--quiet', '/var/lib/kubelet'], { okCodes: [0, 1, 32] });
  if (mounted.exitCode !== 0) await run(['mount', '--bind', kubelet, '/var/lib/kubelet']);
}

async function linkImages(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(shippedImages)) {
    await symlink(join(shippedImages, name), join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}
