use std::sync::Arc;

use futures_executor::block_on;
use passgate_core::attest::{BudgetOutcome, GateRecord, Kind, OutcomeRecord, OutcomeResult, Record};
use passgate_core::gate::EvaluatorRef;
use passgate_core::ledger::{HeadBuilder, Verifier, head_line, record_line};
use passgate_core::time::UnixMillis;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::{self, NewPassport};
use passgate_passport::key::SecretKey;
use passgate_passport::proof::{self, ProofParams};
use passgate_passport::scope::Scope;
use passgate_store::{Filter, Ledger, MemoryStore};

use super::*;
use crate::bundle::Bundle;

const NOW_MS: u64 = 1_800_000_000_000;

fn stamp(n: u8) -> Stamp {
    Stamp { now: UnixMillis(NOW_MS + u64::from(n)), random: [n; 10] }
}

fn gate() -> Gate {
    let issuer = SecretKey::from_seed([1; 32]).public().to_jwk();
    let policy = format!(
        r#"{{"version":1,"gate":{{"id":"gate_1","level":"L2","public_url":"https://gate.example"}},
        "issuers":[{{"id":"https://issuer.example","tier":"L2","keys":[{{"jwk":{issuer}}}]}}],
        "routes":[{{"method":"GET","path":"/search","action":"web:search"}},
                  {{"method":"POST","path":"/pay","action":"payments:create","amount":{{"pointer":"/usd"}}}}],
        "guardrails":{{"rate_limits":{{"requests_per_minute":10}},"spend_limits":{{"daily_usd":80}},"approval_workflows":{{"require_approval_above_usd":50}}}}}}"#
    );
    let bundle: Bundle = serde_json::from_str(&policy).unwrap();
    bundle
        .compile(EvaluatorRef { digest: "sha256:11".to_owned(), engine: "native".to_owned(), version: "0".to_owned() })
        .unwrap()
}

/// The signed field lines of one request.
fn signed(method: &str, path: &str, body: &str, nonce: u32) -> Vec<(&'static str, Vec<u8>)> {
    let agent = SecretKey::from_seed([2; 32]);
    let scopes = vec![Scope::parse("*").unwrap()];
    let now = i64::try_from(NOW_MS / 1000).unwrap();
    let jti = passgate_passport::id::new_id("pass", NOW_MS, [3; 10]);
    let mut passport = NewPassport::new(jti, "bot-1".to_owned(), agent.public().clone(), scopes, now, now + 60);
    passport.iss = Some("https://issuer.example".to_owned());
    let token = issue::issue(&SecretKey::from_seed([1; 32]), &passport).unwrap();
    let mut fields = vec![("agent-passport", token.into_bytes())];
    if !body.is_empty() {
        fields.push(("content-type", b"application/json".to_vec()));
    }
    let nonce = format!("nonce-{nonce:016}");
    let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
    let http = HttpRequest {
        method,
        scheme: "https",
        authority: "gate.example",
        path,
        query: None,
        headers: &headers,
        body: body.as_bytes(),
    };
    let proof = proof::sign(&http, &agent, &ProofParams { created: now, nonce: &nonce, expires: None }).unwrap();
    fields.push(("signature-input", proof.signature_input.into_bytes()));
    fields.push(("signature", proof.signature.into_bytes()));
    fields.extend(proof.content_digest.map(|digest| ("content-digest", digest.into_bytes())));
    fields
}

