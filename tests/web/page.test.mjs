// The verify page in a real browser: from `file://` and from a server, with good, forged and hostile input.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import {
  accessible, checksOf, close, file, give, giveFile, heapBytes, heapPeak, local, MOMENT, noSidewaysScroll, open,
  screenshot, served, verdict, verify, visit,
} from './page-browser.mjs'
import * as cases from './page-cases.mjs'

before(open)
after(close)

const good = { subject: cases.passport(), trust: cases.issuers(cases.issuer), audience: 'tools-gate' }

describe('a passport', () => {
  for (const [name, url] of [['from a file', () => local], ['from a server', served]]) {
    test(`that holds is valid, ${name}`, () =>
      visit(async (page) => {
        const { title, tone, all } = await verify(page, good)
        assert.deepEqual([title, tone], ['Valid', 'ok'])
        for (const text of [
          'Checked for 21 November 2026 at 12:00:30, not for now.', 'Research Bot', 'research-bot', cases.ISSUER,
          'payments:create', '2026-12-03 12:00:00 UTC', 'L2, managed issuer',
        ]) {
          assert.ok(all.includes(text), text)
        }
        const checks = await checksOf(page)
        for (const check of ['Form', 'Issuer is one you trust', 'Signature', 'Time', 'Audience']) {
          assert.equal(checks[check], 'passed')
        }
        assert.equal(checks['Sender holds the agent’s key'], 'not checked')
        assert.equal(await page.locator('svg.chain desc').first().textContent(),
          `Issuer ${cases.ISSUER}. Verified (signed with a trusted key): Agent research-bot`)
      }, { url: url() }))
  }

  const { exp } = cases.claims({ exp: cases.NOW - 86_400, iat: cases.NOW - 2 * 86_400 })
  const forgeries = [
    ['with a changed byte', { subject: cases.changed(cases.passport()) }, 'passport_signature_invalid', 'Signature'],
    ['signed with another key', { subject: cases.passport({}, cases.other) }, 'issuer_key_unknown',
      'Key belongs to the issuer'],
    ['of an unknown issuer', { subject: cases.passport({ iss: 'https://other.example' }) }, 'issuer_unknown',
      'Issuer is one you trust'],
    ['that has expired', { subject: cases.passport({ exp, iat: exp - 86_400 }) }, 'passport_expired', 'Time'],
    ['for another audience', { audience: 'other-gate' }, 'audience_mismatch', 'Audience'],
    ['claiming a tier', { subject: cases.passport({ trust_tier: 'L3' }) }, 'tier_mismatch', 'Trust tier'],
    ['cut short', { subject: cases.passport().slice(0, -40) }, 'passport_malformed', 'Form'],
  ]
  for (const [name, input, reason, check] of forgeries) {
    test(`${name} is not valid`, () =>
      visit(async (page) => {
        const { title, tone, text } = await verify(page, { ...good, ...input })
        assert.deepEqual([title, tone], ['Not valid', 'bad'])
        assert.ok(text.includes(reason), text)
        assert.equal((await checksOf(page))[check], 'failed')
      }))
  }

  const picture = (page) => page.locator('svg.chain desc').first().textContent()

  test('that was handed on is valid, and shows the chain and the limits of all of it', () =>
    visit(async (page) => {
      const { title, tone, all } = await verify(page, { ...good, subject: cases.chain() })
      assert.deepEqual([title, tone], ['Valid', 'ok'])
      const words = `Issuer ${cases.ISSUER}. Verified (signed with a trusted key): Agent research-bot. ` +
        'Verified (signed by the agent above): Sub-agent helper-bot'
      assert.equal(await picture(page), words)
      for (const text of ['Handed on by', 'spend a day: 2.5 USD', 'labels: pii', 'not those of the issuer']) {
        assert.ok(all.includes(text), text)
      }
      assert.equal((await checksOf(page))['Chain of hand-ons'], 'passed')
      const unknown = await verify(page, { subject: cases.chain() })
      assert.deepEqual([unknown.title, unknown.tone], ['Not verified', 'open'])
      assert.ok(unknown.all.includes('helper-bot'))
    }))

  const torn = (chain) => [chain.split('~')[0].replace(/.{4}$/, 'AAAA'), chain.split('~')[1]].join('~')
  const lone = cases.chain().split('~')[1]
  const Verified = 'Verified (signed with a trusted key)'
  const handedOn = [
    ['by another agent', cases.handedOn(cases.passport({ delegation: { depth_left: 1 } }), cases.other),
      'delegation_issuer_mismatch', Verified, 'Refused'],
    ['wider than it was', cases.chain({ permissions: ['*'] }), 'delegation_widens_scope', Verified, 'Refused'],
    ['with more to spend', cases.chain({ constraints: { spend: { daily_micro_usd: 6_000_000 } } }),
      'delegation_widens_spend', Verified, 'Refused'],
    ['and whose signature was exchanged', cases.chain().replace(/.{4}$/, 'AAAA'), 'delegation_signature_invalid',
      Verified, 'Refused'],
    ['from a passport that was changed', torn(cases.chain()), 'passport_signature_invalid', 'Refused', 'Not checked'],
  ]
  for (const [name, subject, reason, first, second] of handedOn) {
    test(`that was handed on ${name} is refused, and the chain shows where`, () =>
      visit(async (page) => {
        const { title, text } = await verify(page, { ...good, subject })
        assert.equal(title, 'Not valid')
        assert.ok(text.includes(reason), text)
        const words = await picture(page)
        assert.ok(words.includes(`. ${first}`), words)
        assert.match(words, new RegExp(`Agent research-bot\\. ${second} .*: Sub-agent helper-bot$`))
        assert.doesNotMatch(text, /It does not hold\./)
      }))
  }

  test('that was handed on is refused without the passports above it', () =>
    visit(async (page) => {
      const { text } = await verify(page, { subject: lone })
      assert.ok(text.includes('delegation_root_missing'), text)
      assert.match(await picture(page), /^Said to delegate did:key:.*\. Refused .*: Sub-agent helper-bot$/)
      const both = await verify(page, { ...good, subject: `${good.subject}\n${lone}` })
      assert.equal(both.title, '1 of 2 not valid')
    }))

  test('without anybody to trust is not verified, and says what was not checked', () =>
    visit(async (page) => {
      const { title, tone } = await verify(page, { subject: good.subject })
      assert.deepEqual([title, tone], ['Not verified', 'open'])
      assert.deepEqual([...new Set(Object.values(await checksOf(page)))].sort(), ['not checked', 'passed'])
      assert.equal((await checksOf(page)).Signature, 'not checked')
      const late = await verify(page, { subject: good.subject, moment: '2027-11-21T12:00:00' })
      assert.deepEqual([late.title, late.tone], ['Expired', 'bad'])
    }))

  test('is checked for the present unless a moment is given', () =>
    visit(async (page) => {
      const now = Math.floor(Date.now() / 1000)
      const current = cases.passport({ iat: now - 60, exp: now + 86_400 })
      const past = cases.passport({ iat: now - 2 * 86_400, exp: now - 86_400 })
      const { title, all } = await verify(page, { ...good, subject: current, moment: '' })
      assert.equal(title, 'Valid')
      assert.ok(!all.includes('not for now'))
      assert.match((await verify(page, { ...good, subject: past, moment: '' })).text, /passport_expired/)
    }))

  test('that the agent issued to itself is vouched for by nobody, unless you accept that', () =>
    visit(async (page) => {
      const did = cases.didKey(cases.agent)
      const subject = cases.passport({ iss: did, trust_tier: 'L1' }, cases.agent)
      for (const trust of ['', cases.jwks(cases.agent)]) {
        const { title, tone } = await verify(page, { subject, trust })
        assert.deepEqual([title, tone], ['Nobody vouches for it', 'open'])
      }
      const accepted = await verify(page, { subject, trust: '{"issuers": [], "self_issued": "any_key"}' })
      assert.deepEqual([accepted.title, accepted.tone], ['Valid', 'ok'])
      assert.ok(accepted.all.includes('L1, issued by the agent itself'))
      assert.equal((await verify(page, { subject, trust: cases.issuers(cases.issuer) })).tone, 'bad')
    }))

  test('with bare keys is valid for these alone', () =>
    visit(async (page) => {
      const { title, all } = await verify(page, { ...good, trust: cases.jwks(cases.other, cases.issuer) })
      assert.equal(title, 'Valid for your keys')
      assert.ok(all.includes('Not vouched for by you'))
      assert.equal((await checksOf(page))['Issuer is one you trust'], 'not checked')
      const forged = await verify(page, { ...good, trust: cases.jwks(cases.other) })
      assert.equal(forged.tone, 'bad')
    }))

  test('of a credentials file is checked without its private key', () =>
    visit(async (page) => {
      const { privateJwk } = cases.agent
      const agent = { schema_version: 1, agent_id: 'research-bot' }
      const credentials = { ...agent, private_key: privateJwk, passport: good.subject }
      const { title } = await verify(page, { ...good, subject: JSON.stringify(credentials) })
      assert.equal(title, 'Valid')
      const everything = await page.evaluate(() =>
        document.documentElement.outerHTML + document.querySelector('#subject').value)
      assert.ok(!everything.includes(privateJwk.d))
      await page.fill('#subject', JSON.stringify({ ...credentials, private_key: 'in another form' }))
      assert.match(await page.innerText('#notices'), /held a private key/)
      assert.ok(!(await page.inputValue('#subject')).includes('another form'))
    }))
})

