/** /v1/node: this box; /v1/nodes: all boxes of its cluster. */
import { Type } from 'typebox';
import { pathsOf } from '../../../appliance/config.ts';
import { CroftError } from '../../../appliance/errors.ts';
import { makeBackup } from '../../../appliance/node/backup.ts';
import { planBalance, pressureOf } from '../../../appliance/cluster/peers/balance.ts';
import { planLosses } from '../../../appliance/cluster/peers/evacuation.ts';
import { departuresOf } from '../../../appliance/cluster/peers/maintenance.ts';
import { loadsOf, readBoxes, takeoverOf } from '../../../appliance/cluster/peers/rooms.ts';
import { node, type Node as NodeObject } from '../../../appliance/resources/croft-kinds.ts';
import { fence } from '../../../appliance/resources/peer-kinds.ts';
import { editObject } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { ChangeQuery, ListQuery, NameParams, Page, strict } from '../../schemas/common.ts';
import { Balance, BackupBody, BackupOut, Losses, Maintenance, MaintenanceBody, Nic, Node } from '../../schemas/objects.ts';
import type { AppContext, Server } from '../context.ts';
import { allOf } from '../all-of.ts';
import { pageOf } from '../pages.ts';
import { projectNode } from '../projections/objects.ts';

/** A box in maintenance may be switched off at any time. @throws CroftError `invalid-state` where the others could not go on */
async function mustKeepQuorum(store: ResourceStore, nodes: readonly NodeObject[], name: string): Promise<void> {
  if (nodes.length < 2) throw new CroftError('invalid-state', `${name} is the only box: its VMs have nowhere to go.`);
  const { items: fences } = await store.list(fence);
  const isVoter = ({ status }: NodeObject): boolean => status?.peer?.role === 'voter';
  const own = nodes.find(({ metadata }) => metadata.name === name);
  if (!own || !isVoter(own)) return;
  const voters = nodes.filter(isVoter);
  const others = voters.filter(({ metadata }) => metadata.name !== name);
  const away = others.filter(
    ({ metadata, spec, status }) =>
      spec.maintenance === true ||
      fences.some((one) => one.metadata.name === metadata.name) ||
      status?.conditions?.some(({ type, status: is }) => type === 'Reachable' && is === 'False'),
  );
  if ((others.length - away.length) * 2 > voters.length) return;
  const why =
    away.length > 0 ? `${away.map(({ metadata }) => metadata.name).join(', ')} is away or in maintenance` : 'it votes alone';
  throw new CroftError('invalid-state', `Without ${name} the cluster could decide nothing: ${why}.`, {
    fix: [away.length > 0 ? 'Wait until all other voters are back.' : 'Let a third box or a witness join first.'],
  });
}

export function nodeRoutes(app: Server, { port, config, version }: AppContext): void {
  app.get('/v1/nodes', {
    config: { permission: 'viewer' },
    schema: { summary: 'List boxes', querystring: Type.Object({ ...ListQuery }, strict), response: { 200: Page(Node) } },
    handler: async ({ store, query }) => {
      const [nodes, fences] = await Promise.all([allOf(store, node), allOf(store, fence)]);
      const phases = new Map(fences.map(({ metadata, status }) => [metadata.name, status?.phase ?? 'pending']));
      return pageOf(
        nodes.map((one) => projectNode(one, undefined, phases.get(one.metadata.name))),
        query,
      );
    },
  });

  app.get('/v1/node', {
    config: { permission: 'viewer' },
    schema: { summary: 'The state of this box', response: { 200: Node } },
    handler: async ({ store }) => {
      const found = config.node === '' ? (await allOf(store, node))[0] : await store.get(node, config.node);
      if (!found) throw new CroftError('unavailable', 'The box has not reported its state yet; ask again in a moment.');
      const { memoryFree } = await port.capacity();
      return projectNode(found, memoryFree);
    },
  });

  app.get('/v1/nodes/balance', {
    config: { permission: 'viewer' },
    schema: { summary: 'Which VMs would move so that no box carries much more than another', response: { 200: Balance } },
    handler: async ({ store }) => {
      const loads = await loadsOf(store);
      const boxes = loads.map((load) => ({ box: load.box, pressure: Math.round(pressureOf(load) * 1000) / 1000 }));
      return { kind: 'balance' as const, boxes, moves: planBalance(loads) };
    },
  });

  app.get('/v1/nodes/losses', {
    config: { permission: 'viewer' },
    schema: { summary: 'For each box: where its VMs would start if it died now', response: { 200: Losses } },
    handler: async ({ store }) => {
      const losses = planLosses(await loadsOf(store));
      const manual = takeoverOf((await readBoxes(store)).nodes);
      const boxes = losses.map((loss) => ({ ...loss, survived: !manual && loss.departures.every((one) => 'to' in one) }));
      return { kind: 'losses' as const, ...(manual === undefined ? {} : { manual }), boxes };
    },
  });

  app.post('/v1/nodes/:name/maintenance', {
    config: { permission: 'admin' },
    schema: {
      summary: 'Empty a box for maintenance, or let it take VMs again; with dryRun only the plan',
      params: NameParams,
      querystring: Type.Object({ ...ChangeQuery }, strict),
      body: MaintenanceBody,
      response: { 200: Maintenance },
    },
    handler: async ({ store, params: { name }, body: { on } }) => {
      const nodes = (await store.list(node)).items;
      if (!nodes.some(({ metadata }) => metadata.name === name)) throw new CroftError('not-found', `There is no box ${name}.`);
      if (on) await mustKeepQuorum(store, nodes, name);
      const departures = on ? await departuresOf(store, name) : [];
      await editObject(store, node, { name }, (draft) => {
        if (on) draft.spec.maintenance = true;
        else delete draft.spec.maintenance;
      });
      return { kind: 'maintenance' as const, node: name, on, departures };
    },
  });

  app.get('/v1/node/nics', {
    config: { permission: 'viewer' },
    schema: {
      summary: 'Network devices of this box that uplinks can be made of, and why not of others',
      querystring: Type.Object({ ...ListQuery }, strict),
      response: { 200: Page(Nic) },
    },
    handler: async ({ query }) =>
      pageOf(
        (await port.nics()).map((nic) => ({ kind: 'nic' as const, ...nic })),
        query,
      ),
  });

  app.post('/v1/node/backup', {
    config: { permission: 'admin', secret: true, transient: true },
    schema: {
      summary: 'A backup of the box, encrypted: objects, secrets, users, networks, certificates; no disks',
      body: BackupBody,
      response: { 200: BackupOut },
    },
    handler: async ({ store, body }) => {
      if (config.store !== 'sqlite') {
        throw new CroftError('invalid-state', 'The objects of a cluster are in its etcd; back that up (k3s etcd-snapshot).');
      }
      const { keys } = pathsOf(config);
      const { file, facts } = await makeBackup(store, { keys, version, passphrase: body.passphrase });
      return { kind: 'backup', ...facts, file: file.toString('base64') };
    },
  });
}
