// The browser that the tests of the verify page use, and what they do with it.
//
// PASSGATE_PAGE names another page.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { dist, launch, modules, root } from './tools.mjs'

const axeSource = await readFile(join(modules, 'axe-core', 'axe.min.js'), 'utf8')

/** The page. */
export const file = process.env.PASSGATE_PAGE ?? join(dist, 'page', 'verify.html')
const screenshots = join(root, 'target', 'web', 'screenshots')
/** Where it is without a server. */
export const local = pathToFileURL(file).href
/** What most checks are made for: `NOW` of page-cases.mjs, and a little. */
export const MOMENT = '2026-11-21T12:00:30'

let browser
let server
let address
let folder

/** Where the page is served, once it is. */
export const served = () => address

/** Starts the browser, and a server with the page. */
export async function open() {
  browser = await launch()
  const html = await readFile(file)
  const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html.toString())[1]
  server = createServer((_request, response) => {
    const csp = `${policy}; frame-ancestors 'none'`
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': csp }).end(html)
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  address = `http://127.0.0.1:${server.address().port}/verify`
  folder = await mkdtemp(join(tmpdir(), 'passgate-page-'))
  await mkdir(screenshots, { recursive: true })
}

/** Ends both. */
export async function close() {
  await browser?.close()
  server?.closeAllConnections()
  server?.close()
  if (folder !== undefined) await rm(folder, { recursive: true })
}

/** Opens the page, runs `steps`, and then asks that nothing was requested, blocked, thrown or executed. */
export async function visit(steps, { url = local, ...options } = {}) {
  const context = await browser.newContext({ timezoneId: 'UTC', locale: 'en-GB', reducedMotion: 'reduce', ...options })
  const page = await context.newPage()
  const faults = []
  page.on('request', (request) => {
    const own = [url.split('#')[0], 'data:,']
    if (!own.includes(request.url().split('#')[0])) faults.push(`request ${request.url()}`)
  })
  page.on('pageerror', (error) => faults.push(`error ${error.message}`))
  page.on('dialog', (dialog) => {
    faults.push(`dialog ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`console ${message.text()}`)
  })
  await page.addInitScript(() => {
    window.violations = []
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective))
  })
  try {
    await page.goto(url)
    await steps(page)
    const seen = await page.evaluate(() => ({ violations: window.violations, executed: window.executed ?? false }))
    assert.deepEqual(seen, { violations: [], executed: false })
    assert.deepEqual(faults, [])
  } finally {
    await context.close()
  }
}

export async function give(page, { subject, trust = '', audience = '', moment = MOMENT }) {
  await page.fill('#moment', moment)
  await page.fill('#audience', audience)
  await page.fill('#trust', trust)
  if (subject !== undefined) await page.fill('#subject', subject)
}

/** Verifies, and gives the verdict as people read it. */
export async function verify(page, input) {
  await give(page, input)
  await page.click('#verify')
  return verdict(page)
}

export async function verdict(page) {
  await page.waitForSelector('#result .banner', { timeout: 120_000 })
  const banner = page.locator('#result .banner').first()
  return {
    title: await banner.locator('h2').innerText(),
    tone: (await banner.getAttribute('class')).replace('banner ', ''),
    text: await banner.innerText(),
    all: await page.innerText('#result'),
  }
}

export const checksOf = (page) =>
  page.$$eval('.checks li', (items) =>
    Object.fromEntries(items.map((item) =>
      ['.check-name', '.check-result'].map((part) => item.querySelector(part).textContent))))

export async function noSidewaysScroll(page) {
  const [scroll, width] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth])
  assert.ok(scroll <= width, `the page is ${scroll} wide on a screen of ${width}`)
}

export async function accessible(page) {
  // Only the look and structure of the page are of interest: what axe itself does may break the page's policy.
  const run = "axe.run(document, { resultTypes: ['violations'] })"
  const { violations } = await page.evaluate(`(() => { ${axeSource}; return ${run} })()`)
  const faults = violations.map(({ id, nodes }) =>
    `${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`)
  assert.deepEqual(faults, [])
}

/** Gives a file to the page as a reader would. */
export async function giveFile(page, name, content) {
  const path = join(folder, name)
  await writeFile(path, content)
  await page.setInputFiles('#subject-file', path)
}

export async function heapBytes(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.collectGarbage')
  const { metrics } = await session.send('Performance.enable').then(() => session.send('Performance.getMetrics'))
  return metrics.find(({ name }) => name === 'JSHeapUsedSize').value
}

/** The largest heap that is seen while the page verifies. */
export async function heapPeak(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  let peak = 0
  while ((await page.locator('#result .banner').count()) === 0) {
    const { metrics } = await session.send('Performance.getMetrics')
    peak = Math.max(peak, metrics.find(({ name }) => name === 'JSHeapUsedSize').value)
  }
  return peak
}

/** Keeps a picture of the whole page, for people to look at. */
export function screenshot(page, name) {
  return page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
}
