// The gate component under Node.js, made a module by the npm package @bytecodealliance/jco-transpile, whose folder PASSGATE_JCO
// names: component_surface.mjs COMPONENT
//
// Reads one job a line and writes one answer a line, until standard input ends:
//
//   {"case": a file of tests/vectors/cases, "evaluator": {"digest", "engine", "version"}, "key": private JWK,
//    "kid": its thumbprint, "started": Unix seconds}
//   {"steps": [{"jws", "decision", "status", "public_code", "action_pass"}]}     of a revocation, `jws` alone
//   {"error": text}                                               when the host or the component fails
//
// It is a whole host but for the network: rows in a map, records signed with node:crypto, each with the hash of the one before.

import { createHash, createPrivateKey, sign } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { inspect } from 'node:util'

const { transpile } = await import(pathToFileURL(join(process.env.PASSGATE_JCO, 'dist', 'index.js')))
// What `jco transpile` does, with the core module inside the one file.
const options = { name: 'gate', noComponentErrorWrapping: false, base64Cutoff: 1 << 30 }
const { files, imports } = await transpile(process.argv[2], options)
if (imports.length > 0) throw new Error(`the component imports ${imports}`)
const { evaluator: component } = await import(`data:text/javascript;base64,${Buffer.from(files['gate.js']).toString('base64')}`)
const text = new TextEncoder()

/** The error of a WIT `result` from what a call threw; a trap is no such error and goes on. */
function expected(thrown) {
  if (thrown?.payload === undefined) throw thrown
  return thrown.payload
}

/** The chain of a case with the records so far. */
class Ledger {
  constructor(gate, job, start) {
    this.chain = component.Chain.open(gate, start.now, start.random)
    this.key = createPrivateKey({ key: job.key, format: 'jwk' })
    this.kid = job.kid
    this.seq = 0n
    this.prev = undefined
    this.append(this.chain.start(undefined, this.place(start)))
  }

  /** Where the next record stands. */
  place({ now, random }) {
    return { now, random, seq: this.seq, prev: this.prev, kid: this.kid }
  }

  /** A compact JWS of what is to be signed. */
  sign(signingInput) {
    return `${signingInput}.${sign(null, text.encode(signingInput), this.key).toString('base64url')}`
  }

  /** Signs the draft of the next record. */
  append({ signingInput }) {
    const jws = this.sign(signingInput)
    this.prev = new Uint8Array(createHash('sha256').update(jws).digest())
    this.seq += 1n
    return jws
  }
}

/** The rows of a case. In one thread, what is read and written without a pause is a transaction. */
class Store {
  rows = new Map()

  /** These rows are gone when the process ends, so proofs of before it started (Unix seconds) are refused. */
  constructor(started) {
    this.put(component.restartFences(BigInt(started)))
  }

  put(writes) {
    for (const { key, value, expiresAt } of writes) this.rows.set(key, { key, value, expiresAt })
  }

  /** The rows there are of these keys. */
  load(keys) {
    return keys.filter((key) => this.rows.has(key)).map((key) => this.rows.get(key))
  }

  /** Forgets what expired before this second. */
  sweep(now) {
    const expired = [...this.rows.values()].filter(({ expiresAt }) => expiresAt !== undefined && expiresAt < now)
    const [fence] = this.load([component.fenceKey()])
    this.put([component.sweep(expired, fence)].filter((write) => write !== undefined))
    for (const { key } of expired) this.rows.delete(key)
  }
}

/** When the record of a step is made, and its random bits: the step's number, where a host for real draws them. */
function stamp(atMs, number) {
  const random = new Uint8Array(10)
  new DataView(random.buffer).setBigUint64(2, BigInt(number))
  return { now: BigInt(atMs), random }
}

function opened(job) {
  const gate = component.Gate.open(JSON.stringify(job.case.policy), job.evaluator)
  gate.mintWith([new Uint8Array(Buffer.from(job.key.x, 'base64url'))])
  for (const [uri, token] of Object.entries(job.case.status_lists ?? {})) {
    try {
      gate.addStatusList(uri, token, BigInt(job.case.now_ms))
    } catch (thrown) {
      // A list that is refused is one the gate does not have.
      expected(thrown)
    }
  }
  return gate
}

const changes = {
  revoke: { record: 'revocation', change: (store, subject, at) => store.put([component.revoke(subject, at)]) },
  suspend: { record: 'suspension', change: (store, subject, at) => store.put([component.suspend(subject, at)]) },
  reinstate: { record: 'reinstatement', change: (store, subject) => store.rows.delete(component.suspensionKey(subject)) },
}

