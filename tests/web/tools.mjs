// The npm packages that `cargo xtask setup` installed, and where things are in this checkout.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
export const modules = join(root, 'target', 'tools', 'npm', 'node_modules')
/** The npm package as it was built. */
export const dist = join(root, 'pkg', 'dist')

const require = createRequire(join(modules, 'x.js'))

/** Imports an npm package. */
export function tool(name) {
  return import(pathToFileURL(require.resolve(name)))
}

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts a browser: Debian's Chromium, or the one that PASSGATE_CHROMIUM names. */
export async function launch() {
  const { chromium } = (await tool('playwright-core')).default
  return chromium.launch({ executablePath: process.env.PASSGATE_CHROMIUM ?? '/usr/bin/chromium', args: FLAGS })
}