describe('an attestation', () => {
  const jws = cases.attestation()
  const trust = cases.jwks(cases.gate)

  test('of a gate you know is genuine, alone and as the API shows it', () =>
    visit(async (page) => {
      for (const subject of [jws, cases.restView(jws), JSON.stringify({ jws })]) {
        const { title, tone, all } = await verify(page, { subject, trust })
        assert.deepEqual([title, tone], ['Genuine', 'ok'])
        for (const text of [cases.attestationId(3), 'tools-gate', 'GET /search', 'deny']) {
          assert.ok(all.includes(text), text)
        }
        assert.equal((await checksOf(page))['Place in the chain'], 'not checked')
      }
    }))

  const forgeries = [
    ['with a changed byte', { subject: cases.changed(jws) }, 'Not genuine', 'bad'],
    ['of another gate', { trust: cases.jwks(cases.other) }, 'Not genuine', 'bad'],
    ['in a view that says something else', { subject: cases.restView(jws, { decision: 'allow' }) },
      'The view was changed', 'bad'],
    ['without keys', { trust: '' }, 'Not verified', 'open'],
  ]
  for (const [name, input, title, tone] of forgeries) {
    test(`${name} does not pass`, () =>
      visit(async (page) => {
        const found = await verify(page, { subject: jws, trust, ...input })
        assert.deepEqual([found.title, found.tone], [title, tone])
      }))
  }
})

