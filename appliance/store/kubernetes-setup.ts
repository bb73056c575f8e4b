/** What a cluster must have before the Kubernetes store is used: our CRDs, served, their roles, and Croft's own namespaces. */
import { setTimeout as delay } from 'node:timers/promises';
import { CroftError, isCroftError } from '../errors.ts';
import { systemNamespace } from '../resources/core-kinds.ts';
import { imageNamespace } from '../resources/data-volume.ts';
import { admissionPolicies } from './admission-policies.ts';
import { crdOf, customKinds } from './crds.ts';
import { clusterRoles } from './kubernetes-roles.ts';
import { applyObject, createKubeClient, type KubeClient } from './kubernetes-client.ts';
import { pathOfKind } from './kubernetes-objects.ts';

const crdsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const policiesPath = '/apis/admissionregistration.k8s.io/v1';
const rolesPath = '/apis/rbac.authorization.k8s.io/v1/clusterroles';

async function ensureNamespace(client: KubeClient, name: string): Promise<void> {
  try {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
    await client.send({ method: 'POST', path: '/api/v1/namespaces', body, about: `Namespace ${name}` });
  } catch (error) {
    if (!isCroftError(error, 'already-exists')) throw error;
  }
}

/** Makes namespaces that aren't there. */
export async function ensureNamespaces(kubeconfig: string, names: readonly string[]): Promise<void> {
  const client = createKubeClient(kubeconfig);
  try {
    for (const name of names) await ensureNamespace(client, name);
  } finally {
    client.close();
  }
}

/**
 * Puts admission policies, CRDs and ClusterRoles in, or brings them up to date, and waits until each kind can be listed. Idempotent.
 * @param timeout ms for all of them
 * @throws CroftError `unavailable` when the API does not serve them in time
 */
export async function installCrds(kubeconfig: string, timeout = 60_000): Promise<void> {
  const client = createKubeClient(kubeconfig);
  const deadline = Date.now() + timeout;
  try {
    const kinds = customKinds();
    // Before the CRDs that let through what they refuse.
    for (const { collection, body } of admissionPolicies()) await applyObject(client, `${policiesPath}/${collection}`, body);
    for (const kind of kinds) await applyObject(client, crdsPath, crdOf(kind));
    for (const role of clusterRoles()) await applyObject(client, rolesPath, role);
    for (const name of [systemNamespace, imageNamespace]) await ensureNamespace(client, name);
    for (const kind of kinds) {
      while (!(await isServed(client, pathOfKind(kind)))) {
        if (Date.now() > deadline) {
          throw new CroftError('unavailable', `The API server does not serve ${kind.plural} after ${timeout / 1000} s.`);
        }
        await delay(100);
      }
    }
  } finally {
    client.close();
  }
}

/** A CRD is established before its endpoints answer: 404 first, and 429 while its watch cache fills. */
async function isServed(client: KubeClient, path: string): Promise<boolean> {
  try {
    await client.send({ path, query: { limit: 1 } });
    return true;
  } catch (error) {
    if (isCroftError(error, 'not-found') || isCroftError(error, 'too-many-requests')) return false;
    throw error;
  }
}
