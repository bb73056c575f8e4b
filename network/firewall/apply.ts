/** Brings the table of rules.ts into the kernel, atomically, and only when it isn't there already. */
import { createHash } from 'node:crypto';
import { run } from '../../appliance/host/exec.ts';
import { firewallScript, tableName, type FirewallLeg } from './rules.ts';

export class Firewall {
  #cleared = false;

  /** @throws CroftError `missing-component` (nft), `command-failed` */
  async apply(legs: readonly FirewallLeg[]): Promise<void> {
    if (legs.length === 0) {
      if (!this.#cleared) await this.remove();
      this.#cleared = true;
      return;
    }
    this.#cleared = false;
    const script = firewallScript(legs);
    // The kernel keeps rules in a form of its own: an empty chain carries the digest of the text they came from.
    const mark = `croft-${createHash('sha256').update(script).digest('hex').slice(0, 16)}`;
    if (await stands(mark)) return;
    await run(['nft', '-f', '-'], { input: `${script}add chain inet ${tableName} ${mark}\n` });
  }

  /** Removes the table: for uninstalling. Idempotent. */
  async remove(): Promise<void> {
    await run(['nft', '-f', '-'], { input: firewallScript([]) });
  }
}

async function stands(mark: string): Promise<boolean> {
  const { exitCode } = await run(['nft', 'list', 'chain', 'inet', tableName, mark], { okCodes: [0, 1] });
  return exitCode === 0;
}