describe('a ledger export', () => {
  const trust = cases.jwks(cases.gate)

  test('that holds is intact', () =>
    visit(async (page) => {
      const { title, tone, all } = await verify(page, { subject: cases.ledger(60), trust })
      assert.deepEqual([title, tone], ['Intact', 'ok'])
      assert.ok(all.includes('60 records'))
      assert.match(await page.locator('svg.timeline desc').textContent(), /^60 records from 2026-11-21 12:00:00 UTC/)
    }))

  test('with a record left out is broken, and the place is named', () =>
    visit(async (page) => {
      const { title, all } = await verify(page, { subject: cases.ledger(60, { removed: 40 }), trust })
      assert.equal(title, 'Broken at line 41')
      assert.ok(all.includes(cases.attestationId(41)))
    }))

  test('whose end is missing is broken', () =>
    visit(async (page) => {
      const whole = cases.ledger(20)
      const { text } = await verify(page, { subject: whole.slice(0, whole.lastIndexOf('{"head"')), trust })
      assert.match(text, /no_head/)
    }))

  test('that is an excerpt says so', () =>
    visit(async (page) => {
      const { title, all } = await verify(page, { subject: cases.ledger(20, { partial: true }), trust })
      assert.equal(title, 'Intact excerpt')
      assert.match(all, /gaps between them do not show/)
    }))

  test('of a gate is not vouched for by issuers of passports', () =>
    visit(async (page) => {
      const { tone } = await verify(page, { subject: cases.ledger(3), trust: cases.issuers(cases.gate) })
      assert.equal(tone, 'open')
    }))

  test('without keys is not looked at', () =>
    visit(async (page) => {
      const { title, text } = await verify(page, { subject: cases.ledger(3) })
      assert.equal(title, 'Cannot check this')
      assert.match(text, /public keys of its gate/)
    }))

  test('of 100,000 records, one of them forged, is streamed and the forged one named', { timeout: 600_000 }, () =>
    visit(async (page) => {
      const text = cases.ledger(100_000, { tampered: 77_776 })
      await giveFile(page, 'ledger.jsonl', text)
      await give(page, { trust })
      await page.evaluate(() => {
        window.progress = new Set()
        new MutationObserver(() => {
          const bar = document.querySelector('progress')
          if (bar !== null) window.progress.add(bar.value)
        }).observe(document.querySelector('#result'), { childList: true, subtree: true, characterData: true })
      })
      const idle = await heapBytes(page)
      await page.click('#verify')
      const peak = await heapPeak(page)
      const { title, all } = await verdict(page)
      assert.equal(title, 'Broken at line 77,777')
      for (const part of [cases.attestationId(77_776), 'signature', '77,776']) assert.ok(all.includes(part), part)
      const steps = await page.evaluate(() => window.progress.size)
      assert.ok(steps > 20, `only ${steps} steps of progress were shown`)
      const used = (await heapBytes(page)) - idle
      assert.ok(used < 16e6, `verifying ${text.length} bytes kept ${used} bytes`)
      assert.ok(peak < 48e6, `verifying ${text.length} bytes took ${peak} bytes`)
      assert.ok((await page.locator('rect.bar').count()) <= 4 * 48 + 4)
      assert.equal(await page.locator('svg.timeline line.mark').count(), 1)
      await screenshot(page, 'export-broken-light')
      await accessible(page)
      await page.emulateMedia({ colorScheme: 'dark' })
      await screenshot(page, 'export-broken-dark')
      await accessible(page)
      await page.setViewportSize({ width: 360, height: 740 })
      await noSidewaysScroll(page)
      await screenshot(page, 'export-broken-phone')
    }))

  test('that runs is cancelled with Escape', () =>
    visit(async (page) => {
      const text = cases.ledger(20_000)
      await giveFile(page, 'long.jsonl', text)
      await give(page, { trust })
      // Escape comes with the first progress, so that the run cannot have ended before.
      await page.evaluate(() => {
        new MutationObserver((_records, observer) => {
          if (!(document.querySelector('progress')?.value > 0)) return
          observer.disconnect()
          document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }))
        }).observe(document.querySelector('#result'), { childList: true, subtree: true, characterData: true })
      })
      await page.click('#verify')
      const { title } = await verdict(page)
      assert.equal(title, 'Cancelled')
      assert.equal(await page.isVisible('#cancel'), false)
    }))
})

