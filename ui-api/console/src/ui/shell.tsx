/** What surrounds every page: masthead, navigation, task drawer, notices; and it keeps the live stream running. */
import { Page, SkipToContent } from '@patternfly/react-core';
import { lazy, Suspense, useCallback, useEffect, useState } from 'react';
import { Outlet, useLocation, useNavigate } from 'react-router';
import { startLive } from '../api/live.ts';
import { queryClient } from '../api/queries.ts';
import { useHotkey, usePaletteKey } from '../hooks/use-hotkey.ts';
import { text } from '../i18n/text.ts';
import { LiveBanner } from './live-banner.tsx';
import { AppMasthead } from './masthead.tsx';
import { Sidebar } from './sidebar.tsx';
import { TaskDrawer, verbWord } from './task-drawer.tsx';
import { notify, Toasts } from './toasts.tsx';

const Palette = lazy(async () => ({ default: (await import('./palette.tsx')).Palette }));
const mainId = 'main';

export function Shell() {
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const [isDrawerOpen, setDrawerOpen] = useState(false);
  const [isPaletteOpen, setPaletteOpen] = useState(false);
  usePaletteKey(useCallback(() => setPaletteOpen(true), []));
  useHotkey(
    'c',
    useCallback(() => void navigate('/vms/new'), [navigate]),
  );

  useEffect(
    () =>
      startLive(queryClient, {
        onSignedOut: () => void navigate('/signin'),
        onTaskEnd: ({ state, verb, target, error }) => {
          if (state === 'failed')
            notify({ variant: 'danger', title: text.activity.tasksFailed(verbWord(verb), target.name), body: error?.detail });
          if (state === 'succeeded') notify({ variant: 'success', title: text.activity.tasksEnded(verbWord(verb), target.name) });
        },
      }),
    [navigate],
  );

  // A new page begins at its top.
  useEffect(() => {
    document.getElementById(mainId)?.scrollTo(0, 0);
  }, [pathname]);

  return (
    <Page
      masthead={
        <AppMasthead
          onTasks={() => setDrawerOpen(!isDrawerOpen)}
          isTasksOpen={isDrawerOpen}
          onPalette={() => setPaletteOpen(true)}
        />
      }
      sidebar={<Sidebar />}
      isManagedSidebar
      isContentFilled
      mainContainerId={mainId}
      mainTabIndex={0}
      skipToContent={<SkipToContent href={`#${mainId}`}>{text.skip}</SkipToContent>}
      isNotificationDrawerExpanded={isDrawerOpen}
      notificationDrawer={<TaskDrawer onClose={() => setDrawerOpen(false)} />}
    >
      <LiveBanner />
      <Outlet />
      <Toasts />
      {isPaletteOpen && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPaletteOpen(false)} />
        </Suspense>
      )}
    </Page>
  );
}
