"""Verifies a whole ledger export with a JOSE library and SHA-256 alone: verify_ledger.py EXPORT JWKS"""

import hashlib
import json
import sys

from joserfc import jws
from joserfc.jwk import KeySet


def label(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def open_token(token, keys, typ):
    verified = jws.deserialize_compact(token, keys, algorithms=["EdDSA"])
    assert verified.headers()["typ"] == typ, verified.headers()
    return json.loads(verified.payload)


def main(export, jwks):
    with open(jwks) as file:
        keys = KeySet.import_key_set(json.load(file))
    chains, everything, count, head = {}, hashlib.sha256(), 0, None
    with open(export) as file:
        for line in file:
            assert head is None, "a line follows the head"
            line = json.loads(line)
            if "head" in line:
                head = open_token(line["head"], keys, "ledger-head+jwt")
                continue
            token = line["jws"].encode()
            record = open_token(line["jws"], keys, "attestation+jwt")
            chain = chains.setdefault(record["chain_uid"], {"chain_uid": record["chain_uid"], "size": 0})
            assert record["seq"] == chain["size"], f"{record['attestation_id']}: seq"
            assert record.get("prev") == chain.get("head_sha256"), f"{record['attestation_id']}: prev"
            chain.update(size=chain["size"] + 1, head_sha256=label(token))
            everything.update(token + b"\n")
            count += 1
    assert head and not head["partial"], "no head of a whole export"
    assert head["chains"] == list(chains.values()), "the head states other chains"
    assert (head["records"], head["records_sha256"]) == (count, "sha256:" + everything.hexdigest()), "other records"
    print(f"{count} records in {len(chains)} chains")


if __name__ == "__main__":
    main(*sys.argv[1:])
