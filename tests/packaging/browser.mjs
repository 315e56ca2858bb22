// A real browser, and a server that gives it a folder under a strict policy.

import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { launch } from '../web/tools.mjs'

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

export { launch }

/** Serves a folder on this machine. Nothing may run but its own scripts, the inline ones of `html` and WebAssembly. */
export async function serve(folder) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, 'http://localhost').pathname)
    try {
      const body = await readFile(join(folder, path.endsWith('/') ? `${path}index.html` : path))
      response.writeHead(200, {
        'content-type': types[extname(path)] ?? types['.html'],
        'content-security-policy': policyOf(body),
      })
      response.end(body)
    } catch {
      response.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}

function policyOf(html) {
  const scripts = html.subarray(0, 1 << 16).toString().matchAll(/<script(?: type="?[a-z]+"?)?>([^]*?)<\/script>/g)
  const digest = text => createHash('sha256').update(text).digest('base64')
  const inline = [...scripts].map(([, text]) => `'sha256-${digest(text)}'`).join(' ')
  return `default-src 'none'; connect-src 'self'; img-src data:; script-src 'self' 'wasm-unsafe-eval' ${inline}`
}

/** Opens a page, calls `use` with it and closes it again; whatever the page complains about is an error. */
export async function withPage(browser, url, use) {
  const context = await browser.newContext()
  const page = await context.newPage()
  const complaints = []
  const requests = []
  page.on('pageerror', error => complaints.push(String(error)))
  page.on('console', message => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.text()} (${message.location().url})`)
  })
  page.on('request', request => requests.push(request.url()))
  try {
    await page.goto(url)
    const result = await use(page, requests)
    if (complaints.length > 0) throw new Error(complaints.join('\n'))
    return result
  } catch (error) {
    throw new Error([error.message, ...complaints].join('\n'), { cause: error })
  } finally {
    await context.close()
  }
}

/** What the page's `run` gives for this input. */
export async function runPage(browser, url, given) {
  return withPage(browser, url, async page => {
    await page.waitForFunction(() => globalThis.run)
    return page.evaluate(input => globalThis.run(input), given)
  })
}
