//! What plugins say restricts, and does nothing else.

use super::super::judge::Finding;
use super::*;
use crate::attest::EvidenceValue;
use crate::plugin::{PluginOutcome, PluginRecord, PluginVerdict};

const BODY: &str = r#"{ "usd":20, "to":"shop.example", "note":"call \u0031", "n":{"list":["a","b"]} }"#;

pub(super) fn says(name: &str, verdict: PluginVerdict) -> PluginRecord {
    PluginRecord {
        config_sha256: "sha256:c".to_owned(),
        digest: "sha256:d".to_owned(),
        fuel: 7,
        name: name.to_owned(),
        outcome: PluginOutcome::Answered,
        reason: None,
        redacted: Vec::new(),
        roles: Vec::new(),
        verdict: Some(verdict),
        version: "1.0.0".to_owned(),
    }
}

fn fails(outcome: PluginOutcome) -> PluginRecord {
    PluginRecord { outcome, verdict: None, ..says("failing", PluginVerdict::Abstain) }
}

pub(super) fn redacts(pointers: &[&str]) -> PluginRecord {
    PluginRecord {
        redacted: pointers.iter().map(|pointer| (*pointer).to_owned()).collect(),
        ..says("redacting", PluginVerdict::Redact)
    }
}

fn judged(body: &str) -> Judged {
    Call::new("POST", "/pay", body).signed(1).judged(&gate()).unwrap()
}

fn decided(body: &str, plugins: &[PluginRecord]) -> (Judged, Decision) {
    let (judged, _) = judged(body).restrict(plugins.to_vec(), body.as_bytes(), &seed());
    let admission = admit(&mut LoadedRows::new(), &judged);
    let decision = decide(&judged, &admission);
    (judged, decision)
}

#[test]
fn a_gate_without_plugins_says_nothing_of_them() {
    let (judged, decision) = decided(BODY, &[]);
    assert!(decision.guardrails.iter().all(|guardrail| guardrail.guardrail != "plugins"));
    assert_eq!(decision.verdict.kind(), DecisionKind::Allow);
    assert!(judged.record(&decision).plugins.is_empty());
}

#[test]
fn every_way_a_plugin_ends_has_its_verdict_and_its_reason() {
    use PluginOutcome as Ended;
    for (plugin, kind, reason) in [
        (says("p", PluginVerdict::Abstain), DecisionKind::Allow, None),
        (says("p", PluginVerdict::Deny), DecisionKind::Deny, Some(Reason::PluginDenied)),
        (says("p", PluginVerdict::StepUp), DecisionKind::StepUp, Some(Reason::PluginStepUp)),
        (redacts(&["/note"]), DecisionKind::Allow, None),
        (fails(Ended::Answered), DecisionKind::Deny, Some(Reason::PluginAnswerInvalid)),
        (fails(Ended::AnswerInvalid), DecisionKind::Deny, Some(Reason::PluginAnswerInvalid)),
        (fails(Ended::Trapped), DecisionKind::Deny, Some(Reason::PluginTrapped)),
        (fails(Ended::TimedOut), DecisionKind::Deny, Some(Reason::PluginTimedOut)),
        (fails(Ended::FuelExhausted), DecisionKind::Deny, Some(Reason::PluginFuelExhausted)),
        (fails(Ended::LimitExceeded), DecisionKind::Deny, Some(Reason::PluginLimitExceeded)),
        (fails(Ended::Unavailable), DecisionKind::Deny, Some(Reason::PluginUnavailable)),
        (fails(Ended::NotRun), DecisionKind::Deny, Some(Reason::PluginUnavailable)),
    ] {
        let (judged, decision) = decided(BODY, core::slice::from_ref(&plugin));
        assert_eq!((decision.verdict.kind(), decision.reason), (kind, reason), "{plugin:?}");
        let mode = judged.demand().spends.first().unwrap().mode;
        assert_eq!(mode == SpendMode::Charge, kind == DecisionKind::Allow, "what refuses charges nothing: {plugin:?}");
        assert_eq!(judged.record(&decision).plugins, [plugin]);
    }
}

