/**
 * Builds dist/: the Node side (shell, engine, command line, workers) as ES modules with shared chunks, the sandboxed
 * preload as one CommonJS file, the page. Everything is bundled but `electron` and the native `onnxruntime-node`.
 */
import vue from '@vitejs/plugin-vue'
import { existsSync, rmSync } from 'node:fs'
import { builtinModules } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'
import { removeStamp, sourceHash, writeStamp } from '../main/launch/stamp.mjs'
import { workers } from './workers.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const at = (...parts) => path.join(root, ...parts)

/** Bundle → source. Those whose source is not there yet are left out. */
const nodeEntries = Object.fromEntries(
  Object.entries({
    'shell/index': 'main/shell/index.ts',
    'engine/entry': 'main/engine/entry.ts',
    ...Object.fromEntries(Object.entries(workers).map(([name, source]) => [`engine/${name}`, source])),
    'cli/index': 'main/cli/index.ts',
  }).filter(([, source]) => existsSync(at(source))),
)

const external = [
  'electron',
  /^electron\//,
  'onnxruntime-node',
  ...builtinModules,
  ...builtinModules.map((name) => `node:${name}`),
]

const common = { root, configFile: false, publicDir: false, logLevel: 'warn' }

/** @type {import('vite').InlineConfig} */
const nodeSide = {
  ...common,
  ssr: { noExternal: true, external: ['electron', 'onnxruntime-node'] },
  build: {
    ssr: true,
    target: 'node20',
    outDir: at('dist'),
    emptyOutDir: false,
    sourcemap: true,
    minify: false,
    rolldownOptions: {
      input: nodeEntries,
      external,
      output: {
        format: 'es',
        entryFileNames: '[name].js',
        // Beside the engine's entry, so that `new URL('./text-worker.js', import.meta.url)` holds in a shared chunk too.
        chunkFileNames: 'engine/[name]-[hash].js',
      },
    },
  },
}

/** @type {import('vite').InlineConfig} */
const preload = {
  ...common,
  build: {
    target: 'chrome130',
    outDir: at('dist/preload'),
    emptyOutDir: true,
    sourcemap: true,
    minify: false,
    lib: { entry: at('preload/index.ts'), formats: ['cjs'], fileName: () => 'index.cjs' },
    rolldownOptions: { external: ['electron'], output: { codeSplitting: false } },
  },
}

/** @type {import('vite').InlineConfig} */
const page = {
  ...common,
  root: at('renderer'),
  publicDir: at('renderer/public'),
  base: '/',
  plugins: [vue()],
  define: { __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false' },
  build: {
    target: 'chrome130',
    outDir: at('dist/renderer'),
    emptyOutDir: true,
    sourcemap: true,
    // Data URLs for fonts, and the preload polyfill, have no place under the page's content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
  },
}

async function buildAll() {
  const started = performance.now()
  const sources = sourceHash(root)
  removeStamp(root)
  // Chunks carry hashes in their names: without this, old ones would pile up.
  for (const folder of ['shell', 'engine', 'cli'])
    rmSync(at('dist', folder), { recursive: true, force: true })
  await Promise.all([nodeSide, preload, page].map((config) => build(config)))
  writeStamp(root, sources)
  console.error(`Built dist/ in ${((performance.now() - started) / 1000).toFixed(1)} s.`)
}

try {
  await buildAll()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
