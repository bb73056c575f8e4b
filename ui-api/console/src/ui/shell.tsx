/** What surrounds every page: masthead, navigation, task drawer, notices; and it keeps the live stream running. */
import { Page, SkipToContent } from '@patternfly/react-core';
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react';
import { Outlet, useLocation, useNavigate } from 'react-router';
import { startLive } from '../api/live.ts';
import { queryClient } from '../api/queries.ts';
import { usePaletteKey } from '../hooks/use-hotkey.ts';
import { useShortcuts } from '../hooks/use-shortcuts.ts';
import { text } from '../i18n/text.ts';
import { LiveBanner } from './live-banner.tsx';
import { AppMasthead } from './masthead.tsx';
import { places, Shortcuts } from './shortcuts.tsx';
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
  const [isHelpOpen, setHelpOpen] = useState(false);
  useShortcuts(
    useMemo(
      () => ({
        c: () => void navigate('/vms/new'),
        '?': () => setHelpOpen(true),
        ...Object.fromEntries(places.map(([key, path]) => [`g ${key}`, () => void navigate(path)])),
      }),
      [navigate],
    ),
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
          onKeys={() => setHelpOpen(true)}
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
      {isHelpOpen && <Shortcuts onClose={() => setHelpOpen(false)} />}
      {isPaletteOpen && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPaletteOpen(false)} />
        </Suspense>
      )}
    </Page>
  );
}
