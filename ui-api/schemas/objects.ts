/** The other flat objects of `/v1` and their requests; virtual machines have vm.ts. */
import { Type, type Static } from 'typebox';
import { Role } from '../../appliance/resources/croft-kinds.ts';
import { Bytes, ConditionOut, Labels, Name, ObjectOut, Size, strict, Time } from './common.ts';
import { DiskWish, PoolHealth } from './disks.ts';

export const labels = { labels: Type.Optional(Labels) };
export const LabelsPatch = Type.Optional(
  Type.Record(Type.String({ maxLength: 316 }), Type.Union([Type.String({ maxLength: 63 }), Type.Null()])),
);

export const Image = Type.Object({
  kind: Type.Literal('image'),
  ...ObjectOut,
  state: Type.String({ description: 'pending, fetching, building, converting, ready or failed' }),
  progress: Type.Optional(Type.Number({ description: '0 to 1 of the present state' })),
  source: Type.Object({}),
  origin: Type.Optional(
    Type.Object({ url: Type.String(), checksum: Type.String() }, { description: 'what its name in the catalogue stood for' }),
  ),
  checksum: Type.Optional(Type.String()),
  pool: Type.Optional(Type.String()),
  size: Type.Optional(Type.Integer({ description: 'bytes the guest sees' })),
  used: Type.Optional(Type.Integer({ description: 'bytes taken in the pool' })),
  reason: Type.Optional(Type.String()),
});
export const ImageCreate = Type.Object(
  {
    name: Name,
    source: Type.Object(
      {
        build: Type.Optional(Type.Enum(['tiny', 'debian'])),
        catalogue: Type.Optional(Type.String({ maxLength: 63, description: 'a name of /v1/image-catalogue' })),
        url: Type.Optional(Type.String({ maxLength: 4096, pattern: '^https?://', description: 'an http or https address' })),
        file: Type.Optional(Type.String({ maxLength: 4096, pattern: '^/', description: 'an absolute path on the box' })),
        upload: Type.Optional(Type.Object({}, { ...strict, description: 'bytes that are sent to /v1/images/{name}/upload' })),
      },
      strict,
    ),
    checksum: Type.Optional(
      Type.String({
        pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$',
        description: 'sha256:<64 hex digits> or sha512:<128 hex digits>',
      }),
    ),
    pool: Type.Optional(Name),
    ...labels,
  },
  strict,
);

export const CatalogueImage = Type.Object({
  kind: Type.Literal('catalogue-image'),
  name: Type.String(),
  title: Type.String(),
  aliases: Type.Array(Type.String()),
  url: Type.String(),
  user: Type.String({ description: 'account that gets the SSH keys' }),
  firmware: Type.Optional(Type.String({ description: 'the only one it boots under' })),
});

export const Upload = Type.Object({
  size: Bytes,
  offset: Type.Integer({ description: 'bytes that have come; the next piece begins here' }),
  expiresAt: Time,
});
export const UploadCreate = Type.Object({ size: Type.Integer({ minimum: 1, description: 'bytes of the whole file' }) }, strict);

export const Volume = Type.Object({
  kind: Type.Literal('volume'),
  ...ObjectOut,
  project: Type.String(),
  state: Type.String({ description: 'pending, bound, lost or failed' }),
  reason: Type.Optional(Type.String()),
  progress: Type.Optional(Type.String()),
  size: Type.Optional(Bytes),
  pool: Type.String(),
  image: Type.Optional(Type.String()),
  vm: Type.Optional(Type.String({ description: 'the VM it is attached to' })),
});
export const VolumeCreate = Type.Object(
  {
    name: Name,
    project: Type.Optional(Name),
    size: Size,
    pool: Type.Optional(Name),
    image: Type.Optional(Name),
    ...labels,
  },
  strict,
);
export const VolumePatch = Type.Object({ size: Type.Optional(Size), labels: LabelsPatch }, strict);

