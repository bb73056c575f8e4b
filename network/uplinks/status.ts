/** What an Uplink's status says, from what the switch says of its members. Pure. */
import type { Condition } from '../../appliance/resources/meta.ts';
import type { Uplink } from '../../appliance/resources/uplink.ts';
import type { ObservedMember } from '../driver.ts';
import type { Nic } from './admit.ts';

type Member = NonNullable<NonNullable<Uplink['status']>['members']>[number];

export function membersOf(spec: Uplink['spec'], observed: readonly ObservedMember[], nics: readonly Nic[]): Member[] {
  return spec.interfaces.map((name) => {
    const seen = observed.find((each) => each.name === name);
    const there = nics.some((nic) => nic.name === name);
    return {
      name,
      state: !there ? 'missing' : seen?.up ? 'up' : 'down',
      ...(spec.mode === 'lacp' && seen?.negotiated !== undefined ? { negotiated: seen.negotiated } : {}),
      ...(seen?.error === undefined ? {} : { message: seen.error }),
    };
  });
}

const list = (members: readonly Member[]): string => members.map(({ name }) => name).join(', ');

/** @param problem why it could not be brought to its wish at all */
export function uplinkConditions(
  spec: Uplink['spec'],
  members: readonly Member[],
  problem?: { reason: string; message: string },
): Condition[] {
  const of = (state: Member['state']) => members.filter((member) => member.state === state);
  const [missing, down] = [of('missing'), of('down')];
  const silent = members.filter((member) => member.state === 'up' && member.negotiated === false);
  const parts = [
    ...(missing.length > 0 ? [`${list(missing)} ${missing.length === 1 ? 'is' : 'are'} not in this machine.`] : []),
    ...(down.length > 0
      ? [`${list(down)} ${down.length === 1 ? 'has' : 'have'} no link: look at the cable and the switch port.`]
      : []),
    ...(silent.length > 0 ? [`The switch does not speak LACP on ${list(silent)}; one member carries everything.`] : []),
  ];
  const carrying = of('up').length > 0;
  const trouble = problem ?? (carrying ? undefined : { reason: 'NoLink', message: parts.join(' ') });
  return [
    trouble
      ? { type: 'Ready', status: 'False', ...trouble }
      : { type: 'Ready', status: 'True', reason: 'Ready', message: 'The uplink carries its VLANs.' },
    {
      type: 'Degraded',
      status: !trouble && parts.length > 0 ? 'True' : 'False',
      reason: !trouble && parts.length > 0 ? 'MembersMissing' : 'AllWell',
      message: !trouble ? parts.join(' ') : '',
    },
  ];
}
