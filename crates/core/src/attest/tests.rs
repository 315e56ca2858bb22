use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use passgate_passport::jws::{self, TokenType};
use passgate_passport::key::SecretKey;
use passgate_passport::sorted::SortedMap;

use super::*;
use crate::gate::EvaluatorRef;
use crate::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use crate::reason::Reason;
use crate::state::Subject;
use crate::time::UnixMillis;

fn stamp(n: u8) -> Stamp {
    Stamp { now: UnixMillis(1_800_000_000_000 + u64::from(n)), random: [n; 10] }
}

fn writer() -> Writer {
    let gate = GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() };
    Writer::new(SecretKey::from_seed([9; 32]), "chain_1".to_owned(), gate)
}

fn agent() -> AgentRecord {
    AgentRecord {
        agent_id: "bot \u{1b}[31m \u{202e} <script> \u{1f600} \u{7f}".to_owned(),
        delegated_by: vec![DelegatorRecord {
            agent_id: "root".to_owned(),
            key_thumbprint: "r".to_owned(),
            passport_id: "pass_0".to_owned(),
        }],
        issuer: "https://issuer.example".to_owned(),
        key_thumbprint: "k".to_owned(),
        labels: vec!["pii".to_owned()],
        passport_id: "pass_1".to_owned(),
        passport_sha256: "sha256:00".to_owned(),
        task: Some("T-1".to_owned()),
        purpose: Some("\u{202e}\"".to_owned()),
        trust_tier: "L2".to_owned(),
    }
}

fn decision(path: &str) -> Body {
    let guardrail = GuardrailRecord {
        evidence: SortedMap::from([
            ("limit".into(), EvidenceValue::Number(3)),
            ("domain".into(), EvidenceValue::Text("ü".to_owned())),
        ]),
        guardrail: "rate".into(),
        reason_code: Some(Reason::RateLimitExceeded),
        result: GuardrailOutcome::Fail,
    };
    Body::Decision(Box::new(DecisionRecord {
        agent: Some(agent()),
        decision: DecisionKind::Deny,
        reason: Some(Reason::RateLimitExceeded),
        evaluator: EvaluatorRef { digest: "d".to_owned(), engine: "native".to_owned(), version: "0".to_owned() },
        guardrails: vec![guardrail],
        not_checked: vec!["status_list".to_owned()],
        plugins: vec![PluginRecord {
            config_sha256: "c".to_owned(),
            digest: "d".to_owned(),
            fuel: 1,
            name: "n".to_owned(),
            outcome: PluginOutcome::Answered,
            reason: Some("r".to_owned()),
            redacted: vec!["/r".to_owned()],
            roles: vec!["r".to_owned()],
            verdict: Some(PluginVerdict::StepUp),
            version: "v".to_owned(),
        }],
        policy: PolicyRecord {
            age_seconds: Some(5),
            loosened: vec!["x".to_owned()],
            sha256: "s".to_owned(),
            version: u64::from(u32::MAX),
        },
        request: RequestRecord {
            action: Some("a:b".to_owned()),
            action_pass: Some(ActionPassRecord {
                action_sha256: "sha256:1234".into(),
                id: Some("actp_1".into()),
                usage: ActionPassUse::Redeem,
            }),
            amount_micro_usd: Some(1),
            approvals: vec![approval()],
            effect_class: Some("read".to_owned()),
            forwarded_payload_sha256: Some("f".to_owned()),
            proof: Some("dpop".to_owned()),
            method: "POST".to_owned(),
            path: path.to_owned(),
            payload_sha256: Some("p".to_owned()),
            shown_sha256: Some("s".to_owned()),
            target_domain: Some("t".to_owned()),
            target_sha256: Some("t".to_owned()),
        },
        revocation: RevocationCheck::Admission,
        status_list: Some(StatusListRecord {
            age_seconds: 7,
            issued_at: "i".to_owned(),
            status: "valid".to_owned(),
            uri: "u".to_owned(),
        }),
    }))
}

