/**
 * What requests need of a kubeconfig file (https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/): the server
 * of the current context, and how its user signs in: certificate, token, token file or password. The official client
 * reads more (exec plugins, cloud providers), but takes 90 MB and seconds to load: it is loaded for those users only.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import type { RequestOptions } from 'node:https';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { CroftError, messageOf } from '../errors.ts';

type Named<K extends string, T> = { name: string } & Partial<Record<K, T>>;
type Cluster = {
  server?: string;
  'certificate-authority'?: string;
  'certificate-authority-data'?: string;
  'insecure-skip-tls-verify'?: boolean;
  'tls-server-name'?: string;
};
type User = {
  'client-certificate'?: string;
  'client-certificate-data'?: string;
  'client-key'?: string;
  'client-key-data'?: string;
  token?: string;
  tokenFile?: string;
  username?: string;
  password?: string;
  exec?: object;
  'auth-provider'?: { name?: string; config?: { tokenFile?: string } };
};
type Document = {
  'current-context'?: string;
  clusters?: Named<'cluster', Cluster>[];
  contexts?: Named<'context', { cluster?: string; user?: string }>[];
  users?: Named<'user', User>[];
};

export type KubeAccess = {
  server: string;
  /** The authority of the server's certificate, PEM. */
  ca: Buffer | undefined;
  /** Adds what the user signs in with; files are read anew, for tokens and certificates are renewed while we run. */
  apply(options: RequestOptions): Promise<void>;
};

/** @throws CroftError `invalid-input` when the file is no kubeconfig, or has no current cluster */
export function readKubeconfig(path: string): KubeAccess {
  const bad = (what: string, cause?: unknown): CroftError =>
    new CroftError('invalid-input', `CROFT_KUBECONFIG: ${JSON.stringify(path)} ${what}`, { cause });
  let document: Document | null;
  try {
    document = parse(readFileSync(path, 'utf8')) as Document | null;
    if (typeof document !== 'object' || document === null) throw new Error('it is no mapping');
  } catch (cause) {
    throw bad(`is no kubeconfig: ${messageOf(cause)}`, cause);
  }
  const current = document.contexts?.find(({ name }) => name === document['current-context'])?.context;
  const cluster = document.clusters?.find(({ name }) => name === current?.cluster)?.cluster;
  const user = document.users?.find(({ name }) => name === current?.user)?.user ?? {};
  if (cluster?.server === undefined) throw bad('names no current cluster.');
  /** Data in the file, or the content of the file that it names. */
  const bytes = (data: string | undefined, file: string | undefined): Buffer | undefined => {
    if (data !== undefined && data !== '') return Buffer.from(data, 'base64');
    if (file === undefined || file === '') return undefined;
    try {
      return readFileSync(resolve(dirname(path), file));
    } catch (cause) {
      throw bad(`names a file that cannot be read: ${messageOf(cause)}`, cause);
    }
  };
  const ca = bytes(cluster['certificate-authority-data'], cluster['certificate-authority']);
  const { server } = cluster;
  if (user.exec !== undefined || (user['auth-provider'] && user['auth-provider'].name !== 'tokenFile')) {
    return { server, ca, apply: byOfficialClient(path) };
  }
  const fixed: RequestOptions = {
    ...(ca ? { ca } : {}),
    ...(cluster['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
    ...(cluster['tls-server-name'] ? { servername: cluster['tls-server-name'] } : {}),
    ...(user.username === undefined ? {} : { auth: `${user.username}:${user.password ?? ''}` }),
  };
  const certificate = () => ({
    cert: bytes(user['client-certificate-data'], user['client-certificate']),
    key: bytes(user['client-key-data'], user['client-key']),
  });
  const lasting = user['client-certificate-data'] ? certificate() : undefined;
  const tokenFile = user.tokenFile ?? user['auth-provider']?.config?.tokenFile;
  return {
    server,
    ca,
    async apply(options) {
      Object.assign(options, fixed, lasting ?? (user['client-certificate'] ? certificate() : {}));
      const token = tokenFile === undefined ? user.token : (await readFile(resolve(dirname(path), tokenFile), 'utf8')).trim();
      if (token) options.headers = { ...(options.headers as OutgoingHttpHeaders | undefined), authorization: `Bearer ${token}` };
    },
  };
}

function byOfficialClient(path: string): KubeAccess['apply'] {
  const loading = import('@kubernetes/client-node').then(({ KubeConfig }) => {
    const config = new KubeConfig();
    config.loadFromFile(path);
    return config;
  });
  loading.catch(() => undefined); // Whoever makes a request is told.
  return async (options) => (await loading).applyToHTTPSOptions(options);
}
