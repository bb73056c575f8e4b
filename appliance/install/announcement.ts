/** The one block `npm start` prints before it changes anything: text from facts, nothing looked up in here. */
import type { InstallPlan } from './installer.ts';
import { roughSize } from './packages.ts';

export type AnnouncementFacts = {
  plan: InstallPlan;
  /** False with --no-install or CROFT_INSTALL=no. */
  install: boolean;
  root: boolean;
  dataDir: string;
  runDir: string;
  cacheDir: string;
  listen: string;
  /** Which Open vSwitch is used: `system` one that answers, `own` one we start, `none`. */
  ovs: 'system' | 'own' | 'none';
  /** Present value of the sysctl net.ipv4.ip_forward. */
  ipForward: string;
  /** Settings that differ from their defaults, as `CROFT_LISTEN=…`. */
  settings: string[];
};

const mb = (bytes: number): string => `${Math.max(1, Math.round(bytes / 1e6))} MB`;

/** `12 Debian packages (…): 62 MB to download, 277 MB on disk`, in two lines. */
function packageLines({ plan, install, root }: AnnouncementFacts): string[] {
  if (plan.missing.length === 0) return ['Debian packages   none, all are installed'];
  const names = `                  ${plan.names.join(' ')}`;
  if (!install) return [`Debian packages   none (--no-install), though ${plan.names.length} are missing:`, names];
  if (!root) return [`Debian packages   none (not root), though ${plan.names.length} are missing:`, names];
  if (!plan.release) return ['Debian packages   cannot be installed: this is not Debian 12 or 13. Missing:', names];
  const { apt } = plan;
  const rough = roughSize[plan.release];
  const size = apt
    ? `${apt.fresh.length} new${apt.upgraded.length > 0 ? `, ${apt.upgraded.length} updated` : ''}: ${mb(apt.downloadBytes)} to download, ${mb(apt.diskBytes)} on disk`
    : `up to ${rough.packages} new: about ${rough.downloadMb} MB to download, ${rough.diskMb} MB on disk`;
  return [`Debian packages   ${size}; their services are not started:`, names];
}

function networkLines({ root, ovs, ipForward, runDir }: AnnouncementFacts): string[] {
  if (!root) return ['Network           nothing: without root, VMs get user-mode networking'];
  const lines: Record<AnnouncementFacts['ovs'], string> = {
    system: 'bridge croft0 on the Open vSwitch that runs here',
    own: `bridge croft0 on an Open vSwitch of Croft's own (${runDir}/ovs)`,
    none: 'no virtual switch: VMs get user-mode networking',
  };
  const forward = ipForward === '1' ? 'is 1 already' : `${ipForward} → 1 while Croft serves a NAT network`;
  return [
    `Network           ${lines[ovs]}; nftables table croft`,
    ...(ovs === 'none' ? [] : [`Kernel setting    net.ipv4.ip_forward ${forward}`]),
  ];
}

/** The block, without a final newline. */
export function announcement(facts: AnnouncementFacts): string {
  const willInstall = facts.install && facts.root && facts.plan.missing.length > 0;
  return [
    'Croft changes this on the machine:',
    ...[
      ...packageLines(facts),
      `Directories       ${facts.dataDir} (what must survive), ${facts.runDir} (sockets), ${facts.cacheDir} (cache)`,
      ...networkLines(facts),
      `Address           ${facts.listen}`,
      ...(facts.settings.length > 0 ? [`Settings          ${facts.settings.join(' ')}`] : []),
    ].map((line) => `  ${line}`),
    `To undo all of it: npm run uninstall -- --purge${willInstall ? '   To install nothing: npm start -- --no-install' : ''}`,
  ].join('\n');
}
