import { readProcess } from '../../appliance/host/process-info.ts';

/** Whether a process runs. One that has ended but whose parent, often this test's Node, hasn't collected it yet doesn't. */
export async function running(pid: number): Promise<boolean> {
  const found = await readProcess(pid);
  return found !== undefined && found.state !== 'Z';
}
