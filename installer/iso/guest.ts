/**
 * Builds the tiny guest that the full image brings along, so that a box without internet has something to run.
 * Runs inside the guest tools' root (build.ts), where everything is Debian 13's: the same bytes on every host.
 * Usage: guest.ts WORK OUTPUT; the kernel is the one installed in this root.
 */
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CroftError } from '../../appliance/errors.ts';
import { run } from '../../appliance/host/exec.ts';
import { buildTiny } from '../../storage/images/tiny/build.ts';

const [work, output] = process.argv.slice(2);
if (!work || !output) throw new CroftError('invalid-input', 'usage: guest.ts WORK OUTPUT');

const version = (await readdir('/usr/lib/modules'))[0];
if (!version) throw new CroftError('missing-component', 'There is no kernel below /usr/lib/modules.');
// The layout of a kernel package that was unpacked: what buildTiny keeps in its cache.
const kernel = join(work, 'cache/kernels', version);
await mkdir(join(kernel, 'lib/modules'), { recursive: true });
await symlink('/boot', join(kernel, 'boot'));
await symlink(join('/usr/lib/modules', version), join(kernel, 'lib/modules', version));
await buildTiny({ workDir: join(work, 'tiny'), cacheDir: join(work, 'cache'), output, run });
