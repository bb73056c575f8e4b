import { Nav, NavItem, NavList, PageSidebar, PageSidebarBody } from '@patternfly/react-core';
import CogIcon from '@patternfly/react-icons/dist/esm/icons/cog-icon';
import CompactDiscIcon from '@patternfly/react-icons/dist/esm/icons/compact-disc-icon';
import DesktopIcon from '@patternfly/react-icons/dist/esm/icons/desktop-icon';
import HddIcon from '@patternfly/react-icons/dist/esm/icons/hdd-icon';
import ListIcon from '@patternfly/react-icons/dist/esm/icons/list-icon';
import NetworkWiredIcon from '@patternfly/react-icons/dist/esm/icons/network-wired-icon';
import ServerIcon from '@patternfly/react-icons/dist/esm/icons/server-icon';
import TachometerAltIcon from '@patternfly/react-icons/dist/esm/icons/tachometer-alt-icon';
import type { ComponentType } from 'react';
import { Link, useLocation } from 'react-router';
import { text } from '../i18n/text.ts';

const entries: readonly { to: string; title: string; icon: ComponentType }[] = [
  { to: '/', title: text.nav.overview, icon: TachometerAltIcon },
  { to: '/vms', title: text.nav.vms, icon: DesktopIcon },
  { to: '/images', title: text.nav.images, icon: CompactDiscIcon },
  { to: '/volumes', title: text.nav.volumes, icon: HddIcon },
  { to: '/networks', title: text.nav.networks, icon: NetworkWiredIcon },
  { to: '/node', title: text.nav.node, icon: ServerIcon },
  { to: '/activity', title: text.nav.activity, icon: ListIcon },
  { to: '/settings', title: text.nav.settings, icon: CogIcon },
];

export function Sidebar() {
  const { pathname } = useLocation();
  const isActive = (to: string) => (to === '/' ? pathname === '/' : pathname === to || pathname.startsWith(`${to}/`));
  return (
    <PageSidebar>
      <PageSidebarBody>
        <Nav aria-label={text.nav.label}>
          <NavList>
            {entries.map(({ to, title, icon: Icon }) => (
              <NavItem key={to} isActive={isActive(to)}>
                <Link to={to}>
                  <span className="pf-v6-c-nav__link-icon">
                    <Icon />
                  </span>
                  <span className="pf-v6-c-nav__link-text">{title}</span>
                </Link>
              </NavItem>
            ))}
          </NavList>
        </Nav>
      </PageSidebarBody>
    </PageSidebar>
  );
}
