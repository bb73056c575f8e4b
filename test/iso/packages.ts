/** Brings, before the first test, the Debian packages these tests use. */
import { loadConfig } from '../../appliance/config.ts';
import { CroftError } from '../../appliance/errors.ts';
import { ensurePackages, explainMissing } from '../../appliance/install/installer.ts';

export async function setup(): Promise<void> {
  const install = !['no', '0', 'false'].includes(process.env.CROFT_INSTALL ?? 'yes');
  const log = (line: string): void => void process.stdout.write(`${line}\n`);
  const after = await ensurePackages({ purpose: 'test-iso', install, dataDir: loadConfig().data, log });
  if (after.missing.length > 0)
    throw new CroftError(
      'missing-component',
      `Packages are missing and may not be installed: ${explainMissing(after).join('\n  ')}`,
    );
}
