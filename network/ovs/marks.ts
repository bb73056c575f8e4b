/**
 * external_ids by which Croft knows its own bridge and ports again: after a restart of croftd they are the
 * record of what every port is for. Ports without the mark `croft` belong to others.
 */
import type { WishedPort } from '../driver.ts';

export const bridgeMarks: Record<string, string> = { croft: 'bridge' };

const keys = { vmId: 'croft-vm', nic: 'croft-nic', network: 'croft-network', uplink: 'croft-uplink' } as const;

export function marksOf(port: WishedPort): Record<string, string> {
  const marks: Record<string, string> = { croft: 'port' };
  for (const [field, key] of Object.entries(keys) as [keyof typeof keys, string][]) {
    const value = port.owner[field];
    if (value !== undefined) marks[key] = value;
  }
  if (port.allowed) {
    marks['croft-mac'] = port.allowed.mac;
    if (port.allowed.addresses) marks['croft-addresses'] = port.allowed.addresses.join(' ');
    if (port.allowed.denied) marks['croft-denied'] = port.allowed.denied.join(' ');
  }
  if (port.isolatedGroup !== undefined) marks['croft-group'] = port.isolatedGroup;
  return marks;
}

export const isOurs = (marks: Record<string, string>): boolean => marks.croft === 'port';

export function ownerOf(marks: Record<string, string>): WishedPort['owner'] {
  const owner: WishedPort['owner'] = {};
  for (const [field, key] of Object.entries(keys) as [keyof typeof keys, string][]) {
    const value = marks[key];
    if (value !== undefined) owner[field] = value;
  }
  return owner;
}

export function allowedOf(marks: Record<string, string>): WishedPort['allowed'] {
  const mac = marks['croft-mac'];
  if (mac === undefined) return undefined;
  const list = (text: string | undefined): string[] | undefined => text?.split(' ').filter(Boolean);
  const [addresses, denied] = [list(marks['croft-addresses']), list(marks['croft-denied'])];
  return { mac, ...(addresses ? { addresses } : {}), ...(denied ? { denied } : {}) };
}
