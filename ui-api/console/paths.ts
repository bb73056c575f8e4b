/** The console's own addresses: its router answers them in the browser, the server sends index.html for each. */
export const consolePaths = [
  '/',
  '/setup',
  '/signin',
  '/vms',
  '/images',
  '/volumes',
  '/networks',
  '/node',
  '/activity',
  '/settings',
] as const;
