/**
 * KubeVirt's Features, Clock and Firmware (staging/src/kubevirt.io/api/core/v1/schema.go), the parts that Croft
 * supports: shared by virtual machines and preferences.
 */
import { Type, type Static } from 'typebox';

const strict = { additionalProperties: false } as const;

/** Upstream's FeatureState: present means on unless `enabled` is false. */
const FeatureState = Type.Object({ enabled: Type.Optional(Type.Boolean()) }, strict);

/** Hyper-V enlightenments: what makes Windows see a hypervisor it knows. Each is KVM's; an emulated guest has none. */
export const HypervFeatures = Type.Object(
  {
    relaxed: Type.Optional(FeatureState),
    vapic: Type.Optional(FeatureState),
    spinlocks: Type.Optional(
      Type.Object(
        {
          enabled: Type.Optional(Type.Boolean()),
          spinlocks: Type.Optional(Type.Integer({ minimum: 4096, maximum: 2 ** 32 - 1 })),
        },
        strict,
      ),
    ),
    vpindex: Type.Optional(FeatureState),
    runtime: Type.Optional(FeatureState),
    synic: Type.Optional(FeatureState),
    synictimer: Type.Optional(
      Type.Object({ enabled: Type.Optional(Type.Boolean()), direct: Type.Optional(FeatureState) }, strict),
    ),
    reset: Type.Optional(FeatureState),
    vendorid: Type.Optional(
      Type.Object(
        { enabled: Type.Optional(Type.Boolean()), vendorid: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9 ]{1,12}$' })) },
        strict,
      ),
    ),
    frequencies: Type.Optional(FeatureState),
    reenlightenment: Type.Optional(FeatureState),
    tlbflush: Type.Optional(FeatureState),
    ipi: Type.Optional(FeatureState),
  },
  strict,
);
export type HypervFeatures = Static<typeof HypervFeatures>;

export const Features = Type.Object(
  {
    acpi: Type.Optional(FeatureState),
    apic: Type.Optional(FeatureState),
    hyperv: Type.Optional(HypervFeatures),
    kvm: Type.Optional(Type.Object({ hidden: Type.Optional(Type.Boolean()) }, strict)),
  },
  strict,
);
export type Features = Static<typeof Features>;

const PathInImage = Type.String({ minLength: 1, maxLength: 1024 });

/**
 * Upstream's KernelBoot: a kernel and an initrd of one's own instead of a boot loader on a disk. `container.image` names an
 * Image here, of a tar archive in which the paths are. Upstream takes a kernel or an initrd; QEMU wants a kernel.
 */
export const KernelBoot = Type.Object(
  {
    kernelArgs: Type.Optional(Type.String({ maxLength: 4096 })),
    container: Type.Object(
      {
        image: Type.String({ minLength: 1, maxLength: 253 }),
        kernelPath: PathInImage,
        initrdPath: Type.Optional(PathInImage),
      },
      strict,
    ),
  },
  strict,
);
export type KernelBoot = Static<typeof KernelBoot>;

/** The virtual clock: UTC (upstream's default), or the local time of a zone, as Windows expects it. */
export const ClockOffset = Type.Object(
  {
    utc: Type.Optional(Type.Object({}, strict)),
    timezone: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$',
        maxLength: 64,
        description: 'a zone, e.g. Europe/Berlin',
      }),
    ),
  },
  strict,
);

const Timer = Type.Object({ present: Type.Optional(Type.Boolean()), tickPolicy: Type.Optional(Type.String()) }, strict);

/** Accepted as upstream documents them; what Croft gives every guest is upstream's advice for Windows already. */
export const Timers = Type.Object(
  {
    hpet: Type.Optional(Timer),
    hyperv: Type.Optional(Timer),
    kvm: Type.Optional(Timer),
    pit: Type.Optional(Timer),
    rtc: Type.Optional(Timer),
  },
  strict,
);

export const Clock = Type.Object({ ...ClockOffset.properties, timer: Type.Optional(Timers) }, strict);
export type Clock = Static<typeof Clock>;

export const Efi = Type.Object({ secureBoot: Type.Optional(Type.Boolean()), persistent: Type.Optional(Type.Boolean()) }, strict);
