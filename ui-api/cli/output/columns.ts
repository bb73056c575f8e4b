/** What tables show: one list of columns per noun. The first column is the object's name. */
import type * as api from '../../client/types.ts';
import { age, bytes, percent, plain, yesNo } from './values.ts';

export type Column<T> = {
  /** Lower-case; the header is its upper-case form, `--columns` and `--sort` name it. */
  id: string;
  /** What is sorted by. */
  value: (object: T) => unknown;
  /** How it is shown; default: as it is. */
  text?: (value: unknown) => string;
  /** Only with `-o wide`. */
  wide?: boolean;
};

const of = <T>(id: string, value: (object: T) => unknown, text?: (value: unknown) => string): Column<T> => ({ id, value, text });
const wide = <T>(column: Column<T>): Column<T> => ({ ...column, wide: true });
const created = <T extends { createdAt?: string }>() => of<T>('age', (object) => object.createdAt, age);
const progressOf = (value: unknown) => (typeof value === 'number' && value < 1 ? percent(value) : '');

/** The state, with its reason where it is not simply well. */
const vmState = (vm: api.Vm) =>
  vm.reason && !['running', 'stopped'].includes(vm.state) ? `${vm.state}: ${vm.reason}` : vm.state;

export const vmColumns: Column<api.Vm>[] = [
  of('name', (vm) => vm.name),
  of('state', vmState),
  of('cpus', (vm) => vm.cpus),
  of('memory', (vm) => vm.memory, bytes),
  of('addresses', (vm) => vm.addresses),
  of('networks', (vm) => vm.nics?.map((nic) => nic.network)),
  of('image', (vm) => vm.image),
  created(),
  wide(of('project', (vm) => vm.project)),
  wide(of('node', (vm) => vm.node)),
  wide(of('disks', (vm) => vm.disks?.map(({ name, size, device }) => [name, bytes(size), device].filter(Boolean).join(' ')))),
  wide(of('nics', (vm) => vm.nics?.map(({ name, network, mac }) => [name, network, mac].filter(Boolean).join(' ')))),
  wide(of('os', (vm) => vm.os)),
  wide(of('firmware', (vm) => vm.firmware)),
  wide(of('strategy', (vm) => vm.runStrategy)),
  wide(of('id', (vm) => vm.id)),
];

export const imageColumns: Column<api.Image>[] = [
  of('name', (image) => image.name),
  of('state', (image) => image.state),
  of('progress', (image) => image.progress, progressOf),
  of('size', (image) => image.size, bytes),
  of('used', (image) => image.used, bytes),
  created(),
  wide(of('reason', (image) => image.reason)),
  wide(of('source', (image) => image.source, plain)),
  wide(of('id', (image) => image.id)),
];

export const catalogueColumns: Column<api.CatalogueImage>[] = [
  of('name', (entry) => entry.name),
  of('title', (entry) => entry.title),
  of('user', (entry) => entry.user),
  of('aliases', (entry) => entry.aliases),
  wide(of('url', (entry) => entry.url)),
];

export const volumeColumns: Column<api.Volume>[] = [
  of('name', (volume) => volume.name),
  of('state', (volume) => volume.state),
  of('size', (volume) => volume.size, bytes),
  of('pool', (volume) => volume.pool),
  of('vm', (volume) => volume.vm),
  created(),
  wide(of('image', (volume) => volume.image)),
  wide(of('reason', (volume) => volume.reason)),
  wide(of('project', (volume) => volume.project)),
  wide(of('id', (volume) => volume.id)),
];

export const snapshotColumns: Column<api.Snapshot>[] = [
  of('name', (snapshot) => snapshot.name),
  of('vm', (snapshot) => snapshot.vm),
  of('state', (snapshot) => snapshot.state),
  of('size', (snapshot) => snapshot.size, bytes),
  created(),
  wide(of('id', (snapshot) => snapshot.id)),
];

export const networkColumns: Column<api.Network>[] = [
  of('name', (network) => network.name),
  of('vlan', (network) => network.vlan ?? network.trunk?.join(',') ?? (network.isolated ? 'isolated' : undefined)),
  of('address', (network) => network.address),
  of('dhcp', (network) => network.dhcp, yesNo),
  of('nat', (network) => network.nat, yesNo),
  of('mtu', (network) => network.mtu),
  of('state', (network) => network.state),
  of('uplink', (network) => network.uplink),
  wide(of('reason', (network) => network.reason)),
  wide(of('leases', (network) => network.leases?.map(({ address, hostname }) => `${address}${hostname ? ` ${hostname}` : ''}`))),
  wide(of('id', (network) => network.id)),
];

export const uplinkColumns: Column<api.Uplink>[] = [
  of('name', (uplink) => uplink.name),
  of('nics', (uplink) => uplink.members?.map(({ name, state }) => (state === 'up' ? name : `${name} (${state})`))),
  of('mode', (uplink) => uplink.mode ?? (uplink.interfaces.length > 1 ? 'active-backup' : undefined)),
  of('vlans', (uplink) => (uplink.access === undefined ? (uplink.vlans?.join(',') ?? 'all') : `access ${uplink.access}`)),
  of('native', (uplink) => uplink.native),
  of('mtu', (uplink) => uplink.mtu),
  of('state', (uplink) => uplink.state),
  of('confirm', (uplink) => uplink.confirmBefore),
  wide(of('reason', (uplink) => uplink.reason)),
  wide(of('id', (uplink) => uplink.id)),
];

