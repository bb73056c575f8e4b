/**
 * A box joins, as a saga: cut off at any step it is gone on with by the same command, and what fails is taken back, so
 * that box and cluster are as they were. The vote comes after: the leader gives it (promote.ts).
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Saga } from '../../reconcile/saga.ts';
import type { K3s } from '../k3s.ts';
import { writeFileAtomic } from '../../host/files.ts';
import { writeIdentity } from '../peers/identity.ts';
import { kubeconfigOf, writeBoxK3s, type BoxK3s } from './box-k3s.ts';
import type { JoinAnswer } from './server.ts';

export type JoinContext = {
  boxId: string;
  name: string;
  address: string;
  witness: boolean;
  /** k3s program and image archives to install. */
  binary: string;
  images: string[];
  kubeletArgs: string[];
  answer?: JoinAnswer;
};

export type JoinParts = {
  data: string;
  ask(context: JoinContext): Promise<JoinAnswer>;
  k3s(made: BoxK3s): Promise<Pick<K3s, 'install' | 'configure' | 'start' | 'reset' | 'release'>>;
  say(line: string): void;
};

/** ms: a server fetches images and waits for its vote. */
const startTimeout = 240_000;
const witnessTaint = 'croft.io/witness=true:NoSchedule';

export const agentKubeconfig = (data: string): string => join(data, 'peer-kubeconfig.yaml');

export function joinSaga({ data, ask, k3s, say }: JoinParts): Saga<JoinContext> {
  const madeOf = ({ name, address, witness, kubeletArgs, answer }: JoinContext): BoxK3s => {
    if (!answer) throw new Error('the cluster has not been asked');
    return {
      role: answer.role === 'voter' ? 'server' : 'agent',
      nodeName: name,
      nodeIp: address,
      token: answer.k3s.token,
      joinUrl: answer.k3s.url,
      kubeletArgs,
      ...(witness ? { nodeTaints: [witnessTaint] } : {}),
    };
  };
  return {
    name: 'cluster-join',
    steps: [
      {
        name: 'ask',
        async action(context) {
          say('Asking the cluster …');
          context.answer = await ask(context);
        },
      },
      {
        name: 'kubernetes',
        async action(context) {
          const made = madeOf(context);
          say(`Starting Kubernetes as ${made.role} …`);
          await writeBoxK3s(data, made);
          const box = await k3s(made);
          await box.install(context.binary, context.images);
          await box.configure();
          await box.start(startTimeout);
          box.release();
        },
        async undo(context) {
          if (context.answer) await (await k3s(madeOf(context))).reset();
          await rm(join(data, 'k3s.json'), { force: true });
        },
      },
      {
        name: 'identity',
        async action(context) {
          const { name, address, witness, answer } = context;
          const role = answer?.role ?? 'agent';
          await writeFileAtomic(agentKubeconfig(data), answer?.kubeconfig ?? '', 0o600);
          const kubeconfig = role === 'voter' ? kubeconfigOf(data) : agentKubeconfig(data);
          await writeIdentity(data, { name, address, role, witness, kubeconfig });
        },
        async undo() {
          await rm(join(data, 'peer.json'), { force: true });
          await rm(agentKubeconfig(data), { force: true });
        },
      },
    ],
  };
}
