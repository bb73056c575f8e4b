import { pino, type Logger } from 'pino';

export type { Logger };

/** Keys whose values never reach a log, at any depth pino's paths can express. */
const secretPaths = ['password', 'token', 'secret', 'authorization', 'cookie', 'passphrase'].flatMap((key) => [
  key,
  `*.${key}`,
  `*.*.${key}`,
  `req.headers.${key}`,
]);

/** The service's logger: JSON lines on standard error, so that standard output stays for people. */
export const createLogger = (level = process.env.CROFT_LOG ?? 'info'): Logger =>
  pino({ level, redact: { paths: secretPaths, censor: '[redacted]' } }, pino.destination({ dest: 2, sync: true }));

/** A logger that says nothing, for tests and short commands. */
export const silentLogger = (): Logger => pino({ level: 'silent' });
