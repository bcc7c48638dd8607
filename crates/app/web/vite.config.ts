import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The mock (`npm run mock`) answers what the loopback server answers in the program.
const MOCK = 'http://127.0.0.1:4180';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: 'es2022',
    // Nothing inline: the content security policy allows neither inline scripts nor data: styles and fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // Those of `e2e` are Node's own tests: `npm run e2e`.
  test: { include: ['tests/**/*.test.ts'] },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': { target: MOCK, ws: true, changeOrigin: true, rewriteWsOrigin: true } },
  },
});
