// The packed npm package, as users of each runtime and bundler install it: what is in it, and that it does the same
// everywhere.

import assert from 'node:assert/strict'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { launch, runPage, serve, withPage } from '../packaging/browser.mjs'
import * as bundle from '../packaging/bundle.mjs'
import { codeBlocks, commands, promised, writeExamples } from '../packaging/readme.mjs'
import { startWorker } from '../packaging/worker.mjs'
import {
  givenBy,
  install,
  otherNode,
  pack,
  pkg,
  project,
  remove,
  run,
  shell,
  startDemo,
} from '../packaging/workspace.mjs'
import { dist, modules, root, tool } from './tools.mjs'

/** Neither may load an ES module with `require`. */
const strictCommonJs = '--no-experimental-require-module'
const expectedPath = /^(package\.json|README\.md|LICENSE|dist\/(.+\.(js|d\.ts|wasm|html)|cjs\/package\.json))$/
const notCode = ['./passgate.wasm', './verifier.wasm', './verify.html', './package.json']

let workspace
let browser
let demo
let given
/** What `node-esm` reports, and so has every other project to. */
let expected
const stops = []

before(async () => {
  workspace = await pack()
  demo = await startDemo(workspace.folder)
  stops.push(demo.stop)
  given = await givenBy(workspace.folder)
  const folder = await project(workspace, 'node-esm', given)
  expected = JSON.parse(await run(process.execPath, ['main.mjs'], { cwd: folder }))
  browser = await launch()
})

after(async () => {
  await browser?.close()
  for (const stop of stops) await stop()
  if (workspace) await remove(workspace)
})

/** Serves a folder until the tests end. */
async function served(folder) {
  const server = await serve(folder)
  stops.push(server.stop)
  return server.url
}

test('the package holds what it is made of and nothing else', async t => {
  const manifest = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8'))
  const { files, size, unpackedSize } = workspace.contents
  t.diagnostic(`${files.length} files, ${size} bytes packed, ${unpackedSize} unpacked`)
  const paths = files.map(({ path }) => path)
  const strange = paths.filter(path => !expectedPath.test(path))
  assert.deepEqual(strange, [])
  assert.deepEqual(['package.json', 'README.md', 'LICENSE'].filter(path => !paths.includes(path)), [])
  assert.deepEqual(paths.filter(path => path.includes('node_modules')), [])
  assert.equal(await readFile(join(pkg, 'LICENSE'), 'utf8'), await readFile(join(root, 'LICENSE'), 'utf8'))
  const missing = targets(manifest.exports).filter(path => !paths.includes(path.slice(2)))
  assert.deepEqual(missing, [], 'exported and not packed')
})

test('installing the package runs nothing and brings nothing else', async () => {
  const manifest = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8'))
  const ran = Object.keys(manifest.scripts ?? {}).filter(name => /install|prepare|prepack|publish/.test(name))
  assert.deepEqual(ran, [])
  for (const kind of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
    assert.deepEqual(Object.keys(manifest[kind] ?? {}), [], kind)
  }
})

/** Every file that a map of exports leads to. */
function targets(exports) {
  if (typeof exports === 'string') return [exports]
  return Object.values(exports ?? {}).flatMap(targets)
}

test('publint finds nothing', async () => {
  const { publint } = await tool('publint')
  const { formatMessage } = await tool('publint/utils')
  const folder = await project(workspace, 'node-esm')
  const installed = join(folder, 'node_modules', 'passgate')
  const options = { pkgDir: installed, pack: false, level: 'suggestion', strict: true }
  const { messages, pkg: manifest } = await publint(options)
  assert.deepEqual(messages.map(message => formatMessage(message, manifest, { color: false })), [])
})

test('attw finds the types right wherever exports are understood', async () => {
  const cli = join(modules, '@arethetypeswrong', 'cli', 'dist', 'index.js')
  const quiet = ['--no-definitely-typed', '--no-color', '--no-emoji', '--format', 'ascii']
  const what = [workspace.tarball, '--profile', 'node16', '--exclude-entrypoints', ...notCode]
  await run(process.execPath, [cli, ...what, ...quiet], { cwd: workspace.folder })
})

