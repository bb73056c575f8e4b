/** This box among those of its cluster, as it is composed: heard by the others, and open to boxes that join. */
import type { Config } from '../../config.ts';
import { bootId } from '../../host/process-info.ts';
import type { Logger } from '../../host/logger.ts';
import type { NodeFacts } from '../../node/report.ts';
import type { ResourceStore } from '../../store/store.ts';
import { version } from '../../version.ts';
import { nodeToken } from '../join/box-k3s.ts';
import { followWish } from '../join/promote.ts';
import { joinPort, startJoinServer } from '../join/server.ts';
import type { PeerIdentity } from './identity.ts';
import { startPeers, type Peers } from './peers.ts';
import { timings } from './timing.ts';

export type PeerBox = Peers & { facts: NonNullable<NodeFacts['peer']> };

type Parts = {
  config: Config;
  box: string;
  identity: PeerIdentity | undefined;
  keys: string;
  store: ResourceStore;
  logger: Logger;
};

/** From here on the box is heard. An agent opens no door: it has no token to give, and no API server to lead to. */
export async function joinPeers({ config, box, identity, keys, store, logger }: Parts): Promise<PeerBox> {
  const { address, kubeconfig, data } = config;
  const timing = timings[config.timing === 'lab' ? 'lab' : 'box'];
  const peers = await startPeers({
    store,
    box,
    bootId: await bootId(),
    timing,
    logger,
    followWish: () => followWish(store, data, logger),
  });
  const { role = 'voter', witness = false } = identity ?? {};
  const facts = { address, role, ...(witness ? { witness } : {}) };
  if (role === 'agent') return { ...peers, facts };
  const options = { store, address, keys, version, kubeconfig, nodeToken: () => nodeToken(data), logger };
  const door = await startJoinServer(options).catch(async (error: unknown) => {
    await peers.stop();
    throw error;
  });
  return {
    ...peers,
    facts: { ...facts, fingerprint: door.fingerprint, joinPort },
    stop: async () => {
      await door.close();
      await peers.stop();
    },
  };
}
