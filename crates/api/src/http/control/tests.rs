use std::future::poll_fn;

use futures_executor::block_on;
use passgate_core::attest::{GateRecord, Stamp, Writer};
use passgate_core::gate::{EvaluatorRef, PolicyFreshness};
use passgate_core::ledger::Verifier;
use passgate_passport::issue::{self, NewPassport};
use passgate_passport::key::SecretKey;
use passgate_passport::scope::Scope;
use passgate_passport::status::StatusRef;
use passgate_store::failing::{FailingStore, Failure, Verb};
use passgate_store::{MemoryStore, State as _};

use super::*;
use crate::bundle::Bundle;
use crate::driver::Driver;

mod approvals;

const NOW_MS: u64 = 1_800_000_000_000;
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";

/// A gate over a store that can be made to fail.
struct TestGate {
    store: Arc<FailingStore<MemoryStore>>,
    driver: Driver,
    gate: Arc<Gate>,
    keys: Vec<DatedKey>,
}

fn stamp(number: u8) -> Stamp {
    Stamp { now: UnixMillis(NOW_MS + u64::from(number)), random: [number; 10] }
}

fn gate() -> Arc<TestGate> {
    Arc::new(new_gate())
}

fn new_gate() -> TestGate {
    let key = |seed: u8| SecretKey::from_seed([seed; 32]).public().to_jwk();
    let policy = format!(
        r#"{{"version":1,"gate":{{"id":"gate_1","level":"L2","public_url":"https://gate.example"}},
        "issuers":[{{"id":"{ISSUER}","tier":"L2","keys":[{{"jwk":{}}}]}}],
        "routes":[{{"method":"GET","path":"/search","action":"web:search"}}],
        "approvals":{{"approvers":[{{"name":"alice","key":{},"roles":["finance"]}},{{"name":"bob","key":{}}},
        {{"name":"bot","key":{},"roles":["finance"]}}]}}}}"#,
        key(1),
        key(21),
        key(22),
        key(23)
    );
    let evaluator = EvaluatorRef { digest: "d".to_owned(), engine: "native".to_owned(), version: "0".to_owned() };
    let gate = serde_json::from_str::<Bundle>(&policy).unwrap().compile(evaluator).unwrap();
    let store = Arc::new(FailingStore::new(MemoryStore::new(NOW - 3600)));
    let record = GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() };
    let writer = Writer::new(SecretKey::from_seed([9; 32]), stamp(0).chain_uid(), record);
    let driver = block_on(Driver::start(store.clone(), writer, stamp(0))).unwrap();
    let keys = vec![DatedKey::unbounded(driver.writer().public_key().clone())];
    TestGate { store, driver, gate: Arc::new(gate), keys }
}

#[async_trait]
impl Controlled for TestGate {
    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(NOW_MS)
    }

    fn ledger(&self) -> &dyn Ledger {
        self.store.as_ref()
    }

    fn keys(&self) -> Vec<DatedKey> {
        self.keys.clone()
    }

    fn seal_head(&self, payload: &[u8]) -> Result<String, OperationError> {
        Ok(self.driver.writer().seal_head(payload))
    }

    async fn standing(&self, subjects: &[Subject]) -> Result<Vec<Standing>, OperationError> {
        let mut found = Vec::new();
        for subject in subjects {
            found.push(self.store.standing(subject).await?);
        }
        Ok(found)
    }

    async fn revoke(&self, what: &Revocation) -> Result<String, OperationError> {
        // A record's id is as unique as its stamp.
        let number = u8::try_from(self.store.calls(Verb::Revoke)).unwrap() + 1;
        Ok(self.driver.revoke(what.subject().clone(), stamp(number)).await?.jws)
    }

    async fn change(&self, which: Suspension, what: &Revocation) -> Result<Change, OperationError> {
        let calls = self.store.calls(Verb::Suspend) + self.store.calls(Verb::Reinstate);
        let (subject, stamp) = (what.subject().clone(), stamp(u8::try_from(calls).unwrap() + 101));
        let done = match which {
            Suspension::Suspend => self.driver.suspend(subject, stamp).await?,
            Suspension::Reinstate => self.driver.reinstate(subject, stamp).await?,
        };
        Ok(Change { record: done.entry.jws, changed: done.changed })
    }

    async fn reconcile(&self, what: &Reconciliation) -> Result<String, OperationError> {
        let number = u8::try_from(self.store.calls(Verb::Settle)).unwrap() + 201;
        Ok(self.driver.reconcile(&what.decision_id, what.record(), stamp(number)).await?.jws)
    }

    async fn approval_request(&self, id: &str) -> Result<Option<ApprovalRequest>, OperationError> {
        Ok(self.store.approval_request(id).await?)
    }

    async fn approval_requests(&self, after: &str, limit: usize) -> Result<Vec<ApprovalRequest>, OperationError> {
        Ok(self.store.approval_requests(after, limit).await?)
    }

    async fn answer_request(&self, id: &str, answer: GivenAnswer) -> Result<String, OperationError> {
        let number = u8::try_from(self.store.calls(Verb::ChangeRequest)).unwrap() + 151;
        Ok(self.driver.answer_request(self.gate(), id, answer, stamp(number)).await?)
    }

    async fn end_request(&self, id: &str, state: RequestState) -> Result<(), OperationError> {
        self.driver.end_request(id, state).await?;
        Ok(())
    }
}

