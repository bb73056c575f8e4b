/** The name of this box's Node, from its host name; a file of its own, because the installer needs nothing else of it. */
import { hostname } from 'node:os';

/** Kubernetes' rule for names: lower-case letters, digits, `-`. */
export const nodeNameFrom = (host: string): string =>
  host
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 63) || 'croft';

export const thisNodeName = (): string => nodeNameFrom(hostname());
