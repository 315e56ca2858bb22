use alloc::string::ToString as _;
use alloc::vec;
use std::collections::BTreeSet;

use super::*;
use crate::jws::JwsError;

const PAGE: &str = include_str!("../../../../docs/spec/approval.md");
const IAT: i64 = 1_800_000_000;
const GATE: &str = "gate-1";

struct Person(&'static str, SecretKey);

impl Approver for Person {
    fn name(&self) -> &str {
        self.0
    }

    fn key(&self) -> &PublicKey {
        self.1.public()
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

fn people() -> [Person; 2] {
    [Person("alice", key(1)), Person("bob", key(2))]
}

fn approval() -> Approval {
    Approval {
        audience: GATE.into(),
        exp: IAT + 600,
        grant: None,
        iat: IAT,
        issuer: "alice".into(),
        jti: "appr_01ARYZ6S410000000000000001".into(),
        request_id: "areq_01ARYZ6S410000000000000002".into(),
        shown_sha256: [7; 32],
    }
}

fn grant() -> Grant {
    let constraints =
        r#"{"spend":{"per_transaction_micro_usd":5,"total_micro_usd":9},"resources":["customers/*"],"task":"t-1"}"#;
    Grant {
        agent: Agent { id: "shopper".into(), issuer: "https://issuer.example".into() },
        holder_jkt: None,
        constraints: Constraints::from_json(constraints.as_bytes(), 1024).unwrap(),
        needs: vec!["rule_step_up:large-refunds".into()],
        permissions: vec![Scope::parse("payments:refund").unwrap()],
        uses: 3,
    }
}

fn granting() -> Approval {
    Approval { exp: IAT + MAX_GRANT_TTL_SECONDS, grant: Some(grant()), ..approval() }
}

/// Signed, whether or not a gate would take it.
fn signed(seed: u8, approval: &Approval) -> String {
    jws::sign(&key(seed), TokenType::Approval, &approval.payload().unwrap())
}

fn verified(token: &str) -> Result<Approval, ApprovalError> {
    verified_at(token, IAT + 30, GATE)
}

fn verified_at(token: &str, now: i64, gate_id: &str) -> Result<Approval, ApprovalError> {
    let people = people();
    let context = ApprovalContext { now, leeway_seconds: 5, gate_id };
    verify(token, &people, &context).map(|verified| {
        assert_eq!(verified.approver().0, verified.approval().issuer);
        verified.approval().clone()
    })
}

#[test]
fn what_is_signed_reads_back_and_its_bytes_are_pinned() {
    let held = Grant { holder_jkt: Some(key(3).public().thumbprint().into()), ..grant() };
    for approval in [approval(), granting(), Approval { grant: Some(held), ..granting() }] {
        assert_eq!(verified(&sign(&key(1), &approval).unwrap()), Ok(approval));
    }
    let text = String::from_utf8(granting().payload().unwrap()).unwrap();
    let expected = concat!(
        r#"{"aud":"gate-1","exp":1800604800,"grant":{"agent":{"id":"shopper","issuer":"https://issuer.example"},"#,
        r#""constraints":{"resources":["customers/*"],"spend":{"per_transaction_micro_usd":5,"total_micro_usd":9},"task":"t-1"},"#,
        r#""needs":["rule_step_up:large-refunds"],"permissions":["payments:refund"],"uses":3},"iat":1800000000,"iss":"alice","jti":"appr_01ARYZ6S410000000000000001","#,
        r#""request_id":"areq_01ARYZ6S410000000000000002","#,
        r#""shown_sha256":"sha256:0707070707070707070707070707070707070707070707070707070707070707","v":1}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn each_check_has_its_code_and_the_first_that_fails_is_reported() {
    let of = |change: fn(&mut Approval)| {
        let mut approval = approval();
        change(&mut approval);
        approval
    };
    let mut codes = BTreeSet::new();
    for (token, code) in [
        (signed(3, &approval()), "approval_key_unknown"),
        (signed(2, &approval()), "approval_issuer_mismatch"),
        (signed(1, &of(|a| a.audience = "gate-2".into())), "approval_audience_mismatch"),
        (signed(1, &of(|a| a.exp = a.iat + MAX_APPROVAL_TTL_SECONDS + 1)), "approval_lifetime_exceeded"),
        (signed(1, &of(|a| (a.iat, a.exp) = (IAT + 36, IAT + 40))), "approval_not_yet_valid"),
        (signed(1, &of(|a| (a.iat, a.exp) = (IAT, IAT + 29))), "approval_expired"),
        (signed(1, &of(|a| a.jti = "appr_1".into())), "approval_malformed"),
        (jws::sign(&key(1), TokenType::ActionPass, &approval().payload().unwrap()), "approval_malformed"),
    ] {
        let error = verified(&token).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        codes.insert(code);
    }
    let (said, other) = (signed(1, &approval()), signed(1, &granting()));
    let forged = [said.rsplit_once('.').unwrap().0, ".", other.rsplit_once('.').unwrap().1].concat();
    assert_eq!(verified(&forged).unwrap_err(), ApprovalError::SignatureInvalid);
    codes.insert("approval_signature_invalid");
    assert_eq!(codes.len(), ApprovalError::CODES.len());
    assert_eq!(ApprovalError::from(JwsError::KeyMismatch), ApprovalError::KeyUnknown);
}

#[test]
fn it_holds_to_its_last_second_whatever_the_leeway() {
    let token = sign(&key(1), &approval()).unwrap();
    let exp = approval().exp;
    assert!(verified_at(&token, exp, GATE).is_ok());
    assert_eq!(verified_at(&token, exp + 1, GATE), Err(ApprovalError::Expired { exp, now: exp + 1 }));
    assert!(verified_at(&token, IAT - 5, GATE).is_ok());
    assert!(verified_at(&token, IAT - 6, GATE).is_err());
}

#[test]
fn a_grant_says_nothing_that_nobody_holds_a_request_against() {
    let limits = |json: &str| Constraints::from_json(json.as_bytes(), 1024).unwrap();
    for constraints in [
        limits(r#"{"spend":{"daily_micro_usd":1}}"#),
        limits(r#"{"rate":{"requests_per_minute":1}}"#),
        limits(r#"{"purpose":"x"}"#),
        limits(r#"{"labels":["x"]}"#),
    ] {
        let approval = Approval { grant: Some(Grant { constraints, ..grant() }), ..granting() };
        let said = sign(&key(1), &approval).unwrap_err().to_string();
        assert!(said.contains("grant.constraints"), "{said}");
        assert_eq!(verified(&signed(1, &approval)).unwrap_err().code(), "approval_malformed");
    }
    for grant in [
        Grant { uses: 0, ..grant() },
        Grant { holder_jkt: Some("short".into()), ..grant() },
        Grant { uses: MAX_GRANT_USES + 1, ..grant() },
        Grant { permissions: vec![], ..grant() },
        Grant { needs: vec![], ..grant() },
        Grant { needs: vec!["a b".into()], ..grant() },
        Grant { permissions: vec![Scope::parse("a:b").unwrap(); 2], ..grant() },
        Grant { agent: Agent { id: String::new(), issuer: "i".into() }, ..grant() },
    ] {
        let approval = Approval { grant: Some(grant), ..granting() };
        assert!(sign(&key(1), &approval).is_err(), "{approval:?}");
        assert!(verified(&signed(1, &approval)).is_err(), "{approval:?}");
    }
}

#[test]
fn nothing_is_signed_that_lives_too_long() {
    let long = Approval { exp: IAT + MAX_APPROVAL_TTL_SECONDS + 1, ..approval() };
    assert!(matches!(sign(&key(1), &long), Err(SignError::LifetimeExceeded { .. })));
    assert!(sign(&key(1), &Approval { exp: IAT + MAX_APPROVAL_TTL_SECONDS, ..approval() }).is_ok());
}

#[test]
fn members_that_are_not_known_refuse_it() {
    let text = String::from_utf8(granting().payload().unwrap()).unwrap();
    for (from, to) in [
        (r#""v":1"#, r#""v":2"#),
        (r#""v":1"#, r#""v":1,"w":1"#),
        (r#""uses":3"#, r#""uses":3,"w":1"#),
        (r#""uses":3"#, r#""uses":3.5"#),
        (r#""id":"shopper""#, r#""id":"shopper","w":1"#),
        ("sha256:0707", "sha256:07"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let token = jws::sign(&key(1), TokenType::Approval, changed.as_bytes());
        assert_eq!(verified(&token).unwrap_err().code(), "approval_malformed", "{to}");
    }
}

#[test]
fn the_page_has_every_code_and_the_examples() {
    for code in ApprovalError::CODES {
        assert!(PAGE.contains(&alloc::format!("| `{code}` |")), "{code}");
    }
    let json: serde_json::Value = serde_json::from_slice(&granting().payload().unwrap()).unwrap();
    let blocks = PAGE.split("```json\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let mut blocks = blocks.map(|(block, _)| serde_json::from_str::<serde_json::Value>(block).unwrap());
    assert!(blocks.any(|block| block == json));
    let token = sign(&key(1), &granting()).unwrap();
    assert!(PAGE.contains(&token), "{token}");
}
