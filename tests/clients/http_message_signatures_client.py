"""Signs requests with the PyPI package http-message-signatures and sends them.

Reads one JSON object from standard input:

    {"credentials": "agents/a.json",
     "requests": [{"method": "GET", "url": "...", "headers": {}, "body": null, "times": 1, "tamper": null}]}

`times` sends the identical signed request that often; `tamper` names a field whose value is changed after signing.
Writes a list of {"status", "headers", "body"} for every request, one for each time it was sent.
"""

import base64
import hashlib
import json
import secrets
import sys

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def thumbprint(jwk):
    """RFC 7638 with the members of RFC 8037."""
    members = json.dumps({"crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"]}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


class OneKey(HTTPSignatureKeyResolver):
    def __init__(self, jwk):
        self.key_id = thumbprint(jwk)
        self.key = Ed25519PrivateKey.from_private_bytes(decode(jwk["d"]))

    def resolve_private_key(self, key_id):
        self.check(key_id)
        return self.key

    def resolve_public_key(self, key_id):
        self.check(key_id)
        return self.key.public_key()

    def check(self, key_id):
        if key_id != self.key_id:
            raise KeyError(key_id)


def prepare(order, credentials, key):
    headers = {"Agent-Passport": credentials["passport"], **order.get("headers", {})}
    body = order.get("body")
    prepared = requests.Request(order["method"], order["url"], headers=headers, data=body).prepare()
    covered = ["@method", "@target-uri", "agent-passport"]
    if "Content-Type" in prepared.headers:
        covered.append("content-type")
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=key)
    content = body.encode() if body is not None else None
    signer.sign(
        prepared,
        key_id=key.key_id,
        nonce=secrets.token_urlsafe(24),
        label="sig1",
        tag="passgate",
        covered_component_ids=covered,
        body=content,
    )
    tampered = order.get("tamper")
    if tampered:
        prepared.headers[tampered] = prepared.headers[tampered] + "x"
    return prepared


def main():
    job = json.load(sys.stdin)
    with open(job["credentials"]) as file:
        credentials = json.load(file)
    key = OneKey(credentials["private_key"])
    session = requests.Session()
    session.trust_env = False
    results = []
    for order in job["requests"]:
        prepared = prepare(order, credentials, key)
        answers = []
        for _ in range(order.get("times", 1)):
            answer = session.send(prepared, allow_redirects=False, timeout=60)
            fields = {name.lower(): value for name, value in answer.headers.items()}
            answers.append({"status": answer.status_code, "headers": fields, "body": answer.text})
        results.append(answers)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
