/**
 * Finds a pod's processes by the cgroup that kubelet made for it: the name holds the pod's uid, whatever the container
 * runtime is, and it is readable while containerd and kubelet are down (kubernetes pkg/kubelet/cm, podContainerManager).
 */
import { readFile, readlink } from 'node:fs/promises';
import { listPids, readProcess } from '../host/process-info.ts';

/** `kubepods/burstable/pod<uid>/…` of the driver cgroupfs, `kubepods-burstable-pod<uid with _>.slice/…` of systemd. */
const podGroup = /kubepods(?:[^\n]*)[/-]pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?(?:\/|$)/m;

/** The uid of the pod that a process belongs to. @param text of /proc/PID/cgroup. Pure. */
export const podOfCgroups = (text: string): string | undefined => podGroup.exec(text)?.[1]?.replaceAll('_', '-');

/** A process in the pod's own network namespace; undefined when the pod has none (any more). */
export async function findPodProcess(podUid: string): Promise<number | undefined> {
  const own = await readlink('/proc/self/ns/net');
  for (const pid of await listPids()) {
    // Gone between the list and the look: not the pod's any more.
    const cgroups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
    if (podOfCgroups(cgroups) !== podUid) continue;
    const namespace = await readlink(`/proc/${pid}/ns/net`).catch(() => own);
    // What runc is about to start is in the pod's cgroup before it is in its namespaces.
    if (namespace === own || (await readProcess(pid))?.state === 'Z') continue;
    return pid;
  }
  return undefined;
}