#[test]
fn a_deny_counts_before_a_wish_for_approval_wherever_it_stands() {
    let (deny, ask) = (says("denies", PluginVerdict::Deny), says("asks", PluginVerdict::StepUp));
    for plugins in [[deny.clone(), ask.clone()], [ask, deny]] {
        let (_, decision) = decided(BODY, &plugins);
        assert_eq!(decision.reason, Some(Reason::PluginDenied));
        let evidence = &decision.guardrails.last().unwrap().evidence;
        assert_eq!(evidence.get("plugin"), Some(&EvidenceValue::Text("denies".to_owned())));
    }
    // 60 USD ask for an approval by themselves.
    let dear = BODY.replace("20", "60");
    assert_eq!(decided(&dear, &[says("p", PluginVerdict::Abstain)]).1.reason, Some(Reason::ApprovalRequired));
    let (_, decision) = decided(&dear, &[says("p", PluginVerdict::Deny)]);
    assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Deny, Some(Reason::PluginDenied)));
}

#[test]
fn nothing_a_plugin_says_makes_a_refused_request_allowed() {
    let dear = BODY.replace("20", "101");
    for plugin in [says("p", PluginVerdict::Abstain), redacts(&["/note"]), fails(PluginOutcome::NotRun)] {
        let (_, decision) = decided(&dear, core::slice::from_ref(&plugin));
        assert_eq!(
            (decision.verdict.kind(), decision.reason),
            (DecisionKind::Deny, Some(Reason::SpendTransactionExceeded))
        );
        let result = result(&decision, "plugins");
        let not_run = plugin.outcome == PluginOutcome::NotRun;
        assert_eq!(result == GuardrailOutcome::NotEvaluated, not_run);
    }
    assert!(judged(&dear).is_denied() && !judged(BODY).is_denied() && !judged(&BODY.replace("20", "60")).is_denied());
}

#[test]
fn strings_are_taken_out_where_they_stand_and_nowhere_else() {
    let plugins = vec![redacts(&["/note", "/n/list/1"]), redacts(&["/note"])];
    let (judged, body) = judged(BODY).restrict(plugins, BODY.as_bytes(), &seed());
    let expected = r#"{ "usd":20, "to":"shop.example", "note":"[redacted]", "n":{"list":["a","[redacted]"]} }"#;
    assert_eq!(String::from_utf8(body.unwrap()).unwrap(), expected);
    let label = |body: &str| Some(crate::attest::sha256_label(&<sha2::Sha256 as sha2::Digest>::digest(body).into()));
    assert_eq!(judged.request().forwarded_payload_sha256, label(expected));
    assert_eq!(judged.request().payload_sha256, label(BODY));
}

#[test]
fn what_cannot_be_taken_out_refuses_the_request() {
    let invalid = |judged: Judged, body: &str, pointers: &[&str]| {
        let (judged, replaced) = judged.restrict(vec![redacts(pointers)], body.as_bytes(), &seed());
        let outcome = judged.plugins().first().unwrap().outcome;
        replaced.is_none()
            && outcome == PluginOutcome::AnswerInvalid
            && judged.request().forwarded_payload_sha256.is_none()
    };
    for pointers in [&["/absent"][..], &["/usd"], &["/n"], &["note"], &["/note", "/n/list/2"], &[], &["/to"]] {
        assert!(invalid(judged(BODY), BODY, pointers), "{pointers:?}");
    }
    assert!(invalid(judged(BODY), &BODY.replace("20", "21"), &["/note"]), "another body than the one that was judged");
    let mut coded = Call::new("POST", "/pay", BODY);
    coded.headers.push(("content-encoding".to_owned(), b"identity".to_vec()));
    assert!(invalid(coded.signed(1).judged(&gate()).unwrap(), BODY, &["/note"]), "a coded body");
}

#[test]
fn plugins_are_shown_what_the_proof_covers_and_not_the_passport() {
    let judged = judged(BODY);
    assert_eq!(judged.permissions(), ["web:*", "payments:*"]);
    let names: Vec<&str> = judged.covered_fields().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-digest", "content-type"]);
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    assert!(handed.permissions().is_empty() && handed.covered_fields().is_empty());
}

