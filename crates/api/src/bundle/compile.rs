//! From the shapes to a gate, refusing what does not hold together.

use std::sync::Arc;

use passgate_core::attest::sha256_label;
use passgate_core::domain::DomainPattern;
use passgate_core::gate::{
    ActionPasses, Approvals, EvaluatorRef, Gate, Guardrails, Level, Origin, PolicyRef, Profile, RateLimits, RatePolicy,
    SpendCaps, SpendLimits,
};
use passgate_core::money::Unit;
use passgate_core::policy::Policy;
use passgate_core::route::{
    AmountSource, Argument, ArgumentKind, Declared, EffectClass, PathPattern, ResourceSource, ResourceTemplate, Route,
    ValueSource,
};
use passgate_core::state::MAX_IDEMPOTENCY_SECONDS;
use passgate_core::status::StatusLists;
use passgate_passport::action_pass::{Binding, MAX_ACTION_PASS_TTL_SECONDS};
use passgate_passport::constraints;
use passgate_passport::json;
use passgate_passport::key::PublicKey;
use passgate_passport::passport::MAX_LEEWAY_SECONDS;
use passgate_passport::scope::ActionName;
use passgate_passport::trust::{Issuer, IssuerKey, IssuerStatus, SelfIssued, Tier, TrustStore};
use sha2::{Digest as _, Sha256};

use super::{
    ActionPassesDoc, AmountDoc, ArgumentDoc, ArgumentKindDoc, Bundle, EffectClassDoc, GateDoc, GuardianDoc,
    GuardrailsDoc, IssuerDoc, IssuerKeyDoc, IssuerStatusDoc, IssuerTierDoc, LevelDoc, RateLimitsDoc, RecordsDoc,
    ResourceDoc, RouteDoc, SelfIssuedDoc, SpendCapsDoc, UnitDoc, ValueDoc, WindowsDoc,
};
use crate::origin;
use crate::usd::Usd;

mod approvals;
mod foreign;
mod pii;
mod response;

const SECONDS_PER_DAY: i64 = 86_400;
/// A year: a list that may be older says nothing of the present.
const MAX_STATUS_AGE_SECONDS: u32 = 31_536_000;

/// A policy that cannot be compiled: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct BundleError {
    /// The member, e.g. `routes[2].path`.
    pub at: String,
    /// What is wrong and what to do.
    pub why: String,
}

pub(super) fn error(at: impl Into<String>, why: impl ToString) -> BundleError {
    BundleError { at: at.into(), why: why.to_string() }
}

/// The trust store of these issuers, for whoever verifies passports without a gate.
///
/// # Errors
///
/// The first member that does not compile.
pub fn trust_store(issuers: &[IssuerDoc], self_issued: &SelfIssuedDoc) -> Result<TrustStore, BundleError> {
    let compile =
        |(i, doc): (usize, &IssuerDoc)| doc.compile().map_err(|e| error(format!("issuers[{i}].{}", e.at), e.why));
    let issuers = issuers.iter().enumerate().map(compile).collect::<Result<Vec<_>, _>>()?;
    let self_issued = match self_issued {
        SelfIssuedDoc::Refused => SelfIssued::Refused,
        SelfIssuedDoc::AnyKey => SelfIssued::AnyKey,
        SelfIssuedDoc::Listed(keys) => SelfIssued::Listed(keys.clone()),
    };
    TrustStore::new(issuers, self_issued).map_err(|e| error("issuers", e))
}

/// The status lists that these issuers' passports need, none at hand yet.
///
/// # Errors
///
/// The first age that is out of bounds.
pub fn status_lists(issuers: &[IssuerDoc]) -> Result<StatusLists, BundleError> {
    let mut lists = StatusLists::default();
    for (i, issuer) in issuers.iter().enumerate() {
        let Some(doc) = &issuer.status_list else { continue };
        if !(1..=MAX_STATUS_AGE_SECONDS).contains(&doc.max_age_seconds) {
            let why = format_args!("from 1 to {MAX_STATUS_AGE_SECONDS}");
            return Err(error(format!("issuers[{i}].status_list.max_age_seconds"), why));
        }
        lists.require(issuer.id.clone(), doc.max_age_seconds.into());
    }
    Ok(lists)
}

