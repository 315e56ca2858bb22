// The worker's entry: the compiled gate behind one guard, so that its end never leaves a caller without an answer.
//
// A panic or another trap ends the WebAssembly instance. The glue below it starts a new one at the next call, but what
// was in flight belongs to the old instance and would wait for ever; a call of an object would even keep its caller
// waiting until a limit of the platform. So everything in flight fails here as soon as the instance ends: a request is
// denied with a problem document, a call of an object fails for its caller, and the object's unconfirmed writes are
// dropped with it.
//
// Nothing here lets a request through: `passThroughOnException` is never called, and an exception is a deny.
import { DurableObject, WorkerEntrypoint } from "cloudflare:workers";
import Gate, * as objects from "passgate-worker";

// The glue asks for a hundred frames, which only fills the log when the stack itself ran out.
Error.stackTraceLimit = 20;

/** The answer of a gate that failed while it decided: RFC 9457, as every other fault of the gate. */
const FAULT = {
  type: "urn:passgate:problem:internal_error",
  title: "The gate failed while deciding; it fails closed.",
  status: 503,
  reason_code: "internal_error",
  decision: "deny",
  retry_after_seconds: 5,
};

function denied() {
  return new Response(JSON.stringify(FAULT), {
    status: FAULT.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "no-store",
      "passgate-decision": FAULT.decision,
      "retry-after": String(FAULT.retry_after_seconds),
    },
  });
}

/** What to call for each call in flight when the instance ends. */
const inFlight = new Set();

function instanceEnded(cause) {
  const error = new Error("the instance ended", { cause });
  for (const fail of inFlight) fail(error);
  inFlight.clear();
}

// Two ways to learn of the end: the glue's own state, which the panic handler and every new instance write to, and errors
// that nothing caught, which is how a trap without a panic (the stack, the memory) comes up between two calls.
const state = globalThis.__worker_init_state;
if (typeof state?.instanceId !== "number") throw new Error("the glue of this build keeps its state elsewhere");
watch("criticalError", (value) => value === true);
watch("instanceId", () => true);
addEventListener("error", (event) => instanceEnded(event.error));

function watch(name, isEnd) {
  let current = state[name];
  Object.defineProperty(state, name, {
    get: () => current,
    set(value) {
      current = value;
      if (isEnd(value)) instanceEnded(name);
    },
  });
}

/** What `call` promises, or a rejection when the instance ends first. */
async function orEnd(call) {
  let fail;
  const end = new Promise((_, reject) => (fail = reject));
  // Counted as in flight only once it is: its first step may be what starts the new instance.
  const answer = call();
  inFlight.add(fail);
  try {
    return await Promise.race([answer, end]);
  } finally {
    inFlight.delete(fail);
  }
}

export default class extends WorkerEntrypoint {
  async fetch(request) {
    try {
      return await orEnd(() => new Gate(this.ctx, this.env).fetch(request));
    } catch (error) {
      console.error("denied, because the gate failed:", error);
      return denied();
    }
  }
}

function guarded(Inner) {
  return class extends DurableObject {
    #inner;

    constructor(ctx, env) {
      super(ctx, env);
      this.#inner = new Inner(ctx, env);
    }

    fetch(request) {
      return this.#call(() => this.#inner.fetch(request));
    }

    alarm() {
      return this.#call(() => this.#inner.alarm());
    }

    async #call(call) {
      try {
        return await orEnd(call);
      } catch (error) {
        // The object starts again from what is stored. Writes since the last one confirmed go with the failed call.
        this.ctx.abort(String(error));
        throw error;
      }
    }
  };
}

export const AdmissionObject = guarded(objects.AdmissionObject);
export const GateObject = guarded(objects.GateObject);
