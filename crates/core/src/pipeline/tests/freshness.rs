//! Status lists and the age of the policy.

use alloc::string::ToString as _;
use alloc::sync::Arc;

use passgate_passport::memory::PassportMemory;
use passgate_passport::status::{self, NewStatusList, StatusList, StatusListContext, StatusListError, StatusRef};

use super::*;
use crate::gate::PolicyFreshness;
use crate::state::Conduct;

const URI: &str = "https://issuer.example/status/1";
const MAX_AGE: u64 = 60;

/// Entries 0 to 15, of which 3 is revoked.
fn new_list(iss: &str, issued_at: i64) -> NewStatusList {
    NewStatusList {
        iss: iss.to_owned(),
        uri: URI.to_owned(),
        iat: issued_at,
        exp: None,
        ttl_seconds: None,
        entries: 16,
        revoked: [3].into(),
    }
}

fn list(issued_at: i64, exp: Option<i64>) -> Arc<StatusList> {
    let new = NewStatusList { exp, ..new_list(ISSUER, issued_at) };
    read(&status::issue(&SecretKey::from_seed([1; 32]), &new).unwrap())
}

fn token(seed: u8, iss: &str, issued_at: i64) -> String {
    status::issue(&SecretKey::from_seed([seed; 32]), &new_list(iss, issued_at)).unwrap()
}

fn read(token: &str) -> Arc<StatusList> {
    let gate = gate();
    let issuer = gate.trust.issuer(ISSUER).unwrap();
    let context = StatusListContext { issuer, uri: Some(URI), now: NOW.seconds(), leeway_seconds: 0 };
    Arc::new(status::verify(token, &context).unwrap())
}

