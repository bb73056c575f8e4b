/**
 * Finds the Open vSwitch to use, or runs one.
 *
 * CROFT_OVS: `auto` takes the system's ovsdb-server if its socket answers, else our own; `system` and a path
 * insist on that socket; `own` insists on ours; `none` is no switch at all (user-mode networking).
 * Our own is one ovsdb-server and one ovs-vswitchd under `<run>/ovs`, supervised by appliance/host/daemon.ts:
 * they outlive croftd. The database lives in the run directory: taps don't survive a reboot, so neither
 * should the ports that were made for them.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CroftError, isCroftError, messageOf } from '../../appliance/errors.ts';
import { Daemon, superviseDaemon } from '../../appliance/host/daemon.ts';
import { run } from '../../appliance/host/exec.ts';
import { silentLogger, type Logger } from '../../appliance/host/logger.ts';
import { OvsdbClient } from './ovsdb.ts';

export type SwitchServer = {
  /** ovsdb's socket. */
  socket: string;
  /** Where ovs-vswitchd keeps `<bridge>.mgmt`. */
  runDirectory: string;
  /** `system`: kernel datapath; `netdev`: userspace. */
  datapath: 'system' | 'netdev';
  own: boolean;
  /** Ends our own daemons; nothing for a system's. */
  stop(): Promise<void>;
  /** Lets go of them; they run on. */
  release(): void;
  /** The daemons of our own switch, for tests and the node's components. */
  pids(): { ovsdb?: number | undefined; vswitchd?: number | undefined };
};

const systemSocket = '/var/run/openvswitch/db.sock';
const schema = '/usr/share/openvswitch/vswitch.ovsschema';

/**
 * Settles CROFT_OVS.
 * @returns undefined for `none`
 * @throws CroftError `missing-component` (not installed), `unavailable` (does not answer or start)
 */
export async function findSwitch(setting: string, directory: string, logger: Logger): Promise<SwitchServer | undefined> {
  if (setting === 'none') return undefined;
  const datapath = await availableDatapath();
  if (setting === 'own') return await runOwn(directory, datapath, logger);
  const socket = setting === 'auto' || setting === 'system' ? systemSocket : setting;
  if (await answers(socket)) {
    const nothing = { stop: async () => {}, release: () => {}, pids: () => ({}) };
    return { socket, runDirectory: dirname(socket), datapath, own: false, ...nothing };
  }
  if (setting === 'auto') return await runOwn(directory, datapath, logger);
  throw new CroftError('unavailable', `CROFT_OVS: no Open vSwitch answers at ${socket}.`);
}

/** The kernel's datapath if the kernel has one (loading its module if need be), else userspace. */
async function availableDatapath(): Promise<'system' | 'netdev'> {
  if (existsSync('/sys/module/openvswitch')) return 'system';
  try {
    await run(['modprobe', 'openvswitch'], { timeout: 10_000 });
  } catch (error) {
    // No module, or no modprobe: the userspace datapath needs neither.
    if (!isCroftError(error)) throw error;
  }
  return existsSync('/sys/module/openvswitch') ? 'system' : 'netdev';
}

async function answers(socket: string): Promise<boolean> {
  if (!existsSync(socket)) return false;
  const client = new OvsdbClient({ socket, monitor: { Open_vSwitch: ['cur_cfg'] }, logger: silentLogger(), timeout: 2_000 });
  try {
    await client.open();
    return true;
  } catch {
    return false; // A stale socket, or something that isn't OVSDB: the caller looks elsewhere or says so.
  } finally {
    client.close();
  }
}

async function runOwn(directory: string, datapath: 'system' | 'netdev', logger: Logger): Promise<SwitchServer> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const database = join(directory, 'conf.db');
  const socket = join(directory, 'db.sock');
  if (!existsSync(database)) await run(['ovsdb-tool', 'create', database, schema]);
  const env = { OVS_RUNDIR: directory, OVS_DBDIR: directory, OVS_LOGDIR: directory };
  const logs = ['-vconsole:warn', '-vsyslog:off', '-vfile:off'];
  const ovsdb = await superviseDaemon(
    {
      name: 'ovsdb-server',
      directory,
      env,
      argv: ['ovsdb-server', database, `--remote=punix:${socket}`, `--unixctl=${join(directory, 'ovsdb.ctl')}`, ...logs],
    },
    { logger, ready: () => answers(socket) },
  );
  let vswitchd: Daemon;
  try {
    await ensureRootRow(socket, logger);
    vswitchd = await superviseDaemon(
      {
        name: 'ovs-vswitchd',
        directory,
        env,
        argv: ['ovs-vswitchd', `unix:${socket}`, `--unixctl=${join(directory, 'vswitchd.ctl')}`, ...logs],
      },
      { logger },
    );
  } catch (error) {
    ovsdb.release();
    throw error;
  }
  return {
    socket,
    runDirectory: directory,
    datapath,
    own: true,
    stop: async () => {
      await vswitchd.stop();
      await ovsdb.stop();
    },
    release: () => {
      vswitchd.release();
      ovsdb.release();
    },
    pids: () => ({ ovsdb: ovsdb.pid, vswitchd: vswitchd.pid }),
  };
}

/** A new database has no root row; ovs-vswitchd waits for it (`ovs-vsctl init` makes the same). */
async function ensureRootRow(socket: string, logger: Logger): Promise<void> {
  const client = new OvsdbClient({ socket, monitor: { Open_vSwitch: ['cur_cfg'] }, logger });
  try {
    await client.open();
    if (client.rows('Open_vSwitch').size === 0) {
      await client.transact([{ op: 'insert', table: 'Open_vSwitch', row: {} }]);
    }
  } catch (error) {
    throw new CroftError('unavailable', `The switch database cannot be set up: ${messageOf(error)}`, { cause: error });
  } finally {
    client.close();
  }
}

/** Ends daemons that an earlier croftd left in `directory`: for uninstalling. Idempotent. */
export async function stopOwnSwitch(directory: string, logger: Logger): Promise<void> {
  for (const name of ['ovs-vswitchd', 'ovsdb-server']) {
    await new Daemon({ name, directory, argv: [name] }, { logger }).stop();
  }
}