impl Bundle {
    /// The gate this policy describes.
    ///
    /// # Errors
    ///
    /// The first member that does not compile.
    pub fn compile(&self, evaluator: EvaluatorRef) -> Result<Gate, BundleError> {
        let canonical = json::canonical(self).map_err(|e| error("policy", e))?;
        self.compile_as(sha256_label(&Sha256::digest(canonical).into()), evaluator)
    }

    /// The gate this policy describes, whose canonical JSON has the digest `sha256`.
    ///
    /// # Errors
    ///
    /// The first member that does not compile.
    pub(crate) fn compile_as(&self, sha256: String, evaluator: EvaluatorRef) -> Result<Gate, BundleError> {
        let approvals = self.approvals.as_ref().map(approvals::compile).transpose()?;
        Ok(Gate {
            id: self.gate.checked_id()?,
            level: self.gate.level.into(),
            profile: self.profile()?,
            challenge_key: None,
            origin: self.gate.origin()?,
            trust: self.trust()?,
            leeway_seconds: self.gate.checked_leeway()?,
            routes: self.compiled_routes()?,
            guardrails: self.compiled_guardrails(approvals.as_ref())?,
            rules: self.compiled_rules()?,
            action_passes: self.action_passes.map(ActionPassesDoc::compile).transpose()?,
            approvals,
            policy: PolicyRef { sha256, version: self.version },
            policy_freshness: None,
            listed_agents: foreign::compile(&self.foreign_agents)?,
            status_lists: status_lists(&self.issuers)?,
            evaluator,
        })
    }

    fn compiled_guardrails(&self, approvals: Option<&Approvals>) -> Result<Guardrails, BundleError> {
        let counts_records = self.routes.iter().any(|route| route.response_records.is_some());
        self.guardrails.compile(approvals, counts_records)
    }

    fn trust(&self) -> Result<TrustStore, BundleError> {
        if self.self_issued != SelfIssuedDoc::Refused && self.gate.level != LevelDoc::L1 {
            let why = "only a gate of level L1 accepts self-issued passports; use `refused`";
            return Err(error("self_issued", why));
        }
        trust_store(&self.issuers, &self.self_issued)
    }

    /// What the level demands, as the policy tightens or loosens it.
    fn profile(&self) -> Result<Profile, BundleError> {
        let default = Level::from(self.gate.level).profile();
        let profile = Profile {
            challenge: self.gate.require_challenge.unwrap_or(default.challenge),
            status_lists: self.gate.require_status_lists.unwrap_or(default.status_lists),
        };
        if profile.status_lists
            && let Some(i) = self.issuers.iter().position(|issuer| issuer.status_list.is_none())
        {
            let why = "this gate checks the status lists of every issuer: say how old they may be, or give \
                `gate.require_status_lists: false`";
            return Err(error(format!("issuers[{i}].status_list"), why));
        }
        if profile.challenge && !self.foreign_agents.is_empty() {
            let why = "foreign agents answer no challenges: leave them out, or give `gate.require_challenge: false`";
            return Err(error("foreign_agents", why));
        }
        Ok(profile)
    }

    fn compiled_rules(&self) -> Result<Option<Arc<Policy>>, BundleError> {
        let rules = self.rules.as_ref().map(Policy::read).transpose();
        rules.map(|rules| rules.map(Arc::new)).map_err(|e| error("rules", e))
    }

    fn compiled_routes(&self) -> Result<Vec<Route>, BundleError> {
        let numbered = self.routes.iter().enumerate();
        numbered.map(|(i, r)| r.compile().map_err(|e| error(format!("routes[{i}].{}", e.at), e.why))).collect()
    }
}

impl GateDoc {
    fn checked_id(&self) -> Result<String, BundleError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if self.id.is_empty() || self.id.len() > 64 || !self.id.bytes().all(plain) {
            return Err(error("gate.id", "use 1 to 64 letters, digits, `_` and `-`"));
        }
        Ok(self.id.clone())
    }

    fn checked_leeway(&self) -> Result<i64, BundleError> {
        let leeway = self.leeway_seconds.into();
        if leeway > MAX_LEEWAY_SECONDS {
            return Err(error("gate.leeway_seconds", format_args!("at most {MAX_LEEWAY_SECONDS}")));
        }
        Ok(leeway)
    }

    fn origin(&self) -> Result<Origin, BundleError> {
        let why = "write scheme and host, e.g. `https://tools.example.com`: lower case, no path, no default port";
        origin::parse(&self.public_url).ok_or_else(|| error("gate.public_url", why))
    }
}

