/**
 * A lab node's API server at a loopback port of this machine: bytes go over a unix socket into the node's network
 * namespace, so that a test's own process can talk to it without entering.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inNode } from '../../appliance/cluster/k3s-clean.ts';
import type { LabNode } from './lab-node.ts';

export type ApiRelay = {
  /** A copy of the node's kubeconfig that leads through the relay. */
  kubeconfig: string;
  /** Cuts all connections, and refuses new ones until `mend`. */
  cut: () => void;
  mend: () => void;
  close: () => Promise<void>;
};

const inner = (socket: string) => `
const net = require('node:net');
net.createServer((client) => {
  const server = net.connect(6443, '127.0.0.1');
  client.on('error', () => server.destroy()).on('close', () => server.destroy());
  server.on('error', () => client.destroy()).on('close', () => client.destroy());
  client.pipe(server).pipe(client);
}).listen(${JSON.stringify(socket)}, () => console.log('ready'));`;

/** @param kubeconfig of the node, as k3s wrote it */
export async function relayApi(node: LabNode, kubeconfig: string): Promise<ApiRelay> {
  const socket = join(node.directory, 'api.sock');
  const [program, ...args] = inNode(node.enter, process.execPath, '-e', inner(socket));
  const inside = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(inside.stdout, 'data');
  let whole = true;
  const open = new Set<{ destroy: () => void }>();
  const server = createServer((client) => {
    if (!whole) return void client.destroy();
    const far = connect(socket);
    for (const end of [client, far]) {
      open.add(end);
      // Either end's trouble ends both; the API's client tells of it.
      end.on('error', () => undefined);
      end.on('close', () => {
        open.delete(end);
        client.destroy();
        far.destroy();
      });
    }
    client.pipe(far).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const copy = join(node.directory, 'relay.yaml');
  const text = await readFile(kubeconfig, 'utf8');
  await writeFile(copy, text.replace(/server: .*/, `server: https://127.0.0.1:${port}`), { mode: 0o600 });
  const cutAll = () => {
    for (const end of open) end.destroy();
  };
  return {
    kubeconfig: copy,
    cut: () => {
      whole = false;
      cutAll();
    },
    mend: () => {
      whole = true;
    },
    close: async () => {
      const ended = once(inside, 'exit');
      inside.kill('SIGKILL');
      await ended;
      server.close();
      cutAll();
      await rm(socket, { force: true });
    },
  };
}
