/** The box's TLS certificate in `/v1`. */
import { Type } from 'typebox';
import { strict, Time } from './common.ts';

export const Certificate = Type.Object({
  kind: Type.Literal('certificate'),
  served: Type.Boolean({ description: 'false where the API listens on loopback only, where TLS is for those who ask for it' }),
  origin: Type.Optional(Type.Enum(['made', 'own'], { description: 'made by the box itself, or brought' })),
  subject: Type.Optional(Type.String()),
  issuer: Type.Optional(Type.String()),
  names: Type.Array(Type.String({ description: 'what it is for' })),
  notBefore: Type.Optional(Time),
  notAfter: Type.Optional(Time),
  fingerprint: Type.Optional(Type.String({ description: 'SHA-256, as browsers show it' })),
});

const Pem = (description: string) => Type.String({ minLength: 1, maxLength: 65_536, description });

export const CertificateBody = Type.Object(
  { cert: Pem('PEM: the certificate, then its chain'), key: Pem('PEM: the private key, without a passphrase') },
  { ...strict, secret: true },
);