const Vlan = Type.Integer({ minimum: 1, maximum: 4094 });
const networkFields = {
  vlan: Type.Optional(Vlan),
  trunk: Type.Optional(Type.Array(Vlan, { maxItems: 4094 })),
  isolated: Type.Optional(Type.Boolean()),
  mtu: Type.Optional(Type.Integer({ minimum: 1280, maximum: 9216 })),
  address: Type.Optional(
    Type.String({
      maxLength: 64,
      pattern: '^[0-9a-fA-F.:]+/[0-9]{1,3}$',
      description: "the box's own address with prefix, e.g. 10.20.0.1/24",
    }),
  ),
  dhcp: Type.Optional(Type.Boolean()),
  nat: Type.Optional(Type.Boolean()),
  reservations: Type.Optional(
    Type.Array(Type.Object({ mac: Type.String({ maxLength: 17 }), address: Type.String({ maxLength: 45 }) }, strict), {
      maxItems: 4096,
    }),
  ),
};
export const Network = Type.Object({
  kind: Type.Literal('network'),
  ...ObjectOut,
  ...networkFields,
  state: Type.String({ description: 'ready, pending or failed' }),
  reason: Type.Optional(Type.String()),
  uplink: Type.Optional(Type.String({ description: 'the uplink it leaves the box by; absent: it stays inside' })),
  leases: Type.Array(
    Type.Object({
      mac: Type.String(),
      address: Type.String(),
      hostname: Type.Optional(Type.String()),
      expires: Type.Optional(Type.String()),
    }),
  ),
  conditions: Type.Array(ConditionOut),
});
export const NetworkCreate = Type.Object({ name: Name, ...networkFields, ...labels }, strict);
export const NetworkPatch = Type.Object(
  {
    ...Object.fromEntries(
      Object.entries(networkFields).map(([field, schema]) => [field, Type.Optional(Type.Union([schema, Type.Null()]))]),
    ),
    labels: LabelsPatch,
  },
  strict,
);

export const Pool = Type.Object({
  kind: Type.Literal('pool'),
  ...ObjectOut,
  driver: Type.String(),
  path: Type.Optional(Type.String()),
  reserve: Type.Optional(Bytes),
  replicas: Type.Optional(Type.Integer()),
  state: Type.String(),
  reason: Type.Optional(Type.String()),
  capacity: Type.Optional(Bytes),
  used: Type.Optional(Bytes),
  provisioned: Type.Optional(Bytes),
  health: Type.Optional(PoolHealth),
  conditions: Type.Array(ConditionOut),
});
export const PoolCreate = Type.Object(
  {
    name: Name,
    driver: Type.Optional(Type.Enum(['local', 'rbd', 'sim'])),
    path: Type.Optional(Type.String({ maxLength: 4096, pattern: '^/', description: 'an absolute directory of the box' })),
    reserve: Type.Optional(Size),
    replicas: Type.Optional(Type.Integer({ minimum: 1, maximum: 3 })),
    disks: Type.Optional(Type.Array(DiskWish, { maxItems: 64, description: 'rbd only: what it is made of' })),
    ...labels,
  },
  strict,
);

export const User = Type.Object({
  kind: Type.Literal('user'),
  ...ObjectOut,
  role: Role,
  fullName: Type.Optional(Type.String()),
  disabled: Type.Boolean(),
  lastSignIn: Type.Optional(Time),
});
export const Password = Type.String({ minLength: 10, maxLength: 1024, description: 'at least 10 characters' });
export const UserCreate = Type.Object(
  {
    name: Name,
    role: Role,
    fullName: Type.Optional(Type.String({ maxLength: 200 })),
    password: Type.Optional(Password),
    ...labels,
  },
  strict,
);
export const UserPatch = Type.Object(
  {
    role: Type.Optional(Role),
    fullName: Type.Optional(Type.String({ maxLength: 200 })),
    disabled: Type.Optional(Type.Boolean()),
    password: Type.Optional(Password),
    labels: LabelsPatch,
  },
  strict,
);
/** What inviting or resetting gives besides the user: a link that sets the password once. */
export const UserWithLink = Type.Object({
  ...User.properties,
  setupUrl: Type.Optional(Type.String()),
  setupExpiresAt: Type.Optional(Time),
});

export const Token = Type.Object({
  kind: Type.Literal('token'),
  ...ObjectOut,
  role: Role,
  user: Type.Optional(Type.String()),
  expiresAt: Type.Optional(Time),
  description: Type.Optional(Type.String()),
  lastUsed: Type.Optional(Time),
});
export const TokenCreate = Type.Object(
  {
    name: Name,
    role: Type.Optional(Role),
    ttlSeconds: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 * 365 * 86_400 })),
    expiresAt: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339, e.g. 2030-01-31T00:00:00Z' })),
    description: Type.Optional(Type.String({ maxLength: 200 })),
    ...labels,
  },
  strict,
);
export const TokenWithSecret = Type.Object({ ...Token.properties, secret: Type.String() });

export const Node = Type.Object({
  kind: Type.Literal('node'),
  ...ObjectOut,
  state: Type.String(),
  version: Type.Optional(Type.String()),
  cpus: Type.Optional(Type.Integer()),
  memory: Type.Optional(Bytes),
  memoryReserved: Type.Optional(Bytes),
  memoryFree: Type.Optional(Bytes),
  accelerator: Type.Optional(Type.String()),
  bootId: Type.Optional(Type.String()),
  role: Type.Optional(Type.String({ description: 'voter or agent, in a cluster of several boxes' })),
  witness: Type.Optional(Type.Boolean({ description: 'votes, and runs no VMs' })),
  address: Type.Optional(Type.String({ description: 'towards the other boxes' })),
  components: Type.Array(
    Type.Object({
      name: Type.String(),
      version: Type.Optional(Type.String()),
      state: Type.String(),
      message: Type.Optional(Type.String()),
    }),
  ),
  conditions: Type.Array(ConditionOut),
});
export type Node = Static<typeof Node>;