describe('hostile input', () => {
  const RUN = 'window.executed=true'
  const SCRIPTS = `<script>${RUN}</script><img src=x onerror="${RUN}"><svg onload="${RUN}">`

  test('with scripts, event handlers and javascript: URLs stays text', () =>
    visit(async (page) => {
      const metadata = { html: SCRIPTS, link: `javascript:${RUN}` }
      const names = { sub: `<b>x</b><script>${RUN}</script>`, agent_name: SCRIPTS }
      const hostile = cases.passport({ ...names, metadata })
      const { all } = await verify(page, { ...good, subject: hostile })
      assert.ok(all.includes('<script>'))
      await page.click('text=Issuer’s own data')
      const parsed = ['script', 'img', 'a', '[onerror]', '[onload]'].map((name) => `#result ${name}`).join(', ')
      const elements = await page.locator(parsed).count()
      assert.equal(elements, 0)
    }))

  test('with direction, invisible and control characters shows them', () =>
    visit(async (page) => {
      const names = { sub: 'bot\u202Etxt.exe\u200B\u0000\u{E0041}', agent_name: 'a\u2066b' }
      const subject = cases.passport({ ...names, aud: 'zalgo' + '\u0301'.repeat(40) })
      const { all } = await verify(page, { ...good, subject })
      for (const escape of ['U+202E', 'U+200B', 'U+0000', 'U+E0041', 'U+2066', 'U+0301']) {
        assert.ok(all.includes(escape), escape)
      }
      const text = await page.locator('#result').evaluate((element) => element.textContent)
      assert.doesNotMatch(text, /[\u202E\u200B\u2066\0]/u)
    }))

  test('of giant and deep claims keeps the layout, on a phone too', () =>
    visit(async (page) => {
      const deep = `${'{"a":'.repeat(6000)}1${'}'.repeat(6000)}`
      const permissions = Array.from({ length: 200 }, (_, i) => `scope-${i}-${'y'.repeat(40)}`)
      const nested = JSON.stringify(cases.claims({ metadata: 0 })).replace('"metadata":0', `"metadata":${deep}`)
      const giants = [
        cases.passport({ sub: 'x'.repeat(9000), permissions }),
        cases.token(cases.issuer, 'passport+jwt', nested),
        cases.token(cases.gate, 'attestation+jwt', deep.slice(0, 200)),
      ]
      for (const subject of giants) {
        const { tone } = await verify(page, { ...good, subject, trust: cases.jwks(cases.issuer, cases.gate) })
        assert.equal(tone, 'bad')
        await noSidewaysScroll(page)
      }
    }, { viewport: { width: 360, height: 740 } }))

  test('of deep JSON in either field is refused', () =>
    visit(async (page) => {
      const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
      assert.equal((await verify(page, { ...good, subject: deep })).title, 'Cannot check this')
      assert.equal((await verify(page, { ...good, trust: deep })).title, 'Cannot check this')
      const view = `{"jws":"${cases.attestation()}","private_key":1,"x":${deep}}`
      assert.equal((await verify(page, { subject: view, trust: cases.jwks(cases.gate) })).tone, 'bad')
    }))

  test('of 50 MB in one line is not read into memory', { timeout: 300_000 }, () =>
    visit(async (page) => {
      await give(page, { trust: cases.jwks(cases.gate) })
      const idle = await heapBytes(page)
      await giveFile(page, 'line.txt', Buffer.alloc(50_000_000, 'a'))
      await page.click('#verify')
      const text = await verdict(page)
      assert.equal(text.title, 'Cannot check this')
      assert.match(text.text, /50 MB long and does not begin like a ledger export/)
      const line = Buffer.concat([Buffer.from('{"jws":"'), Buffer.alloc(50_000_000, 'a')])
      await giveFile(page, 'line.jsonl', line)
      await page.click('#verify')
      const peak = await heapPeak(page)
      assert.ok(peak < 48e6, `${peak} bytes were used`)
      const broken = await verdict(page)
      assert.equal(broken.title, 'Broken at line 1')
      const used = (await heapBytes(page)) - idle
      assert.ok(used < 16e6, `${used} bytes were kept`)
    }))
})

