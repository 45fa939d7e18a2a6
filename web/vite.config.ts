import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'
import { licences } from './licences/plugin.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  plugins: [react(), licences()],
  resolve: {
    alias: {
      // What parses raw HTML is left out of the bundle: a model's HTML is shown as text, and cannot become elements.
      'holdfast-client': here('./client/src/index.ts'),
      'rehype-raw': here('./src/left-out.ts'),
      'tailwind-merge': here('./src/left-out.ts'),
    },
  },
  build: {
    outDir: '../public',
    emptyOutDir: true,
    target: 'es2022',
    // Everything is a file of this origin, as the content security policy demands; nothing is inlined as data.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // React, the AI SDK and the markdown parser are wanted at once; what is wanted later is split off where it is used.
    chunkSizeWarningLimit: 800,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': 'http://127.0.0.1:8000' },
  },
})