export const poolColumns: Column<api.Pool>[] = [
  of('name', (pool) => pool.name),
  of('driver', (pool) => pool.driver),
  of('state', (pool) => pool.state),
  of('used', (pool) => pool.used, bytes),
  of('capacity', (pool) => pool.capacity, bytes),
  of('provisioned', (pool) => pool.provisioned, bytes),
  of('health', (pool) => pool.health?.message),
  wide(of('path', (pool) => pool.path)),
];

export const diskColumns: Column<api.Disk>[] = [
  of('name', (disk) => disk.name),
  of('pool', (disk) => disk.pool),
  of('state', (disk) => disk.state),
  of('size', (disk) => disk.size, bytes),
  of('path', (disk) => disk.path),
  of('serial', (disk) => disk.serial),
  of('reason', (disk) => disk.reason ?? disk.warning),
  wide(of('temperature', (disk) => disk.smart?.temperature)),
  wide(of('hours', (disk) => disk.smart?.hours)),
  wide(of('id', (disk) => disk.id)),
];

export const userColumns: Column<api.User>[] = [
  of('name', (user) => user.name),
  of('role', (user) => user.role),
  of('full-name', (user) => user.fullName),
  of('disabled', (user) => user.disabled, yesNo),
  of('last-sign-in', (user) => user.lastSignIn, age),
];

export const tokenColumns: Column<api.Token>[] = [
  of('name', (token) => token.name),
  of('role', (token) => token.role),
  of('user', (token) => token.user),
  of('expires', (token) => token.expiresAt, age),
  of('last-used', (token) => token.lastUsed, age),
  wide(of('description', (token) => token.description)),
];

export const instancetypeColumns: Column<api.InstanceType>[] = [
  of('name', (type) => type.name),
  of('cpus', (type) => type.cpus),
  of('memory', (type) => type.memory, bytes),
  of('project', (type) => type.project),
];

export const preferenceColumns: Column<api.Preference>[] = [
  of('name', (preference) => preference.name),
  of('os', (preference) => preference.os),
  of('project', (preference) => preference.project),
];

export const clusterColumns: Column<api.Cluster>[] = [
  of('state', (cluster) => cluster.state),
  of('kubernetes', (cluster) => (cluster.version && cluster.standIn ? `${cluster.version} (lab stand-in)` : cluster.version)),
  of('address', (cluster) => cluster.address),
  of('pods', (cluster) => cluster.pods),
  of('services', (cluster) => cluster.services),
  wide(of('kubeconfig', (cluster) => cluster.kubeconfig)),
  wide(of('certificates-end', (cluster) => cluster.certificatesEnd)),
  wide(of('since', (cluster) => cluster.since)),
];

export const slotColumns: Column<api.Releases['slots'][number]>[] = [
  of('slot', ({ slot }) => slot),
  of('state', ({ state }) => state),
  of('version', ({ version }) => version),
  of('built', ({ builtAt }) => builtAt),
];

export const nodeColumns: Column<api.Node>[] = [
  of('name', (node) => node.name),
  of('state', (node) => node.state),
  of('version', (node) => node.version),
  of('cpus', (node) => node.cpus),
  of('memory', (node) => node.memory, bytes),
  of('free', (node) => node.memoryFree, bytes),
  of('accelerator', (node) => node.accelerator),
];

export const nodeListColumns: Column<api.Node>[] = [
  of('name', (node) => node.name),
  of('state', (node) => node.state),
  of('role', (node) => (node.witness ? 'witness' : node.role)),
  of('address', (node) => node.address),
  of('version', (node) => node.version),
  of('cpus', (node) => node.cpus),
  of('memory', (node) => node.memory, bytes),
];

export const certificateColumns: Column<api.Certificate>[] = [
  of('subject', (certificate) => certificate.subject),
  of('issuer', (certificate) => certificate.issuer),
  of('names', (certificate) => certificate.names.join(', ')),
  of('until', (certificate) => certificate.notAfter),
  of('served', (certificate) => (certificate.served ? 'yes' : 'no: loopback needs none')),
  of('fingerprint', (certificate) => certificate.fingerprint),
];

export const nicColumns: Column<api.Nic>[] = [
  of('name', (nic) => nic.name),
  of('link', (nic) => (nic.link === undefined ? undefined : nic.link ? 'up' : 'down')),
  of('speed', (nic) => nic.speed && `${nic.speed} Mbit/s`),
  of('mac', (nic) => nic.mac),
  of('uplink', (nic) => nic.uplink),
  of('note', (nic) => nic.refusal),
];

export const taskColumns: Column<api.Task>[] = [
  of('id', (task) => task.id),
  of('verb', (task) => task.verb),
  of('target', (task) => `${task.target?.kind ?? ''} ${task.target?.name ?? ''}`.trim()),
  of('state', (task) => task.state),
  of('progress', (task) => task.progress, percent),
  of('step', (task) => task.error?.detail ?? task.step),
  of('age', (task) => task.startedAt, age),
  wide(of('by', (task) => task.by)),
];

export const eventColumns: Column<api.ApiEvent>[] = [
  of('age', (event) => event.at, age),
  of('type', (event) => event.type),
  of('object', (event) => `${event.about?.kind ?? ''} ${event.about?.name ?? ''}`.trim()),
  of('reason', (event) => event.reason),
  of('message', (event) => event.message),
  wide(of('at', (event) => event.at)),
];
