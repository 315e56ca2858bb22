mod approvals;
mod budgets;
mod chains;
mod challenges;
mod dpop;
mod encrypt;
mod foreign;
mod freshness;
mod guardian;
mod idempotency;
mod passes;
mod pii;
mod plugins;
mod response;
mod rules;
mod sessions;

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::issue::{self, NewPassport};
use passgate_passport::jwe::Seed;
use passgate_passport::key::SecretKey;
use passgate_passport::proof::{self, ProofParams};
use passgate_passport::scope::{ActionName, Scope};
use passgate_passport::sorted::{SortedMap, SortedSet};
use passgate_passport::status::StatusRef;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};

use super::*;
use crate::attest::{DecisionKind, GuardrailOutcome, RevocationCheck};
use crate::domain::DomainPattern;
use crate::gate::{EvaluatorRef, Gate, Guardrails, Level, Origin, PolicyRef, RateLimits};
use crate::money::{MicroUsd, Unit};
use crate::reason::Reason;
use crate::route::{AmountSource, EffectClass, PathPattern, Route, ValueSource};
use crate::state::{self, Admission, LoadedRows, NonceAnswer, SpendMode, Subject};
use crate::status::StatusLists;
use crate::time::UnixMillis;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const ISSUER: &str = "https://issuer.example";

/// What is given to a judgement that encrypts, one like the other.
fn seed() -> Seed {
    Seed::new([4; 32])
}

/// An issuer whose key has this seed.
fn issuer(id: &str, seed: u8) -> Issuer {
    Issuer {
        id: id.to_owned(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![IssuerKey::unbounded(SecretKey::from_seed([seed; 32]).public().clone())],
        max_passport_ttl_seconds: 86_400,
    }
}

fn gate() -> Gate {
    let route = |method: &str, path: &str, action: &str, amount: bool, domain: bool| Route {
        method: Some(method.to_owned()),
        path: PathPattern::parse(path).unwrap(),
        action: ActionName::parse(action).unwrap(),
        amount: amount.then(|| AmountSource { pointer: "/usd".to_owned(), unit: Unit::Usd }),
        idempotency_seconds: None,
        domain: domain.then(|| ValueSource::Pointer("/to".to_owned())),
        resource: None,
        records: None,
        response_records: None,
        context: SortedMap::new(),
        refused_labels: SortedSet::new(),
        class: EffectClass::of(&ActionName::parse(action).unwrap(), Some(method)),
        arguments: Vec::new(),
    };
    let usd = |dollars: u64| Some(MicroUsd(dollars * 1_000_000));
    let mut guardrails = Guardrails {
        allowed_domains: Some(vec![DomainPattern::parse("shop.example").unwrap()]),
        require_approval_above: usd(50),
        ..Guardrails::default()
    };
    guardrails.spend.per_transaction = usd(100);
    guardrails.spend.agent.daily = usd(120);
    guardrails.rates.agent = RateLimits { requests_per_minute: Some(3), ..RateLimits::default() };
    Gate {
        id: "gate_1".to_owned(),
        level: Level::L2,
        origin: Origin { scheme: "https".to_owned(), authority: "gate.example".to_owned() },
        profile: Level::L2.profile(),
        challenge_key: None,
        trust: TrustStore::new([issuer(ISSUER, 1)], SelfIssued::Refused).unwrap(),
        leeway_seconds: 0,
        routes: vec![
            route("GET", "/search", "web:search", false, false),
            route("POST", "/pay", "payments:create", true, true),
            route("DELETE", "/records/{id}", "records:delete", false, false),
        ],
        guardrails,
        policy: PolicyRef { sha256: "sha256:00".to_owned(), version: 7 },
        rules: None,
        action_passes: None,
        approvals: None,
        policy_freshness: None,
        listed_agents: Vec::new(),
        status_lists: StatusLists::default(),
        evaluator: EvaluatorRef {
            digest: "sha256:11".to_owned(),
            engine: "native".to_owned(),
            version: "0".to_owned(),
        },
    }
}

/// One signed request: owns what a [`RawRequest`] borrows.
struct Call {
    method: &'static str,
    path: String,
    body: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    key: SecretKey,
}

impl Call {
    fn new(method: &'static str, path: &str, body: &str) -> Self {
        let mut headers = vec![("agent-passport".to_owned(), passport(&["web:*", "payments:*"]).into_bytes())];
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), b"application/json".to_vec()));
        }
        let key = SecretKey::from_seed([2; 32]);
        Self { method, path: path.to_owned(), body: body.as_bytes().to_vec(), headers, key }
    }

    fn signed(self, nonce: u32) -> Self {
        self.signed_with(&format!("nonce-{nonce:016}"))
    }

    fn signed_with(mut self, nonce: &str) -> Self {
        let params = ProofParams { created: NOW.seconds(), nonce, expires: None };
        let signed = proof::sign(&self.http(&self.lines()), &self.key, &params).unwrap();
        let fields = [
            ("signature-input", Some(signed.signature_input)),
            ("signature", Some(signed.signature)),
            ("content-digest", signed.content_digest),
        ];
        let added = fields.map(|(name, value)| value.map(|value| (name.to_owned(), value.into_bytes())));
        self.headers.extend(added.into_iter().flatten());
        self
    }

    /// What a proof is made over.
    fn http<'a>(&'a self, lines: &'a [Header<'a>]) -> HttpRequest<'a> {
        let (path, query) = self.target();
        HttpRequest {
            method: self.method,
            scheme: "https",
            authority: "gate.example",
            path,
            query,
            headers: lines,
            body: &self.body,
        }
    }

    fn target(&self) -> (&str, Option<&str>) {
        self.path.split_once('?').map_or((self.path.as_str(), None), |(path, query)| (path, Some(query)))
    }

    fn lines(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value }).collect()
    }

    fn judged(&self, gate: &Gate) -> Result<Judged, Refusal> {
        self.judged_as(gate, Conduct::default())
    }

    fn judged_as(&self, gate: &Gate, conduct: Conduct) -> Result<Judged, Refusal> {
        let (headers, (path, query)) = (self.lines(), self.target());
        let raw = RawRequest {
            method: self.method,
            authority: Some("gate.example"),
            path,
            query,
            headers: &headers,
            body: &self.body,
        };
        let parsed = parse(gate, &raw, NOW)?;
        let authenticated = authenticate(gate, &parsed, NOW)?;
        Ok(judge_as(gate, &authenticated, conduct))
    }
}

