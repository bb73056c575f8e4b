/** The Kubernetes store on the solo box's Kubernetes face: what it asks of a kube-apiserver, the face has. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openKubernetesStore } from '../../appliance/store/kubernetes.ts';
import { runCli } from '../unit/cli/run-cli.ts';
import { describeStoreContract } from '../contract/store.ts';
import { startApi } from './harness.ts';

describeStoreContract('kubernetes store on the solo face', async () => {
  const api = await startApi();
  const kubeconfig = join(api.directory, 'kubeconfig');
  const env = { CROFT_HOST: api.base, CROFT_TOKEN: api.tokens.admin };
  writeFileSync(kubeconfig, (await runCli(['kubeconfig', '--role', 'admin'], { env })).stdout);
  const opened = {
    store: openKubernetesStore({ kubeconfig }),
    reopen: async () => {
      await opened.store.close();
      opened.store = openKubernetesStore({ kubeconfig });
      return opened.store;
    },
    close: async () => {
      await opened.store.close();
      await api.stop();
    },
  };
  return opened;
});
