// The page's behaviour: what is given, running a check, and showing what came of it.

import './style.css'
import { detectBlob, detectText, MAX_TEXT_BYTES, nameOf, type Subject } from './detect.ts'
import { append, byId, el, icon, type Tone } from './dom.ts'
import { judgeAttestation, judgePassport, type PassportResult, type Question } from './judge.ts'
import { judgeExport, ledgerView, progressView } from './ledger.ts'
import { attestationView, passportsView } from './result.ts'
import { withoutPrivateKeys } from './secrets.ts'
import { fromFragment, refusal, sharedSubject, sharedTrust, toFragment, type Shared } from './share.ts'
import { size, visible, visibleText } from './text.ts'
import { describe, keysOf, MAX_TRUST_CHARS, readTrust, TrustError } from './trust.ts'
import { load } from './wasm.ts'

const form = byId('form', HTMLFormElement)
const subjectField = byId('subject', HTMLTextAreaElement)
const trustField = byId('trust', HTMLTextAreaElement)
const audienceField = byId('audience', HTMLInputElement)
const momentField = byId('moment', HTMLInputElement)
const verifyButton = byId('verify', HTMLButtonElement)
const cancelButton = byId('cancel', HTMLButtonElement)
const result = byId('result', HTMLElement)
const live = byId('live', HTMLElement)
const notices = byId('notices', HTMLElement)

/** A file or long text that stands in place of the field's text. */
let held: Blob | null = null
/** Whether the trust in the field came with a link and the reader has not said that it is theirs. */
let trustFromLink = false
let running: AbortController | null = null

function notice(tone: Tone, text: string, action: HTMLElement | null = null): void {
  notices.append(el('div', { class: `notice ${tone}`, role: 'status' }, icon(tone), el('p', {}, text), action))
}

function settle(): void {
  cancelButton.hidden = true
  verifyButton.disabled = false
  result.removeAttribute('aria-busy')
}

function show(content: Node | null): void {
  result.replaceChildren()
  append(result, content)
}

/** Moves the reader to the result's heading, by keyboard and by voice. */
function reveal(): void {
  const heading = result.querySelector<HTMLElement>('h2')
  heading?.focus({ preventScroll: true })
  result.scrollIntoView({ block: 'start' })
}

// What is given

function describeSubject(): void {
  const kind = byId('subject-kind', HTMLElement)
  if (held !== null || subjectField.value.trim() === '') {
    kind.textContent = ''
    return
  }
  const subject = detectText(subjectField.value)
  kind.textContent = subject.kind === 'unknown' ? '' : nameOf(subject)
}

function describeTrust(): void {
  const kind = byId('trust-kind', HTMLElement)
  if (trustField.value.trim() === '') {
    kind.textContent = ''
    return
  }
  try {
    kind.textContent = describe(readTrust(trustField.value)) + (trustFromLink ? ', from the link' : '')
  } catch {
    // What is wrong is said when it counts: a text that is being typed is seldom whole.
    kind.textContent = ''
  }
}

function takeOutKeys(field: HTMLTextAreaElement, words: string): void {
  const clean = withoutPrivateKeys(field.value)
  if (clean === null) return
  field.value = clean
  notice('info', words)
}

/** What was shown no longer belongs to what is given. */
function outdated(): void {
  running?.abort()
  running = null
  settle()
  notices.replaceChildren()
  show(null)
  if (location.hash !== '') history.replaceState(null, '', location.pathname + location.search)
}

function subjectChanged(): void {
  outdated()
  if (subjectField.value.length > MAX_TEXT_BYTES) {
    void giveSubject(new Blob([subjectField.value]), 'Given text')
    return
  }
  takeOutKeys(
    subjectField,
    'This held a private key, which was taken out. Do not share the file: whoever has the key is the agent.',
  )
  describeSubject()
}

function trustChanged(): void {
  outdated()
  trustFromLink = false
  takeOutKeys(trustField, 'This held a private key, which was taken out. Trusting takes public keys alone.')
  describeTrust()
}

function hold(blob: Blob | null, name: string): void {
  const focused = document.activeElement === subjectField
  held = blob
  subjectField.hidden = blob !== null
  byId('file', HTMLElement).hidden = blob === null
  const label = byId('file-name', HTMLElement)
  label.replaceChildren()
  if (blob === null) return
  append(label, [visible(name, 80), `, ${size(blob.size)}`])
  if (focused) byId('file-remove', HTMLButtonElement).focus()
}