/// A whole answer: its status, and its body or the error that breaks it off.
fn ask(gate: &Arc<TestGate>, method: &str, target: &str, body: &str) -> (u16, Result<String, String>) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let reply = match Route::parse(method, path) {
        Ok(route) => block_on(respond(Arc::clone(gate) as Arc<dyn Controlled>, route, query, body.as_bytes())),
        Err(error) => Reply::from(error),
    };
    let kind = reply.fields.iter().find(|(name, _)| *name == "content-type").unwrap();
    assert_eq!(kind.1 == "application/problem+json", reply.status >= 400, "{target}");
    (reply.status, read(reply.body))
}

fn read(body: Body) -> Result<String, String> {
    let bytes = match body {
        Body::Whole(bytes) => bytes,
        Body::Pieces(mut pieces) => block_on(async {
            let mut bytes = Vec::new();
            while let Some(piece) = poll_fn(|cx| pieces.as_mut().poll_next(cx)).await {
                bytes.extend(piece.map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(bytes)
        })?,
    };
    Ok(String::from_utf8(bytes).unwrap())
}

fn json(answer: (u16, Result<String, String>)) -> (u16, Value) {
    (answer.0, serde_json::from_str(&answer.1.unwrap()).unwrap())
}

fn passport(change: impl Fn(&mut NewPassport)) -> String {
    let scopes = vec![Scope::parse("web:*").unwrap()];
    let jti = passgate_passport::id::new_id("pass", NOW_MS, [3; 10]);
    let key = SecretKey::from_seed([2; 32]).public().clone();
    let mut passport = NewPassport::new(jti, "agent-7".to_owned(), key, scopes, NOW - 60, NOW + 60);
    passport.iss = Some(ISSUER.to_owned());
    change(&mut passport);
    issue::issue(&SecretKey::from_seed([1; 32]), &passport).unwrap()
}

fn verify(gate: &Arc<TestGate>, passport: &str, audience: Option<&str>) -> Value {
    let body =
        serde_json::to_string(&Presented { passport: passport.to_owned(), audience: audience.map(str::to_owned) });
    let (status, verification) = json(ask(gate, "POST", "/v1/passports/verify", &body.unwrap()));
    assert_eq!(status, 200);
    verification
}

/// `n` revocations of issuers nobody has heard of, as records.
fn fill(gate: &Arc<TestGate>, n: usize) {
    for number in 0..n {
        let body = format!("{{\"kind\":\"issuer\",\"id\":\"i{number}\"}}");
        assert_eq!(ask(gate, "POST", "/v1/revocations", &body).0, 201);
    }
}

#[test]
fn what_is_revoked_is_recorded_found_and_exported() {
    let gate = gate();
    let id = "pass_01ARYZ6S410000000000000001";
    let path = format!("/v1/passports/{id}/revoke");
    let (status, record) = json(ask(&gate, "POST", &path, ""));
    assert_eq!((status, &record["kind"], &record["seq"]), (201, &"revocation".into(), &1.into()));
    fill(&gate, 1);

    let state = |query: &str| json(ask(&gate, "GET", &format!("/v1/revocations?{query}"), "")).1["revoked_at"].clone();
    assert_eq!(state(&format!("kind=passport&id={id}")), NOW);
    assert_eq!(state("kind=issuer&id=i0"), NOW);
    assert_eq!(state("kind=issuer&id=other"), Value::Null);

    let (_, page) = json(ask(&gate, "GET", "/v1/attestations?limit=2", ""));
    assert_eq!(page["attestations"].as_array().unwrap().len(), 2);
    let next = format!("/v1/attestations?cursor={}", page["next_cursor"].as_str().unwrap());
    let (_, rest) = json(ask(&gate, "GET", &next, ""));
    assert_eq!((rest["attestations"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));
    let one = format!("/v1/attestations/{}", record["attestation_id"].as_str().unwrap());
    assert_eq!(json(ask(&gate, "GET", &one, "")), (200, Value::Object(record.as_object().unwrap().clone())));

    let (status, keys) = json(ask(&gate, "GET", "/v1/keys", ""));
    assert_eq!((status, keys["keys"].as_array().unwrap().len()), (200, 1));
    let (status, table) = ask(&gate, "GET", "/v1/attestations/export?format=csv", "");
    assert_eq!((status, table.unwrap().lines().count()), (200, 4));
    let (status, lines) = ask(&gate, "GET", "/v1/attestations/export", "");
    let keys: Vec<_> = gate.keys.iter().map(|entry| entry.key.clone()).collect();
    let mut verifier = Verifier::new(&keys);
    lines.unwrap().lines().for_each(|line| verifier.line(line.as_bytes()).unwrap());
    let head = verifier.finish().unwrap().head;
    assert_eq!((status, head.records, head.partial), (200, 3, false));
}

#[test]
fn what_is_suspended_is_recorded_found_and_reinstated() {
    let gate = gate();
    let issuer = r#"{"kind":"issuer","id":"i"}"#;
    let state = || {
        let state = json(ask(&gate, "GET", "/v1/revocations?kind=issuer&id=i", "")).1;
        (state["revoked_at"].clone(), state["suspended_at"].clone())
    };
    for (path, kind, status, suspended) in [
        ("/v1/reinstatements", "reinstatement", 200, false),
        ("/v1/suspensions", "suspension", 201, true),
        ("/v1/suspensions", "suspension", 200, true),
        ("/v1/reinstatements", "reinstatement", 201, false),
        ("/v1/suspensions", "suspension", 201, true),
    ] {
        let (answered, record) = json(ask(&gate, "POST", path, issuer));
        assert_eq!((answered, &record["kind"], &record["subject"]["id"]), (status, &kind.into(), &"i".into()));
        assert_eq!(state(), (Value::Null, if suspended { NOW.into() } else { Value::Null }), "{path}");
    }
    assert_eq!(ask(&gate, "POST", "/v1/revocations", issuer).0, 201);
    let (status, problem) = json(ask(&gate, "POST", "/v1/reinstatements", issuer));
    assert_eq!((status, &problem["reason_code"]), (409, &REVOKED_CODE.into()));
    assert!(problem["detail"].as_str().unwrap().contains("cannot be lifted"), "{problem}");
    assert_eq!(ask(&gate, "POST", "/v1/suspensions", issuer).0, 200);
    assert_eq!(state(), (NOW.into(), NOW.into()));
}

#[test]
fn requests_that_make_no_sense_are_problems() {
    let gate = gate();
    let large = format!("{{\"kind\":\"issuer\",\"id\":\"{}\"}}", "a".repeat(20 * 1024));
    for (method, target, body, status) in [
        ("GET", "/v1/attestations?limit=0", "", 400),
        ("GET", "/v1/attestations?agent=x", "", 400),
        ("GET", "/v1/attestations?limit=1&limit=2", "", 400),
        ("GET", "/v1/attestations?format=csv", "", 400),
        ("GET", "/v1/attestations/export?limit=1", "", 400),
        ("GET", "/v1/attestations/export?cursor=0.1", "", 400),
        ("GET", "/v1/attestations/att_none", "", 404),
        ("GET", "/v1/revocations", "", 400),
        ("GET", "/v1/revocations?kind=passport&id=x", "", 400),
        ("POST", "/v1/revocations", "", 400),
        ("POST", "/v1/revocations", "{\"kind\":\"key\",\"thumbprint\":\"\"}", 400),
        ("POST", "/v1/revocations", &large, 413),
        ("POST", "/v1/passports/x/revoke", "", 400),
        ("POST", "/v1/suspensions", "", 400),
        ("POST", "/v1/suspensions", "{\"kind\":\"key\",\"thumbprint\":\"\"}", 400),
        ("POST", "/v1/reinstatements", "{\"kind\":\"passport\",\"id\":\"x\"}", 400),
        ("DELETE", "/v1/suspensions", "", 405),
        ("POST", "/v1/passports/verify", "{}", 400),
        ("POST", "/v1/passports/verify", "{\"passport\":\"a.b.c\",\"gate\":\"x\"}", 400),
        ("POST", "/v1/passports/verify", "{\"passport\":\"a\",\"passport\":\"b\"}", 400),
        ("GET", "/v1/bundle", "", 404),
        ("PUT", "/v1/bundle", "e30.e30.AA", 404),
        ("GET", "/v1/status-lists/k", "", 404),
        ("PUT", "/v1/status-lists", "e30.e30.AA", 404),
        ("GET", "/v1/plugins/shops/keys/list", "", 404),
        ("PUT", "/v1/plugins/shops/keys/list", "value", 404),
        ("DELETE", "/v1/plugins/shops/keys/list", "", 404),
        ("GET", "/v1/nothing", "", 404),
        ("DELETE", "/v1/attestations", "", 405),
    ] {
        let (found, problem) = json(ask(&gate, method, target, body));
        assert_eq!((found, &problem["status"]), (status, &status.into()), "{method} {target} {body}");
    }
}

#[test]
fn a_failing_store_is_an_answer_and_never_a_part_that_looks_whole() {
    let gate = gate();
    fill(&gate, 2);
    let revoked = "{\"kind\":\"issuer\",\"id\":\"i\"}";
    for (verb, method, target, body) in [
        (Verb::Records, "GET", "/v1/attestations", ""),
        (Verb::Record, "GET", "/v1/attestations/att_1", ""),
        (Verb::Standing, "GET", "/v1/revocations?kind=issuer&id=i", ""),
        (Verb::Revoke, "POST", "/v1/revocations", revoked),
        (Verb::Suspend, "POST", "/v1/suspensions", revoked),
        (Verb::Reinstate, "POST", "/v1/reinstatements", revoked),
    ] {
        gate.store.fail(verb, Failure::NotWritten);
        let (status, problem) = json(ask(&gate, method, target, body));
        assert_eq!((status, &problem["reason_code"]), (503, &"store_unavailable".into()), "{method} {target}");
        gate.store.heal();
    }
    for target in ["/v1/attestations/export", "/v1/attestations/export?format=csv", "/v1/ledger/verify"] {
        gate.store.fail(Verb::Records, Failure::NotWritten);
        let (status, body) = ask(&gate, "GET", target, "");
        assert_eq!(status, 200, "{target}");
        assert!(body.unwrap_err().contains("unavailable"), "{target}");
        gate.store.heal();
    }
}

#[test]
fn a_ledger_is_verified_where_it_is_kept() {
    let gate = gate();
    fill(&gate, 3);
    let report = |gate: &Arc<TestGate>| json(ask(gate, "GET", "/v1/ledger/verify", "")).1;
    let whole = serde_json::json!({ "valid": true, "records": 4, "chains": 1, "not_checked": [] });
    assert_eq!(report(&gate), whole);

    let mut stranger = new_gate();
    stranger.keys =
        vec![passgate_passport::trust::IssuerKey::unbounded(SecretKey::from_seed([8; 32]).public().clone())];
    let broken = report(&Arc::new(stranger));
    assert_eq!((&broken["valid"], &broken["break"]["record"]), (&false.into(), &1.into()));
    assert_eq!(broken["break"]["what"], "the record is signed with a key that is not trusted");
    assert_eq!(broken["break"]["seq"], 0);
}

#[test]
fn a_passport_that_holds_is_shown() {
    let gate = gate();
    let shown = verify(&gate, &passport(|passport| passport.agent_name = Some("Seven".to_owned())), None);
    let expected = serde_json::json!({
        "valid": true,
        "gate_id": "gate_1",
        "passport_id": passgate_passport::id::new_id("pass", NOW_MS, [3; 10]),
        "agent_id": "agent-7",
        "agent_name": "Seven",
        "issuer": ISSUER,
        "trust_tier": "L2",
        "key_thumbprint": SecretKey::from_seed([2; 32]).public().thumbprint(),
        "permissions": ["web:*"],
        "expires_at": "2027-01-15T08:01:00.000Z",
        "not_checked": ["proof_of_possession"],
    });
    assert_eq!(shown, expected);
    gate.store.fail(Verb::Standing, Failure::NotWritten);
    let unchecked = verify(&gate, &passport(|_| {}), None);
    assert_eq!((&unchecked["valid"], &unchecked["not_checked"][1]), (&true.into(), &"revocation".into()));
}

#[test]
fn passports_are_for_their_audience() {
    let gate = gate();
    let meant = |audience: &str| passport(|passport| passport.aud = Some(vec![audience.to_owned()]));
    let valid = |audience: &str, asked: Option<&str>| verify(&gate, &meant(audience), asked)["valid"].clone();
    assert_eq!(valid("gate_1", None), true);
    assert_eq!(valid("gate_2", None), false);
    assert_eq!(valid("gate_2", Some("gate_2")), true);
    assert_eq!(valid("gate_1", Some("gate_2")), false);
}

#[test]
fn the_status_list_and_the_age_of_the_policy_count_as_in_a_request() {
    let listed = |passport: &mut NewPassport| {
        passport.status_list = Some(StatusRef { uri: "https://issuer.example/list".to_owned(), idx: 3 });
    };
    let (named, unnamed) = (passport(listed), passport(|_| {}));
    let unlisted = gate();
    assert_eq!(verify(&unlisted, &named, None)["not_checked"][1], "status_list");

    let mut lists = (*unlisted.gate).clone();
    lists.status_lists.require(ISSUER.to_owned(), 60);
    let strict = Arc::new(TestGate { gate: Arc::new(lists), ..new_gate() });
    assert_eq!(verify(&strict, &unnamed, None)["reason_code"], "credential_rejected");
    assert_eq!(verify(&strict, &named, None)["reason_code"], "status_list_unavailable");

    let mut old = (*unlisted.gate).clone();
    old.policy_freshness = Some(PolicyFreshness { issued_at: NOW - 60, good_until: NOW - 1 });
    let old = Arc::new(TestGate { gate: Arc::new(old), ..new_gate() });
    assert_eq!(verify(&old, &unnamed, None)["reason_code"], "policy_stale");
}

#[test]
fn passports_that_do_not_hold_are_told_apart_by_nobody() {
    let gate = gate();
    let good = passport(|_| {});
    let key = SecretKey::from_seed([2; 32]).public().thumbprint().to_owned();
    let refused = serde_json::json!({
        "valid": false, "gate_id": "gate_1", "reason_code": "credential_rejected", "not_checked": []
    });
    let mut forged = good.clone();
    forged.replace_range(good.len() - 4.., "AAAA");
    let unknown = passport(|passport| passport.iss = Some("https://other.example".to_owned()));
    let expired = passport(|passport| (passport.iat, passport.exp) = (NOW - 7200, NOW - 3600));
    for token in ["", "x", forged.as_str(), unknown.as_str(), expired.as_str()] {
        assert_eq!(verify(&gate, token, None), refused, "{token}");
    }
    assert_eq!(verify(&gate, &good, None)["valid"], true);
    let revocation = format!("{{\"kind\":\"key\",\"thumbprint\":\"{key}\"}}");
    assert_eq!(ask(&gate, "POST", "/v1/revocations", &revocation).0, 201);
    assert_eq!(verify(&gate, &good, None), refused);
}