#[test]
fn what_was_taken_in_before_stays() {
    let (judged, _) = judged(BODY).restrict(vec![says("denies", PluginVerdict::Deny)], BODY.as_bytes(), &seed());
    let (judged, body) = judged.restrict(vec![redacts(&["/note"])], BODY.as_bytes(), &seed());
    assert!(body.is_none(), "nothing is forwarded, so nothing is taken out of it");
    assert_eq!((judged.plugins().len(), judged.request().forwarded_payload_sha256.as_ref()), (2, None));
    let admission = admit(&mut LoadedRows::new(), &judged);
    assert_eq!(decide(&judged, &admission).reason, Some(Reason::PluginDenied));
    let (judged, body) = self::judged(BODY).restrict(vec![redacts(&["/note"])], BODY.as_bytes(), &seed());
    let (_, both) = judged.restrict(vec![redacts(&["/n/list/0"])], BODY.as_bytes(), &seed());
    let both = String::from_utf8(both.unwrap()).unwrap();
    assert!(body.is_some() && both.matches("[redacted]").count() == 2, "{both}");
}

#[test]
fn what_was_held_back_does_not_go_upstream_as_it_came() {
    // 60 USD ask for an approval.
    let body = BODY.replace("20", "60");
    let (mut judged, forwarded) = judged(&body).restrict(vec![redacts(&["/note"])], body.as_bytes(), &seed());
    assert!(forwarded.is_none(), "it is held back");
    judged.findings.approval = Finding::Pass;
    judged.settle_demand();
    let handed = Judged::from_bytes(&judged.to_bytes()).unwrap();
    for judged in [&judged, &handed] {
        let decision = decide(judged, &admit(&mut LoadedRows::new(), judged));
        assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Deny, Some(Reason::InternalError)));
    }
    let (judged, forwarded) = judged.restrict(Vec::new(), body.as_bytes(), &seed());
    assert!(forwarded.is_some(), "there is a body to forward instead");
    assert_eq!(decide(&judged, &admit(&mut LoadedRows::new(), &judged)).reason, None);
}

/// Plugins say as much as they may, and the record is still one that a verifier takes.
#[test]
fn the_largest_record_stays_within_what_is_verified() {
    use crate::plugin::{MAX_PLUGINS, MAX_REASON_BYTES, MAX_REDACTED_BYTES, MAX_ROLE_BYTES, MAX_ROLES};
    let names: Vec<String> = (0..40).map(|number| format!("{number:02}{}", "\"".repeat(200))).collect();
    let members: Vec<String> = names.iter().map(|name| format!("{}:\"x\"", serde_json::json!(name))).collect();
    let body = format!("{{\"usd\":20,\"to\":\"shop.example\",{}}}", members.join(","));
    let pointers: Vec<String> = names.iter().map(|name| format!("/{name}")).collect();
    let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
    assert!(pointers.iter().map(|pointer| pointer.len()).sum::<usize>() <= MAX_REDACTED_BYTES);
    let mut plugins = vec![redacts(&pointers)];
    plugins.extend((1..MAX_PLUGINS).map(|number| PluginRecord {
        config_sha256: "sha256:".to_owned() + &"0".repeat(64),
        digest: "sha256:".to_owned() + &"0".repeat(64),
        fuel: u64::MAX,
        name: format!("{number:064}"),
        reason: Some("\"".repeat(MAX_REASON_BYTES)),
        roles: vec!["r".repeat(MAX_ROLE_BYTES); MAX_ROLES],
        version: "1".repeat(64),
        ..says("", PluginVerdict::StepUp)
    }));
    let (judged, _) = judged(&body).restrict(plugins, body.as_bytes(), &seed());
    assert_eq!(judged.plugins().first().unwrap().outcome, PluginOutcome::Answered);
    let admission = admit(&mut LoadedRows::new(), &judged);
    let decision = decide(&judged, &admission);
    let writer = crate::attest::Writer::new(SecretKey::from_seed([9; 32]), "chain_1".to_owned(), judged.gate().clone());
    let stamp = crate::attest::Stamp { now: NOW, random: [1; 10] };
    let entry =
        writer.seal_decision(&crate::attest::Link { seq: 1, prev: Some([7; 32]) }, &stamp, judged.view(&decision));
    assert!(entry.jws.len() < crate::ledger::MAX_RECORD_BYTES, "{} bytes", entry.jws.len());
}
