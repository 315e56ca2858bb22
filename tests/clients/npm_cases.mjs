// Runs the steps of a case on the evaluator of the npm package, wherever this is loaded. `api` is the package.

const text = new TextEncoder()

/** When the record of a step is made, its random bits, the step's number, and what keys are made from: those bits and zeros. */
class Moment {
  at(now, number) {
    this.now = now
    this.random = new Uint8Array(10)
    new DataView(this.random.buffer).setBigUint64(2, BigInt(number))
    this.seed = new Uint8Array(32)
    this.seed.set(this.random)
  }
}

async function opened(api, job, moment) {
  const gate = await api.Gate.open(job.case.policy, {
    key: job.key,
    evaluator: job.evaluator,
    since: new Date(job.started * 1000),
    clock: () => moment.now,
    random: () => moment.random,
    seed: () => moment.seed,
  })
  for (const [uri, token] of Object.entries(job.case.status_lists ?? {})) {
    // A list that is refused is one the gate does not have.
    await gate.addStatusList(token, uri).catch((error) => {
      if (error.code !== 'status_list_invalid') throw error
    })
  }
  return gate
}

function requestOf({ method, target, host, headers, body }) {
  const at = target.indexOf('?')
  return {
    method,
    authority: host,
    path: at < 0 ? target : target.slice(0, at),
    query: at < 0 ? null : target.slice(at + 1),
    headers,
    body: text.encode(body),
  }
}

function subjectOf({ kind, agent_id: agentId, ...named }) {
  return agentId === undefined ? { kind, ...named } : { kind, agentId, ...named }
}

/** What the caller gets: the upstream's 200, or the gate's own answer. */
function answered({ decision, record, response }) {
  if (decision === 'allow' && response?.status === 201) {
    return { jws: record, decision, status: 201, action_pass: JSON.parse(response.body).action_pass }
  }
  if ((decision === 'allow') !== (response === null)) throw new Error(`${decision} with the answer ${response}`)
  if (response === null) return { jws: record, decision, status: 200 }
  return { jws: record, decision, status: response.status, public_code: JSON.parse(response.body).reason_code }
}

/** The record of a step that is no request. */
async function changed(gate, { revoke, suspend, reinstate }) {
  if (revoke) return gate.revoke(subjectOf(revoke))
  const { record } = await (suspend ? gate.suspend(subjectOf(suspend)) : gate.reinstate(subjectOf(reinstate)))
  return record
}

export async function run(api, job) {
  const moment = new Moment()
  moment.at(job.case.now_ms, 0)
  const gate = await opened(api, job, moment)
  const steps = []
  for (const [index, step] of job.case.steps.entries()) {
    moment.at(step.at_ms, index + 1)
    steps.push(
      step.request
        ? answered(await gate.decide(requestOf(step.request)))
        : { jws: await changed(gate, step) },
    )
  }
  // The ledger that it leaves verifies.
  const report = await api.verifyExport(await gate.export(), { keys: gate.publicJwk })
  if (!report.valid || report.records !== steps.length + 1) throw new Error(`the export: ${JSON.stringify(report)}`)
  return steps
}