struct World {
    store: Arc<MemoryStore>,
    driver: Driver,
    gate: Gate,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new(i64::try_from(NOW_MS / 1000).unwrap() - 3600));
        let gate_record = GateRecord { gate_id: "gate_1".to_owned(), level: "L2".to_owned() };
        let writer = Writer::new(SecretKey::from_seed([9; 32]), stamp(0).chain_uid(), gate_record);
        let driver = block_on(Driver::start(store.clone(), writer, stamp(0))).unwrap();
        Self { store, driver, gate: gate() }
    }

    fn ask(&self, method: &str, path: &str, body: &str, fields: &[(&str, Vec<u8>)], at: u8) -> Answer {
        self.ask_at(method, path, body, fields, stamp(at))
    }

    fn ask_at(&self, method: &str, path: &str, body: &str, fields: &[(&str, Vec<u8>)], stamp: Stamp) -> Answer {
        let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
        let authority = Some("gate.example");
        let raw = RawRequest { method, authority, path, query: None, headers: &headers, body: body.as_bytes() };
        block_on(self.driver.decide(&self.gate, &raw, stamp))
    }

    fn records(&self) -> Vec<Record> {
        let page = block_on(self.store.records(&Filter::default(), None, 1000)).unwrap();
        let read = |record: &passgate_store::StoredRecord| {
            let payload = record.jws.split('.').nth(1).unwrap();
            serde_json::from_slice(&passgate_passport::b64::decode(payload).unwrap()).unwrap()
        };
        page.records.iter().map(read).collect()
    }

    fn verify(&self) {
        let page = block_on(self.store.records(&Filter::default(), None, 1000)).unwrap();
        let keys = [SecretKey::from_seed([9; 32]).public().clone()];
        let (mut verifier, mut head) = (Verifier::new(&keys), HeadBuilder::default());
        for record in &page.records {
            verifier.line(record_line(&record.jws).trim_end().as_bytes()).unwrap();
            head.push(
                &record.index.chain_uid,
                &record.jws,
                &sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &record.jws)).into(),
            );
        }
        let head = head.finish("gate_1".to_owned(), false, stamp(0).now.rfc3339());
        let line = head_line(&self.driver.writer().seal_head(&head.to_payload()));
        verifier.line(line.trim_end().as_bytes()).unwrap();
        verifier.finish().unwrap();
    }
}

fn outcome(result: OutcomeResult) -> OutcomeRecord {
    OutcomeRecord {
        budget: None,
        duration_ms: 1,
        request_bytes: 0,
        response: None,
        response_bytes: 2,
        response_sha256: None,
        result,
        status: Some(200),
    }
}

fn reason(answer: &Answer) -> Option<Reason> {
    match answer {
        Answer::Forward(_) | Answer::Mint(_) => None,
        Answer::Refuse(refused) => Some(refused.reason),
    }
}

#[test]
fn every_decision_leaves_its_record() {
    let world = World::new();
    let search = signed("GET", "/search", "", 1);
    let big = r#"{"usd":60}"#;
    let allowed = world.ask("GET", "/search", "", &search, 1);
    let Answer::Forward(forward) = &allowed else { panic!("{allowed:?}") };
    assert_eq!((forward.agent_id.as_str(), forward.action.as_str()), ("bot-1", "web:search"));
    assert_eq!(reason(&world.ask("GET", "/search", "", &search, 2)), Some(Reason::NonceReplayed));
    assert_eq!(
        reason(&world.ask("POST", "/pay", big, &signed("POST", "/pay", big, 2), 3)),
        Some(Reason::ApprovalRequired)
    );
    assert_eq!(reason(&world.ask("GET", "/search", "", &[], 4)), Some(Reason::PassportMissing));
    block_on(world.driver.settle(forward.attestation_id.clone(), outcome(OutcomeResult::Completed), stamp(5))).unwrap();
    let records = world.records();
    let kinds: Vec<_> = records.iter().map(|r| (r.kind, r.decision, r.reason_code)).collect();
    let decision = |kind, reason| (Kind::Decision, Some(kind), reason);
    assert_eq!(
        kinds,
        [
            (Kind::ChainStart, None, None),
            decision(DecisionKind::Allow, None),
            decision(DecisionKind::Deny, Some(Reason::NonceReplayed)),
            decision(DecisionKind::StepUp, Some(Reason::ApprovalRequired)),
            decision(DecisionKind::Deny, Some(Reason::PassportMissing)),
            (Kind::Outcome, None, None),
        ]
    );
    assert_eq!(records[1].attestation_id, forward.attestation_id);
    assert_eq!(records[5].decision_id.as_ref(), Some(&forward.attestation_id));
    world.verify();
}

