/**
 * SwitchDriver on Open vSwitch.
 *
 * observe → plan (plan.ts, pure) → one OVSDB transaction → wait until ovs-vswitchd has done it → flows
 * (flows.ts, pure) in one OpenFlow bundle by `ovs-ofctl replace-flows`, only when their text changed or the
 * switch process is a new one: a restarted ovs-vswitchd has its ports from the database, but no flows. It is
 * noticed by its management socket being made anew. Why fail mode is `standalone`: see plan.ts.
 */
import { watch, type FSWatcher } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import type { Logger } from '../../appliance/host/logger.ts';
import type { ObservedMember, ObservedPort, ObservedSwitch, SwitchDriver, WishedSwitch } from '../driver.ts';
import { flowsOf, type FlowPort } from './flows.ts';
import { allowedOf, isOurs, ownerOf } from './marks.ts';
import { OvsdbClient, type Operation } from './ovsdb.ts';
import { planRemoval, planSwitch } from './plan.ts';
import { monitoredColumns, readSwitch, type BridgeRow, type InterfaceRow, type SwitchRows } from './rows.ts';
import type { SwitchServer } from './server.ts';

/** A notice to listeners waits this long (ms), so that a burst of updates is one. */
const settle = 20;

export class OvsDriver implements SwitchDriver {
  readonly name = 'ovs';
  readonly #server: SwitchServer;
  readonly #bridge: string;
  readonly #logger: Logger;
  readonly #client: OvsdbClient;
  readonly #listeners = new Set<() => void>();
  #watcher: FSWatcher | undefined;
  #notice: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  /** Flows that stand in the switch; undefined: not known. */
  #flows: string | undefined;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(server: SwitchServer, logger: Logger, bridge = 'croft0') {
    this.#server = server;
    this.#logger = logger;
    this.#bridge = bridge;
    this.#client = new OvsdbClient({ socket: server.socket, monitor: monitoredColumns, logger });
  }

  get offloads(): boolean {
    return this.#server.datapath === 'system';
  }

  /** Version of Open vSwitch, once connected. */
  get version(): string | undefined {
    return this.#rows().root?.version;
  }

  async open(): Promise<void> {
    await this.#client.open();
    this.#unsubscribe = this.#client.subscribe(() => this.#notify());
    const managementSocket = `${this.#bridge}.mgmt`;
    this.#watcher = watch(this.#server.runDirectory, (_event, file) => {
      if (file !== managementSocket) return;
      this.#flows = undefined;
      this.#notify();
    });
    this.#watcher.on('error', (error) => this.#logger.warn({ error: messageOf(error) }, 'switch directory is not watched'));
    // The bridge alone, with the ports that are there: nothing is lost before the first wish.
    const { present } = await this.observe();
    if (!present) await this.apply({ bridge: this.#bridge, ports: [] });
  }

  async close(): Promise<void> {
    clearTimeout(this.#notice);
    this.#watcher?.close();
    this.#unsubscribe?.();
    this.#client.close();
  }

  async observe(): Promise<ObservedSwitch> {
    const found = this.#rows().bridges.find((bridge) => bridge.name === this.#bridge);
    const ports = (found?.ports ?? []).filter((port) => isOurs(port.marks));
    return {
      bridge: this.#bridge,
      present: found !== undefined,
      datapath: found?.datapath ?? this.#server.datapath,
      ports: ports.map((port): ObservedPort => {
        const [device] = port.interfaces;
        const allowed = allowedOf(port.marks);
        return {
          name: port.name,
          owner: ownerOf(port.marks),
          ...(allowed ? { allowed } : {}),
          ...(port.tag === undefined ? {} : { vlan: port.tag }),
          ...(port.trunks.length === 0 ? {} : { trunks: port.trunks.toSorted((a, b) => a - b) }),
          ...(port.marks['croft-uplink'] === undefined ? {} : { members: port.interfaces.map(memberOf) }),
          ...(device?.error === undefined ? {} : { error: device.error }),
          ...(device?.ofport === undefined ? {} : { ofport: device.ofport }),
        };
      }),
    };
  }

  apply(wish: WishedSwitch): Promise<void> {
    const result = this.#tail.then(() => this.#apply(wish));
    this.#tail = result.catch(() => undefined); // The caller gets the failure; the queue only needs the order.
    return result;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  distrust(): void {
    this.#flows = undefined;
  }

  /** Removes Croft's bridge and all on it: for uninstalling. Waits until the switch has let its devices go. */
  async remove(): Promise<void> {
    const found = this.#rows().bridges.find((bridge) => bridge.name === this.#bridge && bridge.marks.croft === 'bridge');
    if (found) await this.#transact(planRemoval(found));
  }

  #rows(): SwitchRows {
    return readSwitch((table) => this.#client.rows(table));
  }

  async #apply(wish: WishedSwitch): Promise<void> {
    const operations = planSwitch(this.#rows(), wish, this.#server.datapath);
    if (operations.length > 0) await this.#transact(operations);
    const bridge = this.#rows().bridges.find((each) => each.name === wish.bridge);
    if (bridge) await this.#applyFlows(bridge);
  }

  /** Runs a plan and waits until ovs-vswitchd has done it. */
  async #transact(operations: readonly Operation[]): Promise<void> {
    const results = await this.#client.transact(operations);
    const target = Number(results.at(-1)?.rows?.[0]?.next_cfg ?? 0);
    await this.#client.waitUntil(() => (this.#rows().root?.curCfg ?? 0) >= target, 'The change of the switch');
  }

  async #applyFlows(bridge: BridgeRow): Promise<void> {
    const flows = flowsOf(flowPorts(bridge)).join('\n');
    if (flows === this.#flows) return;
    const target = `unix:${join(this.#server.runDirectory, `${bridge.name}.mgmt`)}`;
    this.#flows = undefined;
    await run(['ovs-ofctl', '-O', 'OpenFlow14', '--bundle', 'replace-flows', target, '-'], {
      input: `${flows}\n`,
      timeout: 10_000,
    });
    this.#flows = flows;
  }

  #notify(): void {
    clearTimeout(this.#notice);
    this.#notice = setTimeout(() => {
      for (const listener of this.#listeners) listener();
    }, settle);
  }
}

const memberOf = ({ name, linkUp, lacpCurrent, error }: InterfaceRow): ObservedMember => ({
  name,
  up: linkUp,
  ...(lacpCurrent === undefined ? {} : { negotiated: lacpCurrent }),
  ...(error === undefined ? {} : { error }),
});

/** Filters of our ports; ports of others on our bridge pass unfiltered. The bridge's own port is LOCAL. */
const flowPorts = (bridge: BridgeRow): FlowPort[] =>
  bridge.ports.flatMap((port) =>
    port.interfaces.flatMap((device) => {
      if (device.ofport === undefined || device.name === bridge.name) return [];
      const allowed = isOurs(port.marks) ? allowedOf(port.marks) : undefined;
      return [{ ofport: device.ofport, ...(allowed ? { allowed } : {}) }];
    }),
  );