fn bodies() -> Vec<Body> {
    let outcome = OutcomeRecord {
        budget: Some(BudgetOutcome::Released),
        duration_ms: 3,
        request_bytes: 1,
        response: Some(ResponseRecord {
            guardrails_evaluated: vec![GuardrailRecord {
                evidence: SortedMap::from([("card_found".into(), EvidenceValue::Number(1))]),
                guardrail: "pii".into(),
                reason_code: Some(Reason::ResponsePiiBlocked),
                result: GuardrailOutcome::Fail,
            }],
            reason_code: Some(Reason::ResponsePiiBlocked),
            received_bytes: Some(4),
            received_sha256: Some("r".to_owned()),
        }),
        response_bytes: 2,
        response_sha256: Some("r".to_owned()),
        result: OutcomeResult::TimedOut,
        status: Some(200),
    };
    let previous = PreviousChain { chain_uid: "chain_0".to_owned(), head_sha256: "h".to_owned(), size: 4 };
    let folded = FoldedRecord {
        by_reason: SortedMap::from([("b".to_owned(), 2), ("a".to_owned(), 1)]),
        from: "f".to_owned(),
        to: "t".to_owned(),
    };
    vec![
        Body::Start(Some(previous)),
        decision("/a\"\\\r\n\t\u{8}\u{c}é\u{2028}"),
        Body::Outcome { decision_id: "att_1".to_owned(), outcome },
        Body::Revocation(Subject::Passport("pass_1".to_owned())),
        Body::Folded(folded),
        Body::Restart,
        Body::Gap(GapRecord { from: "f".to_owned(), lost: vec!["refusal_counts".to_owned()], to: "t".to_owned() }),
        Body::PluginKey(plugin_key(Some("sha256:00"))),
        Body::PluginKey(plugin_key(None)),
        Body::KeyRotation(rotation()),
        Body::Suspension(Subject::Issuer("issuer".to_owned())),
        Body::Reinstatement(Subject::Issuer("issuer".to_owned())),
        Body::Approval(ApprovalAnswerRecord {
            answer: ApprovalAnswer::Approve,
            approval: Some(approval()),
            note: Some("order 7".to_owned()),
            request_id: "areq_1".to_owned(),
            shown_sha256: "sha256:00".to_owned(),
        }),
        Body::Reconciliation {
            decision_id: "att_1".to_owned(),
            reconciliation: ReconciliationRecord {
                budget: BudgetOutcome::Released,
                note: Some("order 7 is not in the shop's books".to_owned()),
            },
        },
    ]
}

fn approval() -> ApprovalRecord {
    ApprovalRecord {
        approver: "alice".to_owned(),
        id: "appr_1".to_owned(),
        key_thumbprint: "k".to_owned(),
        request_id: "areq_1".to_owned(),
        shown_sha256: "sha256:00".to_owned(),
    }
}

#[test]
fn what_says_nothing_is_no_reconciliation() {
    let said = |budget, note: Option<&str>| ReconciliationRecord { budget, note: note.map(str::to_owned) }.problem();
    for budget in [BudgetOutcome::Committed, BudgetOutcome::Released] {
        assert_eq!((said(budget, None), said(budget, Some("not in the books"))), (None, None));
        for note in ["", "a\nb", "\u{202e}a", &"a".repeat(257)] {
            assert!(said(budget, Some(note)).unwrap().starts_with("`note`"), "{note:?}");
        }
    }
    assert!(said(BudgetOutcome::Held, None).unwrap().starts_with("`budget`"));
}

fn plugin_key(value_sha256: Option<&str>) -> PluginKeyRecord {
    let (plugin, key) = ("shops".to_owned(), "blocked/\u{e4}".to_owned());
    PluginKeyRecord { plugin, key, value_sha256: value_sha256.map(str::to_owned) }
}

fn rotation() -> KeyRotationRecord {
    KeyRotationRecord::new(SecretKey::from_seed([8; 32]).public(), RotationScope::Chain)
}

fn payload(entry: &Entry) -> Vec<u8> {
    let key = SecretKey::from_seed([9; 32]).public().clone();
    jws::decode(&entry.jws, TokenType::Attestation, 65_536).unwrap().verify(&key).unwrap().into_payload()
}

#[test]
fn payloads_are_canonical_json_and_read_back() {
    for (i, body) in bodies().into_iter().enumerate() {
        let link = Link { seq: u64::try_from(i).unwrap(), prev: Some([7; 32]) };
        let entry = writer().seal(&link, &stamp(1), body);
        let bytes = payload(&entry);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), serde_json_canonicalizer::to_string(&value).unwrap());
        let record: Record = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json::to_vec(&record).unwrap(), bytes);
        assert_eq!(record.attestation_id, Writer::attestation_id(&stamp(1)));
    }
}