fn passport(permissions: &[&str]) -> String {
    passport_with(permissions, None)
}

fn passport_with(permissions: &[&str], status: Option<StatusRef>) -> String {
    let agent = SecretKey::from_seed([2; 32]).public().clone();
    let scopes = permissions.iter().map(|p| Scope::parse(p).unwrap()).collect();
    let jti = passgate_passport::id::new_id("pass", NOW.0, [3; 10]);
    let mut new = NewPassport::new(jti, "bot-1".to_owned(), agent, scopes, NOW.seconds() - 10, NOW.seconds() + 3600);
    new.iss = Some(ISSUER.to_owned());
    new.status_list = status;
    issue::issue(&SecretKey::from_seed([1; 32]), &new).unwrap()
}

fn admit(rows: &mut LoadedRows, judged: &Judged) -> Admission {
    let admitted = state::admit(judged.demand(), rows).unwrap();
    rows.extend(admitted.writes.into_iter().map(|write| (write.key, write.value)));
    admitted.admission
}

fn run(rows: &mut LoadedRows, call: &Call) -> Decision {
    let judged = call.judged(&gate()).unwrap();
    let admission = admit(rows, &judged);
    decide(&judged, &admission)
}

fn result(decision: &Decision, guardrail: &str) -> GuardrailOutcome {
    decision.guardrails.iter().find(|g| g.guardrail == guardrail).unwrap().result
}

#[test]
fn an_allowed_request_passes_every_guardrail() {
    let decision = run(
        &mut LoadedRows::new(),
        &Call::new("POST", "/pay", r#"{"usd":20.50,"to":"https://shop.example/x"}"#).signed(1),
    );
    assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Allow, None));
    let results: Vec<_> = decision.guardrails.iter().map(|g| (g.guardrail.as_ref(), g.result)).collect();
    let pass = GuardrailOutcome::Pass;
    let expected = [
        ("permission_scope", pass),
        ("rate", pass),
        ("spend", pass),
        ("domain", pass),
        ("pii", GuardrailOutcome::NotApplicable),
        ("approval", pass),
    ];
    assert_eq!(results, expected);
    assert_eq!(decision.revocation, RevocationCheck::Admission);
}