impl From<LevelDoc> for Level {
    fn from(level: LevelDoc) -> Self {
        match level {
            LevelDoc::L1 => Self::L1,
            LevelDoc::L2 => Self::L2,
            LevelDoc::L3 => Self::L3,
        }
    }
}

impl IssuerDoc {
    fn compile(&self) -> Result<Issuer, BundleError> {
        let printable = |c: char| !c.is_control();
        if self.id.is_empty()
            || self.id.len() > 256
            || !self.id.chars().all(printable)
            || self.id.starts_with("did:key:")
        {
            return Err(error("id", "use 1 to 256 printable characters; did:key issuers are self-issued"));
        }
        if self.keys.is_empty() {
            return Err(error("keys", "list at least one public key"));
        }
        if self.max_passport_ttl_days == 0 {
            return Err(error("max_passport_ttl_days", "at least 1"));
        }
        let keys = self.keys.iter().enumerate().map(|(i, key)| key.compile(i)).collect::<Result<_, _>>()?;
        Ok(Issuer {
            id: self.id.clone(),
            tier: if self.tier == IssuerTierDoc::L2 { Tier::L2 } else { Tier::L3 },
            status: if self.status == IssuerStatusDoc::Active { IssuerStatus::Active } else { IssuerStatus::Suspended },
            keys,
            max_passport_ttl_seconds: i64::from(self.max_passport_ttl_days) * SECONDS_PER_DAY,
        })
    }
}

impl IssuerKeyDoc {
    fn compile(&self, i: usize) -> Result<IssuerKey, BundleError> {
        let jwk = serde_json::to_vec(&self.jwk).map_err(|e| error(format!("keys[{i}].jwk"), e))?;
        let key = PublicKey::from_jwk(&jwk).map_err(|e| error(format!("keys[{i}].jwk"), e))?;
        Ok(IssuerKey {
            key,
            not_before: self.not_before,
            not_after: self.not_after,
            compromised_at: self.compromised_at,
        })
    }
}

impl RouteDoc {
    fn compile(&self) -> Result<Route, BundleError> {
        if self.method.as_ref().is_some_and(|m| m.is_empty() || !m.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(error("method", "write the method in capital letters, e.g. `POST`"));
        }
        let path = PathPattern::parse(&self.path).map_err(|e| error("path", e))?;
        let context = self
            .context
            .iter()
            .map(|(name, doc)| Ok((checked_name("context", name)?, doc.compile(&format!("context.{name}"))?)));
        let labels = self.refuse_labels.iter().map(|label| checked_name("refuse_labels", label));
        let action = ActionName::parse(&self.action).map_err(|e| error("action", e))?;
        Ok(Route {
            method: self.method.clone(),
            amount: self.amount.as_ref().map(AmountDoc::compile).transpose()?,
            idempotency_seconds: self.idempotency_seconds()?,
            domain: self.domain.as_ref().map(|doc| doc.compile("domain")).transpose()?,
            resource: self.resource.as_ref().map(|doc| doc.compile(&path)).transpose()?,
            records: self.records.as_ref().map(RecordsDoc::compile).transpose()?,
            response_records: self.response_records()?,
            context: context.collect::<Result<_, _>>()?,
            refused_labels: labels.collect::<Result<_, _>>()?,
            class: self.class.map_or_else(|| EffectClass::of(&action, self.method.as_deref()), EffectClass::from),
            action,
            arguments: self.arguments.iter().map(|(name, doc)| doc.compile(name, &path)).collect::<Result<_, _>>()?,
            path,
        })
    }

    fn idempotency_seconds(&self) -> Result<Option<u32>, BundleError> {
        let Some(seconds) = self.idempotency_seconds else { return Ok(None) };
        if !(1..=MAX_IDEMPOTENCY_SECONDS).contains(&seconds) {
            let why = format!("must be 1 to {MAX_IDEMPOTENCY_SECONDS} seconds, as long as the upstream remembers keys");
            return Err(error("idempotency_seconds", why));
        }
        match self.amount {
            Some(_) => Ok(Some(seconds)),
            None => Err(error("idempotency_seconds", "says what is charged once: the route declares no `amount`")),
        }
    }
}

