/**
 * What an appliance's screen and serial port say above their sign-in (issue(5)): name, addresses, the certificate's
 * fingerprint to compare in the browser, and the one-time link while there is no administrator. The API writes it to
 * its own run directory; croft-issue.path shows it. Written anew when an address comes or goes.
 */
import { access } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../host/files.ts';
import type { Logger } from '../host/logger.ts';

export type IssueFacts = {
  version: string;
  hostname: string;
  /** Of the machine's wired ports. */
  addresses: readonly string[];
  port: number;
  /** SHA-256 of the API's certificate, as browsers show it. */
  fingerprint?: string;
  /** Path of the one-time link, while there is no administrator. */
  setupPath?: string;
};

/** Backslashes would be escapes of agetty(8): there are none in any of these. Pure. */
export function issueText({ version, hostname: name, addresses, port, fingerprint, setupPath }: IssueFacts): string {
  const urls = addresses.map((address) => `https://${address.includes(':') ? `[${address}]` : address}:${port}`);
  const [url] = urls;
  return [
    '',
    `Croft ${version} on ${name}`,
    url ? `Console and API: ${urls.join('  ')}` : 'Console and API: waiting for an address (is a cable plugged in?)',
    ...(fingerprint ? [`Certificate, SHA-256: ${fingerprint}`] : []),
    ...(url && setupPath ? [`Set the administrator's password, once: ${url}${setupPath}`] : []),
    '',
    '',
  ].join('\n');
}

/** ms between looks at the addresses. */
const interval = 15_000;

type IssueOptions = Omit<IssueFacts, 'addresses' | 'hostname'> & { directory: string; logger: Logger };

/** Keeps `issue` in a directory up to date. Returns the way to stop. */
export function keepIssue({ directory, logger, ...facts }: IssueOptions): () => void {
  let shown = '';
  const look = async (): Promise<void> => {
    const text = issueText({ ...facts, hostname: hostname(), addresses: await wiredAddresses() });
    if (text === shown) return;
    await writeFileAtomic(join(directory, 'issue'), text, 0o644);
    shown = text;
  };
  const lookOrWarn = (): void => void look().catch((error: unknown) => logger.warn({ err: error }, 'the screen is not told'));
  lookOrWarn();
  const timer = setInterval(lookOrWarn, interval).unref();
  return () => clearInterval(timer);
}

/** Of ports that are hardware, of bonds and VLANs; not of the switch, pods or the cluster. IPv4 first, no link-local ones. */
async function wiredAddresses(): Promise<string[]> {
  const found: { address: string; family: string }[] = [];
  for (const [name, list] of Object.entries(networkInterfaces())) {
    const places = [`/sys/class/net/${name}/device`, `/sys/class/net/${name}/bonding`, `/proc/net/vlan/${name}`];
    if (!(await Promise.all(places.map(isThere))).includes(true)) continue;
    found.push(...(list ?? []).filter(({ address }) => !/^(fe80:|169\.254\.)/.test(address)));
  }
  return found.toSorted((a, b) => a.family.localeCompare(b.family)).map(({ address }) => address);
}

const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