#[test]
fn a_revocation_bites_at_once_and_is_recorded() {
    let world = World::new();
    assert_eq!(reason(&world.ask("GET", "/search", "", &signed("GET", "/search", "", 1), 1)), None);
    let passport = passgate_passport::id::new_id("pass", NOW_MS, [3; 10]);
    block_on(world.driver.revoke(Subject::Passport(passport.clone()), stamp(2))).unwrap();
    assert_eq!(reason(&world.ask("GET", "/search", "", &signed("GET", "/search", "", 2), 3)), Some(Reason::Revoked));
    let recorded = world.records().into_iter().find_map(|record| record.revoked);
    assert_eq!(recorded, Some(Subject::Passport(passport)));
    world.verify();
}

#[test]
fn a_suspension_bites_at_once_ends_at_once_and_is_recorded() {
    let world = World::new();
    let ask = |n: u8| reason(&world.ask("GET", "/search", "", &signed("GET", "/search", "", n.into()), n));
    let subject = Subject::Passport(passgate_passport::id::new_id("pass", NOW_MS, [3; 10]));
    for (n, changed) in [(1, true), (2, false)] {
        assert_eq!(block_on(world.driver.suspend(subject.clone(), stamp(n))).unwrap().changed, changed);
    }
    assert_eq!(ask(3), Some(Reason::Suspended));
    for (n, changed) in [(4, true), (5, false)] {
        assert_eq!(block_on(world.driver.reinstate(subject.clone(), stamp(n))).unwrap().changed, changed);
    }
    assert_eq!(ask(6), None);
    block_on(world.driver.revoke(subject.clone(), stamp(7))).unwrap();
    let refused = block_on(world.driver.reinstate(subject.clone(), stamp(8)));
    assert!(matches!(refused, Err(StoreError::Revoked(named)) if *named == subject));
    assert_eq!(ask(9), Some(Reason::Revoked));
    let records = world.records();
    let about = records.iter().filter(|record| record.subject.as_ref() == Some(&subject));
    let kinds: Vec<_> = about.map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::Suspension, Kind::Suspension, Kind::Reinstatement, Kind::Reinstatement]);
    world.verify();
}

#[test]
fn a_plugins_key_is_there_at_once_and_recorded_by_the_digest_of_its_value() {
    let world = World::new();
    let read = || block_on(world.store.plugin_key("shops", "list")).unwrap();
    for (n, value) in (2..).zip([Some(b"secret".to_vec()), Some(Vec::new()), None]) {
        block_on(world.driver.set_plugin_key("shops", "list", value.clone(), stamp(n))).unwrap();
        assert_eq!(read(), value);
        let digest = value.map(|value| sha256_label(&Sha256::digest(value).into()));
        let record = world.records().pop().unwrap();
        let (plugin, key) = ("shops".to_owned(), "list".to_owned());
        assert_eq!(record.plugin_key, Some(PluginKeyRecord { key, plugin, value_sha256: digest }));
    }
    let refused = block_on(world.driver.set_plugin_key("Shops", "list", None, stamp(9)));
    assert!(matches!(refused, Err(StoreError::PluginKey(_))), "{refused:?}");
    assert_eq!(world.records().len(), 4);
    world.verify();
}

#[test]
fn a_flood_of_strangers_is_counted_not_recorded() {
    let world = World::new();
    for n in 0_u64..1000 {
        let mut stamp = stamp(1);
        stamp.random[..8].copy_from_slice(&n.to_be_bytes());
        assert_eq!(reason(&world.ask_at("GET", "/search", "", &[], stamp)), Some(Reason::PassportMissing));
    }
    // One chain start and 60 refusals; the other 940 are one record.
    assert_eq!(world.records().len(), 61);
    block_on(world.driver.flush_refusals(stamp(2))).unwrap();
    block_on(world.driver.flush_refusals(stamp(3))).unwrap();
    let records = world.records();
    assert_eq!(records.len(), 62);
    assert_eq!(records[61].folded.as_ref().unwrap().by_reason.get("passport_missing"), Some(&940));
    // Who presents a passport without proof is a stranger too.
    let passport = &signed("GET", "/search", "", 1)[..1];
    assert_eq!(reason(&world.ask("GET", "/search", "", passport, 4)), Some(Reason::ProofMissing));
    assert_eq!(world.records().len(), 62);
}