function subjectOf(revoke) {
  const named = { agent: [revoke.issuer, revoke.agent_id], key: revoke.thumbprint }
  return { tag: revoke.kind, val: named[revoke.kind] ?? revoke.id }
}

function requestOf({ method, target, host, headers, body }) {
  const at = target.indexOf('?')
  return {
    method,
    authority: host,
    path: at < 0 ? target : target.slice(0, at),
    query: at < 0 ? undefined : target.slice(at + 1),
    headers: headers.map(([name, value]) => ({ name, value: text.encode(value) })),
    body: text.encode(body),
  }
}

/** Steps 4 to 7 of a request's life; as what it has to be judged instead, where its agent behaves otherwise. */
function decide(judgement, store, ledger, at) {
  const admitted = judgement.admit(store.load(judgement.rowKeys()))
  if (admitted.admission.conduct !== undefined) return { conduct: admitted.admission.conduct }
  const decided = judgement.decide(admitted.admission, ledger.chain, ledger.place(at))
  store.put(admitted.writes)
  store.put(admitted.counted[{ deny: 'denied', 'step-up': 'held' }[decided.verdict] ?? 'allowed'])
  if (decided.verdict === 'allow') {
    const lease = component.lease(decided.draft.attestationId, admitted.charges, at.now)
    if (lease !== undefined) store.put([lease])
  }
  store.sweep(at.now / 1000n)
  return decided
}

/** A request from its bytes to its record. */
function request(gate, raw, store, ledger, at, conduct = { raised: false, risk: 'usual' }) {
  let judged
  try {
    judged = gate.judge(requestOf(raw), at.now, conduct)
  } catch (thrown) {
    judged = expected(thrown)
  }
  try {
    if (judged instanceof component.Judgement) {
      // It gives what goes upstream in place of the body, if the policy takes texts out of it or encrypts them. For real, the
      // bytes that keys are made from are 32 random ones.
      const seed = new Uint8Array(32)
      seed.set(at.random)
      judged.restrict([], text.encode(raw.body), seed)
      const decided = decide(judged, store, ledger, at)
      if (decided.conduct !== undefined) return request(gate, raw, store, ledger, at, decided.conduct)
      return answered(gate, decided, ledger)
    }
    const draft = judged.attest(ledger.chain, ledger.place(at))
    return answered(gate, { verdict: 'deny', refused: judged.refused(), rates: [], draft }, ledger)
  } finally {
    judged[Symbol.dispose]()
  }
}

/** What the caller gets: the upstream's 200, or the gate's own answer. */
function answered(gate, { verdict, permit, mint, refused, rates, draft }, ledger) {
  const jws = ledger.append(draft)
  if ((verdict === 'mint') !== (mint !== undefined)) throw new Error(`${verdict}, and a pass: ${mint !== undefined}`)
  if (verdict === 'mint') {
    if (permit !== undefined || refused !== undefined) throw new Error('a pass with a permit, or with a refusal')
    return { jws, decision: 'allow', status: 201, action_pass: ledger.sign(mint.signingInput) }
  }
  if (verdict === 'allow') {
    if (permit === undefined || refused !== undefined) throw new Error('an allow without a permit, or with a refusal')
    return { jws, decision: 'allow', status: 200 }
  }
  if (permit !== undefined) throw new Error(`a permit with ${verdict}`)
  const toCover = {
    actionPass: false, contentDigest: false, contentEncoding: false, contentType: false, dpop: false, challenge: undefined,
  }
  const { status, body } = gate.answer(refused, rates, draft.attestationId, toCover)
  const { reason_code } = JSON.parse(new TextDecoder().decode(body))
  return { jws, decision: refused.verdict.replace('-', '_'), status, public_code: reason_code }
}

function run(job) {
  const gate = opened(job)
  const ledger = new Ledger(gate, job, stamp(job.case.now_ms, 0))
  const store = new Store(job.started)
  return job.case.steps.map((step, index) => {
    const at = stamp(step.at_ms, index + 1)
    if (step.request) return request(gate, step.request, store, ledger, at)
    const subject = subjectOf(step.revoke ?? step.suspend ?? step.reinstate)
    const { record, change } = changes[step.revoke ? 'revoke' : step.suspend ? 'suspend' : 'reinstate']
    change(store, subject, at.now / 1000n)
    return { jws: ledger.append(ledger.chain[record](subject, ledger.place(at))) }
  })
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    answer = { steps: run(JSON.parse(line)) }
  } catch (error) {
    answer = { error: inspect(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
