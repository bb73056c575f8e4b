/**
 * SwitchDriver: the box's virtual switch. It is told the whole wished state of what Croft owns and brings the
 * switch there in one transaction; what others put on the switch is never touched. Proven by the contract
 * suite in test/contract/switch-driver.ts.
 */

/** A port of Croft's on the integration bridge. `name` is the Linux interface (≤ 15 characters). */
export type WishedPort = {
  name: string;
  /** `tap`: exists as a persistent tap; `internal`: made by the switch (the box's own leg); `system`: an uplink NIC; `pod`: the box's end of a link to a pod. */
  type: 'tap' | 'internal' | 'system' | 'pod';
  /** Access VLAN id; absent with no trunks: untagged. */
  vlan?: number;
  /** Tagged VLANs; exclusive with vlan. */
  trunks?: number[];
  mtu?: number;
  /** MAC address of an internal port, so that it keeps it when the switch makes it anew. */
  mac?: string;
  /** `system` only: the NICs it is made of, where the port isn't named after its one device. More than one: a bond. */
  members?: string[];
  /** How the members share the work. */
  bond?: 'active-backup' | 'lacp';
  /** This VLAN goes untagged on the wire of a port that carries others tagged. */
  native?: number;
  /** A `system` port without vlan and trunks carries all VLANs but these. */
  except?: number[];
  /** Anti-spoofing: only these sources may enter from the port. Absent: no filter (uplinks, own legs). */
  allowed?: {
    mac: string;
    /** The only ones, of the families that are among them. */
    addresses?: string[];
    /** Others' on the same network: never from here, also where the port's own are not known. */
    denied?: string[];
  };
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
  /** Of an uplink's port. */
  members?: ObservedMember[];
};
export type ObservedMember = {
  name: string;
  up: boolean;
  /** LACP: whether the other side takes part. */
  negotiated?: boolean;
  /** The switch's own words why it cannot use the device. */
  error?: string;
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

export interface NicPlugger {
  /** `tap`: ports on the switch; `user`: QEMU's user-mode networking, where taps cannot be made. */
  readonly mode: 'tap' | 'user';
  /** Makes tap and port; idempotent; a changed network moves the port live. @throws `not-found` (network), `unavailable` */
  plug(wish: NicWish): Promise<PluggedNic>;
  /** Removes tap and port; idempotent. */
  unplug(vmId: string, index: number): Promise<void>;
  /** Removes all taps and ports of a VM; idempotent. */
  unplugAll(vmId: string): Promise<void>;
  /** Addresses known for a MAC from DHCP leases. */
  addressesOf(mac: string): string[];
}

/** A guest's NIC and the pod that stands for it in a cluster. */
export type PodLinkWish = {
  vmId: string;
  /** Name of the NIC, plugged already. */
  nic: string;
  /** A process in the pod's network namespace. */
  pid: number;
  /** IPv4 address of the pod's own interface. */
  podAddress: string;
};

/** What appliance/cluster asks of the network: a pod's address that leads to a guest. Implemented by network/engine.ts. */
export interface PodLinker {
  /**
   * Makes what arrives at the pod's address arrive at the NIC; idempotent, and made anew when the pod has another
   * network namespace. Goes with the NIC: unplugging it removes the link.
   * @throws `unavailable` when the NIC isn't plugged or has no address of Croft's, or the pod is gone
   */
  linkPod(wish: PodLinkWish): Promise<void>;
}
