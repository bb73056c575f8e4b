/**
 * SwitchDriver: the box's virtual switch. It is told the whole wished state of what Croft owns and brings the
 * switch there in one transaction; what others put on the switch is never touched. Proven by the contract
 * suite in test/contract/switch-driver.ts.
 */

/** A port of Croft's on the integration bridge. `name` is the Linux interface (≤ 15 characters). */
export type WishedPort = {
  name: string;
  /** `tap`: exists as a persistent tap; `internal`: made by the switch (the box's own leg); `system`: an uplink NIC. */
  type: 'tap' | 'internal' | 'system';
  /** Access VLAN id; absent with no trunks: untagged. */
  vlan?: number;
  /** Tagged VLANs; exclusive with vlan. */
  trunks?: number[];
  mtu?: number;
  /** MAC address of an internal port, so that it keeps it when the switch makes it anew. */
  mac?: string;
  /** Anti-spoofing: only these sources may enter from the port. Absent: no filter (uplinks, own legs). */
  allowed?: { mac: string; addresses?: string[] };
  /** Kept apart from all other ports but this network's (isolated networks without VLAN use an internal tag). */
  isolatedGroup?: string;
  /** Marks for the switch's external_ids: who this port belongs to. */
  owner: { vmId?: string; nic?: string; network?: string; uplink?: string };
};

export type WishedSwitch = { bridge: string; ports: WishedPort[] };

export type ObservedPort = {
  name: string;
  vlan?: number;
  trunks?: number[];
  error?: string;
  ofport?: number;
  /** What the port was marked with when it was made. */
  owner: WishedPort['owner'];
  allowed?: NonNullable<WishedPort['allowed']>;
};
export type ObservedSwitch = { bridge: string; present: boolean; datapath: string; ports: ObservedPort[] };

export interface SwitchDriver {
  readonly name: string;
  /** Kernel datapath: guests may leave checksums and segmentation to it. Userspace: they must not (frames would leave with bad checksums). */
  readonly offloads: boolean;
  /** Connects, makes the bridge. Reconnects by itself later. @throws `unavailable` */
  open(): Promise<void>;
  close(): Promise<void>;
  observe(): Promise<ObservedSwitch>;
  /** Brings the switch to the wish in one transaction; a no-op where nothing differs. Removes Croft's own ports that are not wished. */
  apply(wish: WishedSwitch): Promise<void>;
  /** Called when the switch changed or came back, so that drift is repaired without polling. Returns the way to stop. */
  subscribe(listener: () => void): () => void;
  /** The next apply compares everything with the switch itself, remembering nothing. For the slow resync. */
  distrust?(): void;
}

/** What appliance/vm asks of the network: plug a VM's NIC, move it, unplug it. Implemented by network/ports.ts. */
export type NicWish = {
  vmId: string;
  /** Index of the NIC in the VM: names its tap. */
  index: number;
  nic: string;
  mac: string;
  /** Name of the croft.io Network. */
  network: string;
  /** uid that may open the tap. */
  uid: number | undefined;
  linkUp: boolean;
};

export type PluggedNic = {
  ifname: string;
  offloads: boolean;
  mtu: number;
  /** The NIC came to another network by this call: its link should go down and up, so that the guest asks DHCP again. */
  moved?: boolean;
};

export type NicCounters = Record<
  'rxBytes' | 'rxPackets' | 'rxErrors' | 'rxDropped' | 'txBytes' | 'txPackets' | 'txErrors' | 'txDropped',
  number
>;

export interface NicPlugger {
  /** `tap`: ports on the switch; `user`: QEMU's user-mode networking, where taps cannot be made. */
  readonly mode: 'tap' | 'user';
  /** Makes tap and port; idempotent; a changed network moves the port live. @throws `not-found` (network), `unavailable` */
  plug(wish: NicWish): Promise<PluggedNic>;
  /** Removes tap and port; idempotent. */
  unplug(vmId: string, index: number): Promise<void>;
  /** Removes all taps and ports of a VM; idempotent. */
  unplugAll(vmId: string): Promise<void>;
  /** What went over a NIC since its tap was made, as the guest sees it; undefined where there is no tap. */
  counters?(vmId: string, index: number): Promise<NicCounters | undefined>;
  /** Addresses known for a MAC from DHCP leases. */
  addressesOf(mac: string): string[];
}