async function giveSubject(blob: Blob, name: string): Promise<void> {
  subjectField.value = ''
  if (blob.size <= MAX_TEXT_BYTES) {
    hold(null, '')
    subjectField.value = await blob.text()
  } else {
    hold(blob, name)
  }
  subjectChanged()
}

async function giveTrust(blob: Blob): Promise<void> {
  trustField.value = ''
  if (blob.size <= MAX_TRUST_CHARS) trustField.value = await blob.text()
  trustChanged()
  if (blob.size <= MAX_TRUST_CHARS) return
  notice('bad', `The file is ${size(blob.size)} long, far more than issuers or keys take.`)
}

/** A folder, or a file that is gone. */
function unreadable(): void {
  notice('bad', 'The file cannot be read.')
}

/** A text too long for a field would freeze it. */
function pasted(event: ClipboardEvent): void {
  const text = event.clipboardData?.getData('text/plain') ?? ''
  if (text.length <= MAX_TEXT_BYTES) return
  event.preventDefault()
  const target = event.currentTarget
  if (target === trustField) void giveTrust(new Blob([text]))
  else void giveSubject(new Blob([text]), 'Pasted text')
}

function acceptDrops(area: HTMLElement, give: (file: File) => void): void {
  const over = (event: DragEvent): void => {
    event.preventDefault()
    area.classList.add('over')
  }
  area.addEventListener('dragenter', over)
  area.addEventListener('dragover', over)
  area.addEventListener('dragleave', () => area.classList.remove('over'))
  area.addEventListener('drop', (event) => {
    area.classList.remove('over')
    const file = event.dataTransfer?.files[0]
    if (file === undefined) return
    event.preventDefault()
    event.stopPropagation()
    give(file)
  })
}

function acceptFiles(name: string, give: (file: File) => void): void {
  const input = byId(`${name}-file`, HTMLInputElement)
  byId(`${name}-pick`, HTMLButtonElement).addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    const file = input.files?.[0]
    if (file !== undefined) give(file)
    input.value = ''
  })
  acceptDrops(byId(`${name}-field`, HTMLElement), give)
}

// Running a check

function question(): Question {
  const chosen = momentField.value !== ''
  const time = chosen ? new Date(momentField.value).getTime() : Date.now()
  if (Number.isNaN(time)) throw new TrustError('The moment is no date and time.')
  const now = Math.floor(time / 1000)
  return { trust: readTrust(trustField.value), trustFromLink, audience: audienceField.value.trim(), now, chosen }
}

/** Lets the page draw and take keys. */
const breathe = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))

async function checkPassports(tokens: readonly string[], asked: Question, signal: AbortSignal): Promise<HTMLElement> {
  const results: PassportResult[] = []
  for (const token of tokens) {
    results.push(await judgePassport(token, asked))
    await breathe()
    signal.throwIfAborted()
  }
  return passportsView(results, asked)
}

async function checkExport(source: Blob, asked: Question, signal: AbortSignal): Promise<HTMLElement> {
  if (keysOf(asked.trust).length === 0) {
    throw new TrustError('An export is checked with the public keys of its gate. Put them into the second field.')
  }
  const view = progressView(source.size, (text) => (live.textContent = text))
  show(view.element)
  reveal()
  await breathe()
  return ledgerView(await judgeExport(source, asked, view, signal), asked)
}

async function check(signal: AbortSignal): Promise<HTMLElement> {
  const subject: Subject = held === null ? detectText(subjectField.value) : await detectBlob(held)
  if (subject.kind === 'unknown') throw new TrustError(subject.why)
  const asked = question()
  await load()
  if (subject.kind === 'passports') return checkPassports(subject.tokens, asked, signal)
  if (subject.kind === 'export') return checkExport(subject.source, asked, signal)
  const found = await judgeAttestation(subject.token, subject.view, asked)
  return attestationView(found)
}

function problem(error: unknown, signal: AbortSignal): HTMLElement {
  const heading = (text: string): HTMLElement => el('h2', { id: 'result-title', tabindex: '-1' }, text)
  if (signal.aborted) {
    const words = el('p', { class: 'sentence' }, 'Nothing was verified.')
    return el('div', { class: 'banner open' }, icon('open'), el('div', {}, heading('Cancelled'), words))
  }
  const text = error instanceof Error ? error.message : String(error)
  const words = el('p', { class: 'sentence' }, visible(text))
  return el('div', { class: 'banner open' }, icon('open'), el('div', {}, heading('Cannot check this'), words))
}

