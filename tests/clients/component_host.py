"""The gate component in Python: one request, from its bytes to a signed record.

  component_host.py COMPONENT < {"case": a file of tests/vectors/cases whose one step is a request,
    "evaluator": {"digest", "engine", "version"}, "key": private JWK, "kid": its thumbprint, "started": Unix seconds}

Writes {"agent_id", "decision", "status", "record"}. Everything here is of the PyPI packages wasmtime and cryptography.
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Record, Variant


class Evaluator:
    """The functions of wit/gate.wit under the names that they have there."""

    def __init__(self, path):
        engine = Engine()
        self.store = Store(engine)
        # Nothing is linked: a component that imported anything would not start.
        self.instance = Linker(engine).instantiate(self.store, Component.from_file(engine, path))
        self.interface = self.instance.get_export_index(self.store, "passgate:gate/evaluator@0.1.0")

    def call(self, name, *arguments):
        index = self.instance.get_export_index(self.store, name, self.interface)
        return self.instance.get_func(self.store, index)(self.store, *arguments)


def record(members):
    """A WIT record; its members have dashes in their names, so they are given as a dict."""
    value = Record()
    vars(value).update(members)
    return value


def ok(result):
    """The value of a WIT result. It comes in a variant where both sides are of one Python type, and plain elsewhere."""
    if isinstance(result, Variant) and result.tag == "ok":
        return result.payload
    if isinstance(result, (Variant, str)):
        raise ValueError(vars(result.payload) if isinstance(result, Variant) else result)
    return result


class Gate:
    """A gate with its rows and its chain of records. In production, both are in a database."""

    def __init__(self, evaluator, policy, reference, key, kid, started, now, random):
        self.call, self.store, self.key, self.kid = evaluator.call, evaluator.store, key, kid
        self.gate = self.call("[static]gate.open", policy, record(reference))
        if isinstance(self.gate, Record):
            raise ValueError(f"{self.gate.at}: {self.gate.why}")
        # These rows are gone when the process ends, so proofs of before it started are refused.
        self.rows = {fence.key: fence.value for fence in self.call("restart-fences", started)}
        self.chain = ok(self.call("[static]chain.open", self.gate, now, random))
        self.seq, self.prev = 0, None
        self.append(ok(self.call("[method]chain.start", self.chain, None, self.place(now, random))))

    def passport(self, token, now):
        return ok(self.call("[method]gate.verify-passport", self.gate, token, now))

    def decide(self, request, now, random, seed, conduct=record({"raised": False, "risk": "usual"})):
        """Steps 1 to 7: the verdict, the answer to give instead of forwarding, and the record, which comes before either."""
        judged = self.call("[method]gate.judge", self.gate, request, now, conduct)
        place = self.place(now, random)
        try:
            if judged.tag == "ok":
                # What goes upstream in place of the body, if the policy takes texts out of it or encrypts them.
                self.forwarded = ok(self.call("[method]judgement.restrict", judged.payload, [], request.body, seed))
                decided, conduct = self.admit(judged.payload, now, place)
                # Where its agent does not behave as it was judged to, it is judged once more, as what it is.
                return decided or self.decide(request, now, random, seed, conduct)
            draft = ok(self.call("[method]refusal.attest", judged.payload, self.chain, place))
            return self.refuse(self.call("[method]refusal.refused", judged.payload), [], draft)
        finally:
            judged.payload.drop(self.store)

    def admit(self, judgement, now, place):
        """One transaction: the rows read, the rows written and the record; or nothing, and how the agent behaves."""
        keys = self.call("[method]judgement.row-keys", judgement)
        rows = [record({"key": key, "value": self.rows[key]}) for key in keys if key in self.rows]
        admitted = ok(self.call("[method]judgement.admit", judgement, rows))
        if admitted.admission.conduct:
            return None, admitted.admission.conduct
        decided = ok(self.call("[method]judgement.decide", judgement, admitted.admission, self.chain, place))
        self.write(admitted.writes)
        self.write({"deny": admitted.counted.denied, "step-up": admitted.counted.held}.get(decided.verdict, admitted.counted.allowed))
        if decided.verdict != "allow":
            return self.refuse(decided.refused, decided.rates, decided.draft), None
        # What it charged to budgets, until its outcome is known.
        lease = self.call("lease", vars(decided.draft)["attestation-id"], admitted.charges, now)
        self.write([lease] if lease else [])
        return (decided.verdict, None, self.append(decided.draft)), None

    def refuse(self, refused, rates, draft):
        members = ["action-pass", "content-digest", "content-encoding", "content-type", "dpop"]
        to_cover = record(dict.fromkeys(members, False) | {"challenge": None})
        name = vars(draft)["attestation-id"]
        answer = self.call("[method]gate.answer", self.gate, refused, rates, name, to_cover)
        return refused.verdict, answer, self.append(draft)

    def write(self, writes):
        self.rows.update((write.key, write.value) for write in writes)

    def place(self, now, random):
        """Where the next record stands."""
        return record({"now": now, "random": random, "seq": self.seq, "prev": self.prev, "kid": self.kid})

    def append(self, draft):
        """Signs a draft: the record is a compact JWS, and its SHA-256 goes into the next."""
        signing_input = vars(draft)["signing-input"]
        signature = base64.urlsafe_b64encode(self.key.sign(signing_input.encode())).rstrip(b"=").decode()
        jws = f"{signing_input}.{signature}"
        self.seq, self.prev = self.seq + 1, hashlib.sha256(jws.encode()).digest()
        return jws


def wit_request(request):
    path, separator, query = request["target"].partition("?")
    headers = [record({"name": name, "value": value.encode()}) for name, value in request["headers"]]
    return record(
        {
            "method": request["method"],
            "authority": request["host"],
            "path": path,
            "query": query if separator else None,
            "headers": headers,
            "body": request["body"].encode(),
        }
    )


def main(component):
    job = json.load(sys.stdin)
    case, [step] = job["case"], job["case"]["steps"]
    seed = job["key"]["d"]
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(seed + "=" * (-len(seed) % 4)))
    # The random bits are those of the expected record; for real they are os.urandom(10), anew for each record, and the seed is
    # os.urandom(32), anew for each request.
    first, second = (number.to_bytes(10, "big") for number in range(2))
    policy, started = json.dumps(case["policy"]), job["started"]
    gate = Gate(Evaluator(component), policy, job["evaluator"], key, job["kid"], started, case["now_ms"], first)
    token = dict(step["request"]["headers"])["agent-passport"]
    passport = gate.passport(token, step["at_ms"])
    verdict, answer, jws = gate.decide(wit_request(step["request"]), step["at_ms"], second, second.ljust(32, b"\0"))
    result = {"agent_id": vars(passport)["agent-id"], "decision": verdict.replace("-", "_"), "record": jws}
    json.dump(result | {"status": answer.status if answer else 200}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
