"""Reads and makes tokens with the PyPI package joserfc.

    joserfc_tokens.py verify TYP < {"token": ..., "jwks": {"keys": [...]}}     prints the payload
    joserfc_tokens.py sign TYP ALG < {"key": private JWK, "claims": {...}}     prints the token
    joserfc_tokens.py decrypt < {"key": private JWK, "tokens": [...]}          prints the texts, as a JSON array
"""

import json
import sys

from joserfc import jwe, jws
from joserfc.jwk import KeySet, OKPKey

ALGORITHMS = ["EdDSA", "Ed25519"]


def verify(typ, job):
    verified = jws.deserialize_compact(job["token"], KeySet.import_key_set(job["jwks"]), algorithms=ALGORITHMS)
    header = verified.headers()
    # Not `assert`, which `python -O` leaves out.
    if header.get("typ") != typ or header.get("kid") not in [key["kid"] for key in job["jwks"]["keys"]]:
        sys.exit(f"another token than expected: {header}")
    return verified.payload.decode()


def sign(typ, algorithm, job):
    key = OKPKey.import_key(job["key"])
    header = {"alg": algorithm, "typ": typ, "kid": key.thumbprint()}
    return jws.serialize_compact(header, json.dumps(job["claims"]), key, algorithms=ALGORITHMS)


def decrypt(job):
    key = OKPKey.import_key(job["key"])
    texts = []
    for token in job["tokens"]:
        opened = jwe.decrypt_compact(token, key, algorithms=["ECDH-ES", "A256GCM"])
        if opened.headers().get("kid") != job["key"].get("kid"):
            sys.exit(f"another token than expected: {opened.headers()}")
        texts.append(opened.plaintext.decode())
    return json.dumps(texts)


def main():
    job = json.load(sys.stdin)
    verb, arguments = sys.argv[1], sys.argv[2:]
    sys.stdout.write({"verify": verify, "sign": sign, "decrypt": decrypt}[verb](*arguments, job))


if __name__ == "__main__":
    main()
