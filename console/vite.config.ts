import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** The licences of what the build contains, beside it, as those licences ask. */
function licences(): Plugin {
  const parts: [string, string][] = [
    ['uPlot', 'node_modules/uplot/LICENSE'],
    ['Svelte', 'node_modules/svelte/LICENSE.md'],
    ['IBM Plex Sans', 'node_modules/@fontsource-variable/ibm-plex-sans/LICENSE'],
    ['IBM Plex Mono', 'node_modules/@fontsource/ibm-plex-mono/LICENSE'],
  ];
  return {
    name: 'licences',
    apply: 'build',
    generateBundle() {
      const text = parts.map(([name, path]) => `${name}\n\n${readFileSync(path, 'utf8').trim()}\n`);
      this.emitFile({ type: 'asset', fileName: 'licenses.txt', source: text.join('\n\n') });
    },
  };
}

export default defineConfig({
  plugins: [svelte(), licences()],
  base: '/',
  build: {
    outDir: '../services/gateway/src/murmuration/gateway/static',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari17.5'],
    // Nothing may be inlined: the page's policy allows no data: source.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8780' } },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
} as Parameters<typeof defineConfig>[0]);
