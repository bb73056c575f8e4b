import {
  Button,
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  NotificationBadge,
  PageToggleButton,
} from '@patternfly/react-core';
import SearchIcon from '@patternfly/react-icons/dist/esm/icons/search-icon';
import TasksIcon from '@patternfly/react-icons/dist/esm/icons/tasks-icon';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { tasksQuery } from '../api/queries.ts';
import { text } from '../i18n/text.ts';
import { Brand } from './brand.tsx';
import { ThemeMenu } from './theme-menu.tsx';
import { UserMenu } from './user-menu.tsx';

type Props = { onTasks: () => void; isTasksOpen: boolean; onPalette: () => void; onKeys: () => void };

export function AppMasthead({ onTasks, isTasksOpen, onPalette, onKeys }: Props) {
  const { data: tasks = [] } = useQuery(tasksQuery);
  const running = tasks.filter(({ state }) => state === 'running').length;
  return (
    <Masthead display={{ default: 'inline' }}>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton isHamburgerButton aria-label={text.nav.toggle} />
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component={(props) => <Link {...props} to="/" aria-label={text.product} />}>
            <Brand />
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <div className="croft-masthead-tools">
          <Button variant="plain" icon={<SearchIcon />} aria-label={text.palette.open} onClick={onPalette} />
          <NotificationBadge
            variant={running > 0 ? 'unread' : 'read'}
            count={running}
            icon={<TasksIcon />}
            aria-label={running > 0 ? text.masthead.tasksRunning(running) : text.masthead.tasks}
            isExpanded={isTasksOpen}
            onClick={onTasks}
          />
          <ThemeMenu />
          <UserMenu onKeys={onKeys} />
        </div>
      </MastheadContent>
    </Masthead>
  );
}
