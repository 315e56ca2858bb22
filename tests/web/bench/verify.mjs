// What verifying a passport costs, in Node.js and in Chromium, and what it costs to download:
// `node tests/web/bench/verify.mjs`. Nothing is asserted.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { launch, serve, withPage } from '../../packaging/browser.mjs'
import { minified, zipped } from '../../packaging/bundle.mjs'
import { modules, root, tool } from '../tools.mjs'
import { contenders, contest } from './page/contest.mjs'

const { exports } = JSON.parse(await readFile(join(root, 'pkg', 'package.json'), 'utf8'))

/** The file of an entry under these conditions. */
function entry(name, ...conditions) {
  const choose = target => {
    if (typeof target === 'string') return target
    const met = Object.keys(target).find(condition => [...conditions, 'import', 'default'].includes(condition))
    return choose(target[met])
  }
  return join('pkg', choose(exports[name]))
}

async function inNode() {
  const [full, small] = ['.', './verify'].map(name => pathToFileURL(join(root, entry(name, 'node'))))
  const noble = await tool('@noble/ed25519')
  return contest(await contenders({ full: await import(full), small: await import(small), noble }))
}

async function inChromium() {
  const [browser, server] = [await launch(), await serve(root)]
  try {
    const urls = {
      full: `/${entry('.', 'browser')}`,
      small: `/${entry('./verify', 'browser')}`,
      noble: '/target/tools/npm/node_modules/@noble/ed25519/index.js',
      here: '/tests/web/bench/page/contest.mjs',
    }
    const blank = `${server.url}tests/web/bench/page/blank.html`
    return await withPage(browser, blank, page => page.evaluate(contestInPage, urls))
  } finally {
    server.stop()
    await browser.close()
  }
}

/** Runs in the page. */
async function contestInPage(urls) {
  const load = [urls.full, urls.small, urls.noble, urls.here].map(url => import(url))
  const [full, small, noble, here] = await Promise.all(load)
  return here.contest(await here.contenders({ full, small, noble }))
}

/** What a page downloads: gzip -9 of WebAssembly, and of the JavaScript of the entry, bundled and minified. */
async function sizes() {
  const both = async (wasm, js) => [zipped(await readFile(wasm)), zipped(await minified(js))]
  const own = (wasm, name) => both(join(root, entry(wasm)), join(root, entry(name, 'browser')))
  const npm = (folder, name) => both(join(modules, folder, `${name}_bg.wasm`), join(modules, folder, `${name}.js`))
  return {
    'passgate/verify': await own('./verifier.wasm', './verify'),
    'passgate': await own('./passgate.wasm', '.'),
    '@biscuit-auth/biscuit-wasm': await npm('@biscuit-auth/biscuit-wasm/module', 'biscuit'),
    '@cedar-policy/cedar-wasm': await npm('@cedar-policy/cedar-wasm/web', 'cedar_wasm'),
    '@noble/ed25519': [0, zipped(await minified(join(modules, '@noble/ed25519/index.js')))],
  }
}

function printTable(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  for (const row of rows) {
    const cells = row.map((cell, column) => cell[column === 0 ? 'padEnd' : 'padStart'](widths[column]))
    console.log(cells.join('  '))
  }
}

function printTimes(where, medians) {
  const [[, base]] = Object.entries(medians)
  console.log(`\n${where}: one verification, median`)
  printTable([
    ['', 'µs', '÷ WebCrypto'],
    ...Object.entries(medians).map(([name, each]) => [name, each.toFixed(1), (each / base).toFixed(2)]),
  ])
}

function printSizes(table) {
  console.log('\nSize, gzip -9, in bytes')
  printTable([
    ['', 'WebAssembly', 'JavaScript', 'together'],
    ...Object.entries(table).map(([name, [wasm, js]]) => [name, ...[wasm, js, wasm + js].map(String)]),
  ])
}

printTimes(`Node.js ${process.version}`, await inNode())
printTimes('Chromium', await inChromium())
printSizes(await sizes())
