/** The Kubernetes store on the solo box's Kubernetes face: what it asks of a kube-apiserver, the face has. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfSigned } from '../../appliance/host/self-signed.ts';
import { openKubernetesStore } from '../../appliance/store/kubernetes.ts';
import { createApp } from '../../ui-api/server/app.ts';
import { listen } from '../../ui-api/server/listen.ts';
import { describeStoreContract } from '../contract/store.ts';
import { startApi } from './harness.ts';

const hour = 3_600_000;

describeStoreContract('kubernetes store on the solo face', async () => {
  const api = await startApi();
  const directory = mkdtempSync(join(tmpdir(), 'croft-kube-store-'));
  const tls = selfSigned({
    commonName: 'test',
    names: [{ type: 'ip', value: '127.0.0.1' }],
    notBefore: new Date(Date.now() - hour),
    notAfter: new Date(Date.now() + hour),
  });
  // The harness speaks plain HTTP, the store's client TLS only: the same API once more.
  const app = createApp({ ...api.app.croft.context, startNotifications: false });
  const { url } = await listen(app, { tcp: { host: '127.0.0.1', port: 0 }, tls });
  const kubeconfig = join(directory, 'config.json');
  const config = {
    clusters: [{ name: 'box', cluster: { server: url, 'certificate-authority-data': Buffer.from(tls.cert).toString('base64') } }],
    users: [{ name: 'me', user: { token: api.tokens.admin } }],
    contexts: [{ name: 'box', context: { cluster: 'box', user: 'me' } }],
    'current-context': 'box',
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const opened = {
    store: openKubernetesStore({ kubeconfig }),
    reopen: async () => {
      await opened.store.close();
      opened.store = openKubernetesStore({ kubeconfig });
      return opened.store;
    },
    close: async () => {
      await opened.store.close();
      await app.close();
      await api.stop();
      rmSync(directory, { recursive: true });
    },
  };
  return opened;
});
