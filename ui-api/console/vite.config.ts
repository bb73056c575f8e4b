import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

/** `vite` alone serves the console for development in front of an API: CROFT_API=http://127.0.0.1:8440. */
const api = process.env.CROFT_API ?? 'http://127.0.0.1:8440';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: {
    outDir: process.env.CROFT_CONSOLE_OUT ?? 'dist',
    emptyOutDir: true,
    target: 'es2023',
    // Small files inlined as data: would need a wider content policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1500,
    reportCompressedSize: false,
    manifest: 'manifest.json',
  },
  server: { host: '127.0.0.1', proxy: { '/v1': { target: api, ws: true } } },
});
