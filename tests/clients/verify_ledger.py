"""Verifies a whole ledger export with a JOSE library and SHA-256 alone: verify_ledger.py EXPORT JWKS"""

import hashlib
import json
import sys

from joserfc import jws
from joserfc.jwk import KeySet


def check(holds, problem):
    # Not `assert`, which `python -O` leaves out.
    if not holds:
        sys.exit(f"broken: {problem}")


def label(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def open_token(token, keys, typ, line):
    verified = jws.deserialize_compact(token, keys, algorithms=["EdDSA"])
    check(verified.headers().get("typ") == typ, f"line {line}: not a token of type {typ}")
    return json.loads(verified.payload)


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


def main(export, jwks):
    with open(jwks) as file:
        keys = KeySet.import_key_set(json.load(file))
    chains, gates, everything, count, head = {}, set(), hashlib.sha256(), 0, None
    with open(export) as file:
        for number, line in enumerate(file, 1):
            check(head is None, f"line {number}: a line follows the head")
            line = json.loads(line)
            if "head" in line:
                head = open_token(line["head"], keys, "ledger-head+jwt", number)
                continue
            token = line["jws"].encode()
            record = open_token(line["jws"], keys, "attestation+jwt", number)
            uid, name = record["chain_uid"], record["attestation_id"]
            if uid not in chains:
                check_start(record, chains)
                chains[uid] = {"chain_uid": uid, "size": 0}
            chain = chains[uid]
            check(uid == list(chains)[-1], f"{name}: its chain ended before")
            check(record["seq"] == chain["size"], f"{name}: seq")
            check(record.get("prev") == chain.get("head_sha256"), f"{name}: prev")
            chain.update(size=chain["size"] + 1, head_sha256=label(token))
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
