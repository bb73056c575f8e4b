/**
 * Where Debian comes from when an image is built: the mirrors this machine's apt uses, with the release replaced.
 * No mirror is named here, so a build follows the machine's own configuration (proxy, mirror, snapshot).
 */
import { access } from 'node:fs/promises';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';

/** The Debian release images are built from. */
export const suite = 'trixie';

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const format = '$(SITE)|$(RELEASE)|$(COMPONENT)';

/** One `deb` line per suite of Debian that apt-get indextargets lists, for another release and these components. */
export function sourceLines(
  targets: string,
  wanted: string,
  signedBy?: string,
  components: readonly string[] = ['main'],
): string[] {
  const option = signedBy ? `[signed-by=${signedBy}] ` : '';
  const lines = targets.split('\n').flatMap((line) => {
    const [site, release, component] = line.split('|');
    const debian = /^(buster|bullseye|bookworm|trixie|forky|sid)(-updates|-security)?$/.exec(release ?? '');
    return debian && component === 'main' ? [`deb ${option}${site} ${wanted}${debian[2] ?? ''} ${components.join(' ')}`] : [];
  });
  return [...new Set(lines)];
}

/** @throws CroftError `missing-component` where apt knows no Debian mirror */
export async function aptSources(components: readonly string[] = ['main']): Promise<string[]> {
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format, 'Created-By: Packages']);
  const signed = await access(keyring).then(
    () => true,
    () => false,
  );
  const lines = sourceLines(stdout, suite, signed ? keyring : undefined, components);
  if (lines.length > 0) return lines;
  throw new CroftError(
    'missing-component',
    'apt knows no Debian mirror on this machine: an image is built from the mirror apt uses.',
  );
}
