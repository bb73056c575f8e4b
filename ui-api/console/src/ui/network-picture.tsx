/** Uplink → networks → machines, as the table says it, drawn. Colours are the theme's. */
import { Link } from 'react-router';
import type { Network, Vm } from '../../../client/types.ts';
import { text } from '../i18n/text.ts';
import { vmPath } from '../vm/state.ts';
import { StateLabel } from './state-label.tsx';

const shownVms = 12;

/** `VLAN 20`, `Trunk 10, 20`, isolated or untagged. */
export function kindOfNetwork({ vlan, trunk, isolated }: Network): string {
  if (isolated) return text.networks.kinds.isolated;
  if (trunk) return `${text.networks.trunk} ${trunk.join(', ')}`;
  return vlan === undefined ? text.networks.kinds.untagged : `${text.networks.vlan} ${vlan}`;
}

export function NetworkPicture({ networks, vms }: { networks: readonly Network[]; vms: readonly Vm[] }) {
  return (
    <section className="croft-picture" aria-label={text.networks.pictureLabel}>
      <div className="croft-picture-root">{text.networks.box}</div>
      <ul className="croft-picture-networks">
        {networks.map((network) => (
          <NetworkBranch
            key={network.name}
            network={network}
            vms={vms.filter(({ nics }) => nics.some((nic) => nic.network === network.name))}
          />
        ))}
      </ul>
    </section>
  );
}

function NetworkBranch({ network, vms }: { network: Network; vms: readonly Vm[] }) {
  const hidden = vms.length - shownVms;
  return (
    <li>
      <div className="croft-picture-network">
        <strong>{network.name}</strong>
        <span className="croft-quiet">
          {kindOfNetwork(network)}
          {network.address ? ` · ${network.address}` : ''}
        </span>
        {network.state !== 'ready' && <StateLabel state={network.state} />}
      </div>
      <ul className="croft-picture-vms">
        {vms.length === 0 && <li className="croft-quiet">{text.networks.noVms}</li>}
        {vms.slice(0, shownVms).map((vm) => (
          <li key={`${vm.project}/${vm.name}`}>
            <Link to={vmPath(vm, 'network')} className={`croft-picture-vm croft-picture-${vm.state}`}>
              <strong>{vm.name}</strong>
              <span>{vm.nics.find((nic) => nic.network === network.name)?.addresses[0] ?? '–'}</span>
            </Link>
          </li>
        ))}
        {hidden > 0 && <li className="croft-quiet">{text.networks.and(hidden)}</li>}
      </ul>
    </li>
  );
}