test('what is expected of all is right', () => {
  const { issuing, verifying, verifyingSmall } = expected
  assert.deepEqual(verifyingSmall, verifying)
  assert.equal(issuing.isCredentials, true)
  assert.deepEqual([issuing.own.valid, issuing.own.trustTier, issuing.own.agentId], [true, 'L1', 'bot'])
  assert.deepEqual([issuing.forged.valid, issuing.forged.reasonCode], [false, 'passport_signature_invalid'])
  assert.equal(issuing.stranger.valid, false)
  for (const header of ['agent-passport', 'content-digest', 'signature', 'signature-input']) {
    assert.ok(issuing.sent.includes(header), header)
  }
  assert.deepEqual([issuing.search, issuing.deletion], [['allow', null], ['deny', 'permission_scope_missing']])
  assert.deepEqual(issuing.ledger, [true, 4])
  assert.deepEqual([verifying.passport.valid, verifying.passport.trustTier], [true, 'L2'])
  assert.equal(verifying.passportForged.reasonCode, 'passport_signature_invalid')
  assert.deepEqual([verifying.passportLater.valid, verifying.passportLater.expired], [false, true])
  assert.deepEqual([verifying.attestation.valid, verifying.attestationForged.valid], [true, false])
  assert.deepEqual([verifying.ledger.valid, verifying.ledger.broken], [true, null])
  assert.equal(verifying.ledger.records, given.ledger.trimEnd().split('\n').length - 1)
  assert.deepEqual([verifying.ledgerForged.valid, verifying.ledgerForged.broken.line], [false, 1])
})

test('require works where ES modules cannot be required', async () => {
  const folder = await project(workspace, 'node-cjs', given)
  assert.deepEqual(JSON.parse(await run(process.execPath, [strictCommonJs, 'main.cjs'], { cwd: folder })), expected)
})

test('another Node.js of this machine does the same', async t => {
  const other = await otherNode()
  if (!other) return t.skip('there is no other Node.js')
  t.diagnostic(other.version)
  const commonJs = await project(workspace, 'node-cjs', given)
  const esm = await project(workspace, 'node-esm', given)
  assert.deepEqual(JSON.parse(await run(other.path, ['main.mjs'], { cwd: esm })), expected)
  assert.deepEqual(JSON.parse(await run(other.path, [strictCommonJs, 'main.cjs'], { cwd: commonJs })), expected)
})

test('Vite builds it', async () => {
  const folder = await project(workspace, 'vite')
  assert.deepEqual(await runPage(browser, await served(await bundle.vite(folder)), given), expected)
})

test('Vite serves it during development', async () => {
  const server = await bundle.viteServer(await project(workspace, 'vite'))
  stops.push(server.stop)
  assert.deepEqual(await runPage(browser, server.url, given), expected)
})

for (const name of ['webpack-esm', 'webpack-cjs']) {
  test(`${name} builds it`, async () => {
    const folder = await project(workspace, name)
    assert.deepEqual(await runPage(browser, await served(await bundle.webpack(folder)), given), expected)
  })
}

test('a page imports it without a build', async () => {
  const folder = await project(workspace, 'script')
  const page = await readFile(join(folder, 'index.html'), 'utf8')
  await writeFile(join(folder, 'index.html'), page.replace('IMPORTS', JSON.stringify(await importMap())))
  const url = await served(folder)
  await withPage(browser, url, async (page, requests) => {
    await page.waitForFunction(() => globalThis.run)
    assert.deepEqual(requests.filter(path => path.endsWith('.wasm')), [], 'an import alone loads no WebAssembly')
    assert.deepEqual(await page.evaluate(input => globalThis.run(input), given), expected)
    assert.equal(requests.filter(path => path.endsWith('.wasm')).length, 2)
    assert.deepEqual(requests.filter(path => !path.startsWith(url)), [])
  })
})

/** Where a browser finds the entries. */
async function importMap() {
  const { exports } = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8'))
  const choose = target => {
    if (typeof target === 'string') return target
    return choose(target.browser ?? target.import ?? target.default)
  }
  const at = target => `/node_modules/passgate/${choose(target).slice(2)}`
  return { passgate: at(exports['.']), 'passgate/verify': at(exports['./verify']) }
}

test('a classic script has it inlined, and runs from a file', async () => {
  const out = await bundle.iife(await project(workspace, 'iife'))
  assert.deepEqual(await runPage(browser, await served(out), given), expected)
  assert.deepEqual(await runPage(browser, `file://${out}/index.html`, given), expected)
})

test('workerd runs it', async () => {
  assert.deepEqual(await runWorker(await project(workspace, 'workerd'), 'main.js'), expected)
})

test('wrangler bundles it', async () => {
  const out = await bundle.wrangler(await project(workspace, 'workerd'))
  assert.deepEqual(await askWorker(out, { method: 'POST', body: JSON.stringify(given) }), expected)
})

