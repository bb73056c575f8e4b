/** A paused QEMU with one virtio disk, spoken to by QMP: for tests of what happens to volumes that a guest has open. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { BlockdevGraph, QmpStep, Step } from '../../storage/driver.ts';

export type BlockQemu = {
  execute(command: string, args?: Record<string, unknown>): Promise<unknown>;
  open(graph: BlockdevGraph): Promise<void>;
  /** Runs a qemu-io command on the guest's disk, whatever its top node is by now, and flushes as a guest's sync would. */
  io(command: string): Promise<void>;
  runSteps(steps: Step[]): Promise<void>;
  kill(): Promise<void>;
};

export async function startBlockQemu(): Promise<BlockQemu> {
  const child = spawn(
    'qemu-system-x86_64',
    ['-machine', 'pc,accel=tcg', '-m', '16', '-nodefaults', '-display', 'none', '-S', '-qmp', 'stdio'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let printed = '';
  const answer = async (): Promise<unknown> => {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) throw new Error('QEMU ended');
      // qemu-io prints its results between QMP's lines.
      if (!value.startsWith('{')) {
        printed += `${value}\n`;
        continue;
      }
      const message = JSON.parse(value) as { return?: unknown; error?: { desc: string }; event?: string };
      if (message.error) throw new Error(message.error.desc);
      if ('return' in message) return message.return;
    }
  };
  const execute = async (command: string, args: Record<string, unknown> = {}): Promise<unknown> => {
    child.stdin.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    return answer();
  };
  await execute('qmp_capabilities');
  return {
    execute,
    async open(graph) {
      for (const node of graph.nodes) await execute('blockdev-add', node);
      await execute('device_add', { driver: 'virtio-blk-pci', id: 'disk0', drive: graph.top });
    },
    async io(command) {
      for (const one of [command, 'flush']) {
        printed = '';
        const line = `qemu-io -d /machine/peripheral/disk0/virtio-backend "${one}"`;
        const said = `${String(await execute('human-monitor-command', { 'command-line': line }))}${printed}`;
        if (/error|failed/i.test(said)) throw new Error(`${one}: ${said}`);
      }
    },
    async runSteps(steps) {
      for (const step of steps) {
        if ('host' in step) await step.run();
        else await execute((step as QmpStep).qmp.execute, step.qmp.arguments);
      }
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
