// Verifying one passport in several ways, in turn; runs in Node.js and in pages.

const ROUNDS = 25
/** How long one contender runs in a round, in milliseconds: long against what a browser's clock can tell apart. */
const TURN_MS = 40

/**
 * The median time of one verification for each contender, in microseconds.
 *
 * @param {Record<string, () => Promise<boolean>>} contenders each says whether the passport holds
 */
export async function contest(contenders) {
  const entries = Object.entries(contenders)
  const turns = new Map()
  for (const [name, verify] of entries) {
    if (await verify() !== true) throw new Error(`${name} refuses the passport`)
    turns.set(name, await turnLength(verify))
  }
  const times = new Map(entries.map(([name]) => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, verify] of entries) times.get(name).push(await microsecondsEach(verify, turns.get(name)))
  }
  return Object.fromEntries(entries.map(([name]) => [name, median(times.get(name))]))
}

/** How many verifications fill a turn, found while the runtime warms up. */
async function turnLength(verify) {
  for (let count = 16; ; count *= 2) {
    const each = await microsecondsEach(verify, count)
    if (each * count > TURN_MS * 1000) return Math.max(1, Math.round((TURN_MS * 1000) / each))
  }
}

async function microsecondsEach(verify, count) {
  const start = performance.now()
  for (let i = 0; i < count; i++) await verify()
  return ((performance.now() - start) * 1000) / count
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

/** What verifies one passport: both builds the whole of it, other Ed25519 implementations its signature alone. */
export async function contenders({ full, small, noble }) {
  const issuer = await full.PassportIssuer.createLocal({ name: 'bench' })
  const request = { agentId: 'bench', permissions: ['web:search', 'payments:create'], expiresInDays: 1 }
  const { passport } = await issuer.issuePassport(request)
  const bytes = new TextEncoder().encode(passport.slice(0, passport.lastIndexOf('.')))
  const [signature, x] = [passport.slice(passport.lastIndexOf('.') + 1), issuer.publicJwk.x].map(fromBase64url)
  const key = await crypto.subtle.importKey('raw', x, 'Ed25519', false, ['verify'])
  const whole = api => {
    const verifier = new api.PassportVerifier({ selfIssued: 'any_key' })
    return async () => (await verifier.verify(passport)).valid
  }
  return {
    'WebCrypto Ed25519, signature alone': () => crypto.subtle.verify('Ed25519', key, signature, bytes),
    '@noble/ed25519, signature alone': () => noble.verifyAsync(signature, bytes, x, { zip215: false }),
    'passgate/verify, whole passport': whole(small),
    'passgate, whole passport': whole(full),
  }
}

function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), character => character.charCodeAt(0))
}
