/**
 * Takes Croft's traces off the machine's network: bridge, taps, nftables tables. Only names that are Croft's
 * (docs/architecture.md: tap `ct<10 hex>n<i>`, pod link `cp<10 hex>n<i>`, leg `cn<10 hex>`, machine port `cm<10 hex>`, bridge `croft0`, table `croft`, all else
 * `croft-…`) are touched, and only in the network namespace this runs in.
 */
import { messageOf } from '../errors.ts';
import { run } from '../host/exec.ts';

/** Links of Croft's in the output of `ip -j link`. Namespaces' own ends vanish with their peers. */
export function croftLinks(output: string): string[] {
  const links = JSON.parse(output || '[]') as { ifname?: string }[];
  return links
    .map((link) => link.ifname ?? '')
    .filter((name) => /^(c[tp][0-9a-f]{10}n\d+|c[nm][0-9a-f]{10})$/.test(name) || name === 'croft0' || name.startsWith('croft-'));
}

/** `family name` of Croft's tables in the output of `nft list tables`. */
export const croftTables = (output: string): [family: string, name: string][] =>
  [...output.matchAll(/^table (\S+) (croft(?:-\S+)?)$/gm)].map((match) => [match[1] as string, match[2] as string]);

/**
 * Removes it all; what a missing program would have to remove cannot be there. `where` is put before every command
 * (`ip netns exec NAME` in tests).
 * @returns what failed, in words
 */
export async function removeNetwork(ovsSockets: readonly string[], where: readonly string[] = []): Promise<string[]> {
  const command = (...argv: [string, ...string[]]): [string, ...string[]] => [...where, ...argv] as [string, ...string[]];
  const failed: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      failed.push(`${what}: ${messageOf(error)}`);
    }
  };
  for (const socket of ovsSockets) {
    await attempt(`bridge croft0 (${socket})`, () =>
      run(command('ovs-vsctl', `--db=unix:${socket}`, '--timeout=5', '--if-exists', 'del-br', 'croft0'), { timeout: 10_000 }),
    );
  }
  for (const name of croftLinks(await outputOf(command('ip', '-j', 'link')))) {
    await attempt(`link ${name}`, () => run(command('ip', 'link', 'delete', name)));
  }
  for (const [family, name] of croftTables(await outputOf(command('nft', 'list', 'tables')))) {
    await attempt(`nftables table ${family} ${name}`, () => run(command('nft', 'delete', 'table', family, name)));
  }
  return failed;
}

/** Links that outlive a dead switch: Open vSwitch makes them persistent. `own`: the switch was Croft's, its `ovs-netdev` too. */
export async function removeLeftLinks(own: boolean): Promise<string[]> {
  const failed: string[] = [];
  const found = await outputOf(['ip', '-j', 'link']);
  const names = [...croftLinks(found), ...(own && found.includes('"ovs-netdev"') ? ['ovs-netdev'] : [])];
  for (const name of names) {
    try {
      await run(['ip', 'link', 'delete', name]);
    } catch (error) {
      failed.push(`link ${name}: ${messageOf(error)}`);
    }
  }
  return failed;
}

async function outputOf(argv: [string, ...string[]]): Promise<string> {
  try {
    return (await run(argv)).stdout;
  } catch {
    // Without the program, or without the rights to ask it, there is nothing of ours it could have made.
    return '';
  }
}
