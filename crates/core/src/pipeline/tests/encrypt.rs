//! Personal data that goes upstream encrypted: what of it only the holder of a key reads.

use alloc::string::ToString;

use passgate_passport::b64;
use passgate_passport::jwe::{self, DecryptionKey};

use super::approvals::{approved_gate, by_alice, order, request_of, with};
use super::plugins::redacts;
use super::*;
use crate::attest::EvidenceValue;
use crate::gate::{Encryption, Guardian, PiiControls, Spot};
use crate::pii::{Class, Classes};
use crate::pipeline::replacement::MAX_ENCRYPTED_VALUES;
use crate::review::{Review, ReviewOutcome};
use crate::state::Conduct;

const CARD: &str = "4111 1111 1111 1111";

fn reader() -> DecryptionKey {
    DecryptionKey::from_seed([9; 32])
}

fn encrypting(classes: Classes, others: PiiControls) -> Option<PiiControls> {
    let encrypt = Some(Encryption { classes, to: reader().public().clone() });
    Some(PiiControls { encrypt, denies_unscannable: true, ..others })
}

fn controlled(controls: Option<PiiControls>) -> Gate {
    let mut gate = gate();
    gate.guardrails = Guardrails { pii: controls, ..Guardrails::default() };
    for route in &mut gate.routes {
        (route.amount, route.domain) = (None, None);
    }
    gate
}

fn all() -> Gate {
    controlled(encrypting(Classes::ALL, PiiControls::default()))
}

fn pay(body: &str) -> Call {
    order(body, 1)
}

fn typed(content_type: &str, body: &str) -> Call {
    let mut call = Call::new("POST", "/pay", body);
    call.headers[1].1 = content_type.as_bytes().to_vec();
    call.signed(1)
}

fn judged_with(gate: &Gate, call: &Call, seed: &Seed) -> (Decision, Option<String>, Judged) {
    let (judged, body) = call.judged(gate).unwrap().restrict(Vec::new(), &call.body, seed);
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    (decision, body.map(|body| String::from_utf8(body).unwrap()), judged)
}

fn decided(gate: &Gate, call: &Call) -> (Decision, Option<String>, Judged) {
    judged_with(gate, call, &seed())
}

fn evidence(decision: &Decision, name: &str) -> Option<EvidenceValue> {
    let pii = decision.guardrails.iter().find(|guardrail| guardrail.guardrail == "pii").unwrap();
    pii.evidence.get(name).cloned()
}

/// The tokens in a body, in its order: from what their headers begin with to the 22 characters of their tags.
fn tokens(body: &str) -> Vec<&str> {
    let begin = b64::encode(br#"{"alg":"ECDH-ES","enc":"A256GCM","epk":"#);
    let token = |(first, _): (usize, &str)| {
        let rest = body.get(first..).unwrap();
        let (last_dot, _) = rest.match_indices('.').nth(3).unwrap();
        rest.get(..last_dot + 23).unwrap()
    };
    body.match_indices(&begin).map(token).collect()
}

fn read(token: &str) -> String {
    String::from_utf8(reader().decrypt(token).unwrap().to_vec()).unwrap()
}

/// The body with what its tokens hold between angle brackets.
fn opened(body: &str) -> String {
    tokens(body).into_iter().fold(body.to_owned(), |body, token| body.replace(token, &format!("<{}>", read(token))))
}

#[test]
fn what_is_encrypted_goes_upstream_for_who_has_the_key() {
    let body = format!(
        r#"{{"note":"pay with {CARD}, or ask alice@example.com","usd":45,"n":[null,"a\"b"],"list":["\u0062ob@example.com"]}}"#
    );
    let (decision, forwarded, judged) = decided(&all(), &pay(&body));
    assert_eq!(decision.reason, None);
    let forwarded = forwarded.unwrap();
    assert_eq!(
        opened(&forwarded),
        format!(
            r#"{{"note":"pay with <{CARD}>, or ask <alice@example.com>","usd":45,"n":[null,"a\"b"],"list":["<bob@example.com>"]}}"#
        ),
        "the text that was found, unescaped; the rest stays as it is, byte by byte"
    );
    assert_eq!(evidence(&decision, "card_found"), Some(EvidenceValue::Number(1)));
    assert_eq!(evidence(&decision, "email_found"), Some(EvidenceValue::Number(2)));
    assert_eq!(evidence(&decision, "values_encrypted"), Some(EvidenceValue::Number(3)));
    assert_eq!(evidence(&decision, "texts_redacted"), None);
    let digest = crate::attest::sha256_label(
        &sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(forwarded.as_bytes())).into(),
    );
    assert_eq!(judged.request().forwarded_payload_sha256, Some(digest));
    let record = serde_json::to_string(&judged.record(&decision)).unwrap();
    assert!(!record.contains("4111") && !record.contains("alice") && !record.contains("eyJ"), "{record}");
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    assert_eq!(decide(&handed, &admit(&mut LoadedRows::new(), &handed)), decision, "also where it is handed over");
}

