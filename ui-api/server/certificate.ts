/** The box's own TLS certificate: self-signed, made once, renewed before it ends; an own one in its place is taken as it is. */
import { X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '../../appliance/host/files.ts';
import { selfSigned } from '../../appliance/host/self-signed.ts';

export type Certificate = {
  key: string;
  cert: string /** SHA-256, colon-separated, as browsers show it. */;
  fingerprint: string;
};

const day = 86_400_000;
const lifetime = 3650 * day;
const renewBefore = 30 * day;
const ourName = 'Croft ';

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Names and addresses the certificate is for: this machine's of now. */
function subjectNames(extra: readonly string[]): { type: 'dns' | 'ip'; value: string }[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address.split('%')[0] as string),
  );
  const names = [...new Set(['localhost', hostname(), ...addresses, ...extra])].filter(
    (name) => !['0.0.0.0', '::', ''].includes(name),
  );
  return names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }));
}

/** True for a certificate that we made and that is about to end. */
function isDue(cert: string, now: number): boolean {
  const { subject, issuer, validTo } = new X509Certificate(cert);
  const ours = subject === issuer && subject.startsWith(`CN=${ourName}`);
  return ours && Date.parse(validTo) - now < renewBefore;
}

/** The certificate in `directory` (`api.crt`, `api.key`), made when there is none or ours is about to end. */
export async function ensureCertificate(
  directory: string,
  names: readonly string[] = [],
  now = Date.now(),
): Promise<Certificate> {
  const paths = { key: join(directory, 'api.key'), cert: join(directory, 'api.crt') };
  const [key, cert] = await Promise.all([readIfThere(paths.key), readIfThere(paths.cert)]);
  if (key !== undefined && cert !== undefined && !isDue(cert, now)) return withFingerprint(key, cert);
  const made = selfSigned({
    commonName: `${ourName}${hostname()}`.slice(0, 64),
    names: subjectNames(names),
    // A client whose clock is a little behind still finds it valid.
    notBefore: new Date(now - day),
    notAfter: new Date(now + lifetime),
  });
  await mkdir(directory, { recursive: true, mode: 0o711 });
  await writeFileAtomic(paths.key, made.key, 0o600);
  await writeFileAtomic(paths.cert, made.cert, 0o644);
  return withFingerprint(made.key, made.cert);
}

const withFingerprint = (key: string, cert: string): Certificate => ({
  key,
  cert,
  fingerprint: new X509Certificate(cert).fingerprint256,
});
