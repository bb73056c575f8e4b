/** Virtual machines that come from and go to elsewhere: requests and answers of import and export. */
import { Type, type Static } from 'typebox';
import { Bytes, Labels, Name, strict, Time } from './common.ts';
import { Vm } from './vm.ts';

export const ImportBody = Type.Object(
  {
    ovf: Type.String({ minLength: 1, maxLength: 1_500_000, description: 'the OVF descriptor' }),
    machine: Type.Optional(
      Type.String({ maxLength: 255, description: 'which one, by its name or id, where the descriptor has several' }),
    ),
    name: Type.Optional(Name),
    project: Type.Optional(Name),
    networks: Type.Optional(
      Type.Record(Type.String({ maxLength: 255 }), Name, {
        description: "its networks → networks here; '*' for all others",
      }),
    ),
    keepMac: Type.Optional(Type.Boolean()),
    devices: Type.Optional(
      Type.Enum(['compatible', 'virtio'], { description: 'compatible: SATA and e1000e, for guests without virtio drivers' }),
    ),
    pool: Type.Optional(Name),
    checksums: Type.Optional(
      Type.Record(
        Type.String({ maxLength: 255 }),
        Type.String({
          pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$',
          description: 'sha256:<64 hex digits> or sha512:<128 hex digits>',
        }),
        { description: 'of its files' },
      ),
    ),
    start: Type.Optional(Type.Boolean({ description: 'start it as soon as its disks are there; default false' })),
    labels: Type.Optional(Labels),
  },
  strict,
);
export type ImportBody = Static<typeof ImportBody>;

export const ImportReport = Type.Object({
  name: Type.String(),
  cpus: Type.Integer(),
  memory: Bytes,
  firmware: Type.String(),
  devices: Type.String(),
  disks: Type.Array(
    Type.Object({
      name: Type.String(),
      file: Type.Optional(Type.String()),
      size: Type.Optional(Bytes),
      capacity: Type.Optional(Bytes),
    }),
  ),
  nics: Type.Array(
    Type.Object({ name: Type.String(), from: Type.String(), network: Type.String(), mac: Type.Optional(Type.String()) }),
  ),
  notes: Type.Array(Type.String({ description: 'what is different here, or has no counterpart' })),
});

export const VmImport = Type.Object({
  kind: Type.Literal('vm-import'),
  vm: Vm,
  report: ImportReport,
  uploads: Type.Array(
    Type.Object({ file: Type.String(), image: Type.String({ description: 'send the file to /v1/images/{image}/upload' }) }),
  ),
});

export const SwitchBody = Type.Object({ back: Type.Optional(Type.Boolean({ description: 'to SATA and e1000e again' })) }, strict);

export const ExportBody = Type.Object(
  {
    format: Type.Optional(Type.Enum(['ova', 'qcow2'])),
    snapshot: Type.Optional(
      Type.String({ minLength: 1, maxLength: 253, description: 'a snapshot of the VM; by default, one taken for it' }),
    ),
    disk: Type.Optional(Type.String({ maxLength: 63, description: 'qcow2 only: which disk; by default the first' })),
  },
  strict,
);

export const Export = Type.Object({
  kind: Type.Literal('export'),
  id: Type.String(),
  name: Type.String(),
  vm: Type.String(),
  project: Type.String(),
  format: Type.String(),
  file: Type.String({ description: 'name for the download' }),
  size: Bytes,
  createdAt: Time,
  expiresAt: Time,
});
