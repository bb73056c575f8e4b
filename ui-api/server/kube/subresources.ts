/**
 * `subresources.kubevirt.io`: the verbs on VMs that are no objects, as virtctl calls them (kubevirt
 * pkg/virt-api/rest). A table of what each does to the store or the running guest; who may is decided before.
 */
import type { Duplex } from 'node:stream';
import { CroftError } from '../../../appliance/errors.ts';
import type { BoxPort, GuestAction } from '../../../appliance/ports.ts';
import { virtualMachine, virtualMachineInstance, type VirtualMachine } from '../../../appliance/resources/virtual-machine.ts';
import { mustGet } from '../../../appliance/store/edit.ts';
import type { ResourceStore } from '../../../appliance/store/store.ts';
import { mustBeMigratable, requestMigration } from '../routes/vm-migrate.ts';
import { mustAllow, restart, start, stop } from '../routes/vm-actions.ts';
import { connectGuest } from '../guest-connection.ts';

export const subresourceGroup = 'subresources.kubevirt.io';
export const subresourceVersions = ['v1', 'v1alpha3'] as const;

export type SubresourceContext = { store: ResourceStore; port: BoxPort; version: string };
export type Target = { name: string; namespace: string };

/** JSON, bytes of a picture, or nothing (202). */
export type Answer = { json: unknown } | { png: Buffer } | { accepted: true };

/** A body of start, stop, restart (kubevirt api core/v1 StartOptions, StopOptions, RestartOptions). */
type Options = { dryRun?: string[]; gracePeriod?: number; paused?: boolean };

type Handler = (context: SubresourceContext, target: Target, body: Options) => Promise<Answer>;

const accepted: Answer = { accepted: true };
const vmOf = ({ store }: SubresourceContext, { name, namespace }: Target): Promise<VirtualMachine> =>
  mustGet(store, virtualMachine, name, namespace);

/** `dryRun: ["All"]` checks and changes nothing. */
const isDry = (body: Options): boolean => body.dryRun?.includes('All') ?? false;

const graceOf = ({ gracePeriod }: Options) => (gracePeriod === undefined ? {} : { gracePeriodSeconds: gracePeriod });

const startVm: Handler = async (context, target, body) => {
  if (body.paused) throw new CroftError('unsupported-field', 'paused: starting a VM paused is not supported.');
  const vm = await vmOf(context, target);
  if (isDry(body)) mustAllow(vm, 'start');
  else await start(context.store, vm);
  return accepted;
};

const ending =
  (verb: 'stop' | 'restart'): Handler =>
  async (context, target, body) => {
    const vm = await vmOf(context, target);
    if (isDry(body)) mustAllow(vm, verb);
    else await { stop, restart }[verb](context.store, vm, graceOf(body));
    return accepted;
  };

const guestAction =
  (action: GuestAction): Handler =>
  async (context, target, body) => {
    const vm = await vmOf(context, target);
    mustAllow(vm, action);
    if (!isDry(body)) await context.port.act(target, action);
    return accepted;
  };

const migrate: Handler = async ({ store, ...context }, target, body) => {
  const vm = await vmOf({ store, ...context }, target);
  await mustBeMigratable(store, vm, undefined);
  if (!isDry(body)) await requestMigration(store, vm, undefined);
  return accepted;
};

const guestOsInfo: Handler = async ({ store }, { name, namespace }) => {
  const instance = await mustGet(store, virtualMachineInstance, name, namespace);
  return {
    json: { apiVersion: 'kubevirt.io/v1', kind: 'VirtualMachineInstanceGuestAgentInfo', os: instance.status?.guestOSInfo ?? {} },
  };
};

const lists =
  (which: 'users' | 'filesystems'): Handler =>
  async ({ port }, target) => {
    const { users, filesystems } = await port.guestLists(target);
    const items =
      which === 'users'
        ? users.map(({ name, domain, loginTime }) => ({ userName: name, ...(domain ? { domain } : {}), loginTime }))
        : filesystems.map(({ name, mountpoint, type, usedBytes = 0, totalBytes = 0 }) => ({
            diskName: name,
            mountPoint: mountpoint,
            fileSystemType: type,
            usedBytes,
            totalBytes,
          }));
    const kind = which === 'users' ? 'VirtualMachineInstanceGuestOSUserList' : 'VirtualMachineInstanceFileSystemList';
    return { json: { apiVersion: 'kubevirt.io/v1', kind, metadata: {}, items } };
  };

