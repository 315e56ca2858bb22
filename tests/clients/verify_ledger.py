"""Verifies a whole ledger export with a JOSE library and SHA-256 alone: verify_ledger.py EXPORT JWKS

The keys are those trusted from the start. What they hand over to with a `key_rotation` is trusted from that record on.
"""

import hashlib
import json
import sys

from joserfc import jws
from joserfc.jwk import KeySet, OKPKey


def check(holds, problem):
    # Not `assert`, which `python -O` leaves out.
    if not holds:
        sys.exit(f"broken: {problem}")


def label(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Keys:
    """Which keys count where: `state` is a pair of frozen sets of thumbprints, those in force and those retired."""

    def __init__(self, jwks):
        self.known = {key.thumbprint(): key for key in KeySet.import_key_set(jwks).keys}
        self.start = (frozenset(self.known), frozenset())
        self.retired_anywhere, self.retired_everywhere = set(), set()

    def open(self, token, typ, line):
        """The payload, and the thumbprint of the key that signed it."""
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        check(kid in self.known, f"line {line}: signed with a key that is not known")
        verified = jws.deserialize_compact(token, self.known[kid], algorithms=["EdDSA"])
        check(verified.headers().get("typ") == typ, f"line {line}: not a token of type {typ}")
        return json.loads(verified.payload), kid

    def check_record(self, state, kid, name):
        check(kid not in state[1] | self.retired_everywhere, f"{name}: signed with a key that was retired")
        check(kid in state[0], f"{name}: signed with a key that is not trusted there")

    def rotate(self, state, kid, record):
        """The state after a rotation that `kid` signed."""
        name, rotation = record["attestation_id"], record["key_rotation"]
        key = OKPKey.import_key(rotation["new_key"])
        new = key.thumbprint()
        check(rotation["new_key"]["kid"] == new, f"{name}: the new key has another thumbprint")
        used = state[1] | self.retired_everywhere | {kid}
        check(new not in used, f"{name}: hands over to a key that was in use before")
        self.known.setdefault(new, key)
        self.retired_anywhere.add(kid)
        if rotation["scope"] == "ledger":
            self.retired_everywhere.add(kid)
        return (state[0] - {kid} | {new}, state[1] | {kid})


def check_start(record, chains):
    """The first record of a chain names the head of a chain before it."""
    name, named = record["attestation_id"], record.get("previous_chain")
    check(record["kind"] == "chain_start", f"{name}: the first record of its chain is no chain_start")
    check((named is None) == (not chains), f"{name}: previous_chain")
    if named is not None:
        before = chains.get(named["chain_uid"])
        check(before is not None, f"{name}: previous_chain is not in this export")
        # A chain that went on after this start was written by two gateways at once; where they parted is not checked.
        check(before == named or named["size"] < before["size"], f"{name}: previous_chain has another head")


def state_after(states, size):
    return [state for begun, state in states if begun <= size][-1]


def main(export, jwks):
    with open(jwks) as file:
        keys = Keys(json.load(file))
    # Of each chain the keys from some size on, so that a chain that leaves it there goes on with them.
    states = {}
    chains, gates, everything, count, head = {}, set(), hashlib.sha256(), 0, None
    with open(export) as file:
        for number, line in enumerate(file, 1):
            check(head is None, f"line {number}: a line follows the head")
            line = json.loads(line)
            if "head" in line:
                head, kid = keys.open(line["head"], "ledger-head+jwt", number)
                check(kid not in keys.retired_anywhere, "the head is signed with a key that was retired")
                continue
            token = line["jws"].encode()
            record, kid = keys.open(line["jws"], "attestation+jwt", number)
            uid, name = record["chain_uid"], record["attestation_id"]
            if uid not in chains:
                check_start(record, chains)
                chains[uid] = {"chain_uid": uid, "size": 0}
                named = record.get("previous_chain")
                states[uid] = [(0, state_after(states[named["chain_uid"]], named["size"]) if named else keys.start)]
            chain = chains[uid]
            check(uid == list(chains)[-1], f"{name}: its chain ended before")
            check(record["seq"] == chain["size"], f"{name}: seq")
            check(record.get("prev") == chain.get("head_sha256"), f"{name}: prev")
            chain.update(size=chain["size"] + 1, head_sha256=label(token))
            state = states[uid][-1][1]
            keys.check_record(state, kid, name)
            if record["kind"] == "key_rotation":
                states[uid].append((chain["size"], keys.rotate(state, kid, record)))
            gates.add(record["gate"]["gate_id"])
            everything.update(token + b"\n")
            count += 1
    check(head is not None and not head["partial"], "no head of a whole export")
    check(gates <= {head["gate_id"]}, "records of another gate than the head's")
    check(head["chains"] == list(chains.values()), "the head states other chains")
    check(head["records"] == count, "the head states another number of records")
    check(head["records_sha256"] == "sha256:" + everything.hexdigest(), "the head states other records")
    print(f"{count} records in {len(chains)} chains")


if __name__ == "__main__":
    main(*sys.argv[1:])
