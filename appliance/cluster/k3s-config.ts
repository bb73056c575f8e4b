/** What Croft asks of k3s: its config.yaml and its systemd unit, as pure functions of what a box knows. */
import { stringify } from 'yaml';
import { CroftError } from '../errors.ts';
import type { ClusterRanges } from './ranges.ts';

/** How this box takes part: `first` makes the cluster, `server` joins as a voter, `agent` only runs pods. */
export type K3sRole = 'first' | 'server' | 'agent';

export type K3sPlan = {
  role: K3sRole;
  nodeName: string;
  /** The box's cluster address; never a name. */
  nodeIp: string;
  /** Lets nodes join; needed for `server` and `agent`. Without it the first server makes one. */
  token?: string;
  /** `https://ADDRESS:6443` of a server; needed for `server` and `agent`. */
  joinUrl?: string;
  dataDir: string;
  kubeconfig: string;
  /** More names and addresses the API server's certificate is valid for. */
  tlsNames?: string[];
  /** `key=value` each, added to ours. */
  kubeletArgs?: string[];
  apiServerArgs?: string[];
  /** Where k3s' own ranges are taken. */
  ranges?: ClusterRanges;
  nodeLabels?: string[];
  /** `key=value:effect` each, from the node's first registration on. */
  nodeTaints?: string[];
};

/** k3s' components a box doesn't run: it has its own ingress, disks and metrics. */
const disabled = ['traefik', 'servicelb', 'local-storage', 'metrics-server'];
/** ms. k3s' own 500/5000 leave a cluster 6.3 s without writes when the leader dies; these 2.1 s. */
const etcdTimings = ['heartbeat-interval=100', 'election-timeout=1000'];

const dnsLabel = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/**
 * The content of config.yaml; keys are k3s' flags (k3s docs, "Configuration Options").
 * @throws CroftError `invalid-input` naming what is missing or wrong
 */
export function k3sConfig(plan: K3sPlan): string {
  if (!dnsLabel.test(plan.nodeName)) {
    throw new CroftError(
      'invalid-input',
      `nodeName: ${JSON.stringify(plan.nodeName)} must be lower-case letters, digits, "-", ".".`,
    );
  }
  const joins = plan.role !== 'first';
  if (joins && !(plan.joinUrl?.startsWith('https://') && plan.token)) {
    throw new CroftError('invalid-input', 'joinUrl and token: both are needed to join, joinUrl as https://ADDRESS:6443.');
  }
  const node = {
    'data-dir': plan.dataDir,
    'node-name': plan.nodeName,
    'node-ip': plan.nodeIp,
    ...(plan.token ? { token: plan.token } : {}),
    ...(joins ? { server: plan.joinUrl } : {}),
    // iptables is not on the box, and its rules grow with every Service; nftables' maps don't.
    'kube-proxy-arg': ['proxy-mode=nftables'],
    ...listed('kubelet-arg', plan.kubeletArgs),
    ...listed('node-label', plan.nodeLabels),
    ...listed('node-taint', plan.nodeTaints),
  };
  if (plan.role === 'agent') return stringify(node);
  return stringify({
    ...node,
    ...(joins ? {} : { 'cluster-init': true }),
    'write-kubeconfig': plan.kubeconfig,
    'write-kubeconfig-mode': '0600',
    ...(plan.ranges
      ? { 'cluster-cidr': plan.ranges.pods, 'service-cidr': plan.ranges.services, 'cluster-dns': plan.ranges.dns }
      : {}),
    disable: disabled,
    'etcd-arg': etcdTimings,
    'etcd-snapshot-schedule-cron': '0 */6 * * *',
    'etcd-snapshot-retention': 8,
    // Our aggregated API is reached by its endpoints' addresses: it is no pod behind the Service's address.
    'kube-apiserver-arg': ['enable-aggregator-routing=true', ...(plan.apiServerArgs ?? [])],
    ...listed('tls-san', plan.tlsNames),
  });
}

const listed = (key: string, values: string[] | undefined): Record<string, string[]> =>
  values && values.length > 0 ? { [key]: values } : {};

export type K3sUnitOptions = {
  binary: string;
  command: 'server' | 'agent';
  configFile: string /** bytes */;
  memoryHigh?: number;
};

/** The systemd unit, as k3s' installer writes it, with our paths; pods outlive it (KillMode=process). */
export const k3sUnit = ({ binary, command, configFile, memoryHigh }: K3sUnitOptions): string => `[Unit]
Description=Lightweight Kubernetes (k3s ${command})
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=-/sbin/modprobe -a br_netfilter overlay
ExecStart=${binary} ${command} --config ${configFile}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
${memoryHigh === undefined ? '' : `MemoryHigh=${memoryHigh}\n`}
[Install]
WantedBy=multi-user.target
`;