/** `METHOD kind/verb`. */
const handlers: Record<string, Handler> = {
  'PUT virtualmachines/start': startVm,
  'PUT virtualmachines/stop': ending('stop'),
  'PUT virtualmachines/restart': ending('restart'),
  'PUT virtualmachines/migrate': migrate,
  'PUT virtualmachineinstances/pause': guestAction('pause'),
  'PUT virtualmachineinstances/unpause': guestAction('unpause'),
  'PUT virtualmachineinstances/softreboot': guestAction('soft-reboot'),
  'PUT virtualmachineinstances/reset': guestAction('reset'),
  'GET virtualmachineinstances/guestosinfo': guestOsInfo,
  'GET virtualmachineinstances/userlist': lists('users'),
  'GET virtualmachineinstances/filesystemlist': lists('filesystems'),
  'GET virtualmachineinstances/vnc/screenshot': async ({ port }, target) => ({ png: await port.screenshot(target) }),
};

type Parsed = { kind: 'virtualmachines' | 'virtualmachineinstances'; target: Target; verb: string };

const shape = new RegExp(
  `^/apis/${subresourceGroup.replaceAll('.', '\\.')}/(?:${subresourceVersions.join('|')})/namespaces/([^/]+)/(virtualmachines|virtualmachineinstances)/([^/]+)/(.+)$`,
);

export function parsePath(path: string): Parsed | undefined {
  const match = shape.exec(path);
  if (!match) return undefined;
  const [, namespace, kind, name, verb] = match.map((part) => decodeURIComponent(part)) as [
    string,
    string,
    Parsed['kind'],
    string,
    string,
  ];
  return { kind, target: { name, namespace }, verb };
}

const unknownPath = (method: string, path: string): CroftError =>
  new CroftError('not-found', `${method} ${path}: Croft does not serve this subresource.`);

/** Takes one request. @throws CroftError */
export async function answerSubresource(
  context: SubresourceContext,
  method: string,
  path: string,
  body: unknown,
): Promise<Answer> {
  if (method === 'GET') {
    const found = discovery(context, path);
    if (found) return { json: found };
  }
  const parsed = parsePath(path);
  const handler = parsed && handlers[`${method} ${parsed.kind}/${parsed.verb}`];
  if (!handler) throw unknownPath(method, path);
  return handler(context, parsed.target, (body ?? {}) as Options);
}

/** The stream that a WebSocket request asks for. @throws CroftError */
export async function openSubresource(context: SubresourceContext, path: string): Promise<Duplex> {
  const parsed = parsePath(path);
  if (!parsed) throw unknownPath('WebSocket', path);
  const { target, verb, kind } = parsed;
  const forward = /^portforward\/(\d{1,5})(?:\/tcp)?$/.exec(verb);
  if (forward) return connectGuest(context.store, target, Number(forward[1]));
  if (kind !== 'virtualmachineinstances' || (verb !== 'console' && verb !== 'vnc')) throw unknownPath('WebSocket', path);
  mustAllow(await vmOf(context, target), verb);
  return context.port.openConsole(target, verb === 'vnc' ? 'vnc' : 'serial');
}

/** What the API server and clients ask before the verbs. */
function discovery({ version }: SubresourceContext, path: string): unknown {
  const base = `/apis/${subresourceGroup}`;
  const versions = subresourceVersions.map((one) => ({ groupVersion: `${subresourceGroup}/${one}`, version: one }));
  const group = { name: subresourceGroup, versions, preferredVersion: versions[0] };
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: [group] };
  if (path === base) return { kind: 'APIGroup', apiVersion: 'v1', ...group };
  for (const one of subresourceVersions) {
    if (path === `${base}/${one}`)
      return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: `${subresourceGroup}/${one}`, resources };
    // virtctl compares the version with its own; the commit is ours.
    if (path === `${base}/${one}/version`)
      return { gitVersion: `v1.7.0+croft.${version}`, gitTreeState: 'clean', platform: 'linux/amd64' };
    if (path === `${base}/${one}/healthz`) return { status: 'ok' };
  }
  return undefined;
}

const served = [
  ...new Set([
    ...Object.keys(handlers).map((key) => key.split(' ')[1] as string),
    'virtualmachineinstances/console',
    'virtualmachineinstances/vnc',
    'virtualmachineinstances/portforward',
    'virtualmachines/portforward',
  ]),
];
const resources = served.map((path) => {
  const [plural = '', ...rest] = path.split('/');
  return { name: `${plural}/${rest.join('/')}`, singularName: '', namespaced: true, kind: '', verbs: ['get', 'update'] };
});
