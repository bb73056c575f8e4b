/** croft.io/v1: only what has no kind in KubeVirt, CDI or Kubernetes. All are of the box or cluster, not of a project. */
import { Type } from 'typebox';
import { Condition } from './meta.ts';
import { defineKind, type Of } from './kind.ts';

const strict = { additionalProperties: false } as const;
const apiVersion = 'croft.io/v1';

export const network = defineKind({
  apiVersion,
  kind: 'Network',
  plural: 'networks',
  shortNames: ['net'],
  namespaced: false,
  spec: Type.Object(
    {
      /** IEEE 802.1Q id of an access network; absent: untagged, or isolated when `isolated`. */
      vlan: Type.Optional(Type.Integer({ minimum: 1, maximum: 4094 })),
      /** VLANs handed to the guest tagged; exclusive with vlan. */
      trunk: Type.Optional(Type.Array(Type.Integer({ minimum: 1, maximum: 4094 }))),
      /** Never leaves this box: no uplink carries it. */
      isolated: Type.Optional(Type.Boolean()),
      mtu: Type.Optional(Type.Integer({ minimum: 1280, maximum: 9216 })),
      /** The box's own address on this network, with prefix: `10.43.0.1/24`. Needed for dhcp and nat. */
      address: Type.Optional(Type.String()),
      dhcp: Type.Optional(Type.Boolean()),
      nat: Type.Optional(Type.Boolean()),
      reservations: Type.Optional(Type.Array(Type.Object({ mac: Type.String(), address: Type.String() }, strict))),
    },
    strict,
  ),
  status: Type.Object({
    conditions: Type.Optional(Type.Array(Condition)),
    /** Name of the Uplink that carries it. */
    uplink: Type.Optional(Type.String()),
    leases: Type.Optional(
      Type.Array(
        Type.Object({
          mac: Type.String(),
          address: Type.String(),
          hostname: Type.Optional(Type.String()),
          expires: Type.Optional(Type.String()),
          /** The box that gave it, where there are several. */
          node: Type.Optional(Type.String()),
        }),
      ),
    ),
  }),
  columns: [
    { header: 'VLAN', path: '.spec.vlan' },
    { header: 'ADDRESS', path: '.spec.address' },
    { header: 'DHCP', path: '.spec.dhcp' },
    { header: 'NAT', path: '.spec.nat' },
  ],
});
export type Network = Of<typeof network>;

export const image = defineKind({
  apiVersion,
  kind: 'Image',
  plural: 'images',
  shortNames: ['img'],
  namespaced: false,
  spec: Type.Object(
    {
      source: Type.Object(
        {
          /** Built here from Debian packages: `tiny` or `debian`. */
          build: Type.Optional(Type.Enum(['tiny', 'debian'])),
          url: Type.Optional(Type.String()),
          /** A name of the catalogue (image-catalogue.ts): address and digest are its publisher's. */
          catalogue: Type.Optional(Type.String()),
          /** A file of the box, taken in once. */
          file: Type.Optional(Type.String()),
          /** Bytes come by upload. */
          upload: Type.Optional(Type.Object({}, strict)),
        },
        strict,
      ),
      /** `sha256:<hex>` or `sha512:<hex>` of the bytes as fetched. */
      checksum: Type.Optional(Type.String({ pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$' })),
      pool: Type.Optional(Type.String()),
    },
    strict,
  ),
  status: Type.Object({
    phase: Type.Optional(Type.Enum(['Pending', 'Fetching', 'Building', 'Converting', 'Ready', 'Failed'])),
    /** 0 to 1 of the present phase. */
    progress: Type.Optional(Type.Number()),
    /** Bytes the guest sees. */
    virtualSize: Type.Optional(Type.Integer()),
    /** Bytes taken in the pool. */
    size: Type.Optional(Type.Integer()),
    message: Type.Optional(Type.String()),
    /** What a name of the catalogue meant when it was fetched. */
    origin: Type.Optional(Type.Object({ url: Type.String(), checksum: Type.String() })),
    /** The generation that a failure is of: it stands until the spec changes. */
    observedGeneration: Type.Optional(Type.Integer()),
    conditions: Type.Optional(Type.Array(Condition)),
  }),
  columns: [
    { header: 'PHASE', path: '.status.phase' },
    { header: 'SIZE', path: '.status.virtualSize' },
  ],
});
export type Image = Of<typeof image>;

export const poolOfImage = ({ spec }: Image): string => spec.pool ?? 'local';

/** An image that goes as soon as a disk is made of it: the bytes of an imported VM. */
export const singleUseAnnotation = 'croft.io/single-use';
/** `project/name` of the VM that such an image is for. */
export const usedByAnnotation = 'croft.io/used-by';

export const storagePool = defineKind({
  apiVersion,
  kind: 'StoragePool',
  plural: 'storagepools',
  shortNames: ['pool'],
  namespaced: false,
  spec: Type.Object(
    {
      driver: Type.Enum(['local', 'rbd', 'sim']),
      /** Directory of a `local` pool; default `$CROFT_DATA/pools/<name>`. */
      path: Type.Optional(Type.String()),
      /** Bytes kept free: below it writing VMs are paused. Default 5 % of the file system, at most 10 GiB. */
      reserve: Type.Optional(Type.Integer({ minimum: 0 })),
      /** rbd only: copies of every block. */
      replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 3 })),
      /** rbd only: the disks of the box it is made of. One that goes from the list is emptied and taken out. */
      disks: Type.Optional(
        Type.Array(
          Type.Object(
            {
              /** A UUID; a disk that replaces another has a new one, also in the same place. */
              id: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' }),
              /** Whole disk, partition or file. */
              path: Type.String({ pattern: '^/' }),
              /** Bytes; a file of this size is made where there is none. */
              size: Type.Optional(Type.Integer({ minimum: 1 })),
              /** Serial numbers (a file's or partition's path) of disks that may be overwritten. */
              wipe: Type.Optional(Type.Array(Type.String())),
              /** The box it is in; absent on a box alone. */
              node: Type.Optional(Type.String()),
              /** Its light is to blink until then. */
              locateUntil: Type.Optional(Type.String()),
            },
            strict,
          ),
        ),
      ),
    },
    strict,
  ),
  status: Type.Object({
    /** Redundancy of a replicated pool in words, the disks that may fail without loss, and the disks. */
    health: Type.Optional(
      Type.Object({
        state: Type.String(),
        message: Type.String(),
        survives: Type.Integer(),
        problem: Type.Optional(Type.String()),
        /** While copies are missing: how much (0 to 1), bytes a second made, seconds to go. */
        recovery: Type.Optional(
          Type.Object({
            missing: Type.Number(),
            bytesPerSecond: Type.Integer(),
            seconds: Type.Optional(Type.Integer()),
          }),
        ),
        disks: Type.Array(
          Type.Object({
            id: Type.String(),
            name: Type.String(),
            path: Type.String(),
            size: Type.Optional(Type.Integer()),
            serial: Type.Optional(Type.String()),
            state: Type.String(),
            reason: Type.Optional(Type.String()),
            /** What it says of itself (SMART): verdict, °C, hours, percent worn, bad sectors. */
            smart: Type.Optional(
              Type.Object({
                passed: Type.Optional(Type.Boolean()),
                temperature: Type.Optional(Type.Integer()),
                hours: Type.Optional(Type.Integer()),
                wear: Type.Optional(Type.Integer()),
                badSectors: Type.Optional(Type.Integer()),
              }),
            ),
            warning: Type.Optional(Type.String()),
            locating: Type.Optional(Type.String()),
          }),
        ),
      }),
    ),
    /** Bytes. `used` is what the file system or cluster has given out, `provisioned` what guests could fill. */
    capacity: Type.Optional(Type.Integer()),
    used: Type.Optional(Type.Integer()),
    provisioned: Type.Optional(Type.Integer()),
    conditions: Type.Optional(Type.Array(Condition)),
  }),
  columns: [
    { header: 'DRIVER', path: '.spec.driver' },
    { header: 'USED', path: '.status.used' },
    { header: 'CAPACITY', path: '.status.capacity' },
    { header: 'HEALTH', path: '.status.health.message' },
  ],
});
export type StoragePool = Of<typeof storagePool>;