/// Else whoever sees a request on its way could use up its proof, and a flood without a key would fill the store.
#[test]
fn a_forged_request_burns_no_nonce() {
    let world = World::new();
    let honest = signed("GET", "/search", "", 1);
    let stamp_of = |n: u64| {
        let mut stamp = stamp(1);
        stamp.random[..8].copy_from_slice(&n.to_be_bytes());
        stamp
    };
    for n in 0_u64..200 {
        let mut forged = honest.clone();
        let (_, signature) = forged.iter_mut().find(|(name, _)| *name == "signature").unwrap();
        signature[10] = if signature[10] == b'A' { b'B' } else { b'A' };
        for (method, fields, n) in [("GET", &forged, n), ("POST", &honest, 1000 + n)] {
            let refused = reason(&world.ask_at(method, "/search", "", fields, stamp_of(n)));
            assert_eq!(refused, Some(Reason::ProofSignatureInvalid));
        }
    }
    // Neither the nonce, nor the key's quota, nor its rate of 10 in a minute.
    assert_eq!(reason(&world.ask_at("GET", "/search", "", &honest, stamp_of(2000))), None);
    assert_eq!(reason(&world.ask_at("GET", "/search", "", &honest, stamp_of(2001))), Some(Reason::NonceReplayed));
}

#[test]
fn a_flood_of_replays_is_counted_not_recorded() {
    let world = World::new();
    let captured = signed("GET", "/search", "", 1);
    for n in 0_u64..200 {
        let mut stamp = stamp(1);
        stamp.random[..8].copy_from_slice(&n.to_be_bytes());
        let expected = (n > 0).then_some(Reason::NonceReplayed);
        assert_eq!(reason(&world.ask_at("GET", "/search", "", &captured, stamp)), expected);
    }
    // One chain start, the allow and 60 replays; the other 139 are one record.
    assert_eq!(world.records().len(), 62);
    block_on(world.driver.flush_refusals(stamp(2))).unwrap();
    assert_eq!(world.records()[62].folded.as_ref().unwrap().by_reason.get("nonce_replayed"), Some(&139));
    world.verify();
}

#[test]
fn equal_inputs_leave_equal_records() {
    let run = || {
        let world = World::new();
        world.ask("GET", "/search", "", &signed("GET", "/search", "", 1), 1);
        block_on(world.store.records(&Filter::default(), None, 10)).unwrap().records
    };
    assert_eq!(run(), run());
}

#[test]
fn a_judgement_for_another_gate_is_refused() {
    let world = World::new();
    let fields = signed("GET", "/search", "", 1);
    let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
    let authority = Some("gate.example");
    let raw = RawRequest { method: "GET", authority, path: "/search", query: None, headers: &headers, body: b"" };
    let judged = judge(&world.gate, &raw, stamp(1).now).unwrap();
    let other = Gate { level: passgate_core::gate::Level::L1, ..world.gate.clone() };
    let elsewhere = judge(&other, &raw, stamp(1).now).unwrap();
    assert_eq!(
        reason(&block_on(world.driver.admit(Box::new(elsewhere), stamp(1))).unwrap()),
        Some(Reason::InternalError)
    );
    assert_eq!(reason(&block_on(world.driver.admit(Box::new(judged), stamp(2))).unwrap()), None);
}