/** What the balancer would do; nothing is done. */
export const Balance = Type.Object({
  kind: Type.Literal('balance'),
  boxes: Type.Array(
    Type.Object({ box: Type.String(), pressure: Type.Number({ description: 'share of memory or CPUs promised to VMs' }) }),
  ),
  moves: Type.Array(
    Type.Object({ vm: Type.String(), project: Type.String(), from: Type.String(), to: Type.String(), why: Type.String() }),
  ),
});
export type Balance = Static<typeof Balance>;

const Departures = Type.Array(
  Type.Object({
    vm: Type.String(),
    project: Type.String(),
    to: Type.Optional(Type.String({ description: 'the box it goes to' })),
    stays: Type.Optional(Type.String({ description: 'why it goes nowhere by itself' })),
  }),
);

/** What would become of VMs if a box died now. */
export const Losses = Type.Object({
  kind: Type.Literal('losses'),
  manual: Type.Optional(Type.String({ description: 'why nothing is taken over by itself; absent: it is' })),
  boxes: Type.Array(Type.Object({ box: Type.String(), survived: Type.Boolean(), departures: Departures })),
});
export type Losses = Static<typeof Losses>;

export const MaintenanceBody = Type.Object(
  { on: Type.Boolean({ description: 'true: its VMs leave the box, and none comes; false: it takes VMs again' }) },
  strict,
);

export const Maintenance = Type.Object({
  kind: Type.Literal('maintenance'),
  node: Type.String(),
  on: Type.Boolean(),
  departures: Departures,
});
export type Maintenance = Static<typeof Maintenance>;

export const Nic = Type.Object({
  kind: Type.Literal('nic'),
  name: Type.String(),
  link: Type.Optional(Type.Boolean({ description: 'whether there is a link' })),
  speed: Type.Optional(Type.Integer({ description: 'Mbit/s' })),
  mac: Type.Optional(Type.String()),
  mtu: Type.Integer(),
  addresses: Type.Array(Type.String()),
  uplink: Type.Optional(Type.String({ description: 'the uplink it is in' })),
  refusal: Type.Optional(Type.String({ description: 'why no uplink can be made of it' })),
});

export const Task = Type.Object({
  kind: Type.Literal('task'),
  id: Type.String(),
  verb: Type.String(),
  target: Type.Object({ kind: Type.String(), name: Type.String(), project: Type.Optional(Type.String()) }),
  state: Type.String(),
  progress: Type.Number(),
  step: Type.Optional(Type.String()),
  etaSeconds: Type.Optional(Type.Number()),
  cancellable: Type.Boolean(),
  error: Type.Optional(Type.Object({ code: Type.String(), detail: Type.String() })),
  startedAt: Time,
  endedAt: Type.Optional(Time),
  by: Type.Optional(Type.String()),
  log: Type.Optional(
    Type.Array(Type.Object({ at: Time, text: Type.String() }), {
      description: 'its steps and when each began; of one task, not in lists',
    }),
  ),
});

export const EventOut = Type.Object({
  kind: Type.Literal('event'),
  seq: Type.Integer(),
  at: Time,
  type: Type.String(),
  reason: Type.String(),
  message: Type.String(),
  about: Type.Object({
    kind: Type.String(),
    name: Type.String(),
    project: Type.Optional(Type.String()),
    id: Type.Optional(Type.String()),
  }),
});

export const AuditOut = Type.Object({
  kind: Type.Literal('audit'),
  seq: Type.Integer(),
  at: Time,
  who: Type.String(),
  from: Type.String({ description: 'client address, or local' }),
  verb: Type.String({ description: 'e.g. vm.create' }),
  target: Type.String({ description: 'e.g. vms/web-1' }),
  result: Type.String({ description: 'ok, or the code of the error' }),
  traceId: Type.Optional(Type.String()),
});

export const SessionOut = Type.Object({
  user: Type.String(),
  role: Role,
  via: Type.Enum(['socket', 'token', 'session']),
  expiresAt: Type.Optional(Time),
});

export const BackupBody = Type.Object(
  { passphrase: Type.String({ minLength: 12, maxLength: 1024, description: 'a passphrase of at least 12 characters' }) },
  { ...strict, secret: true },
);
export const BackupOut = Type.Object({
  kind: Type.Literal('backup'),
  createdAt: Time,
  croft: Type.String({ description: 'version of Croft' }),
  objects: Type.Integer(),
  files: Type.Integer(),
  file: Type.String({ description: 'the encrypted file, base64' }),
});
