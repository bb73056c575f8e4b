/**
 * `croft pxe serve --interface NAME --answers FOLDER [--range FIRST-LAST] [--medium FOLDER|ISO] [--port N]`: installs
 * other machines of this network, until it is ended. An installed box serves the release it runs.
 */
import { access, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CroftError, isCroftError, messageOf } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { readRelease } from '../release.ts';
import { checkAnswers, createPxeServer } from './server.ts';
import { dnsmasqArguments } from './scripts.ts';

const runningRelease = '/run/live/medium';
/** Of Debian's package ipxe. */
const defaultLoaders = '/usr/lib/ipxe';
const defaultPort = 8441;
/** ms: dnsmasq ends with us; this only bounds a run that was forgotten. */
const longest = 7 * 24 * 3600_000;

const print = (line: string): void => void process.stdout.write(`croft-pxe: ${line}\n`);

/** @throws CroftError `invalid-input`, `not-found`, `missing-component`, `in-use` */
export async function pxeCommand(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      interface: { type: 'string' },
      answers: { type: 'string' },
      range: { type: 'string' },
      medium: { type: 'string', default: runningRelease },
      port: { type: 'string', default: String(defaultPort) },
      loaders: { type: 'string', default: defaultLoaders },
      'kernel-arguments': { type: 'string' },
    },
  });
  const { interface: link, answers, range, loaders } = values;
  if (link === undefined || answers === undefined)
    throw new CroftError('invalid-input', 'croft pxe serve needs --interface NAME and --answers FOLDER.');
  const address = await addressOf(link);
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new CroftError('invalid-input', `--port: ${JSON.stringify(values.port)} is not a port from 1 to 65535.`);
  for (const name of ['undionly.kpxe', 'snponly.efi']) await mustHave(join(loaders, name));
  const count = await checkAnswers(answers);
  const scratch = await mkdtemp(join(tmpdir(), 'croft-pxe-'));
  const ended = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ended.abort());
  let server: Server | undefined;
  let medium: Medium | undefined;
  try {
    medium = await openMedium(values.medium, join(scratch, 'medium'));
    const release = await readRelease(medium.path);
    const base = `http://${address}:${port}`;
    const serving = { medium: medium.path, answers, base: () => base, kernelArguments: values['kernel-arguments'], print };
    server = createPxeServer(serving);
    await listen(server, address, port);
    const dhcp = {
      interface: link,
      address,
      loaders,
      base,
      leases: join(scratch, 'leases'),
      ...(range === undefined ? {} : { range }),
    };
    print(`Croft ${release.version} for machines on ${link} (${base}), ${count} answers files; Ctrl-C ends it`);
    await run(dnsmasqArguments(dhcp), { signal: ended.signal, timeout: longest, onLine: tellLease });
    return 0;
  } catch (error) {
    if (ended.signal.aborted) return 0;
    throw isCroftError(error)
      ? error
      : new CroftError('unavailable', `croft pxe serve ended: ${messageOf(error)}`, { cause: error });
  } finally {
    server?.closeAllConnections();
    server?.close();
    await medium?.close();
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Not by Node's list of interfaces: it leaves out those without a link, as one to machines that are still off. */
async function addressOf(link: string): Promise<string> {
  const { stdout } = await run(['ip', '-j', '-4', 'address', 'show']);
  const all = JSON.parse(stdout) as { ifname?: string; addr_info?: { local: string }[] }[];
  const [found] = all.find(({ ifname }) => ifname === link)?.addr_info ?? [];
  if (found) return found.local;
  const names = all.flatMap(({ ifname = [] }) => ifname).join(', ');
  throw new CroftError('invalid-input', `--interface: ${link} has no IPv4 address here; there are ${names}.`);
}

async function mustHave(file: string): Promise<void> {
  await access(file).catch((cause: unknown) => {
    throw new CroftError('missing-component', `There is no ${file}.`, { cause, fix: ['apt-get install ipxe'] });
  });
}

type Medium = { path: string; close(): Promise<void> };

/** A folder is used as it is, an image is mounted. */
async function openMedium(path: string, mountPoint: string): Promise<Medium> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CroftError('not-found', `--medium: there is no ${path}.`, { cause });
  });
  if (found.isDirectory()) return { path, close: async () => undefined };
  await mkdir(mountPoint);
  await run(['mount', '-o', 'loop,ro', path, mountPoint]);
  return { path: mountPoint, close: async () => void (await run(['umount', mountPoint])) };
}

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new CroftError('in-use', `${host}:${port} cannot be used: ${messageOf(cause)}`, { cause })),
    );
    server.listen(port, host, resolve);
  });

/** dnsmasq's own words about who was given what. */
const tellLease = (line: string): void => {
  if (/DHCPACK|PXE\(|: sent |error|failed|cannot|denied/i.test(line))
    print(line.replace(/^.*?dnsmasq(-dhcp|-tftp)?(\[\d+\])?: (\d+ )?/, ''));
};