export const Role = Type.Enum(['viewer', 'operator', 'admin']);

export const user = defineKind({
  apiVersion,
  kind: 'User',
  plural: 'users',
  namespaced: false,
  spec: Type.Object({ role: Role, fullName: Type.Optional(Type.String()), disabled: Type.Optional(Type.Boolean()) }, strict),
  status: Type.Object({ lastSignIn: Type.Optional(Type.String()) }),
  columns: [{ header: 'ROLE', path: '.spec.role' }],
});
export type User = Of<typeof user>;

/** An API token. Its hash stands in the Secret `token-<name>` of namespace croft-system, never here. */
export const token = defineKind({
  apiVersion,
  kind: 'Token',
  plural: 'tokens',
  namespaced: false,
  spec: Type.Object(
    {
      role: Role,
      user: Type.Optional(Type.String()),
      expiresAt: Type.Optional(Type.String()),
      description: Type.Optional(Type.String()),
    },
    strict,
  ),
  status: Type.Object({ lastUsed: Type.Optional(Type.String()) }),
  columns: [
    { header: 'ROLE', path: '.spec.role' },
    { header: 'EXPIRES', path: '.spec.expiresAt' },
  ],
});
export type Token = Of<typeof token>;

/** The state of a box, as the box reports it. */
export const node = defineKind({
  apiVersion,
  kind: 'Node',
  plural: 'nodes',
  namespaced: false,
  spec: Type.Object(
    {
      hostname: Type.Optional(Type.String()),
      /** What the box is to become among the voters. */
      role: Type.Optional(Type.Enum(['voter', 'agent'])),
      /** It is to run no VMs: they leave it. */
      maintenance: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  status: Type.Object({
    version: Type.Optional(Type.String()),
    cpus: Type.Optional(Type.Integer()),
    /** Bytes. */
    memory: Type.Optional(Type.Integer()),
    memoryReserved: Type.Optional(Type.Integer()),
    accelerator: Type.Optional(Type.String()),
    bootId: Type.Optional(Type.String()),
    /** Among the boxes of a cluster: its cluster address, its part, and its certificate towards boxes that join. */
    peer: Type.Optional(
      Type.Object({
        address: Type.String(),
        role: Type.Enum(['voter', 'agent']),
        witness: Type.Optional(Type.Boolean()),
        /** SHA-256 of the certificate it shows on `joinPort`, hex. */
        fingerprint: Type.Optional(Type.String()),
        joinPort: Type.Optional(Type.Integer()),
      }),
    ),
    components: Type.Optional(
      Type.Array(
        Type.Object({
          name: Type.String(),
          version: Type.Optional(Type.String()),
          state: Type.String(),
          message: Type.Optional(Type.String()),
        }),
      ),
    ),
    conditions: Type.Optional(Type.Array(Condition)),
  }),
  columns: [
    { header: 'VERSION', path: '.status.version' },
    { header: 'ACCELERATOR', path: '.status.accelerator' },
  ],
});
export type Node = Of<typeof node>;
