/** The objects of `/v1`, as types only: the server's schemas are their one source and are not loaded here. */
import type { Static } from 'typebox';
import type * as cluster from '../schemas/cluster.ts';
import type * as disks from '../schemas/disks.ts';
import type * as history from '../schemas/history.ts';
import type * as objects from '../schemas/objects.ts';
import type * as snapshots from '../schemas/snapshots.ts';
import type * as uplinks from '../schemas/uplinks.ts';
import type * as transfer from '../schemas/transfer.ts';
import type * as vm from '../schemas/vm.ts';

export type { DiskWish, NicWish, Vm, VmCreate, VmPatch } from '../schemas/vm.ts';
export type Image = Static<typeof objects.Image>;
export type CatalogueImage = Static<typeof objects.CatalogueImage>;
export type ImageCreate = Static<typeof objects.ImageCreate>;
export type Volume = Static<typeof objects.Volume>;
export type VolumeCreate = Static<typeof objects.VolumeCreate>;
export type Network = Static<typeof objects.Network>;
export type NetworkCreate = Static<typeof objects.NetworkCreate>;
export type Uplink = Static<typeof uplinks.Uplink>;
export type UplinkCreate = Static<typeof uplinks.UplinkCreate>;
export type Pool = Static<typeof objects.Pool>;
export type PoolCreate = Static<typeof objects.PoolCreate>;
export type Disk = Static<typeof disks.Disk>;
export type DiskAdd = disks.DiskAdd;
export type User = Static<typeof objects.User>;
export type UserCreate = Static<typeof objects.UserCreate>;
/** After an invitation or a reset: with the link that sets the password once. */
export type UserWithLink = Static<typeof objects.UserWithLink>;
export type Token = Static<typeof objects.Token>;
export type TokenCreate = Static<typeof objects.TokenCreate>;
export type TokenWithSecret = Static<typeof objects.TokenWithSecret>;
export type Node = Static<typeof objects.Node>;
export type NodeBackup = Static<typeof objects.BackupOut>;
export type Cluster = Static<typeof cluster.Cluster>;
export type ClusterInit = Static<typeof cluster.ClusterInit>;
export type Task = Static<typeof objects.Task>;
export type ApiEvent = Static<typeof objects.EventOut>;
export type History = Static<typeof history.History>;
export type Sparklines = Static<typeof history.Sparklines>;
export type { InstanceType, InstanceTypeCreate, Preference } from '../schemas/instancetypes.ts';
export type { GuestLists } from '../schemas/guest.ts';
export type Explanation = Static<typeof vm.ExplanationOut>;
export type ConsoleTicket = Static<typeof vm.Ticket>;

export type VmImport = Static<typeof transfer.VmImport>;
export type Export = Static<typeof transfer.Export>;
export type Snapshot = Static<typeof snapshots.Snapshot>;
export type Page<T> = { items: T[]; nextPageToken?: string };
