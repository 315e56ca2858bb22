//! Decisions about requests that nobody signed: an issuer, its agent and their keys are made up on the spot, and the
//! request goes through every step of a real one.

use passgate_api::bundle::{Bundle, GateDoc, LevelDoc};
use passgate_api::driver::MAX_JUDGED;
use passgate_core::gate::{Gate, Profile};
use passgate_core::pipeline::{self, Decision, Judged, RawRequest, Refusal};
use passgate_core::policy::Explained;
use passgate_core::state::{self, Conduct, LoadedRows};
use passgate_core::status::StatusLists;
use passgate_core::time::UnixMillis;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{RootGrant, issue_root};
use passgate_passport::id;
use passgate_passport::issue::NewPassport;
use passgate_passport::key::SecretKey;
use passgate_passport::memory::PassportMemory;
use passgate_passport::proof::ProofForm;
use passgate_passport::scope::Scope;
use passgate_passport::sorted::SortedSet;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};
use serde_json::Value;
use zeroize::Zeroizing;

use super::cases::RequestDoc;
use crate::credentials::Credentials;
use crate::exit::Failure;
use crate::moment;
use crate::request::Request;

/// The issuer of a gate that trusts none.
const ISSUER: &str = "https://issuer.example";
const HOUR: i64 = 3_600;

/// A gate with credentials for it.
pub(super) struct Trial {
    gate: Gate,
    issuer: SecretKey,
    /// The seed of the agent's key.
    agent: Zeroizing<[u8; 32]>,
}

/// What became of a request.
pub(super) enum Tried {
    /// Refused before it was judged.
    Refused(Refusal),
    /// Judged and decided.
    Decided(Box<Judged>, Decision),
}

impl Trial {
    /// The gate, but that it trusts keys of this process in the place of those of its issuers, and asks for neither
    /// challenges nor status lists.
    pub(super) fn new(gate: &Gate) -> Result<Self, Failure> {
        let (issuer, agent) = (moment::new_key()?, moment::random::<32>()?);
        let known = |id: String, tier| Issuer {
            id,
            tier,
            status: IssuerStatus::Active,
            keys: vec![IssuerKey::unbounded(issuer.public().clone())],
            max_passport_ttl_seconds: 24 * HOUR,
        };
        let mut issuers: Vec<Issuer> =
            gate.trust.issuers().map(|issuer| known(issuer.id.clone(), issuer.tier)).collect();
        if issuers.is_empty() {
            issuers.push(known(ISSUER.to_owned(), Tier::L3));
        }
        let trust = TrustStore::new(issuers, SelfIssued::Refused).map_err(Failure::unexpected)?;
        let gate = Gate {
            trust,
            profile: Profile { challenge: false, status_lists: false },
            challenge_key: None,
            status_lists: StatusLists::default(),
            listed_agents: Vec::new(),
            ..gate.clone()
        };
        Ok(Self { gate, issuer, agent })
    }

    /// Makes the request once more over `rows`, which remember what it consumed.
    pub(super) fn run(&self, doc: &RequestDoc, now: UnixMillis, rows: &mut LoadedRows) -> Result<Tried, Failure> {
        let request = self.signed(doc, now)?;
        let headers = request.header_views();
        let raw = raw(&request, &headers);
        let (mut conduct, seed) = (Conduct::default(), moment::seed()?);
        for _ in 0..MAX_JUDGED {
            let judged = match pipeline::judge_request(&self.gate, &raw, now, conduct, &PassportMemory::NOTHING) {
                Ok((judged, _)) => judged.restrict(Vec::new(), raw.body, &seed).0,
                Err(refusal) => return Ok(Tried::Refused(refusal)),
            };
            let admitted = state::admit(judged.demand(), rows).map_err(Failure::unexpected)?;
            if let Some(as_it_is) = admitted.admission.conduct {
                conduct = as_it_is;
                continue;
            }
            let decision = pipeline::decide(&judged, &admitted.admission);
            let counted = admitted.counted.after(decision.verdict.kind());
            rows.extend(admitted.writes.into_iter().chain(counted).map(|write| (write.key, write.value)));
            return Ok(Tried::Decided(Box::new(judged), decision));
        }
        Err(Failure::unexpected("the agent behaves otherwise each time the request is judged"))
    }