describe('a link', () => {
  for (const [name, url] of [['of a file', () => local], ['of a server', served]]) {
    test(`${name} carries everything after its #, and its keys are not trusted before the reader says so`, () =>
      visit((page) => roundTrip(page), { url: url() }))
  }

  async function roundTrip(page) {
    await give(page, good)
    await page.click('#share')
    await page.waitForSelector('#notices .notice')
    const link = page.url()
    assert.match(link, /#v=1&i=/)
    await page.goto('about:blank')
    await page.goto(link)
    const shown = await verdict(page)
    assert.deepEqual([shown.title, shown.tone], ['Holds, for this link’s keys', 'open'])
    assert.equal(await page.inputValue('#subject'), good.subject)
    const { issuers } = JSON.parse(await page.inputValue('#trust'))
    assert.deepEqual(issuers, JSON.parse(good.trust).issuers)
    assert.equal(await page.inputValue('#audience'), 'tools-gate')
    assert.equal(await page.inputValue('#moment'), MOMENT)
    await page.click('text=I know them')
    await page.waitForSelector('#result .banner.ok')
    await page.fill('#audience', 'changed')
    assert.equal(await page.evaluate(() => location.hash), '')
  }

  test('is refused for private keys and for more than 8 KB', () =>
    visit(async (page) => {
      for (const [subject, why] of [
        [`not JSON {"kty":"OKP","d":"${cases.agent.privateJwk.d}"`, /private key/],
        [cases.passport({ metadata: { leak: cases.agent.privateJwk } }), /private key/],
        [JSON.stringify({ KEY: JSON.stringify(cases.agent.privateJwk) }), /neither/],
        [`d: ${cases.agent.privateJwk.d}`, /neither/],
        [cases.ledger(30), /at most/],
        ['a'.repeat(200_000), /at most/],
      ]) {
        await page.fill('#subject', subject)
        await page.click('#share')
        assert.match(await page.innerText('#notices'), why)
        assert.equal(await page.evaluate(() => location.hash), '')
      }
    }))

  for (const fragment of ['v=1', 'v=2&i=YQ', 'v=1&i=%%%', `v=1&i=${'A'.repeat(20_000)}`, 'v=1&i=/w&t=_w&m=_w']) {
    test(`that is damaged does no harm: ${fragment.slice(0, 20)}`, () =>
      visit(async (page) => {
        await page.waitForSelector('#subject')
      }, { url: `${local}#${fragment}` }))
  }
})

describe('the page', () => {
  test('is one file whose policy allows its own script and style sheet alone', async () => {
    const html = await readFile(file, 'utf8')
    const only = (pattern) => {
      const found = [...html.matchAll(pattern)]
      assert.equal(found.length, 1, String(pattern))
      return found[0][1]
    }
    const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
    const policy = only(/<meta http-equiv="Content-Security-Policy" content="([^"]+)">/g)
    const script = only(/<script>([^]*?)<\/script>/g)
    const style = only(/<style>([^]*?)<\/style>/g)
    assert.deepEqual(policy.split('; '), [
      "default-src 'none'", `script-src ${hash(script)} 'wasm-unsafe-eval'`, `style-src ${hash(style)}`,
      'img-src data:',
      "connect-src 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'",
      "trusted-types 'none'"])
    assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|new Function|\beval\(/)
    const rest = html.replace(script, '').replace(style, '')
    assert.doesNotMatch(rest, /\sstyle=|\son\w+=|\s(src|srcset|action)=|href="(?!#|data:)/)
    assert.doesNotMatch(style, /@import|url\((?!["']?#)/)
  })

  test('keeps long text out of its fields', () =>
    visit(async (page) => {
      await page.evaluate(() => {
        const clipboardData = new DataTransfer()
        clipboardData.setData('text/plain', 'a'.repeat(1_000_000))
        document.querySelector('#subject').focus()
        const paste = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })
        document.querySelector('#subject').dispatchEvent(paste)
      })
      await page.waitForSelector('text=Pasted text, 1.0 MB')
      assert.equal(await page.evaluate(() => document.activeElement.id), 'file-remove')
      await page.click('#file-remove')
      await page.fill('#subject', 'b'.repeat(500_000))
      await page.waitForSelector('text=Given text, 500 kB')
      assert.equal(await page.inputValue('#subject'), '')
    }))

  test('is used with the keyboard alone', () =>
    visit(async (page) => {
      const focused = () => page.evaluate(() => {
        const { id, tagName, textContent } = document.activeElement
        return id || `${tagName} ${textContent}`
      })
      const seen = []
      for (let i = 0; i < 10; i += 1) {
        await page.keyboard.press('Tab')
        seen.push(await focused())
        const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
        assert.notEqual(outline, 'none', `${seen.at(-1)} shows no focus`)
        if (seen.at(-1) === 'subject') await page.keyboard.insertText(good.subject)
        if (seen.at(-1) === 'trust') await page.keyboard.insertText(good.trust)
        if (seen.at(-1) === 'verify') break
      }
      const known = ['subject', 'subject-pick', 'trust', 'trust-pick', 'audience', 'moment', 'verify']
      const order = seen.filter((name) => known.includes(name))
      assert.deepEqual([...new Set(order)].slice(0, 5), ['subject', 'subject-pick', 'trust', 'trust-pick', 'audience'])
      while ((await focused()) !== 'verify') await page.keyboard.press('Tab')
      await page.keyboard.press('Enter')
      await page.waitForSelector('#result .banner')
      assert.equal(await focused(), 'result-title')
    }))

  test('takes a dropped file', () =>
    visit(async (page) => {
      await give(page, { ...good, subject: undefined })
      const data = await page.evaluateHandle((text) => {
        const transfer = new DataTransfer()
        transfer.items.add(new File([text], 'passport.txt'))
        return transfer
      }, good.subject)
      await page.dispatchEvent('#subject-field', 'drop', { dataTransfer: data })
      await page.waitForFunction((text) => document.querySelector('#subject').value === text, good.subject)
      await page.click('#verify')
      assert.equal((await verdict(page)).title, 'Valid')
    }))

  for (const [look, options] of [
    ['light', { colorScheme: 'light', viewport: { width: 1100, height: 900 } }],
    ['dark', { colorScheme: 'dark', viewport: { width: 1100, height: 900 } }],
    ['phone', { colorScheme: 'light', viewport: { width: 360, height: 740 } }],
  ]) {
    test(`is accessible and fits: ${look}`, () =>
      visit(async (page) => {
        const seen = async (name) => {
          await noSidewaysScroll(page)
          await accessible(page)
          await screenshot(page, `${name}-${look}`)
        }
        await seen('empty')
        await verify(page, good)
        await seen('passport-ok')
        await verify(page, { ...good, subject: cases.changed(good.subject) })
        await seen('passport-forged')
        await verify(page, { subject: good.subject })
        await seen('passport-open')
        await verify(page, { ...good, subject: cases.chain() })
        await seen('passport-chain')
        await verify(page, { ...good, subject: `${good.subject}\n${cases.chain({ permissions: ['*'] })}` })
        await page.locator('.row > summary').nth(0).click()
        await seen('passports')
        const money = { amount_micro_usd: 120_500_000, target_domain: 'shop.example' }
        const request = { action: 'payments:create', method: 'POST', path: '/pay', ...money }
        const guardrails_evaluated = [
          { guardrail: 'permission_scope', result: 'pass' },
          { guardrail: 'rate_limits', reason_code: 'rate_limit_exceeded', result: 'fail' },
          { guardrail: 'pii_controls', result: 'not_applicable' }]
        const jws = cases.attestation({ request, guardrails_evaluated })
        await verify(page, { subject: cases.restView(jws), trust: cases.jwks(cases.gate) })
        await page.click('text=The whole record')
        await seen('attestation')
        await verify(page, { subject: cases.ledger(120), trust: cases.jwks(cases.gate) })
        await page.click('text=The picture as a table')
        await seen('export-ok')
        await verify(page, { ...good, trust: '{' })
        await seen('problem')
      }, options))
  }
})