test('the slim entry takes the WebAssembly by hand', async () => {
  const folder = await project(workspace, 'slim', given)
  assert.deepEqual(JSON.parse(await run(process.execPath, ['main.mjs'], { cwd: folder })), expected)
  assert.deepEqual(await runWorker(folder, 'worker.js'), expected)
})

async function runWorker(folder, entry) {
  return askWorker(await bundle.worker(folder, entry), { method: 'POST', body: JSON.stringify(given) })
}

/** The JSON with which a bundled Worker answers. */
async function askWorker(folder, request) {
  const worker = await startWorker(folder)
  try {
    const response = await worker.fetch('http://worker.example/', request)
    const text = await response.text()
    assert.equal(response.status, 200, `${text}\n${worker.said.join('')}`)
    return JSON.parse(text)
  } finally {
    await worker.stop()
  }
}

test('TypeScript finds types by every way of resolving', async t => {
  const folder = await project(workspace, 'types')
  await copyFile(join(folder, 'consumer.ts'), join(folder, 'consumer.cts'))
  for (const { compiler, options } of compilers()) {
    const version = (await run(process.execPath, [compiler, '--version'])).trim()
    for (const kind of ['bundler', 'node16', 'node-only']) {
      const project = ['--project', `tsconfig.${kind}.json`, '--typeRoots', join(modules, '@types')]
      await t.test(`${version}, ${kind}`, async () => {
        await run(process.execPath, [compiler, ...project, ...options], { cwd: folder })
      })
    }
  }
})

/** The TypeScript that the package is built with, and the one that attw brings: too old to read every declaration. */
function compilers() {
  const require = createRequire(join(modules, '@arethetypeswrong', 'core', 'package.json'))
  const older = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  return [
    { compiler: join(modules, 'typescript', 'bin', 'tsc'), options: [] },
    { compiler: older, options: ['--skipLibCheck'] },
  ]
}

test('the examples of the README do what they say', async t => {
  const blocks = codeBlocks(await readFile(join(pkg, 'README.md'), 'utf8'))
  const { folder } = workspace
  await install(workspace, folder)
  const examples = await writeExamples(blocks, folder, demo.url)
  await runCommands(commands(blocks), folder)
  for (const [file, text] of examples) {
    if (!file.endsWith('.mjs')) continue
    await t.test(file, async () => {
      const output = await run(process.execPath, [file], { cwd: folder })
      assert.deepEqual(output.trimEnd().split('\n'), promised(text))
    })
  }
  await t.test('page.html', async () => {
    await withPage(browser, `${await served(folder)}page.html`, async page => {
      await page.waitForFunction(() => document.body?.textContent === 'passport_malformed')
    })
  })
  await t.test('worker.js', async () => {
    const answer = await askWorker(await bundle.worker(folder, 'worker.js'), { headers: { 'agent-passport': 'a.b.c' } })
    assert.deepEqual(answer, { valid: false, reasonCode: 'passport_malformed' })
  })
})

test('the package is as small as the README says', async t => {
  const readme = await readFile(join(pkg, 'README.md'), 'utf8')
  const rows = [...readme.matchAll(/^\| `(.*)` \| under (\d+) KB \| under (\d+) KB \|$/gm)]
  assert.deepEqual(rows.map(([, name]) => name), ['passgate/verify', 'passgate'])
  for (const [, name, wasmLimit, scriptLimit] of rows) {
    const [wasm, script] = name === 'passgate' ? ['passgate.wasm', 'index.js'] : ['verifier.wasm', 'verify.js']
    const wasmSize = bundle.zipped(await readFile(join(dist, wasm)))
    const scriptSize = bundle.zipped(await bundle.minified(join(dist, 'web', script)))
    t.diagnostic(`${name}: ${wasmSize} and ${scriptSize} bytes`)
    assert.ok(wasmSize < wasmLimit * 1024, `${wasm}: ${wasmSize}`)
    assert.ok(scriptSize < scriptLimit * 1024, `${script}: ${scriptSize}`)
  }
})

/** Runs the README's commands, but for the two that the set-up of these tests stands for. */
async function runCommands(lines, folder) {
  assert.ok(lines.includes('npm install passgate'))
  assert.ok(lines.includes('passgate demo --keep --dir passgate-demo --port 8787'))
  const rest = lines.filter(line => !/^(npm install passgate|passgate demo .*)$/.test(line))
  await shell(rest.join('\n'), folder)
}