#[test]
fn each_guardrail_refuses_with_its_reason() {
    for (method, path, body, kind, reason) in [
        ("GET", "/nowhere", "", DecisionKind::Deny, Reason::ActionUnmapped),
        ("PUT", "/pay", "", DecisionKind::Deny, Reason::ActionUnmapped),
        ("DELETE", "/records/7", "", DecisionKind::Deny, Reason::PermissionScopeMissing),
        ("POST", "/pay", r#"{"to":"shop.example"}"#, DecisionKind::Deny, Reason::AmountMissing),
        ("POST", "/pay", r#"{"usd":"5","to":"shop.example"}"#, DecisionKind::Deny, Reason::AmountInvalid),
        ("POST", "/pay", r#"{"usd":"12 EUR","to":"shop.example"}"#, DecisionKind::Deny, Reason::AmountInvalid),
        (
            "POST",
            "/pay",
            r#"{"usd":{"value":12,"currency":"EUR"},"to":"shop.example"}"#,
            DecisionKind::Deny,
            Reason::AmountInvalid,
        ),
        ("POST", "/pay", r#"{"usd":-5,"to":"shop.example"}"#, DecisionKind::Deny, Reason::AmountInvalid),
        ("POST", "/pay", r#"{"usd":1e1,"to":"shop.example"}"#, DecisionKind::Deny, Reason::AmountInvalid),
        ("POST", "/pay", r#"{"usd":5,"\u0075sd":1,"to":"shop.example"}"#, DecisionKind::Deny, Reason::BodyNotJson),
        ("POST", "/pay", "usd=5", DecisionKind::Deny, Reason::BodyNotJson),
        ("POST", "/pay", r#"{"usd":100.01,"to":"shop.example"}"#, DecisionKind::Deny, Reason::SpendTransactionExceeded),
        ("POST", "/pay", r#"{"usd":5}"#, DecisionKind::Deny, Reason::DomainMissing),
        (
            "POST",
            "/pay",
            r#"{"usd":5,"to":"https://shop.example@evil.example"}"#,
            DecisionKind::Deny,
            Reason::DomainInvalid,
        ),
        ("POST", "/pay", r#"{"usd":5,"to":"evil.example"}"#, DecisionKind::Deny, Reason::DomainNotAllowed),
        ("POST", "/pay", r#"{"usd":50.01,"to":"shop.example"}"#, DecisionKind::StepUp, Reason::ApprovalRequired),
    ] {
        let mut rows = LoadedRows::new();
        let decision = run(&mut rows, &Call::new(method, path, body).signed(1));
        assert_eq!((decision.verdict.kind(), decision.reason), (kind, Some(reason)), "{method} {path} {body}");
        assert!(!rows.keys().any(|key| key.starts_with("s:")), "a refused request charges nothing: {body}");
    }
}

#[test]
fn a_coded_body_is_not_read() {
    let mut call = Call::new("POST", "/pay", r#"{"usd":5,"to":"shop.example"}"#);
    call.headers.push(("content-encoding".to_owned(), b"identity".to_vec()));
    assert_eq!(run(&mut LoadedRows::new(), &call.signed(1)).reason, Some(Reason::BodyNotJson));
}

#[test]
fn the_first_failure_in_the_fixed_order_is_the_reason() {
    let mut rows = LoadedRows::new();
    let everything_wrong = r#"{"usd":60,"to":"evil.example"}"#;
    for nonce in 0..3 {
        run(&mut rows, &Call::new("GET", "/search", "").signed(nonce));
    }
    // The rate is exhausted now: scope comes before it, domain and approval after it.
    assert_eq!(
        run(&mut rows, &Call::new("DELETE", "/records/7", "").signed(10)).reason,
        Some(Reason::PermissionScopeMissing)
    );
    let limited = run(&mut rows, &Call::new("POST", "/pay", everything_wrong).signed(11));
    assert_eq!(limited.reason, Some(Reason::RateLimitExceeded));
    assert_eq!(result(&limited, "spend"), GuardrailOutcome::NotEvaluated);
    assert_eq!(result(&limited, "domain"), GuardrailOutcome::Fail);
    assert_eq!(result(&limited, "approval"), GuardrailOutcome::StepUp);
    assert_eq!(retry_after_seconds(&limited.rates), Some(20));
    // Domain comes before approval, and spend before domain.
    let mut fresh = LoadedRows::new();
    assert_eq!(
        run(&mut fresh, &Call::new("POST", "/pay", everything_wrong).signed(1)).reason,
        Some(Reason::DomainNotAllowed)
    );
    let over = r#"{"usd":101,"to":"evil.example"}"#;
    assert_eq!(
        run(&mut fresh, &Call::new("POST", "/pay", over).signed(2)).reason,
        Some(Reason::SpendTransactionExceeded)
    );
}

#[test]
fn the_daily_cap_counts_charges_and_beats_approval() {
    let mut rows = LoadedRows::new();
    let pay = |usd: &str| format!(r#"{{"usd":{usd},"to":"shop.example"}}"#);
    for (nonce, usd, reason) in [(1, "50", None), (2, "50", None), (3, "60", Some(Reason::SpendDailyExceeded))] {
        assert_eq!(run(&mut rows, &Call::new("POST", "/pay", &pay(usd)).signed(nonce)).reason, reason, "{usd}");
    }
}

#[test]
fn replay_and_revocation_come_first() {
    let mut rows = LoadedRows::new();
    let call = Call::new("GET", "/search", "").signed(1);
    assert_eq!(run(&mut rows, &call).verdict.kind(), DecisionKind::Allow);
    let before = rows.clone();
    let replayed = run(&mut rows, &call);
    assert_eq!((replayed.verdict.kind(), replayed.reason), (DecisionKind::Deny, Some(Reason::NonceReplayed)));
    assert_eq!(result(&replayed, "rate"), GuardrailOutcome::NotEvaluated);
    assert_eq!(replayed.revocation, RevocationCheck::NotChecked);
    assert_eq!(rows, before, "a replay consumes nothing");
    let agent = Subject::Agent { issuer: ISSUER.to_owned(), agent_id: "bot-1".to_owned() };
    let judged = call.judged(&gate()).unwrap();
    let jti = judged.agent().passport_id.clone();
    let key = judged.agent().key_thumbprint.clone();
    for (nonce, subject) in
        [Subject::Passport(jti), agent, Subject::Key(key), Subject::Issuer(ISSUER.to_owned())].into_iter().enumerate()
    {
        let call = || Call::new("GET", "/search", "").signed(u32::try_from(nonce).unwrap());
        for (write, reason) in [
            (state::revocation_write(&subject, NOW.seconds()), Reason::Revoked),
            (state::suspension_write(&subject, NOW.seconds()), Reason::Suspended),
        ] {
            let mut rows = LoadedRows::from([(write.key, write.value)]);
            let decision = run(&mut rows, &call());
            assert_eq!((decision.verdict.kind(), decision.reason), (DecisionKind::Deny, Some(reason)), "{subject}");
            assert_eq!(decision.revocation, RevocationCheck::Admission);
        }
    }
}

#[test]
fn refusals_before_judgement_name_what_is_known() {
    let gate = gate();
    let unsigned = Call::new("GET", "/search", "");
    let refusal = unsigned.judged(&gate).unwrap_err();
    assert_eq!(refusal.reason, Reason::ProofMissing);
    assert_eq!(refusal.agent().unwrap().agent_id, "bot-1");
    let mut anonymous = Call::new("GET", "/search", "");
    anonymous.headers.clear();
    let refusal = anonymous.judged(&gate).unwrap_err();
    assert_eq!((refusal.reason, refusal.agent()), (Reason::PassportMissing, None));
    let record = refusal.record(&gate, NOW);
    assert_eq!((record.decision, record.reason), (DecisionKind::Deny, Some(Reason::PassportMissing)));
}

#[test]
fn parse_refuses_what_has_two_readings() {
    let gate = gate();
    let raw = |authority: Option<&'static str>, path: &'static str, query: Option<&'static str>| RawRequest {
        method: "GET",
        authority,
        path,
        query,
        headers: &[],
        body: b"",
    };
    for (request, reason) in [
        (raw(Some("other.example"), "/", None), Reason::HostMismatch),
        (raw(None, "/", None), Reason::HostMismatch),
        (raw(Some("gate.example:443"), "/", None), Reason::HostMismatch),
        (raw(Some("gate.example"), "/a/..;/b", None), Reason::PathNotCanonical),
        (raw(Some("gate.example"), "/a", Some("_method=DELETE")), Reason::MethodOverride),
        (raw(Some("gate.example"), "/a", Some("%5Fmethod=DELETE")), Reason::MethodOverride),
    ] {
        assert_eq!(parse(&gate, &request, NOW).unwrap_err().reason, reason, "{request:?}");
    }
    for (kind, body) in [
        ("application/x-www-form-urlencoded", "a=1&_method=PUT"),
        ("multipart/form-data; boundary=x", "--x\r\ncontent-disposition: form-data; name=\"_method\""),
    ] {
        let headers = [Header { name: "content-type", value: kind.as_bytes() }];
        let request = RawRequest {
            headers: &headers,
            body: body.as_bytes(),
            method: "POST",
            ..raw(Some("gate.example"), "/a", None)
        };
        assert_eq!(parse(&gate, &request, NOW).unwrap_err().reason, Reason::MethodOverride, "{kind}");
    }
    let two = [Header { name: "agent-passport", value: b"a" }, Header { name: "agent-passport", value: b"b" }];
    let request = RawRequest { headers: &two, ..raw(Some("gate.example"), "/", None) };
    assert_eq!(parse(&gate, &request, NOW).unwrap_err().reason, Reason::HeaderInvalid);
}

#[test]
fn tiers_below_the_level_are_refused() {
    let mut gate = gate();
    gate.level = Level::L3;
    let refusal = Call::new("GET", "/search", "").signed(1).judged(&gate).unwrap_err();
    assert_eq!(refusal.reason, Reason::TierInsufficient);
}

#[test]
fn a_judgement_survives_the_handoff_and_nothing_else_does() {
    let judged = Call::new("POST", "/pay", r#"{"usd":20,"to":"shop.example"}"#).signed(1).judged(&gate()).unwrap();
    let bytes = judged.to_bytes();
    assert_eq!(Judged::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    assert!(Judged::from_bytes(b"").is_err());
    assert!(Judged::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    // What another release says more may be why it is not to be forwarded.
    let text = String::from_utf8(bytes).unwrap();
    for place in ["{", r#""demand":{"#, r#""findings":{"#, r#""nonce":{"#, r#""rates":[{"#, r#""spends":[{"#] {
        let more = text.replacen(place, &format!(r#"{place}"further":1,"#), 1);
        assert!(more != text && Judged::from_bytes(more.as_bytes()).is_err(), "{place}");
    }
}

#[test]
fn an_admission_that_answers_less_than_was_asked_allows_nothing() {
    let judged = Call::new("POST", "/pay", r#"{"usd":20,"to":"shop.example"}"#).signed(1).judged(&gate()).unwrap();
    let whole = admit(&mut LoadedRows::new(), &judged);
    assert_eq!(decide(&judged, &whole).verdict.kind(), DecisionKind::Allow);
    for short in [Admission { rates: Vec::new(), ..whole.clone() }, Admission { spends: Vec::new(), ..whole.clone() }] {
        assert_eq!(decide(&judged, &short).verdict.kind(), DecisionKind::Deny);
    }
    for nonce in [NonceAnswer::Replayed, NonceAnswer::Fenced, NonceAnswer::QuotaExceeded] {
        assert_eq!(decide(&judged, &Admission { nonce, ..whole.clone() }).verdict.kind(), DecisionKind::Deny);
    }
}

#[test]
fn a_request_that_will_not_be_forwarded_only_probes_its_budget() {
    let mode = |body: &str| Call::new("POST", "/pay", body).signed(1).judged(&gate()).unwrap().demand().spends[0].mode;
    assert_eq!(mode(r#"{"usd":20,"to":"shop.example"}"#), SpendMode::Charge);
    assert_eq!(mode(r#"{"usd":60,"to":"shop.example"}"#), SpendMode::Probe);
    assert_eq!(mode(r#"{"usd":20,"to":"evil.example"}"#), SpendMode::Probe);
}
