/**
 * The texts GRUB reads. One configuration serves BIOS and UEFI: under BIOS it is reached by the prefix of our core
 * image, under UEFI by the one inside Debian's signed GRUB (`/EFI/debian` of the partition it came from), which is
 * the only GRUB that runs under Secure Boot. Either way `root` is the EFI partition of the disk that booted, and
 * all else is found on that same disk: another disk with a Croft system on it is never mixed in.
 */
import { maxTries, type Slot } from './slots.ts';

/** Folder of grub.cfg on the EFI partition; compiled into Debian's signed GRUB. */
export const grubFolder = 'EFI/debian';

const terminals = `if [ "$grub_platform" = "pc" ]; then
  if serial --unit=0 --speed=115200; then
    terminal_input --append serial
    terminal_output --append serial
  fi
fi
`;

const consoles = 'console=tty0 console=ttyS0,115200';
/** A kernel that panics starts the machine again after this many seconds, so that GRUB can choose anew. */
const kernelPanic = 'panic=10';

/** Partition numbers on the system disk (layout.ts). */
export const partitionNumber = { bios: 1, esp: 2, env: 3, A: 4, B: 5, state: 6 } as const;

const slotOf = (
  slot: Slot,
) => `if [ -z "$slot" -a "$try" = "${slot}" -a "$${slot}_OK" = "1" -a "$${slot}_TRY" != "${maxTries}" ]; then
    set slot=${slot}
  fi`;

/** One more try for the chosen slot; GRUB has no arithmetic. */
const countUp = (slot: Slot): string => {
  const steps = Array.from({ length: maxTries }, (_, tries) => {
    const keyword = tries === 0 ? 'if' : 'elif';
    return `  ${keyword} [ "$${slot}_TRY" = "${tries}" ]; then set ${slot}_TRY=${tries + 1}`;
  });
  return `if [ "$slot" = "${slot}" ]; then\n${steps.join('\n')}\n  fi\n  set part=$disk,gpt${partitionNumber[slot]}\n  set media=$media_${slot}\nfi`;
};

export type SystemConfig = {
  /** Unique ids of the GPT partitions, lower case. */
  partitions: { env: string; A: string; B: string; state: string };
  /** Kernel arguments that give the read-only system its identity. */
  identity: { hostname: string; machineId: string };
};

/** grub.cfg of an installed system: chooses the slot by the rules of slots.ts and says so on the console. */
export const systemConfig = ({ partitions, identity }: SystemConfig): string => `# Written by Croft's installer.
${terminals}
regexp --set=1:disk '^([^,]+),' "$root"
set env="($disk,gpt${partitionNumber.env})/grubenv"
set media_A=${partitions.A}
set media_B=${partitions.B}
set ORDER="A B"
set GOOD=A
set A_OK=1
set A_TRY=0
set B_OK=1
set B_TRY=0
load_env --file "$env"

set slot=
for try in $ORDER; do
  ${slotOf('A')}
  ${slotOf('B')}
done
if [ -z "$slot" ]; then
  set slot=$GOOD
  set A_TRY=0
  set B_TRY=0
fi
${countUp('A')}
${countUp('B')}

# A counter that cannot be saved would start a bad release for ever: then only the committed one is started.
set wanted="$A_TRY$B_TRY"
save_env --file "$env" A_TRY B_TRY
set A_TRY=
set B_TRY=
load_env --file "$env"
if [ "$A_TRY$B_TRY" != "$wanted" ]; then
  echo "croft-boot: the boot environment cannot be written; taking the committed slot $GOOD"
  set slot=$GOOD
  if [ "$slot" = "A" ]; then
    set part=$disk,gpt${partitionNumber.A}
    set media=$media_A
  else
    set part=$disk,gpt${partitionNumber.B}
    set media=$media_B
  fi
fi
echo "croft-boot: slot=$slot order=$ORDER good=$GOOD A=$A_OK/$A_TRY B=$B_OK/$B_TRY"

set default=0
set fallback=1
set timeout=1
menuentry "Croft (slot $slot)" {
  linux ($part)/live/vmlinuz boot=live live-media=/dev/disk/by-partuuid/$media croft.slot=$slot croft.state=${partitions.state} croft.env=${partitions.env} systemd.hostname=${identity.hostname} systemd.machine_id=${identity.machineId} ${kernelPanic} ${consoles}
  initrd ($part)/live/initrd.img
}
menuentry "Start again" {
  echo "croft-boot: slot $slot could not be loaded"
  reboot
}
`;

/** Volume id of the installation medium; live-boot looks for it and for nothing else. */
export const mediumLabel = 'CROFT';

/**
 * What the medium's GRUB begins with: hands over to the configuration on the medium. It looks for a file that slots
 * do not have: a disk with a Croft system on it comes before a CD in GRUB's search. It stands at `grubFolder` twice:
 * in the EFI image, where GRUB looks when the medium is a stick, and in the ISO's own file system, where it looks
 * when the firmware started it from a CD (GRUB then takes the whole CD for its root, not the image inside).
 */
export const mediumStub = `search --no-floppy --set=root --file /croft/boot.cfg
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
`;

/** grub.cfg of the installation medium. \`/croft/boot.cfg\` is overwritten in place when an image is customized. */
export const mediumConfig = `# Croft's installation medium.
${terminals}
set default=live
set timeout=10
set croft_arguments=
source /croft/boot.cfg
set common="boot=live live-media=/dev/disk/by-label/${mediumLabel} ${consoles}"
menuentry "Try Croft without installing" --id live {
  linux /live/vmlinuz $common $croft_arguments
  initrd /live/initrd.img
}
menuentry "Install Croft" --id ask {
  linux /live/vmlinuz $common panic=20 croft.ask $croft_arguments
  initrd /live/initrd.img
}
menuentry "Install Croft (answers file)" --id install {
  linux /live/vmlinuz $common panic=20 croft.install $croft_arguments
  initrd /live/initrd.img
}
menuentry "Start from the next boot device" --id next {
  exit
}
`;
