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
import { addVolume, expand, expandGiven, removeVolume, type Target } from './subresource-specs.ts';
import type { Json } from './wire.ts';

export const subresourceGroup = 'subresources.kubevirt.io';
export const subresourceVersions = ['v1', 'v1alpha3'] as const;

export type SubresourceContext = { store: ResourceStore; port: BoxPort; version: string };
/** JSON, bytes of a picture, or nothing (202). */
export type Answer = { json: unknown } | { png: Buffer } | { accepted: true /** For the person who asked. */; warning?: string };

/** Bodies of the verbs (kubevirt api core/v1 StartOptions, StopOptions, RestartOptions, FreezeUnfreezeTimeout …). */
type Options = Json & {
  dryRun?: string[];
  gracePeriod?: number;
  gracePeriodSeconds?: number;
  paused?: boolean;
  unfreezeTimeout?: string;
};

type Handler = (context: SubresourceContext, target: Target, body: Options) => Promise<Answer>;

const accepted: Answer = { accepted: true };
const vmOf = ({ store }: SubresourceContext, { name, namespace }: Target): Promise<VirtualMachine> =>
  mustGet(store, virtualMachine, name, namespace);

/** `dryRun: ["All"]` checks and changes nothing. */
const isDry = (body: Options): boolean => body.dryRun?.includes('All') ?? false;

/** A stop calls it `gracePeriod`, a restart `gracePeriodSeconds`. @throws CroftError `invalid-input` */
function graceOf({ gracePeriod, gracePeriodSeconds = gracePeriod }: Options): { gracePeriodSeconds?: number } {
  if (gracePeriodSeconds === undefined) return {};
  if (Number.isSafeInteger(gracePeriodSeconds) && gracePeriodSeconds >= 0) return { gracePeriodSeconds };
  throw new CroftError('invalid-input', `gracePeriod: ${JSON.stringify(gracePeriodSeconds)} must be a whole number of seconds.`);
}

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

/** The box thaws after five minutes, as upstream by default; another time cannot be asked for. */
const freeze: Handler = async (context, target, body) => {
  const { unfreezeTimeout = '5m0s' } = body;
  if (!['5m0s', '5m', '300s'].includes(unfreezeTimeout)) {
    throw new CroftError(
      'unsupported-field',
      `unfreezeTimeout: ${JSON.stringify(unfreezeTimeout)} is not supported; it is 5m0s.`,
    );
  }
  return guestAction('freeze')(context, target, body);
};

const staysWarning = 'Volumes that are plugged in and out while a VM runs stay so after a restart, as with --persist.';

/** What is done to the instance's volumes is done to the VM's: a controller keeps the two the same. */
const volumes =
  (change: typeof addVolume, warning?: string): Handler =>
  async ({ store }, target, body) => {
    await change(store, target, body, isDry(body));
    return { accepted: true, ...(warning === undefined ? {} : { warning }) };
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
export const handlers: Record<string, Handler> = {
  'PUT virtualmachines/start': startVm,
  'PUT virtualmachines/stop': ending('stop'),
  'PUT virtualmachines/restart': ending('restart'),
  'PUT virtualmachines/migrate': migrate,
  'PUT virtualmachines/addvolume': volumes(addVolume),
  'PUT virtualmachines/removevolume': volumes(removeVolume),
  'GET virtualmachines/expand-spec': async (context, target) => ({
    json: await expand(context.store, await vmOf(context, target)),
  }),
  'PUT virtualmachineinstances/addvolume': volumes(addVolume, staysWarning),
  'PUT virtualmachineinstances/removevolume': volumes(removeVolume, staysWarning),
  'PUT virtualmachineinstances/freeze': freeze,
  'PUT virtualmachineinstances/unfreeze': guestAction('unfreeze'),
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

/** Of a VM in the request's body. */
const expandGivenPath = new RegExp(
  `^/apis/${subresourceGroup.replaceAll('.', '\\.')}/(?:${subresourceVersions.join('|')})/namespaces/([^/]+)/expand-vm-spec$`,
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
  const given = expandGivenPath.exec(path);
  if (given && method === 'PUT') return { json: await expandGiven(context.store, decodeURIComponent(given[1] as string), body) };
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
      return {
        kind: 'APIResourceList',
        apiVersion: 'v1',
        groupVersion: `${subresourceGroup}/${one}`,
        resources: subresourceResources,
      };
    // virtctl compares the version with its own; the commit is ours.
    if (path === `${base}/${one}/version`)
      return { gitVersion: `v1.7.0+croft.${version}`, gitTreeState: 'clean', platform: 'linux/amd64' };
    if (path === `${base}/${one}/healthz`) return { status: 'ok' };
  }
  return undefined;
}

/** WebSockets. */
export const streams = ['virtualmachineinstances/console', 'virtualmachineinstances/vnc'];
export const forwards = ['virtualmachineinstances/portforward', 'virtualmachines/portforward'];

const resourceOf = (name: string, verbs: string[]) => ({ name, singularName: '', namespaced: true, kind: '', verbs });

/** For discovery. */
export const subresourceResources = [
  ...Object.keys(handlers).map((key) => {
    const [method, name] = key.split(' ') as [string, string];
    return resourceOf(name, [method === 'GET' ? 'get' : 'update']);
  }),
  ...[...streams, ...forwards].map((name) => resourceOf(name, ['get'])),
  resourceOf('expand-vm-spec', ['update']),
];