/// Entries 0 to 3 of two bits: valid, revoked, suspended, 3.
fn wide_list() -> Arc<StatusList> {
    let payload =
        format!(r#"{{"iat":{},"sub":"{URI}","status_list":{{"bits":2,"lst":"eNp7AgAA5QDl"}}}}"#, NOW.seconds());
    read(&passgate_passport::jws::sign(
        &SecretKey::from_seed([1; 32]),
        passgate_passport::jws::TokenType::StatusList,
        payload.as_bytes(),
    ))
}

fn checking(lists: impl IntoIterator<Item = Arc<StatusList>>) -> Gate {
    let mut gate = gate();
    gate.status_lists.require(ISSUER.to_owned(), MAX_AGE);
    for list in lists {
        assert!(gate.status_lists.insert(list));
    }
    gate
}

fn call(entry: Option<u64>) -> Call {
    let mut call = Call::new("GET", "/search", "");
    let status = entry.map(|idx| StatusRef { idx, uri: URI.to_owned() });
    call.headers = vec![("agent-passport".to_owned(), passport_with(&["web:*"], status).into_bytes())];
    call
}

fn judged(gate: &Gate, entry: Option<u64>) -> Result<Judged, Refusal> {
    call(entry).signed(1).judged(gate)
}

fn reason(gate: &Gate, entry: Option<u64>) -> Reason {
    judged(gate, entry).unwrap_err().reason
}

#[test]
fn a_valid_entry_of_a_fresh_list_is_recorded_with_its_age() {
    let gate = checking([list(NOW.seconds() - 7, None)]);
    let judged = judged(&gate, Some(4)).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    let record = judged.record(&decision);
    let consulted = record.status_list.unwrap();
    assert_eq!((consulted.age_seconds, consulted.status.as_str(), consulted.uri.as_str()), (7, "valid", URI));
    assert_eq!(consulted.issued_at, UnixMillis(NOW.0 - 7000).rfc3339());
    assert!(record.not_checked.is_empty());
    assert_eq!(Judged::from_bytes(&judged.to_bytes()).unwrap().to_bytes(), judged.to_bytes());
}

#[test]
fn what_is_not_checked_is_said() {
    let judged = judged(&gate(), Some(3)).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(decision.verdict.kind(), DecisionKind::Allow);
    let record = judged.record(&decision);
    assert_eq!((record.not_checked, record.status_list), (vec!["status_list".to_owned()], None));
}

#[test]
fn every_status_but_valid_is_refused() {
    let gate = checking([wide_list()]);
    assert!(judged(&gate, Some(0)).is_ok());
    for (entry, reason, status) in [
        (1, Reason::StatusRevoked, "invalid"),
        (2, Reason::StatusSuspended, "suspended"),
        (3, Reason::StatusUnknown, "other"),
        (4, Reason::StatusUnknown, "out_of_range"),
    ] {
        let refusal = judged(&gate, Some(entry)).unwrap_err();
        let record = refusal.record(&gate, NOW);
        assert_eq!((refusal.reason, record.status_list.unwrap().status.as_str()), (reason, status));
        assert_eq!(refusal.agent().unwrap().agent_id, "bot-1");
        assert_eq!(reason.public_code(), "credential_rejected");
    }
}

#[test]
fn a_passport_without_status_or_without_its_list_is_refused() {
    let gate = checking([]);
    assert_eq!(reason(&gate, None), Reason::StatusMissing);
    let refusal = judged(&gate, Some(0)).unwrap_err();
    assert_eq!(refusal.reason, Reason::StatusListUnavailable);
    assert_eq!(refusal.record(&gate, NOW).status_list, None);
}

#[test]
fn a_list_is_relied_on_until_it_is_too_old_or_ends() {
    for (age, lasts, fresh) in
        [(MAX_AGE, None, true), (MAX_AGE + 1, None, false), (5, Some(6), true), (5, Some(5), false)]
    {
        let issued_at = NOW.seconds() - i64::try_from(age).unwrap();
        let gate = checking([list(issued_at, lasts.map(|seconds| issued_at + seconds))]);
        match judged(&gate, Some(0)) {
            Ok(_) => assert!(fresh, "{age} {lasts:?}"),
            Err(refusal) => {
                assert!(!fresh, "{age} {lasts:?}");
                assert_eq!(refusal.reason, Reason::StatusListStale);
                let consulted = refusal.record(&gate, NOW).status_list.unwrap();
                assert_eq!((consulted.age_seconds, consulted.status.as_str()), (age, "valid"));
            }
        }
    }
}

#[test]
fn an_older_list_never_replaces_a_newer_one() {
    let mut gate = checking([list(NOW.seconds() - 5, None)]);
    assert!(!gate.status_lists.insert(list(NOW.seconds() - 6, None)));
    assert_eq!(gate.status_lists.get(ISSUER, URI).unwrap().issued_at(), NOW.seconds() - 5);
    assert!(gate.status_lists.insert(list(NOW.seconds() - 4, None)));
    assert!(!StatusLists::default().insert(list(NOW.seconds(), None)), "nobody asked for lists of this issuer");
    assert_eq!(gate.status_lists.iter().count(), 1);
}

#[test]
fn only_who_holds_the_key_learns_of_the_status() {
    let gate = checking([]);
    for entry in [None, Some(0), Some(3)] {
        assert_eq!(call(entry).judged(&gate).unwrap_err().reason, Reason::ProofMissing, "{entry:?}");
    }
}

#[test]
fn a_policy_is_relied_on_until_its_last_second_and_its_age_recorded() {
    let mut gate = gate();
    let freshness = PolicyFreshness { issued_at: NOW.seconds() - 9, good_until: NOW.seconds() };
    gate.policy_freshness = Some(freshness);
    let judged = Call::new("GET", "/search", "").signed(1).judged(&gate).unwrap();
    let decision = decide(&judged, &admit(&mut LoadedRows::new(), &judged));
    assert_eq!(judged.record(&decision).policy.age_seconds, Some(9));

    gate.policy_freshness = Some(PolicyFreshness { good_until: NOW.seconds() - 1, ..freshness });
    let stranger = RawRequest { method: "GET", authority: None, path: "/..", query: None, headers: &[], body: b"" };
    for refusal in [
        Call::new("GET", "/search", "").signed(1).judged(&gate).unwrap_err(),
        judge_request(&gate, &stranger, NOW, Conduct::default(), &PassportMemory::NOTHING).unwrap_err(),
    ] {
        assert_eq!((refusal.reason, refusal.agent()), (Reason::PolicyStale, None));
        let record = refusal.record(&gate, NOW);
        assert_eq!((record.policy.age_seconds, record.policy.version), (Some(9), 7));
        assert!(refusal.detail.contains(&freshness.good_until.saturating_sub(1).to_string()));
    }
}

#[test]
fn a_clock_before_the_policy_gives_no_negative_age() {
    let mut gate = gate();
    gate.policy_freshness = Some(PolicyFreshness { issued_at: NOW.seconds() + 9, good_until: i64::MAX });
    assert_eq!(gate.policy_record(NOW).age_seconds, Some(0));
}

#[test]
fn a_gate_takes_the_lists_of_the_issuers_it_checks_and_no_others() {
    let own = token(1, ISSUER, NOW.seconds() - 5);
    let (stranger, misnamed) = (token(9, ISSUER, NOW.seconds()), token(1, "https://other.example", NOW.seconds()));
    assert_eq!(gate().add_status_list(None, &own, NOW), Err(StatusListError::KeyUnknown));
    let mut gate = checking([]);
    assert_eq!(gate.add_status_list(Some(URI), &stranger, NOW), Err(StatusListError::KeyUnknown));
    assert_eq!(gate.add_status_list(Some(URI), &misnamed, NOW), Err(StatusListError::IssuerMismatch));
    assert_eq!(gate.add_status_list(Some("https://other.example"), &own, NOW), Err(StatusListError::UriMismatch));
    assert_eq!(reason(&gate, Some(0)), Reason::StatusListUnavailable);
    assert_eq!(gate.add_status_list(Some(URI), &own, NOW), Ok(true));
    assert_eq!(gate.add_status_list(None, &token(1, ISSUER, NOW.seconds() - 6), NOW), Ok(false));
    assert!(judged(&gate, Some(0)).is_ok());
}
