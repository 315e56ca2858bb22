//! One kind of token never passes as another: the whole matrix, at the reader and at every place that takes a token.
#![cfg(test)]

use passgate_core::attest::{Body, GateRecord, Link, Stamp, Writer};
use passgate_core::ledger::{HeadBuilder, Verifier, What, head_line, record_line};
use passgate_core::time::UnixMillis;
use passgate_passport::delegation::{Violation, verify_chain};
use passgate_passport::jws::{self, JwsError, TokenType};
use passgate_passport::passport::{PassportError, VerifyContext};
use passgate_passport::plugin_signature::{self, Claims, POLICY_WORLD, SignatureError};
use passgate_tests::agent::{NOW, PassportDraft, key};
use passgate_tests::case;
use passgate_tests::surface::{attestation_key, evaluator, payload};

const LIMIT: usize = 16 * 1024;

#[test]
fn no_kind_reads_as_another() {
    let key = key(1);
    for signed in TokenType::ALL {
        let token = jws::sign(&key, signed, b"{\"a\":1}");
        for wanted in TokenType::ALL {
            let read = jws::decode(&token, wanted, LIMIT).and_then(|token| token.verify(key.public()));
            if signed == wanted {
                assert_eq!(read.map(|token| token.into_payload()), Ok(b"{\"a\":1}".to_vec()));
            } else {
                assert_eq!(
                    read.map(|_| ()),
                    Err(JwsError::Type { expected: wanted.as_str() }),
                    "{signed:?} as {wanted:?}"
                );
            }
        }
    }
}

#[test]
fn names_that_resemble_a_kind_are_refused() {
    let key = key(1);
    let token = jws::sign(&key, TokenType::Passport, b"{}");
    let rest = token.split_once('.').unwrap().1;
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "dpop+jwt",
        "Passport+jwt",
        "passport+JWT",
        "passport",
        " passport+jwt",
        "application/application/passport+jwt",
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"{typ}"}}"#, key.public().thumbprint());
        let token = format!("{}.{rest}", passgate_passport::b64::encode(header.as_bytes()));
        for wanted in TokenType::ALL {
            assert!(jws::decode(&token, wanted, LIMIT).is_err(), "{typ} as {wanted:?}");
        }
    }
}

/// The claims are those of a good passport and the key is the issuer's own: only the kind differs.
#[test]
fn a_gate_takes_only_passports_for_passports() {
    let gate = case::load().unwrap()["plain_request"].policy.compile(evaluator()).unwrap();
    let draft = PassportDraft::new("agent_scout", 11, &["web:*"]).unwrap();
    let claims = payload(&draft.issue().unwrap()).unwrap();
    let context = VerifyContext { now: NOW, leeway_seconds: 30, audience: Some(&gate.id) };
    for kind in TokenType::ALL {
        let token = jws::sign(&key(draft.issuer_seed), kind, &claims);
        let verdict = verify_chain(&token, &gate.trust, &context).map_err(|error| error.violation);
        if kind == TokenType::Passport {
            assert_eq!(verdict.unwrap().leaf().claims.sub, "agent_scout");
        } else {
            let expected = PassportError::Token(JwsError::Type { expected: TokenType::Passport.as_str() });
            assert_eq!(verdict, Err(Violation::Passport(expected)), "{kind:?}");
        }
    }
}

/// The claims are those of a good signature and the key is trusted: only the kind differs.
#[test]
fn a_component_is_signed_by_plugin_signatures_alone() {
    let (key, component) = (key(1), [7; 32]);
    let (name, version, world) = ("shops".to_owned(), "1.0.0".to_owned(), POLICY_WORLD.to_owned());
    let claims = Claims { iat: NOW, name, sha256: component, version, world };
    let signed = payload(&plugin_signature::sign(&key, &claims)).unwrap();
    for kind in TokenType::ALL {
        let token = jws::sign(&key, kind, &signed);
        let verdict = plugin_signature::verify(&token, &component, POLICY_WORLD, &[key.public().clone()]);
        if kind == TokenType::Plugin {
            assert_eq!(verdict.unwrap(), claims);
        } else {
            assert!(matches!(verdict, Err(SignatureError::Token(JwsError::Type { .. }))), "{kind:?}");
        }
    }
}

/// An export of one record whose record and head are signed as the given kinds, with the right payloads and key.
fn verify_export(record_kind: TokenType, head_kind: TokenType) -> Result<(), What> {
    let stamp = Stamp { now: UnixMillis(1_800_000_000_000), random: [0; 10] };
    let gate = GateRecord { gate_id: "gate".into(), level: "L2".into() };
    let writer = Writer::new(attestation_key(), stamp.chain_uid(), gate);
    let entry = writer.seal(&Link { seq: 0, prev: None }, &stamp, Body::Start(None));
    let record = jws::sign(&attestation_key(), record_kind, &payload(&entry.jws).unwrap());
    let mut heads = HeadBuilder::default();
    heads.push(writer.chain_uid(), &record, &sha256(&record));
    let head = heads.finish("gate".into(), false, stamp.now.rfc3339());
    let head = jws::sign(&attestation_key(), head_kind, &head.to_payload());
    let keys = [attestation_key().public().clone()];
    let mut verifier = Verifier::new(&keys);
    for line in [record_line(&record), head_line(&head)] {
        verifier.line(line.trim_end().as_bytes()).map_err(|error| error.what)?;
    }
    verifier.finish().map(|_| ()).map_err(|error| error.what)
}

fn sha256(text: &str) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes()).into()
}

#[test]
fn a_ledger_takes_only_attestations_for_records_and_only_heads_for_heads() {
    for record in TokenType::ALL {
        for head in TokenType::ALL {
            let good = record == TokenType::Attestation && head == TokenType::LedgerHead;
            let expected = if good { Ok(()) } else { Err(What::Token) };
            assert_eq!(verify_export(record, head), expected, "{record:?} {head:?}");
        }
    }
}
