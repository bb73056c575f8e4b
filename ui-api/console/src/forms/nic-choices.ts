/** The box's network devices as an uplink is made of them. */
import type { Nic } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';

export type NicChoice = { name: string; detail: string; refusal: string | undefined };

const speedOf = ({ speed }: Nic): string | undefined =>
  speed === undefined ? undefined : speed >= 1_000 ? `${speed / 1_000} Gbit/s` : `${speed} Mbit/s`;

/** The box's devices, and those an uplink names that are not there now. */
export function nicChoices(nics: readonly Nic[], uplink: string | undefined, chosen: readonly string[]): NicChoice[] {
  const known = nics.map((nic): NicChoice => {
    const link = nic.link === undefined ? undefined : nic.link ? text.uplinks.memberStates.up : text.uplinks.memberStates.down;
    const taken = nic.uplink !== undefined && nic.uplink !== uplink ? text.uplinks.takenBy(nic.uplink) : undefined;
    return {
      name: nic.name,
      detail: [link, speedOf(nic), nic.mac, ...nic.addresses].filter(Boolean).join(' · '),
      refusal: chosen.includes(nic.name) ? undefined : (taken ?? nic.refusal),
    };
  });
  const absent = chosen.filter((name) => !nics.some((nic) => nic.name === name));
  return [...known, ...absent.map((name) => ({ name, detail: text.uplinks.memberStates.missing ?? '', refusal: undefined }))];
}
