/**
 * One running QEMU. State comes from query-status, asked again at each event that may have changed it: events
 * say *when* to look, never *what* is so, and a guest adopted after a restart needs no history.
 *
 * A guest that powered off or panicked stays, stopped, until `kill()` ends its QEMU; the `exit` event then says
 * `shutdown` or `panicked`. A process that goes by itself has `crashed`. The connection to the monitor tells at
 * once that a process may be gone (this works for adopted ones, which are nobody's children); /proc tells
 * whether it is. If it isn't, we connect again for as long as it lives.
 */
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { BlockdevGraph } from '../../storage/driver.ts';
import { CroftError, isCroftError, messageOf } from '../errors.ts';
import type { Logger } from '../host/logger.ts';
import { isAlive } from '../host/process-info.ts';
import type {
  Guest,
  GuestAgentInfo,
  GuestDisk,
  GuestEvent,
  GuestExit,
  GuestFilesystem,
  GuestNic,
  GuestRunState,
  GuestStats,
  GuestUser,
} from '../vm/hypervisor.ts';
import { Cgroups } from './cgroup.ts';
import { GuestAgent } from './agent.ts';
import { DevicePlug } from './device-plug.ts';
import { recordExit } from './exit-record.ts';
import { killForSure, waitGone } from './process.ts';
import { QmpClient, defaultQmpTimeout, type QmpEvent } from './qmp.ts';
import { checkSocket, type LaunchRecord, type RunDir } from './run-dir.ts';
import { endedFromOutside, exitOf, runStateOf } from './run-state.ts';
import { openSocket, SerialHub } from './serial-hub.ts';
import { statsReader } from './stats.ts';

/** ms; a reconciler asks for the state often, so a silent QEMU must not hold it up for long. */
const stateTimeout = 3_000;
const reconnectInterval = 500;
const freezeTimeout = 30_000;

/** Events after which the run state is read again. */
const stateEvents = new Set([
  'STOP',
  'RESUME',
  'SHUTDOWN',
  'GUEST_PANICKED',
  'SUSPEND',
  'WAKEUP',
  'RESET',
  'BLOCK_IO_ERROR',
  'MIGRATION',
]);

