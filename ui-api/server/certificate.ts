/**
 * The box's TLS certificate: `api.crt` and `api.key` in the directory of its keys.
 *
 * Theory of operation: without one, a self-signed one is made and renewed before it ends. An own one is taken as it is,
 * put there by hand or by `PUT /v1/node/certificate`, and served from the next connection on. Key and certificate are
 * two files, so a new pair is written as one file first: after a power cut in between, that one is brought to its end.
 */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { CroftError, messageOf } from '../../appliance/errors.ts';
import { writeFileAtomic } from '../../appliance/host/files.ts';

export type Certificate = {
  key: string;
  cert: string /** SHA-256, colon-separated, as browsers show it. */;
  fingerprint: string;
};

/** What people want to know of a certificate. Times are RFC 3339. */
export type CertificateFacts = {
  /** `made`: by the box itself; `own`: brought by somebody. */
  origin: 'made' | 'own';
  subject: string;
  issuer: string;
  /** Names and addresses it is for. */
  names: string[];
  notBefore: string;
  notAfter: string;
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

const isOurs = ({ subject, issuer }: X509Certificate): boolean => subject === issuer && subject.startsWith(`CN=${ourName}`);

/** True for a certificate that we made and that is about to end. */
function isDue(cert: string, now: number): boolean {
  const parsed = new X509Certificate(cert);
  return isOurs(parsed) && Date.parse(parsed.validTo) - now < renewBefore;
}

const pathsIn = (directory: string) => ({
  key: join(directory, 'api.key'),
  cert: join(directory, 'api.crt'),
  /** Both, while they are being replaced. */
  pending: join(directory, 'api.pending'),
});

async function writePair(directory: string, pair: { key: string; cert: string }): Promise<void> {
  const paths = pathsIn(directory);
  await mkdir(directory, { recursive: true, mode: 0o711 });
  await writeFileAtomic(paths.pending, JSON.stringify({ key: pair.key, cert: pair.cert }), 0o600);
  await finishPair(directory);
}

/** Brings a replacement to its end that was begun. */
async function finishPair(directory: string): Promise<void> {
  const paths = pathsIn(directory);
  const pending = await readIfThere(paths.pending);
  if (pending === undefined) return;
  const { key, cert } = JSON.parse(pending) as { key: string; cert: string };
  await writeFileAtomic(paths.key, key, 0o600);
  await writeFileAtomic(paths.cert, cert, 0o644);
  await rm(paths.pending, { force: true });
}

/** The certificate in `directory` (`api.crt`, `api.key`); undefined when there is none. */
export async function readCertificate(directory: string): Promise<Certificate | undefined> {
  await finishPair(directory);
  const paths = pathsIn(directory);
  const [key, cert] = await Promise.all([readIfThere(paths.key), readIfThere(paths.cert)]);
  return key === undefined || cert === undefined ? undefined : withFingerprint(key, cert);
}

/** The certificate in `directory`, made when there is none or ours is about to end. */
export async function ensureCertificate(
  directory: string,
  names: readonly string[] = [],
  now = Date.now(),
): Promise<Certificate> {
  const found = await readCertificate(directory);
  if (found && !isDue(found.cert, now)) return found;
  return makeCertificate(directory, names, now);
}

/** A new self-signed one in place of what is there. */
export async function makeCertificate(directory: string, names: readonly string[], now = Date.now()): Promise<Certificate> {
  // Loaded only where it is needed: a loopback box never makes one.
  const { selfSigned } = await import('../../appliance/host/self-signed.ts');
  const made = selfSigned({
    commonName: `${ourName}${hostname()}`.slice(0, 64),
    names: subjectNames(names),
    // A client whose clock is a little behind still finds it valid.
    notBefore: new Date(now - day),
    notAfter: new Date(now + lifetime),
  });
  await writePair(directory, made);
  return withFingerprint(made.key, made.cert);
}

/** Takes somebody's own certificate, with its chain. @throws CroftError `invalid-input` naming what doesn't fit */
export async function replaceCertificate(directory: string, pair: { key: string; cert: string }): Promise<Certificate> {
  const checked = checkPair(pair);
  await writePair(directory, checked);
  return withFingerprint(checked.key, checked.cert);
}

const refuse = (field: 'cert' | 'key', detail: string, cause?: unknown): CroftError =>
  new CroftError('invalid-input', `${field}: ${detail}`, { errors: [{ pointer: `/${field}`, detail }], cause });

/** The pair in the form it is kept in: PEM, the box's own certificate first. @throws CroftError `invalid-input` */
export function checkPair({ key, cert }: { key: string; cert: string }, now = Date.now()): { key: string; cert: string } {
  const blocks = cert.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const chain = blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw refuse('cert', `Certificate ${index + 1} of the file cannot be read: ${messageOf(cause)}.`, cause);
    }
  });
  const [leaf] = chain;
  if (!leaf) throw refuse('cert', 'It holds no certificate; it must be PEM: -----BEGIN CERTIFICATE----- and so on.');
  const secret = readKey(key);
  if (!leaf.checkPrivateKey(secret)) {
    const other = chain.findIndex((each) => each.checkPrivateKey(secret));
    if (other > 0) throw refuse('cert', `Its certificate ${other + 1} belongs to the key; that one must stand first.`);
    throw refuse('key', 'It belongs to another certificate.');
  }
  if (Date.parse(leaf.validTo) <= now) throw refuse('cert', `It ended on ${timeOf(leaf.validTo)}.`);
  if (Date.parse(leaf.validFrom) > now) throw refuse('cert', `It is valid from ${timeOf(leaf.validFrom)} on only.`);
  const pair = { key: secret.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: `${blocks.join('\n')}\n` };
  try {
    // OpenSSL has its own opinion of keys: too short ones are refused by it only when they are to be served.
    createSecureContext(pair);
  } catch (cause) {
    throw refuse('key', `TLS cannot use it: ${messageOf(cause)}.`, cause);
  }
  return pair;
}

function readKey(key: string): KeyObject {
  if (/ENCRYPTED/.test(key)) throw refuse('key', 'It is encrypted; take its passphrase off first (openssl pkey).');
  try {
    return createPrivateKey(key);
  } catch (cause) {
    throw refuse('key', 'It is no private key in PEM: -----BEGIN PRIVATE KEY----- and so on.', cause);
  }
}

const timeOf = (text: string): string => new Date(text).toISOString();
const oneLine = (name: string): string => name.split('\n').join(', ');

/** `FD00:0:0:0:0:0:0:2` → `fd00::2` (RFC 5952). */
const shortAddress = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);

export function certificateFacts(pem: string): CertificateFacts {
  const cert = new X509Certificate(pem);
  const names = (cert.subjectAltName ?? '').split(', ').flatMap((each) => {
    const [, kind, name = ''] = /^(DNS|IP Address):(.+)$/.exec(each) ?? [];
    return kind === undefined ? [] : [kind !== 'DNS' && name.includes(':') ? shortAddress(name) : name];
  });
  return {
    origin: isOurs(cert) ? 'made' : 'own',
    subject: oneLine(cert.subject),
    issuer: oneLine(cert.issuer),
    names,
    notBefore: timeOf(cert.validFrom),
    notAfter: timeOf(cert.validTo),
    fingerprint: cert.fingerprint256,
  };
}

const withFingerprint = (key: string, cert: string): Certificate => ({
  key,
  cert,
  fingerprint: new X509Certificate(cert).fingerprint256,
});