function acceptTrust(): void {
  trustFromLink = false
  describeTrust()
  void run()
}

function offerTrust(): void {
  if (!trustFromLink || trustField.value.trim() === '') return
  const button = el('button', { type: 'button', class: 'small' }, 'I know them: check again')
  button.addEventListener('click', acceptTrust)
  const words = 'Whom to trust came with this link. Compare it with what you got from the issuer or the gate itself.'
  notice('info', words, button)
}

async function run(): Promise<void> {
  running?.abort()
  const controller = new AbortController()
  const { signal } = controller
  running = controller
  notices.replaceChildren()
  live.textContent = ''
  cancelButton.hidden = false
  verifyButton.disabled = true
  result.setAttribute('aria-busy', 'true')
  const view = await check(signal).catch((error: unknown) => problem(error, signal))
  // A later run, or a change of what is given, owns the page by now.
  if (running !== controller) return
  finish(view)
}

function finish(view: HTMLElement): void {
  running = null
  settle()
  show(view)
  offerTrust()
  const said = [...view.querySelectorAll('h2, .sentence')].slice(0, 2).map((part) => part.textContent)
  live.textContent = visibleText(said.join('. '))
  reveal()
}

// Links

/** What was understood, and nothing that stands around it. */
function shareable(): Shared {
  const given = subjectField.value
  const why = refusal({ subject: given, trust: trustField.value, audience: audienceField.value, moment: '' })
  if (why !== null) throw new TrustError(why)
  const subject = sharedSubject(detectText(given))
  const trust = sharedTrust(readTrust(trustField.value))
  return { subject, trust, audience: audienceField.value.trim(), moment: momentField.value }
}

async function share(): Promise<void> {
  notices.replaceChildren()
  if (held !== null) {
    notice('bad', `This is ${size(held.size)} long, too much for a link. Send the file instead.`)
    return
  }
  let shared: Shared
  try {
    shared = shareable()
  } catch (error) {
    notice('bad', error instanceof Error ? error.message : String(error))
    return
  }
  history.replaceState(null, '', `#${toFragment(shared)}`)
  const words = 'All of it stands after the # and is not sent to any server.'
  try {
    await navigator.clipboard.writeText(location.href)
    notice('ok', `The link is copied. ${words}`)
  } catch {
    notice('ok', `The link stands in the address bar. ${words}`)
  }
}

function openLink(): void {
  const shared = fromFragment(location.hash)
  if (shared === null) return
  hold(null, '')
  subjectField.value = withoutPrivateKeys(shared.subject) ?? shared.subject
  trustField.value = withoutPrivateKeys(shared.trust) ?? shared.trust
  audienceField.value = shared.audience
  momentField.value = shared.moment
  trustFromLink = shared.trust.trim() !== ''
  describeSubject()
  describeTrust()
  void run()
}

function clear(): void {
  hold(null, '')
  form.reset()
  trustFromLink = false
  outdated()
  describeSubject()
  describeTrust()
  subjectField.focus()
}

function cancel(): void {
  running?.abort()
}

function start(): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    void run()
  })
  subjectField.addEventListener('input', subjectChanged)
  trustField.addEventListener('input', trustChanged)
  for (const field of [audienceField, momentField]) field.addEventListener('input', outdated)
  for (const field of [subjectField, trustField]) field.addEventListener('paste', pasted)
  acceptFiles('subject', (file) => void giveSubject(file, file.name).catch(unreadable))
  acceptFiles('trust', (file) => void giveTrust(file).catch(unreadable))
  // A file that misses the fields would otherwise take the page's place.
  for (const type of ['dragover', 'drop']) window.addEventListener(type, (event) => event.preventDefault())
  byId('file-remove', HTMLButtonElement).addEventListener('click', clear)
  byId('share', HTMLButtonElement).addEventListener('click', () => void share())
  byId('clear', HTMLButtonElement).addEventListener('click', clear)
  cancelButton.addEventListener('click', cancel)
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') cancel()
  })
  window.addEventListener('hashchange', openLink)
  openLink()
}

start()