impl From<EffectClassDoc> for EffectClass {
    fn from(class: EffectClassDoc) -> Self {
        match class {
            EffectClassDoc::Read => Self::Read,
            EffectClassDoc::Write => Self::Write,
            EffectClassDoc::Destructive => Self::Destructive,
            EffectClassDoc::Admin => Self::Admin,
        }
    }
}

impl ArgumentDoc {
    fn compile(&self, name: &str, path: &PathPattern) -> Result<Argument, BundleError> {
        let at = |member: &str| format!("arguments.{name}{member}");
        let kind = ArgumentKind::from(self.kind);
        let default = self.default.as_ref().map(|default| default.read(kind).ok_or("it is not of the argument's kind"));
        let source = match self.at.compile(path).map_err(|e| error(at(".at"), e.why))? {
            Declared::At(source) => source,
            Declared::None => return Err(error(at(".at"), "say where it stands: `pointer`, `query` or `path`")),
        };
        Ok(Argument {
            name: checked_name("arguments", name)?,
            kind,
            source,
            is_optional: self.optional || self.default.is_some(),
            default: default.transpose().map_err(|why| error(at(".default"), why))?,
        })
    }
}

impl From<ArgumentKindDoc> for ArgumentKind {
    fn from(kind: ArgumentKindDoc) -> Self {
        match kind {
            ArgumentKindDoc::Text => Self::Text,
            ArgumentKindDoc::Integer => Self::Integer,
            ArgumentKindDoc::Boolean => Self::Boolean,
            ArgumentKindDoc::Path => Self::Path,
            ArgumentKindDoc::RelativePath => Self::RelativePath,
            ArgumentKindDoc::Host => Self::Host,
            ArgumentKindDoc::Address => Self::Address,
            ArgumentKindDoc::Any => Self::Any,
        }
    }
}

fn checked_name(at: &str, name: &str) -> Result<String, BundleError> {
    let why = "use names of 1 to 64 of a-z 0-9 _ . -";
    constraints::is_name(name).then(|| name.to_owned()).ok_or_else(|| error(at, why))
}

impl ResourceDoc {
    fn compile(&self, path: &PathPattern) -> Result<Declared<ResourceSource>, BundleError> {
        let value = |doc: ValueDoc| Ok(Declared::At(ResourceSource::Value(doc.compile("resource")?)));
        match self {
            Self::None => Ok(Declared::None),
            Self::Path(template) => ResourceTemplate::parse(template, path)
                .map(|template| Declared::At(ResourceSource::Path(template)))
                .map_err(|e| error("resource.path", e)),
            Self::Pointer(pointer) => value(ValueDoc::Pointer(pointer.clone())),
            Self::Query(name) => value(ValueDoc::Query(name.clone())),
        }
    }
}

impl RecordsDoc {
    fn compile(&self) -> Result<Declared<ValueSource>, BundleError> {
        let doc = match self {
            Self::None => return Ok(Declared::None),
            Self::Pointer(pointer) => ValueDoc::Pointer(pointer.clone()),
            Self::Query(name) => ValueDoc::Query(name.clone()),
        };
        doc.compile("records").map(Declared::At)
    }
}

/// The pointer, if it is one of RFC 6901 to something in a document.
///
/// # Errors
///
/// That it is none, said of `at`.
pub fn checked_pointer(at: &str, pointer: &str) -> Result<String, BundleError> {
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with('0') || rest.starts_with('1'));
    if !pointer.starts_with('/') || !escapes {
        return Err(error(
            at,
            "write an RFC 6901 pointer, e.g. `/order/total`; `~` is written `~0` and `/` in a name `~1`",
        ));
    }
    Ok(pointer.to_owned())
}

impl AmountDoc {
    fn compile(&self) -> Result<AmountSource, BundleError> {
        let unit = match self.unit {
            UnitDoc::Usd => Unit::Usd,
            UnitDoc::Cents => Unit::Cents,
            UnitDoc::MicroUsd => Unit::MicroUsd,
        };
        Ok(AmountSource { pointer: checked_pointer("amount.pointer", &self.pointer)?, unit })
    }
}