export class QemuGuest implements Guest {
  readonly id: string;
  readonly epoch: number;
  readonly pid: number;
  readonly record: LaunchRecord;
  readonly #dir: RunDir;
  readonly #logger: Logger;
  readonly #cgroups: Cgroups;
  readonly #agent: GuestAgent;
  readonly #events = new EventEmitter();
  readonly #plug = new DevicePlug((...args) => this.qmp(...args));
  readonly #stats = statsReader(
    () => this.pid,
    (execute, args) => this.qmp(execute, args, stateTimeout),
  );
  #client: QmpClient | undefined;
  #serial: SerialHub | undefined;
  #state: GuestRunState = 'unresponsive';
  /** Read from QEMU: `shutdown` or `panicked` stand even when it answers no more. */
  #lastRead: GuestRunState = 'unresponsive';
  #shutdownReason: string | undefined;
  #agentConnected = false;
  /** Connected, and what was read is up to date. */
  #connected = false;
  #killing = false;
  #oomKilled = false;
  #ended: GuestExit | undefined;
  #released = false;

  constructor(record: LaunchRecord, dir: RunDir, logger: Logger, cgroups = new Cgroups(logger)) {
    this.#cgroups = cgroups;
    this.id = record.id;
    this.epoch = record.epoch;
    this.pid = record.pid;
    this.record = record;
    this.#dir = dir;
    this.#logger = logger.child({ vm: record.id, pid: record.pid });
    this.#agent = new GuestAgent(dir.agent);
    this.#events.setMaxListeners(0);
  }

  get shape(): Guest['shape'] {
    const { argv, machine, accelerator } = this.record;
    const count = (kind: 'nic' | 'disk'): number =>
      argv.filter((word) => word.startsWith(`pcie-root-port,id=port-${kind}`)).length;
    return { machine, accelerator, ports: { nic: count('nic'), disk: count('disk') } };
  }

  get ended(): GuestExit | undefined {
    return this.#ended;
  }

  /**
   * Connects to monitor and serial console, reads everything anew, and lets a guest that is to run go on from
   * its stopped start. @throws CroftError as QmpClient.connect
   */
  async connect(timeout: number): Promise<void> {
    await checkSocket(this.#dir.control, this.record.uid);
    const client = await QmpClient.connect(this.#dir.control, {
      timeout,
      onEvent: (event) => this.#onEvent(event),
      onClose: (closed) => this.#client === closed && this.#connected && void this.#onDisconnect(),
    });
    this.#client = client;
    try {
      await this.#readAnew();
    } catch (error) {
      client.close();
      throw error;
    }
    this.#connected = true;
    if (client.closed) void this.#onDisconnect();
  }

  async #readAnew(): Promise<void> {
    await this.#connectSerial();
    const { status } = await this.qmp<{ status: string }>('query-status');
    if (status === 'prelaunch' && !this.record.paused) await this.qmp('cont');
    const chardevs = await this.qmp<{ label: string; 'frontend-open': boolean }[]>('query-chardev');
    this.#agentConnected = chardevs.find(({ label }) => label === 'agent')?.['frontend-open'] ?? false;
    await this.state();
  }

  /** After the start: connects as soon as QEMU listens. @throws CroftError `unavailable` when it has ended, `command-timeout` */
  async untilConnected(timeout: number): Promise<void> {
    const deadline = Date.now() + timeout;
    for (;;) {
      const alive = await isAlive(this.record);
      try {
        return await this.connect(Math.max(1, deadline - Date.now()));
      } catch (error) {
        if (!alive || Date.now() > deadline) throw error;
      }
      await delay(5);
    }
  }

  /** After adoption: connects, or keeps trying while the process lives; finishes what was cut off. */
  async adopt(timeout: number): Promise<void> {
    try {
      await this.connect(timeout);
      await this.#plug.removeOrphans();
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'a running guest does not answer yet');
      if (!this.#connected) void this.#onDisconnect();
    }
  }

  async state(): Promise<GuestRunState> {
    try {
      const { status } = await this.qmp<{ status: string }>('query-status', undefined, stateTimeout);
      this.#noteState(runStateOf(status));
      this.#setState(runStateOf(status));
    } catch (error) {
      if (!isCroftError(error)) throw error;
      this.#setState('unresponsive');
    }
    return this.#state;
  }

  async powerdown(): Promise<void> {
    await this.qmp('system_powerdown');
  }

  async pause(): Promise<void> {
    await this.qmp('stop');
    await this.state();
  }

  async resume(): Promise<void> {
    await this.qmp('cont');
    await this.state();
  }

  async reset(): Promise<void> {
    await this.qmp('system_reset');
  }

  async kill(): Promise<void> {
    if (this.#ended) return;
    // A guest that has just powered off is told apart from one that is killed.
    if (this.#client) await this.#readStateQuickly();
    this.#killing = true;
    await recordExit(this.#dir, exitOf(this.#facts()), this.#logger);
    try {
      await this.qmp('quit', undefined, 1_000);
    } catch {
      // Silent or gone: the signal does it.
    }
    if (!(await waitGone(this.record, 1_000))) await killForSure(this.record);
    this.#end();
  }

  qmp<T = unknown>(execute: string, args?: Record<string, unknown>, timeout = defaultQmpTimeout): Promise<T> {
    if (!this.#client) return Promise.reject(new CroftError('qmp-failed', `${execute}: there is no connection to QEMU.`));
    return this.#client.execute<T>(execute, args, timeout);
  }

  attachDisk(disk: GuestDisk): Promise<void> {
    return this.#plug.attachDisk(disk);
  }

  attachNic(nic: GuestNic): Promise<void> {
    return this.#plug.attachNic(nic);
  }

  detachDisk(name: string): Promise<void> {
    return this.#plug.detach('disk', name);
  }

  changeMedium(name: string, graph: BlockdevGraph | undefined): Promise<void> {
    return this.#plug.changeMedium(name, graph);
  }

  detachNic(name: string): Promise<void> {
    return this.#plug.detach('nic', name);
  }

  async disks(): Promise<string[]> {
    return (await this.#plug.devices('disk')).map(({ name }) => name);
  }

  async nics(): Promise<string[]> {
    return (await this.#plug.devices('nic')).map(({ name }) => name);
  }

  topNodes(): Promise<ReadonlyMap<string, string>> {
    return this.#plug.topNodes();
  }

  async setLink(nic: string, up: boolean): Promise<void> {
    const device = (await this.#plug.devices('nic')).find(({ name }) => name === nic);
    if (!device) throw new CroftError('not-found', `The guest has no NIC ${nic}.`);
    await this.qmp('set_link', { name: device.id, up });
  }

  async openConsole(kind: 'serial' | 'vnc'): Promise<Duplex> {
    if (this.#ended) throw new CroftError('invalid-state', 'The guest has ended: there is no console.');
    if (kind === 'vnc') {
      await checkSocket(this.#dir.vnc, this.record.uid);
      return openSocket(this.#dir.vnc, 'VNC server');
    }
    if (!this.#serial || this.#serial.closed) this.#serial = await this.#openSerial();
    return this.#serial.open();
  }

  async agentInfo(): Promise<GuestAgentInfo | undefined> {
    if (!this.#agentConnected) return undefined;
    try {
      return await this.#agent.info();
    } catch (error) {
      // Part of a guest's normal life: the agent is being stopped, or has not begun to read.
      this.#logger.debug({ error: messageOf(error) }, 'the guest agent does not answer');
      return undefined;
    }
  }

  async agentLists(): Promise<{ users: GuestUser[]; filesystems: GuestFilesystem[] } | undefined> {
    return this.#agentConnected ? this.#agent.lists() : undefined;
  }

  async freeze(frozen: boolean): Promise<boolean> {
    if (!this.#agentConnected) return false;
    if (!frozen) {
      await this.#agent.call('guest-fsfreeze-thaw', undefined, freezeTimeout);
      return true;
    }
    try {
      await this.#agent.call('guest-fsfreeze-freeze', undefined, freezeTimeout);
      return true;
    } catch (error) {
      // A freeze that came too late must not stay: a frozen guest hangs.
      await this.#agent.call('guest-fsfreeze-thaw').catch(() => undefined);
      throw error;
    }
  }

  stats(): Promise<GuestStats> {
    return this.#stats();
  }

  subscribe(listener: (event: GuestEvent) => void): () => void {
    this.#events.on('event', listener);
    return () => void this.#events.off('event', listener);
  }

  /** Lets go: QEMU runs on. */
  release(): void {
    this.#released = true;
    this.#client?.close();
    this.#serial?.close();
  }

  #onEvent({ event, data }: QmpEvent): void {
    if (event === 'SHUTDOWN') this.#shutdownReason = String(data.reason);
    if (event === 'MIGRATION') this.#emit({ type: 'migration', status: String(data.status) });
    if (event === 'RESET') this.#emit({ type: 'reset' });
    if (event === 'DEVICE_DELETED' && typeof data.device === 'string') void this.#plug.onDeleted(data.device);
    if (event === 'BLOCK_IO_ERROR') void this.#onIoError(data);
    if (event === 'VSERPORT_CHANGE' && data.id === 'agent0') {
      this.#agentConnected = data.open === true;
      this.#emit({ type: 'agent', connected: this.#agentConnected });
    }
    if (stateEvents.has(event)) void this.state();
  }

  async #onIoError(data: Record<string, unknown>): Promise<void> {
    const node = String(data['node-name'] ?? '');
    const disk = (await this.#plug.diskOfNode(node)) ?? node;
    this.#emit({ type: 'io-error', disk, reason: data.nospace === true ? 'no space left' : String(data.reason ?? 'unknown') });
  }

  async #connectSerial(): Promise<void> {
    if (this.#serial && !this.#serial.closed) return;
    try {
      this.#serial = await this.#openSerial();
    } catch (error) {
      this.#logger.warn({ error: messageOf(error) }, 'the serial console is not there: no log of it for now');
    }
  }

  async #openSerial(): Promise<SerialHub> {
    await checkSocket(this.#dir.serial, this.record.uid);
    return SerialHub.connect(this.#dir.serial, this.#dir.serialLog, this.#logger);
  }

  async #readStateQuickly(): Promise<void> {
    try {
      const { status } = await this.qmp<{ status: string }>('query-status', undefined, 500);
      this.#noteState(runStateOf(status));
    } catch {
      // Silent: what was read last stands.
    }
  }

  async #onDisconnect(): Promise<void> {
    this.#connected = false;
    while (!this.#released && !this.#ended) {
      if (await waitGone(this.record, reconnectInterval)) {
        this.#oomKilled = await this.#cgroups.wasOomKilled(this.id);
        if (!this.#killing) await recordExit(this.#dir, exitOf(this.#facts()), this.#logger);
        this.#end();
        return;
      }
      this.#setState('unresponsive');
      try {
        await this.connect(stateTimeout);
        return;
      } catch {
        // The process lives but doesn't talk: `unresponsive` says so, and the next round tries again.
        await delay(reconnectInterval);
      }
    }
  }

  /** A QEMU that was told to quit says `shutdown` on its way out; that is not the guest's doing. */
  #noteState(state: GuestRunState): void {
    if (!this.#killing && !endedFromOutside(this.#shutdownReason)) this.#lastRead = state;
  }

  #facts() {
    return { state: this.#lastRead, killing: this.#killing, shutdownReason: this.#shutdownReason, oomKilled: this.#oomKilled };
  }

  #end(): void {
    if (this.#ended || this.#released) return;
    this.#ended = exitOf(this.#facts());
    this.#state = 'unresponsive';
    this.#serial?.close();
    this.#client?.close();
    this.#emit({ type: 'exit', exit: this.#ended });
  }

  #setState(state: GuestRunState): void {
    if (state === this.#state || this.#killing || this.#ended || this.#released) return;
    this.#state = state;
    this.#emit({ type: 'state', state });
  }

  #emit(event: GuestEvent): void {
    this.#events.emit('event', event);
  }
}
