// A temporary folder with the packed package, projects that installed it, and what a gate signed for them to verify.

import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { dist, root, tool } from '../web/tools.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const binary = process.env.PASSGATE_BIN ?? join(root, 'target', 'debug', 'passgate')
export const pkg = join(root, 'pkg')

/** Runs a program to its end and gives what it printed; what it prints when it fails is in the error. */
export async function run(program, args, options = {}) {
  const limits = { maxBuffer: 1 << 26, ...options }
  try {
    return (await promisify(execFile)(program, args, limits)).stdout
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout}\n${error.stderr}`, { cause: error })
  }
}

/** Runs npm without the network, on the Node.js that runs this. */
function npm(args, folder, cache) {
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter)
  const quiet = ['--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  const env = { ...process.env, PATH: path }
  return run('npm', [...args, '--offline', '--cache', cache, ...quiet], { cwd: folder, env })
}

/** The packed package in a new folder. */
export async function pack() {
  if (!existsSync(dist)) throw new Error(`${dist} is missing: run \`cargo xtask web build\``)
  const folder = await mkdtemp(join(tmpdir(), 'passgate-packaging-'))
  const cache = join(folder, 'npm-cache')
  const args = ['pack', pkg, '--json', '--ignore-scripts', '--pack-destination', folder]
  const [contents] = JSON.parse(await npm(args, folder, cache))
  const tarball = join(folder, 'passgate.tgz')
  await cp(join(folder, contents.filename), tarball)
  return { folder, cache, tarball, contents }
}

/** A new copy of a project of this folder that installed the tarball. */
export async function project(workspace, name, given) {
  const folder = await mkdtemp(join(workspace.folder, `${name}-`))
  await cp(join(here, name), folder, { recursive: true })
  const scenario = await readFile(join(here, 'scenario.mjs'), 'utf8')
  await writeFile(join(folder, 'scenario.mjs'), scenario)
  await writeFile(join(folder, 'scenario.cjs'), await toCommonJs(scenario))
  await writeFile(join(folder, 'given.json'), JSON.stringify(given ?? null))
  await install(workspace, folder)
  return folder
}

/** Installs the tarball into a folder with a package.json, or a new one. */
export async function install(workspace, folder) {
  await mkdir(folder, { recursive: true })
  const what = existsSync(join(folder, 'package.json')) ? [] : [workspace.tarball]
  await npm(['install', ...what, '--ignore-scripts', '--no-package-lock'], folder, workspace.cache)
}

async function toCommonJs(text) {
  const esbuild = await tool('esbuild')
  return esbuild.transformSync(text, { format: 'cjs', target: 'node18' }).code
}

/** The `node` that a shell would find besides the one that runs this, if there is another. */
export async function otherNode() {
  for (const folder of (process.env.PATH ?? '').split(delimiter).concat('/usr/bin')) {
    const path = join(folder, 'node')
    if (!existsSync(path)) continue
    const version = (await run(path, ['--version'])).trim()
    if (version !== process.version) return { path, version }
  }
  return null
}

/** The CLI's demo in `folder/passgate-demo`, at a free port: a gate that stays up until `stop`. */
export async function startDemo(folder) {
  if (!existsSync(binary)) throw new Error(`${binary} is missing: run \`cargo build\`, or name another in PASSGATE_BIN`)
  const port = await freePort()
  const args = ['demo', '--keep', '--dir', 'passgate-demo', '--port', String(port)]
  const child = spawn(binary, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  const said = []
  const ready = new Promise(resolve => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', line => {
        said.push(line)
        if (line.includes('The gate stays open')) resolve(true)
      })
    }
    exited.then(() => resolve(false))
  })
  if (!await ready) throw new Error(`the demo ended early:\n${said.join('\n')}`)
  return { url: `http://127.0.0.1:${port}`, stop: () => (child.kill('SIGINT'), exited) }
}

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Runs the CLI where the demo's folder is. */
export function passgate(args, folder) {
  const env = { ...process.env, PASSGATE_CONFIG: join(folder, 'passgate-demo', 'passgate.yml') }
  return run(binary, args, { cwd: folder, env })
}

/** Runs a script that calls `passgate`. */
export function shell(script, folder) {
  const path = [dirname(binary), process.env.PATH].join(delimiter)
  return run('sh', ['-eu', '-c', script], { cwd: folder, env: { ...process.env, PATH: path } })
}

/** What the demo's gate signed, and the keys to verify it with. */
export async function givenBy(folder) {
  const demo = join(folder, 'passgate-demo')
  const json = async path => JSON.parse(await readFile(join(demo, path), 'utf8'))
  const { passport } = await json('agents/visitor.json')
  const { iat } = JSON.parse(Buffer.from(passport.split('.')[1], 'base64url'))
  const issuerKeys = (await json('issuers/demo.jwks.json')).keys
  return {
    passport,
    now: (iat + 60) * 1000,
    audience: 'gate_demo',
    issuers: [{ id: 'https://issuer.passgate.example', tier: 'L2', keys: issuerKeys.map(jwk => ({ jwk })) }],
    keys: JSON.parse(await passgate(['keys', 'jwks', 'passgate-demo/keys/attestation.jwk'], folder)),
    ledger: await passgate(['ledger', 'export'], folder),
  }
}

export function remove(workspace) {
  return rm(workspace.folder, { recursive: true, force: true })
}