impl ValueDoc {
    fn compile(&self, at: &str) -> Result<ValueSource, BundleError> {
        match self {
            Self::Pointer(pointer) => checked_pointer(&format!("{at}.pointer"), pointer).map(ValueSource::Pointer),
            Self::Query(name) if name.is_empty() => Err(error(format!("{at}.query"), "name the query parameter")),
            Self::Query(name) => Ok(ValueSource::Query(name.clone())),
        }
    }
}

impl GuardrailsDoc {
    /// `counts_records` says that responses are looked at for their records.
    fn compile(&self, approvals: Option<&Approvals>, counts_records: bool) -> Result<Guardrails, BundleError> {
        let parse = |(i, text): (usize, &String)| {
            DomainPattern::parse(text).map_err(|e| error(format!("guardrails.allowed_domains[{i}]"), e))
        };
        let domains = self.allowed_domains.as_ref().map(|list| list.iter().enumerate().map(parse).collect());
        let spend = &self.spend_limits;
        Ok(Guardrails {
            rates: self.rate_limits.compile()?,
            spend: SpendLimits {
                per_transaction: spend.per_transaction_usd.map(|usd| usd.0),
                agent: caps([spend.daily_usd, spend.monthly_usd, None]),
                actor: spend.per_actor.compile(),
                gate: spend.per_gate.compile(),
                tenant: spend.per_tenant.compile(),
                action: spend.per_action.compile(),
                task: caps([spend.per_task.daily_usd, spend.per_task.monthly_usd, spend.per_task.total_usd]),
            },
            allowed_domains: domains.transpose()?,
            pii: self.pii_controls.as_ref().map(pii::compile).transpose()?,
            responses: self.responses(counts_records)?,
            require_approval_above: self.approval_workflows.require_approval_above_usd.map(|usd| usd.0),
            sessions: self.sessions.as_ref().map(|sessions| sessions.compile(approvals)).transpose()?,
            guardian: self.guardian.map(GuardianDoc::compile).transpose()?,
        })
    }
}

impl SpendCapsDoc {
    fn compile(self) -> SpendCaps {
        caps([self.daily_usd, self.monthly_usd, None])
    }
}

fn caps(of: [Option<Usd>; 3]) -> SpendCaps {
    let [daily, monthly, total] = of.map(|usd| usd.map(|usd| usd.0));
    SpendCaps { daily, monthly, total }
}

impl ActionPassesDoc {
    fn compile(self) -> Result<ActionPasses, BundleError> {
        let ttl_seconds = self.ttl_seconds.into();
        if !(1..=MAX_ACTION_PASS_TTL_SECONDS).contains(&ttl_seconds) {
            let why = format_args!("from 1 to {MAX_ACTION_PASS_TTL_SECONDS}");
            return Err(error("action_passes.ttl_seconds", why));
        }
        let binding = match self.version {
            0 => Binding::Content,
            1 => Binding::ContentAndKey,
            _ => return Err(error("action_passes.version", "0 or 1")),
        };
        // The keys come from the place that signs.
        Ok(ActionPasses { ttl_seconds, binding, keys: Vec::new() })
    }
}

impl RateLimitsDoc {
    fn compile(&self) -> Result<RatePolicy, BundleError> {
        let agent = WindowsDoc {
            requests_per_minute: self.requests_per_minute,
            requests_per_hour: self.requests_per_hour,
            requests_per_day: self.requests_per_day,
        };
        Ok(RatePolicy {
            agent: agent.compile("rate_limits")?,
            gate: self.per_gate.compile("rate_limits.per_gate")?,
            tenant: self.per_tenant.compile("rate_limits.per_tenant")?,
            action: self.per_action.compile("rate_limits.per_action")?,
        })
    }
}

impl WindowsDoc {
    fn compile(&self, at: &str) -> Result<RateLimits, BundleError> {
        let limits = RateLimits {
            requests_per_minute: self.requests_per_minute,
            requests_per_hour: self.requests_per_hour,
            requests_per_day: self.requests_per_day,
        };
        if limits.windows().any(|(_, limit)| limit == 0) {
            return Err(error(
                format!("guardrails.{at}"),
                "a limit is at least 1; to refuse an action, permit it to nobody",
            ));
        }
        Ok(limits)
    }
}