#[test]
fn a_decision_seals_to_the_same_record_borrowed_and_owned() {
    let link = Link { seq: 1, prev: Some([7; 32]) };
    for body in bodies() {
        if let Body::Decision(decision) = &body {
            let borrowed = writer().seal_decision(&link, &stamp(1), decision.as_ref().into());
            assert_eq!(borrowed, writer().seal(&link, &stamp(1), body));
        }
    }
}

/// The format of records is stable: this payload must never change.
#[test]
fn the_format_is_pinned() {
    let entry = writer().seal(
        &Link { seq: 2, prev: Some([255; 32]) },
        &stamp(5),
        Body::Revocation(Subject::Key("thumb".to_owned())),
    );
    let expected = concat!(
        r#"{"attestation_id":"att_01MCC5RM050M2GA1850M2GA185","chain_uid":"chain_1","gate":{"gate_id":"gate_1","level":"L2"},"#,
        r#""kind":"revocation","prev":"sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","#,
        r#""revoked":{"kind":"key","thumbprint":"thumb"},"seq":2,"timestamp":"2027-01-15T08:00:00.005Z"}"#
    );
    assert_eq!(String::from_utf8(payload(&entry)).unwrap(), expected);
}

#[test]
fn the_format_of_suspensions_and_reinstatements_is_pinned() {
    let subject = || Subject::Key("thumb".to_owned());
    for (body, kind) in [(Body::Suspension(subject()), "suspension"), (Body::Reinstatement(subject()), "reinstatement")]
    {
        let entry = writer().seal(&Link { seq: 0, prev: None }, &stamp(5), body);
        let before = r#"{"attestation_id":"att_01MCC5RM050M2GA1850M2GA185","chain_uid":"chain_1","gate":{"gate_id":"gate_1","level":"L2"},"#;
        let after = r#""seq":0,"subject":{"kind":"key","thumbprint":"thumb"},"timestamp":"2027-01-15T08:00:00.005Z"}"#;
        let expected = alloc::format!(r#"{before}"kind":"{kind}",{after}"#);
        assert_eq!(String::from_utf8(payload(&entry)).unwrap(), expected);
    }
}

#[test]
fn the_format_of_a_change_of_a_plugins_key_is_pinned() {
    for (value, members) in
        [(Some("sha256:00"), r#""plugin":"shops","value_sha256":"sha256:00""#), (None, r#""plugin":"shops""#)]
    {
        let entry = writer().seal(&Link { seq: 0, prev: None }, &stamp(5), Body::PluginKey(plugin_key(value)));
        let before = r#"{"attestation_id":"att_01MCC5RM050M2GA1850M2GA185","chain_uid":"chain_1","gate":{"gate_id":"gate_1","level":"L2"},"#;
        let after = r#""seq":0,"timestamp":"2027-01-15T08:00:00.005Z"}"#;
        let expected = alloc::format!(
            "{before}\"kind\":\"plugin_key\",\"plugin_key\":{{\"key\":\"blocked/\u{e4}\",{members}}},{after}"
        );
        assert_eq!(String::from_utf8(payload(&entry)).unwrap(), expected);
    }
}

#[test]
fn the_format_of_a_key_rotation_is_pinned() {
    let entry = writer().seal(&Link { seq: 0, prev: None }, &stamp(5), Body::KeyRotation(rotation()));
    let expected = concat!(
        r#"{"attestation_id":"att_01MCC5RM050M2GA1850M2GA185","chain_uid":"chain_1","gate":{"gate_id":"gate_1","level":"L2"},"#,
        r#""key_rotation":{"new_key":{"crv":"Ed25519","kid":"E916XTjJCK82vAibEGGhB3lDV7wANvlLfxiCNTqfo_c","kty":"OKP","#,
        r#""x":"E5j2LG0aRXxRumpLXz29L2n8qTIWIY3ImX5Ba9F9k8o"},"scope":"chain"},"kind":"key_rotation","#,
        r#""seq":0,"timestamp":"2027-01-15T08:00:00.005Z"}"#
    );
    assert_eq!(String::from_utf8(payload(&entry)).unwrap(), expected);
    assert_eq!(rotation().key().as_ref(), Some(SecretKey::from_seed([8; 32]).public()));
}

#[test]
fn a_rotation_names_a_key_only_by_the_rules_for_keys() {
    let changed = |change: &dyn Fn(&mut JwkRecord)| {
        let mut rotation = rotation();
        change(&mut rotation.new_key);
        rotation.key()
    };
    assert!(changed(&|_| ()).is_some());
    assert_eq!(changed(&|jwk| jwk.kid = "another".to_owned()), None);
    assert_eq!(changed(&|jwk| jwk.crv = "X25519".to_owned()), None);
    assert_eq!(changed(&|jwk| jwk.kty = "EC".to_owned()), None);
    // A point of small order.
    assert_eq!(changed(&|jwk| jwk.x = "A".repeat(43)), None);
}

#[test]
fn equal_inputs_seal_to_equal_bytes() {
    let link = Link { seq: 1, prev: None };
    assert_eq!(writer().seal(&link, &stamp(1), decision("/")), writer().seal(&link, &stamp(1), decision("/")));
}

#[test]
fn a_budget_is_given_back_only_when_the_upstream_saw_nothing() {
    for (result, name, budget) in [
        (OutcomeResult::Completed, "completed", BudgetOutcome::Committed),
        (OutcomeResult::Unreachable, "unreachable", BudgetOutcome::Released),
        (OutcomeResult::TimedOut, "timed_out", BudgetOutcome::Held),
        (OutcomeResult::Aborted, "aborted", BudgetOutcome::Held),
        (OutcomeResult::NotForwarded, "not_forwarded", BudgetOutcome::Released),
        (OutcomeResult::Withheld, "withheld", BudgetOutcome::Committed),
    ] {
        assert_eq!(serde_json::to_value(result).unwrap(), name);
        assert_eq!(result.budget(), budget, "{name}");
    }
}

/// Payloads of every kind, and what becomes of each when a member is left out, changed or added, at every depth.
fn payloads_and_mutations() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for body in bodies() {
        let entry = writer().seal(&Link { seq: 1, prev: Some([7; 32]) }, &stamp(1), body);
        let value: serde_json::Value = serde_json::from_slice(&payload(&entry)).unwrap();
        found.push(value.to_string().into_bytes());
        let outer: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        for name in outer {
            let inner: Vec<String> = value[&name].as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default();
            let places = inner.iter().map(|inner| alloc::format!("/{name}/{inner}")).chain([alloc::format!("/{name}")]);
            for place in places {
                for other in
                    [serde_json::json!(1), serde_json::json!("x"), serde_json::json!([]), serde_json::json!({"x": 1})]
                {
                    let mut changed = value.clone();
                    *changed.pointer_mut(&place).unwrap() = other;
                    found.push(changed.to_string().into_bytes());
                }
                let (parent, last) = place.rsplit_once('/').unwrap();
                let mut changed = value.clone();
                let members = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                members.remove(last).unwrap();
                found.push(changed.to_string().into_bytes());
                changed.pointer_mut(parent).unwrap()["unknown"] = serde_json::json!(1);
                found.push(changed.to_string().into_bytes());
            }
        }
    }
    found
}

#[test]
fn a_record_is_placed_exactly_when_it_is_a_record() {
    let payloads = payloads_and_mutations();
    let mut accepted = 0;
    for payload in &payloads {
        let whole = passgate_passport::json::parse_into::<Record>(payload, 65_536).ok();
        let placed = RecordPlace::read(payload, 65_536);
        assert_eq!(placed.is_some(), whole.is_some(), "{}", String::from_utf8_lossy(payload));
        if let (Some(placed), Some(whole)) = (placed, whole) {
            accepted += 1;
            let expected = RecordPlace {
                attestation_id: whole.attestation_id,
                chain_uid: whole.chain_uid,
                decision: whole.decision,
                key_rotation: whole.key_rotation,
                kind: whole.kind,
                prev: whole.prev,
                previous_chain: whole.previous_chain,
                seq: whole.seq,
                timestamp: whole.timestamp,
            };
            assert_eq!(placed, expected);
        }
    }
    assert!(accepted > bodies().len() && accepted < payloads.len() / 2, "{accepted} of {}", payloads.len());
}