#[test]
fn forms_and_plain_texts_are_encrypted_too() {
    let (decision, forwarded, _) = decided(
        &all(),
        &typed("application/x-www-form-urlencoded", "to=a%26b&note=ask+alice%40example.com&ssn=219099998&x="),
    );
    assert_eq!(decision.reason, None);
    assert_eq!(opened(&forwarded.unwrap()), "to=a%26b&note=ask+<alice@example.com>&ssn=<219099998>&x=");
    let (_, forwarded, _) = decided(&all(), &typed("text/plain", "ask alice@example.com\n"));
    assert_eq!(opened(&forwarded.unwrap()), "ask <alice@example.com>\n");
    assert_eq!(decided(&all(), &typed("text/csv", "alice@example.com,1\n")).0.reason, Some(Reason::PiiUnredactable));
}

#[test]
fn what_cannot_be_encrypted_refuses() {
    for body in [format!(r#"{{"{CARD}":1}}"#), r#"{"card":4111111111111111}"#.to_owned(), format!("card {CARD}")] {
        let (decision, forwarded, _) = decided(&all(), &pay(&body));
        assert_eq!((decision.reason, forwarded), (Some(Reason::PiiUnredactable), None), "{body}");
    }
    let judged = Call::new("DELETE", "/records/alice@example.com", "").signed(1).judged(&all()).unwrap();
    assert!(judged.reasons().any(|reason| reason == Reason::PiiUnredactable));
    let mut gate = all();
    gate.routes[1].domain = Some(ValueSource::Pointer("/to".to_owned()));
    let (decision, ..) = decided(&gate, &pay(r#"{"to":"192.0.2.7"}"#));
    assert_eq!(decision.reason, Some(Reason::PiiUnredactable), "the decision was made of it");
    // Nobody took it out.
    let judged = pay(&format!(r#"{{"note":"{CARD}"}}"#)).judged(&all()).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision.reason, Some(Reason::InternalError));
}

#[test]
fn the_strictest_mode_of_what_is_several_things_counts() {
    let others = PiiControls {
        block: Classes::of(Class::Card),
        redact: Classes::of(Class::Phone),
        log: Classes::of(Class::Ip),
        ..PiiControls::default()
    };
    let gate = controlled(encrypting(Classes::of(Class::Email), others));
    let note = |text: &str| {
        let (decision, forwarded, _) = decided(&gate, &pay(&format!(r#"{{"note":"{text}"}}"#)));
        decision.reason.map_or_else(|| Ok(opened(&forwarded.unwrap())), Err)
    };
    for (text, expected) in [
        ("bob@example.com, +1 202-555-0143, 192.0.2.7", "<bob@example.com>, [redacted], 192.0.2.7"),
        ("+14155552671@example.com", "[redacted]"),
        ("KzEgNDE1IDU1NSAyNjcxIGFsaWNlQGV4YW1wbGUuY29t", "[redacted]"),
    ] {
        assert_eq!(note(text), Ok(format!(r#"{{"note":"{expected}"}}"#)), "{text}");
    }
    assert_eq!(note("4111111111111111@example.com"), Err(Reason::PiiBlocked));
    let both = pay(r#"{"a":"bob@example.com","b":"+1 202-555-0143","c":"bob@example.com"}"#);
    let (decision, ..) = decided(&gate, &both);
    assert_eq!(evidence(&decision, "values_encrypted"), Some(EvidenceValue::Number(2)));
    assert_eq!(evidence(&decision, "texts_redacted"), Some(EvidenceValue::Number(1)));
}

/// The attack: something that looks like what the gate makes carries data past it.
#[test]
fn what_looks_like_a_jwe_is_not_passed_over() {
    let header = |kid: &str| b64::encode(format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","kid":"{kid}"}}"#).as_bytes());
    let (iv, tag) = ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaa");
    let card = b64::encode(b"4111111111111111");
    let blocked = controlled(Some(PiiControls { block: Classes::ALL, ..PiiControls::default() }));
    for (text, found) in [
        (format!("{}..{iv}.{card}.{tag}", header("1")), card.clone()),
        (format!("{}..{iv}.{iv}.{tag}", header("alice@example.com")), header("alice@example.com")),
        (format!("{}..{iv}.4111111111111111.{tag}", header("1")), "4111111111111111".to_owned()),
        (format!("{}.{tag}.{iv}.{iv}.{tag}", header("1")), format!("{}.{tag}.{iv}.{iv}.{tag}", header("1"))),
    ] {
        let body = format!(r#"{{"note":"{text}"}}"#);
        assert_eq!(decided(&blocked, &pay(&body)).0.reason, Some(Reason::PiiBlocked), "{text}");
        let (decision, forwarded, _) = decided(&all(), &pay(&body));
        assert_eq!(decision.reason, None);
        assert_eq!(opened(&forwarded.unwrap()), body.replace(&found, &format!("<{found}>")), "{text}");
    }
    // A placeholder that comes from outside is a text.
    let (_, forwarded, _) = decided(&all(), &pay(r#"{"a":"[encrypted]","b":"bob@example.com"}"#));
    assert_eq!(opened(&forwarded.unwrap()), r#"{"a":"[encrypted]","b":"<bob@example.com>"}"#);
    // Many of them.
    let many = [format!("{}..{iv}.{card}.{tag}", header("1")).as_str(); 200].join(" ");
    let (decision, forwarded, _) = decided(&all(), &pay(&format!(r#"{{"note":"{many}"}}"#)));
    assert_eq!(decision.reason, None);
    assert!(!forwarded.unwrap().contains(&card));
    assert_eq!(evidence(&decision, "values_encrypted"), Some(EvidenceValue::Number(200)));
}

#[test]
fn a_body_that_comes_back_is_looked_at_like_any_other() {
    let first = decided(&all(), &pay(r#"{"note":"ask bob@example.com","password":"hunter2secret1"}"#)).1.unwrap();
    assert_eq!(opened(&first), r#"{"note":"ask <bob@example.com>","password":"<hunter2secret1>"}"#);
    let (decision, again, _) = decided(&all(), &pay(&first));
    let again = again.unwrap();
    assert_eq!(decision.reason, None);
    assert_eq!(tokens(&again)[0], tokens(&first)[0], "nothing of it is an address any more");
    assert_eq!(read(tokens(&again)[1]), tokens(&first)[1], "what stands below `password` is a secret");
}

#[test]
fn equal_arguments_give_equal_bytes_and_other_random_bits_others() {
    let call = pay(r#"{"note":"bob@example.com bob@example.com"}"#);
    let (first, second) = (decided(&all(), &call).1.unwrap(), decided(&all(), &call).1.unwrap());
    assert_eq!(first, second);
    let other = judged_with(&all(), &call, &Seed::new([5; 32])).1.unwrap();
    let mut every = tokens(&first);
    every.extend(tokens(&other));
    assert_eq!(every.len(), 4);
    for (at, token) in every.iter().enumerate() {
        let parts = |token: &str| -> Vec<String> { token.split('.').map(ToString::to_string).collect() };
        assert_eq!(read(token), "bob@example.com");
        let others = every.iter().skip(at + 1);
        assert!(others.clone().all(|other| parts(other)[0] != parts(token)[0]), "each has an ephemeral key of its own");
        assert!(others.clone().all(|other| parts(other)[2] != parts(token)[2]), "and an initialisation vector");
    }
}

#[test]
fn judging_again_with_the_same_random_bits_gives_no_key_to_two_texts() {
    let body = r#"{"a":"alice@example.com","b":"bob@example.com"}"#;
    let judged = pay(body).judged(&all()).unwrap();
    let (judged, first) = judged.restrict(Vec::new(), body.as_bytes(), &seed());
    let (judged, same) = judged.restrict(Vec::new(), body.as_bytes(), &seed());
    assert_eq!(first, same);
    let (_, second) = judged.restrict(vec![redacts(&["/a"])], body.as_bytes(), &seed());
    let (first, second) = (String::from_utf8(first.unwrap()).unwrap(), String::from_utf8(second.unwrap()).unwrap());
    assert_eq!(opened(&second), r#"{"a":"[redacted]","b":"<bob@example.com>"}"#);
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    assert!(header(tokens(&first)[0]) != header(tokens(&second)[0]), "the first text of each is another");
}

#[test]
fn no_more_is_encrypted_than_is_said() {
    let list = |values: usize| {
        let list: Vec<String> = (0..values).map(|n| format!("\"a{n}@b.co\"")).collect();
        format!("[{}]", list.join(","))
    };
    let most = list(MAX_ENCRYPTED_VALUES);
    let (decision, forwarded, _) = decided(&all(), &pay(&most));
    assert_eq!(decision.reason, None);
    let forwarded = forwarded.unwrap();
    assert_eq!(tokens(&forwarded).len(), MAX_ENCRYPTED_VALUES);
    assert!(forwarded.len() <= most.len() * 4 / 3 + MAX_ENCRYPTED_VALUES * jwe::MAX_OVERHEAD_BYTES);
    for body in [list(MAX_ENCRYPTED_VALUES + 1), list(20_000)] {
        let (decision, forwarded, judged) = decided(&all(), &pay(&body));
        assert_eq!((decision.reason, forwarded), (Some(Reason::PiiUnredactable), None));
        assert_eq!(judged.request().forwarded_payload_sha256, None);
        assert_eq!(evidence(&decision, "values_encrypted"), None);
    }
    let one = format!(r#"{{"note":"{}"}}"#, "a1@b.co ".repeat(MAX_ENCRYPTED_VALUES + 1));
    assert_eq!(decided(&all(), &pay(&one)).0.reason, Some(Reason::PiiUnredactable), "also in one text");
}

#[test]
fn approvers_see_a_placeholder_and_approve_every_encryption_of_it() {
    const ORDER: &str = r#"{"usd":60,"to":"shop.example","note":"for bob@example.com"}"#;
    let mut gate = approved_gate();
    gate.guardrails.pii = encrypting(Classes::ALL, PiiControls::default());
    let (held, forwarded, judged) = judged_with(&gate, &order(ORDER, 1), &Seed::new([1; 32]));
    assert_eq!((held.reason, forwarded), (Some(Reason::ApprovalRequired), None));
    let request = request_of(&judged, &held).unwrap();
    assert!(request.shown.contains(r#"for [encrypted]\"#), "{}", request.shown);
    assert!(!request.shown.contains("bob") && !request.shown.contains("eyJ"), "{}", request.shown);
    let (_, _, again) = judged_with(&gate, &order(ORDER, 2), &Seed::new([2; 32]));
    assert_eq!(again.request().shown_sha256, judged.request().shown_sha256);

    let call = with(order(ORDER, 3), &[by_alice(&request)]);
    let (decision, forwarded, _) = judged_with(&gate, &call, &Seed::new([3; 32]));
    assert_eq!(decision.reason, None);
    assert_eq!(opened(&forwarded.unwrap()), r#"{"usd":60,"to":"shop.example","note":"for <bob@example.com>"}"#);
    // Another text that would be shown alike is another request.
    for other in ["for eve@example.com", "for [encrypted]"] {
        let call = with(order(&ORDER.replace("for bob@example.com", other), 4), &[by_alice(&request)]);
        assert_eq!(decided(&gate, &call).0.reason, Some(Reason::ApprovalContentMismatch), "{other}");
    }
}

/// The attack: what waits for a reviewer goes upstream as it came once the reviewer lets it.
#[test]
fn what_waits_for_a_reviewer_is_encrypted_before_anybody_sees_it() {
    let review = |outcome| Review { confidence: None, model: "m".to_owned(), outcome, reason: None };
    let redacting = controlled(Some(PiiControls { redact: Classes::ALL, ..PiiControls::default() }));
    for (mut gate, shown) in [(all(), "<bob@example.com>"), (redacting, "[redacted]")] {
        gate.guardrails.guardian = Some(Guardian { spot: Some(Spot { step_up_at: 100, deny_at: None }) });
        let call = pay(r#"{"note":"ask bob@example.com"}"#);
        let raised = Conduct { is_raised: true, ..Conduct::default() };
        let (judged, body) = call.judged_as(&gate, raised).unwrap().restrict(Vec::new(), &call.body, &seed());
        assert!(judged.wants_review());
        let body = body.unwrap();
        assert_eq!(opened(core::str::from_utf8(&body).unwrap()), format!(r#"{{"note":"ask {shown}"}}"#));
        assert_eq!(judged.request().forwarded_payload_sha256, None, "nothing is forwarded before the review");
        let digest = crate::attest::sha256_label(
            &sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(&body)).into(),
        );
        for (outcome, forwarded) in [(ReviewOutcome::Allowed, Some(digest)), (ReviewOutcome::Denied, None)] {
            let reviewed = judged.clone().reviewed(review(outcome));
            assert_eq!(reviewed.request().forwarded_payload_sha256, forwarded);
            assert_eq!(reviewed.reasons().next().is_none(), forwarded.is_some());
        }
    }
}

#[test]
fn nothing_is_encrypted_for_a_reviewer_of_what_is_refused_anyway() {
    let mut gate = all();
    gate.guardrails.guardian = Some(Guardian { spot: None });
    let call = pay(r#"{"note":"ask bob@example.com"}"#);
    let raised = Conduct { is_raised: true, ..Conduct::default() };
    let (judged, body) = call.judged_as(&gate, raised).unwrap().restrict(Vec::new(), &call.body, &seed());
    assert_eq!((judged.wants_review(), body), (false, None));
}

#[test]
fn judging_an_agent_again_as_what_it_is_gives_the_same_bytes() {
    let call = pay(r#"{"note":"ask bob@example.com"}"#);
    let bodies = [false, true].map(|is_raised| {
        let conduct = Conduct { is_raised, ..Conduct::default() };
        call.judged_as(&all(), conduct).unwrap().restrict(Vec::new(), &call.body, &seed()).1.unwrap()
    });
    assert_eq!(bodies[0], bodies[1], "the seed of a request is that of all its judgements");
}
