/** Uplink → networks → machines, as the table says it, drawn. Colours are the theme's. */
import { Link } from 'react-router';
import type { Network, Uplink, Vm } from '../../../client/types.ts';
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

type Props = { networks: readonly Network[]; vms: readonly Vm[]; uplinks: readonly Uplink[] };

/** One branch for each uplink with the networks that leave by it, and one for those that stay in the box. */
export function NetworkPicture({ networks, vms, uplinks }: Props) {
  const inside = networks.filter(({ uplink }) => !uplinks.some(({ name }) => name === uplink));
  const branches = [
    ...uplinks.map((uplink) => ({ uplink, networks: networks.filter((network) => network.uplink === uplink.name) })),
    ...(inside.length > 0 ? [{ uplink: undefined, networks: inside }] : []),
  ];
  return (
    <section className="croft-pictures" aria-label={text.networks.pictureLabel}>
      {branches.map(({ uplink, networks: leaving }) => (
        <div key={uplink?.name ?? ''} className="croft-picture">
          <UplinkRoot uplink={uplink} />
          <ul className="croft-picture-networks">
            {leaving.map((network) => (
              <NetworkBranch
                key={network.name}
                network={network}
                vms={vms.filter(({ nics }) => nics.some((nic) => nic.network === network.name))}
              />
            ))}
            {leaving.length === 0 && <li className="croft-quiet">{text.networks.empty}</li>}
          </ul>
        </div>
      ))}
    </section>
  );
}

function UplinkRoot({ uplink }: { uplink: Uplink | undefined }) {
  if (!uplink) {
    return (
      <div className="croft-picture-root">
        {text.networks.box}
        <span className="croft-quiet">{text.networks.noUplink}</span>
      </div>
    );
  }
  return (
    <div className="croft-picture-root">
      {uplink.name}
      <span className="croft-quiet">
        {[uplink.interfaces.join(' + '), uplink.vlans?.join(', ') ?? uplink.access ?? text.networks.allVlans].join(' · ')}
      </span>
      {uplink.state !== 'ready' && <StateLabel state={uplink.state} />}
    </div>
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