#[test]
fn what_was_charged_is_given_back_when_the_upstream_saw_nothing() {
    let world = World::new();
    let pay = r#"{"usd":45}"#;
    let ask = |n: u8| world.ask("POST", "/pay", pay, &signed("POST", "/pay", pay, n.into()), n);
    let settle = |id: &str, result, n| {
        block_on(world.driver.settle(id.to_owned(), outcome(result), stamp(n))).unwrap();
        world.records().pop().unwrap().outcome.unwrap().budget
    };
    let Answer::Forward(first) = ask(1) else { panic!("the first fits") };
    assert_eq!(reason(&ask(2)), Some(Reason::SpendDailyExceeded));
    assert_eq!(settle(&first.attestation_id, OutcomeResult::Unreachable, 3), Some(BudgetOutcome::Released));
    let Answer::Forward(second) = ask(4) else { panic!("the second fits again") };
    assert_eq!(settle(&first.attestation_id, OutcomeResult::Unreachable, 5), None);
    assert_eq!(settle(&second.attestation_id, OutcomeResult::TimedOut, 6), Some(BudgetOutcome::Held));
    assert_eq!(reason(&ask(7)), Some(Reason::SpendDailyExceeded));
    world.verify();
}

#[test]
fn a_driver_goes_on_with_its_chain_after_a_restart() {
    let mut world = World::new();
    world.ask("GET", "/search", "", &signed("GET", "/search", "", 1), 1);
    let writer = |chain: String| Writer::new(SecretKey::from_seed([9; 32]), chain, world.gate.record());
    let chain = world.driver.writer().chain_uid().to_owned();
    let resumed = block_on(Driver::resume(world.store.clone(), writer(chain.clone()), stamp(2))).unwrap();
    let unknown = block_on(Driver::resume(world.store.clone(), writer("chain_other".to_owned()), stamp(3)));
    assert!(matches!(unknown, Err(StoreError::ChainState(_))));
    world.driver = resumed;
    let gap = GapRecord { from: "f".to_owned(), lost: vec!["refusal_counts".to_owned()], to: "t".to_owned() };
    block_on(world.driver.gap(gap.clone(), stamp(4))).unwrap();
    assert_eq!(
        reason(&world.ask("GET", "/search", "", &signed("GET", "/search", "", 1), 5)),
        Some(Reason::NonceReplayed)
    );
    let records = world.records();
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [Kind::ChainStart, Kind::Decision, Kind::Restart, Kind::Gap, Kind::Decision]);
    assert_eq!(records[3].gap, Some(gap));
    assert!(records.iter().all(|record| record.chain_uid == chain));
    world.verify();
}

mod rotation;

mod handed_over {
    use super::*;

    fn over(answer: Answer) -> Answer {
        Answer::from_bytes(&answer.to_bytes()).unwrap()
    }

    #[test]
    fn answers_cross_whole() {
        let world = World::new();
        let fields = signed("GET", "/search", "", 1);
        let Answer::Forward(allowed) = world.ask("GET", "/search", "", &fields, 1) else { panic!("allowed") };
        let sent = format!("{allowed:?}");
        let Answer::Forward(arrived) = over(Answer::Forward(allowed)) else { panic!("still allowed") };
        assert_eq!(format!("{arrived:?}"), sent);
        assert_eq!(arrived.rates.len(), 1);
        let Answer::Refuse(refused) = world.ask("GET", "/search", "", &fields, 2) else { panic!("a replay") };
        let Answer::Refuse(arrived) = over(Answer::Refuse(refused.clone())) else { panic!("still refused") };
        assert_eq!(arrived, refused);
    }

