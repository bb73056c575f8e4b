/**
 * The nftables table `ip croft` inside a shadow pod's network namespace, as text; pure. What arrives at the pod's
 * address goes to its guest, seen by the guest as coming from the pod's end of the link: so the answers come back this
 * way whatever the guest's own route is. Nothing else passes, in neither direction: the pod is no way out for the guest
 * and no way in for others.
 */
export type PodRules = {
  /** The pod's end of the link. */
  link: string;
  podAddress: string;
  guestAddress: string;
};

/** The pod's own interface: kubelet asks CNI for this name (kubernetes network.DefaultInterfaceName). */
export const podInterface = 'eth0';
export const podTable = 'croft';

/** For `nft -f -`; replaces the table as a whole in one transaction. */
export function podRules({ link, podAddress, guestAddress }: PodRules): string {
  return `table ip ${podTable}
delete table ip ${podTable}
table ip ${podTable} {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${podInterface}" ip daddr ${podAddress} dnat to ${guestAddress}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "${link}" ip daddr ${guestAddress} masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "${podInterface}" oifname "${link}" ip daddr ${guestAddress} ct status dnat accept
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "${link}" ct state != { established, related } drop
  }
}
`;
}
