/** Every page of the console, as the furnished test sites have them. */
export const pages = [
  '/',
  '/vms',
  '/vms/new',
  '/vms/import',
  ...['overview', 'console', 'disks', 'network', 'snapshots', 'activity', 'settings'].map((tab) => `/vms/web-1/${tab}`),
  '/vms/win-1/overview',
  '/images',
  '/volumes',
  '/networks',
  '/node',
  ...['tasks', 'events', 'audit'].map((tab) => `/activity/${tab}`),
  ...['users', 'tokens', 'pools', 'uplinks', 'certificate', 'backup', 'updates', 'kubernetes', 'about'].map(
    (tab) => `/settings/${tab}`,
  ),
];
