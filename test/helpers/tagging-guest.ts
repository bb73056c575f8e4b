/**
 * A fake guest that tags its own frames. The kernel here may have no 802.1Q, so a bridge of the test's own on the same
 * switch stands for the guest's VLAN interfaces, which live in this namespace.
 */
import { attempt, must } from './fake-guest.ts';

type Vlan = { device: string; tag: number; address: string };

export class TaggingGuest {
  readonly tap: string;
  readonly #vsctl: (...argv: string[]) => Promise<string>;
  readonly #bridge = 'guest0';

  constructor(socket: string, tap: string) {
    this.tap = tap;
    this.#vsctl = (...argv) => must(['ovs-vsctl', `--db=unix:${socket}`, '--timeout=10', ...argv]);
  }

  /** @param mac the NIC's: all its VLANs speak from it */
  async start(mac: string, datapath: string, vlans: readonly Vlan[]): Promise<void> {
    await must(['ip', 'link', 'add', this.tap, 'type', 'veth', 'peer', 'name', 'trunk0']);
    for (const end of [this.tap, 'trunk0']) await must(['ip', 'link', 'set', end, 'up']);
    const bridge = ['set', 'bridge', this.#bridge, `datapath_type=${datapath}`];
    await this.#vsctl('add-br', this.#bridge, '--', ...bridge, '--', 'add-port', this.#bridge, 'trunk0');
    for (const { device, tag, address } of vlans) {
      const set = ['set', 'interface', device, 'type=internal', `mac="${mac}"`];
      await this.#vsctl('add-port', this.#bridge, device, `tag=${tag}`, '--', ...set);
      await must(['ip', 'address', 'add', address, 'dev', device]);
      await must(['ip', 'link', 'set', device, 'up']);
    }
  }

  async pings(address: string): Promise<boolean> {
    return (await attempt(['busybox', 'ping', '-c', '1', '-W', '1', address])) !== undefined;
  }

  async stop(): Promise<void> {
    await this.#vsctl('--if-exists', 'del-br', this.#bridge);
    await attempt(['ip', 'link', 'delete', this.tap]);
  }
}
