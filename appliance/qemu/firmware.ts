/** UEFI firmware: the code all guests share, and the variables (boot entries, keys) that each VM keeps for itself. */
import { chmod, chown, copyFile, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../errors.ts';

const directory = '/usr/share/OVMF';

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;

/** Where a VM's UEFI variables are kept; they outlive its guests. */
export const efiVarsFile = (dataDir: string, id: string): string => join(dataDir, 'efi', `${id}.fd`);

/**
 * The two flash images of a guest, its variables made from OVMF's template at its first start.
 * @throws CroftError `missing-component` without ovmf
 */
export async function prepareEfi(
  dataDir: string,
  id: string,
  owner: { uid: number; gid: number } | undefined,
  secureBoot = false,
): Promise<{ code: string; vars: string }> {
  const code = join(directory, secureBoot ? 'OVMF_CODE_4M.secboot.fd' : 'OVMF_CODE_4M.fd');
  // With Microsoft's keys, which sign Windows and the shims of Linux distributions.
  const template = join(directory, secureBoot ? 'OVMF_VARS_4M.ms.fd' : 'OVMF_VARS_4M.fd');
  if (!(await exists(code)) || !(await exists(template))) {
    throw new CroftError('missing-component', `UEFI guests need the package ovmf (${code} is not installed).`);
  }
  const vars = efiVarsFile(dataDir, id);
  await mkdir(join(dataDir, 'efi'), { recursive: true, mode: 0o711 });
  if (!(await exists(vars))) {
    await copyFile(template, `${vars}.new`);
    await chmod(`${vars}.new`, 0o600);
    await rename(`${vars}.new`, vars);
  }
  if (owner) await chown(vars, owner.uid, owner.gid);
  return { code, vars };
}

/** Forgets a VM's UEFI variables, when the VM itself is deleted. Idempotent. */
export const removeEfiVars = (dataDir: string, id: string): Promise<void> => rm(efiVarsFile(dataDir, id), { force: true });
