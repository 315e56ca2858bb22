// The bundlers, each with as little configuration as a user gets away with.

import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { modules, tool } from '../web/tools.mjs'
import { freePort, run } from './workspace.mjs'

/** Builds the project as its users would; gives the folder with the page. */
export async function vite(folder) {
  const { build } = await tool('vite')
  await build({ root: folder, logLevel: 'warn', configFile: false })
  return join(folder, 'dist')
}

/** Vite's development server, which bundles dependencies in another way than its build does. */
export async function viteServer(folder) {
  const { createServer } = await tool('vite')
  const options = { host: '127.0.0.1', port: await freePort(), strictPort: true, watch: null }
  const server = await createServer({ root: folder, logLevel: 'warn', configFile: false, server: options })
  await server.listen()
  return { url: server.resolvedUrls.local[0], stop: () => server.close() }
}

/** Builds `main.js` with webpack. */
export async function webpack(folder) {
  const { default: webpack } = await tool('webpack')
  const out = join(folder, 'dist')
  const compiler = webpack({
    context: folder,
    entry: './main.js',
    mode: 'production',
    // Its warnings on size are about any WebAssembly at all.
    performance: false,
    output: { path: out, filename: 'main.js' },
  })
  const stats = await new Promise((resolve, reject) => {
    compiler.run((error, result) => compiler.close(() => error ? reject(error) : resolve(result)))
  })
  if (stats.hasErrors() || stats.hasWarnings()) {
    throw new Error(stats.toString({ all: false, errors: true, warnings: true }))
  }
  await copyFile(join(folder, 'index.html'), join(out, 'index.html'))
  return out
}

/** One classic script. */
export async function iife(folder) {
  const out = join(folder, 'dist')
  await mkdir(out)
  await bundled({
    entryPoints: [join(folder, 'main.js')],
    format: 'iife',
    platform: 'browser',
    outfile: join(out, 'main.js'),
  })
  await copyFile(join(folder, 'index.html'), join(out, 'index.html'))
  return out
}

/** A Worker of one module, its WebAssembly in files beside it. */
export async function worker(folder, entry) {
  const out = join(folder, 'dist')
  await bundled({
    entryPoints: [join(folder, entry)],
    format: 'esm',
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.wasm': 'copy' },
    outfile: join(out, 'main.js'),
  })
  return out
}

/** What a page downloads of a script and all that it imports but the WebAssembly, before it is compressed. */
export async function minified(path) {
  const { build } = await tool('esbuild')
  const { outputFiles } = await build({
    entryPoints: [path],
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    loader: { '.wasm': 'empty' },
    logLevel: 'silent',
    write: false,
  })
  return outputFiles[0].contents
}

/** The length by gzip -9. */
export function zipped(bytes) {
  return gzipSync(bytes, { level: 9 }).length
}

/** The Worker of a folder as wrangler would deploy it. */
export async function wrangler(folder) {
  const out = join(folder, 'deployed')
  const program = join(modules, 'wrangler', 'bin', 'wrangler.js')
  const env = { ...process.env, WRANGLER_SEND_METRICS: 'false', XDG_CONFIG_HOME: join(folder, 'config') }
  await run(process.execPath, [program, 'deploy', '--dry-run', '--outdir', out], { cwd: folder, env })
  return out
}

/** Runs esbuild; a warning is an error. */
async function bundled(options) {
  const { build } = await tool('esbuild')
  const result = await build({ bundle: true, logLevel: 'silent', target: 'es2022', ...options })
  if (result.warnings.length > 0) throw new Error(result.warnings.map(({ text }) => text).join('\n'))
}