    #[test]
    fn refusals_cross_and_leave_the_same_record() {
        let (here, there) = (World::new(), World::new());
        let fields = &signed("GET", "/search", "", 1)[..1];
        let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
        let authority = Some("gate.example");
        let raw = RawRequest { method: "GET", authority, path: "/search", query: None, headers: &headers, body: b"" };
        let refusal = judge(&here.gate, &raw, stamp(1).now).unwrap_err();
        let one = block_on(here.driver.refuse(&here.gate, &refusal, stamp(1)));
        let sent = RefusalRecord::new(&there.gate, &refusal, stamp(1).now);
        let arrived = RefusalRecord::from_bytes(&sent.to_bytes()).unwrap();
        assert_eq!(arrived, sent);
        let other = block_on(there.driver.record_refusal(&arrived, stamp(1)));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        assert_eq!(here.records(), there.records());
        assert_eq!(reason(&other), Some(Reason::ProofMissing));
        let elsewhere = Gate { id: "gate_2".to_owned(), ..there.gate.clone() };
        let foreign = RefusalRecord::new(&elsewhere, &refusal, stamp(2).now);
        let foreign = block_on(there.driver.record_refusal(&foreign, stamp(2)));
        assert_eq!(reason(&foreign), Some(Reason::InternalError));
        assert_eq!(there.records().len(), 2);
    }

    #[test]
    fn other_bytes_are_errors() {
        let world = World::new();
        let allowed = world.ask("GET", "/search", "", &signed("GET", "/search", "", 1), 1).to_bytes();
        for length in 0..allowed.len() {
            assert!(Answer::from_bytes(&allowed[..length]).is_err(), "{length}");
        }
        let text = String::from_utf8(allowed).unwrap();
        assert!(Answer::from_bytes(text.as_bytes()).is_ok());
        for (from, to) in [
            (r#""forward_once""#, r#""forward""#),
            (r#""forward_once""#, "null"),
            (r#""permit":"forward_once","#, ""),
            (r#""permit":"#, r#""other":1,"permit":"#),
            (r#"{"forward":"#, r#"{"allow":"#),
        ] {
            let changed = text.replacen(from, to, 1);
            assert!(changed != text && Answer::from_bytes(changed.as_bytes()).is_err(), "{changed}");
        }
        let refusal = Refusal::early("GET", "/", Reason::HostMismatch, "detail".to_owned());
        let text = String::from_utf8(RefusalRecord::new(&world.gate, &refusal, stamp(1).now).to_bytes()).unwrap();
        for (from, to) in [
            (r#""decision":"deny""#, r#""decision":"allow""#),
            (r#""decision":"deny""#, r#""decision":"step_up""#),
            (r#""reason":"host_mismatch","detail""#, r#""reason":"revoked","detail""#),
            (r#"{"gate""#, r#"{"other":1,"gate""#),
        ] {
            let changed = text.replacen(from, to, 1);
            assert!(changed != text && RefusalRecord::from_bytes(changed.as_bytes()).is_err(), "{changed}");
        }
    }
}

#[test]
fn a_signature_is_remembered_when_its_passports_holder_proved_to_be_there() {
    let world = World::new();
    let judge = Judge::new();
    let ask = |fields: &[(&'static str, Vec<u8>)]| {
        let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
        let authority = Some("gate.example");
        let raw = RawRequest { method: "GET", authority, path: "/search", query: None, headers: &headers, body: b"" };
        (judge.judge(&world.gate, &raw, stamp(1).now), super::judge(&world.gate, &raw, stamp(1).now))
    };
    let change = |fields: &mut [(&'static str, Vec<u8>)], name: &str| {
        let (_, value) = fields.iter_mut().find(|(field, _)| *field == name).unwrap();
        let place = value.len() - 20;
        value[place] = if value[place] == b'A' { b'B' } else { b'A' };
    };

    let mut captured = signed("GET", "/search", "", 1);
    change(&mut captured, "signature");
    let (remembering, plain) = ask(&captured);
    assert_eq!(remembering.unwrap_err().reason, plain.unwrap_err().reason);
    assert_eq!(judge.remembered(), 0, "anybody may send another's passport");

    for number in [1, 2] {
        let (remembering, plain) = ask(&signed("GET", "/search", "", number));
        assert_eq!(remembering.unwrap().to_bytes(), plain.unwrap().to_bytes());
        assert_eq!(judge.remembered(), 1);
    }

    let mut forged = signed("GET", "/search", "", 3);
    change(&mut forged, "agent-passport");
    let (remembering, _) = ask(&forged);
    assert_eq!(remembering.unwrap_err().reason, Reason::PassportSignatureInvalid);
}
