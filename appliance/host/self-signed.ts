/**
 * A self-signed X.509 certificate (RFC 5280) for an ECDSA P-256 key, in DER by hand: the one shape we need is fixed, and
 * the library for all shapes wants a metadata polyfill loaded before everything else.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

export type Wish = {
  commonName: string;
  names: readonly { type: 'dns' | 'ip'; value: string }[];
  notBefore: Date;
  notAfter: Date;
};

const tlv = (tag: number, ...content: Buffer[]): Buffer => {
  const body = Buffer.concat(content);
  const { length } = body;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
};
const sequence = (...content: Buffer[]): Buffer => tlv(0x30, ...content);
const octets = (content: Buffer): Buffer => tlv(0x04, content);
/** `unused`: bits at the end that don't count. */
const bits = (content: Buffer, unused = 0): Buffer => tlv(0x03, Buffer.from([unused]), content);
const yes = tlv(0x01, Buffer.from([0xff]));
/** Object identifiers as their encoded bytes. */
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));

const ids = {
  ecdsaWithSha256: oid('2a8648ce3d040302'),
  commonName: oid('550403'),
  basicConstraints: oid('551d13'),
  keyUsage: oid('551d0f'),
  extendedKeyUsage: oid('551d25'),
  serverAuth: oid('2b06010505070301'),
  subjectAltName: oid('551d11'),
};

/** GeneralizedTime holds for all years; UTCTime, which RFC 5280 wants before 2050, has two digits. */
function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050 ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits));
}

const groups = (part: string): string[] => part.split(':').filter((group) => group !== '');

/** 4 or 16 bytes of an address. */
export function addressBytes(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const v4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (a: string | undefined, b: string | undefined): string => ((Number(a) << 8) | Number(b)).toString(16);
  const text = v4 ? `${v4[1]}${hex(v4[2], v4[3])}:${hex(v4[4], v4[5])}` : address;
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return Buffer.from([...left, ...zeros, ...right].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

const extension = (id: Buffer, critical: boolean, value: Buffer): Buffer =>
  sequence(id, ...(critical ? [yes] : []), octets(value));

const pem = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`;

/** PEM of a new key (PKCS #8) and its certificate. */
export function selfSigned({ commonName, names, notBefore, notAfter }: Wish): { key: string; cert: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serial = randomBytes(16);
  // Positive and without a leading zero, as DER wants integers.
  serial[0] = ((serial[0] as number) & 0x3f) | 0x40;
  const algorithm = sequence(ids.ecdsaWithSha256);
  const name = sequence(tlv(0x31, sequence(ids.commonName, tlv(0x0c, Buffer.from(commonName)))));
  const alternatives = names.map(({ type, value }) =>
    type === 'dns' ? tlv(0x82, Buffer.from(value)) : tlv(0x87, addressBytes(value)),
  );
  const extensions = sequence(
    extension(ids.basicConstraints, true, sequence()),
    extension(ids.keyUsage, true, bits(Buffer.from([0x80]), 7)),
    extension(ids.extendedKeyUsage, false, sequence(ids.serverAuth)),
    extension(ids.subjectAltName, false, sequence(...alternatives)),
  );
  const certificate = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, extensions),
  );
  const signature = sign('sha256', certificate, privateKey);
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: pem('CERTIFICATE', sequence(certificate, algorithm, bits(signature))),
  };
}
