/** Routes of the console; each page is a chunk of its own, loaded when it is opened. */
import { QueryClientProvider } from '@tanstack/react-query';
import { createBrowserRouter, Navigate, redirect, RouterProvider } from 'react-router';
import { isSignedOut } from './api/problem.ts';
import { queryClient, sessionQuery, vmsQuery } from './api/queries.ts';
import { NotFound, RouteError } from './ui/route-error.tsx';
import { Shell } from './ui/shell.tsx';

/** Only the signed-in come past here; where they wanted to go is kept. */
async function requireSession({ request }: { request: Request }): Promise<null | Response> {
  try {
    await queryClient.ensureQueryData(sessionQuery);
    return null;
  } catch (error) {
    if (!isSignedOut(error)) throw error;
    const { pathname, search } = new URL(request.url);
    return redirect(pathname === '/' ? '/signin' : `/signin?next=${encodeURIComponent(pathname + search)}`);
  }
}

/** Begins to read the machines while the page that shows them is still on its way. */
function readMachines(): void {
  // Who isn't signed in is led to the sign-in by the loader above; a failed read is told by the page itself.
  void queryClient.ensureQueryData(sessionQuery).then(
    () => queryClient.prefetchQuery(vmsQuery),
    () => undefined,
  );
}

const router = createBrowserRouter([
  { path: '/signin', lazy: async () => ({ Component: (await import('./pages/sign-in.tsx')).SignInPage }) },
  { path: '/setup', lazy: async () => ({ Component: (await import('./pages/setup.tsx')).SetupPage }) },
  {
    path: '/',
    Component: Shell,
    loader: requireSession,
    shouldRevalidate: () => false,
    HydrateFallback: () => null,
    errorElement: <RouteError />,
    children: [
      {
        errorElement: <RouteError />,
        children: [
          {
            index: true,
            lazy: async () => {
              readMachines();
              return { Component: (await import('./pages/overview.tsx')).OverviewPage };
            },
          },
          {
            path: 'vms',
            lazy: async () => {
              readMachines();
              return { Component: (await import('./pages/vm-list.tsx')).VmListPage };
            },
          },
          { path: 'vms/new', lazy: async () => ({ Component: (await import('./pages/vm-create.tsx')).VmCreatePage }) },
          { path: 'vms/import', lazy: async () => ({ Component: (await import('./pages/vm-import.tsx')).VmImportPage }) },
          { path: 'vms/:name', Component: () => <Navigate to="overview" replace /> },
          { path: 'vms/:name/:tab', lazy: async () => ({ Component: (await import('./pages/vm-detail.tsx')).VmDetailPage }) },
          { path: 'images', lazy: async () => ({ Component: (await import('./pages/images.tsx')).ImagesPage }) },
          { path: 'volumes', lazy: async () => ({ Component: (await import('./pages/volumes.tsx')).VolumesPage }) },
          { path: 'networks', lazy: async () => ({ Component: (await import('./pages/networks.tsx')).NetworksPage }) },
          { path: 'node', lazy: async () => ({ Component: (await import('./pages/node.tsx')).NodePage }) },
          { path: 'activity/:tab?', lazy: async () => ({ Component: (await import('./pages/activity.tsx')).ActivityPage }) },
          { path: 'settings/:tab?', lazy: async () => ({ Component: (await import('./pages/settings.tsx')).SettingsPage }) },
          { path: '*', Component: NotFound },
        ],
      },
    ],
  },
]);

export function App() {
  return (
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  );
}