    /// What becomes of each rule in the face of the request.
    pub(super) fn explain(&self, doc: &RequestDoc, now: UnixMillis) -> Result<Vec<Explained<'_>>, Failure> {
        let request = self.signed(doc, now)?;
        let headers = request.header_views();
        let raw = raw(&request, &headers);
        let Ok(parsed) = pipeline::parse(&self.gate, &raw, now) else { return Ok(Vec::new()) };
        let authenticated = pipeline::authenticate(&self.gate, &parsed, now);
        Ok(authenticated.map(|authenticated| pipeline::explain(&self.gate, &authenticated)).unwrap_or_default())
    }

    fn signed(&self, doc: &RequestDoc, now: UnixMillis) -> Result<Request, Failure> {
        let url = format!("{}://{}{}", self.gate.origin.scheme, self.gate.origin.authority, doc.path);
        let body = match &doc.body {
            Value::Null => None,
            Value::String(text) => Some(text.clone().into_bytes()),
            other => Some(other.to_string().into_bytes()),
        };
        let request = Request::made(&url, doc.method.as_deref(), &doc.headers, body)?;
        let credentials = Credentials { passport: self.passport(doc, now)?, key: self.agent() };
        request.sign(&credentials, ProofForm::MessageSignature, now)
    }

    fn agent(&self) -> SecretKey {
        SecretKey::from_seed(*self.agent)
    }

    fn passport(&self, doc: &RequestDoc, now: UnixMillis) -> Result<String, Failure> {
        let all = vec!["*".to_owned()];
        let scopes = doc.permissions.as_ref().unwrap_or(&all).iter().map(|text| {
            Scope::parse(text).map_err(|error| Failure::usage(format_args!("the permission `{text}`: {error}")))
        });
        let jti = id::new_id(id::PASSPORT_PREFIX, now.0, *moment::random::<10>()?);
        let sub = doc.agent.clone().unwrap_or_else(|| "agent-1".to_owned());
        let (iat, exp) = (now.seconds() - 60, now.seconds() + HOUR);
        let key = self.agent().public().clone();
        let mut new = NewPassport::new(jti, sub, key, scopes.collect::<Result<_, _>>()?, iat, exp);
        let first = self.gate.trust.issuers().next().map(|issuer| issuer.id.clone());
        new.iss = doc.issuer.clone().or(first);
        let labels = (!doc.labels.is_empty()).then(|| doc.labels.iter().cloned().collect::<SortedSet<_>>());
        let constraints = Constraints { labels, purpose: doc.purpose.clone(), ..Constraints::default() };
        let grant = RootGrant { depth_left: None, constraints };
        issue_root(&self.issuer, &new, &grant)
            .map_err(|error| Failure::usage(format_args!("no passport can be issued for the request: {error}")))
    }
}

fn raw<'a>(request: &'a Request, headers: &'a [passgate_passport::http::Header<'a>]) -> RawRequest<'a> {
    RawRequest {
        method: &request.method,
        authority: Some(&request.authority),
        path: &request.path,
        query: request.query.as_deref(),
        headers,
        body: &request.body,
    }
}

/// A gate of this level without anything, for a policy file to be compiled for.
pub(super) fn bare_gate(level: LevelDoc) -> Bundle {
    Bundle {
        version: 1,
        gate: GateDoc {
            id: "gate".to_owned(),
            level,
            public_url: "https://gate.example".to_owned(),
            leeway_seconds: 0,
            require_challenge: Some(false),
            require_status_lists: Some(false),
        },
        issuers: Vec::new(),
        self_issued: passgate_api::bundle::SelfIssuedDoc::Refused,
        foreign_agents: Vec::new(),
        routes: Vec::new(),
        guardrails: passgate_api::bundle::GuardrailsDoc::default(),
        rules: None,
        action_passes: None,
        approvals: None,
    }
}
