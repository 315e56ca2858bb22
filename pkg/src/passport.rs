//! Reports on passports.

use std::collections::BTreeMap;

use passgate_api::bundle::{self, IssuerDoc, SelfIssuedDoc};
use passgate_core::reason::Reason;
use passgate_core::status::StatusLists;
use passgate_core::time::UnixMillis;
use passgate_passport::claims::Claims;
use passgate_passport::constraints::Constraints;
use passgate_passport::delegation::{self, ChainError, Link, VerifiedChain, Violation};
use passgate_passport::json::{self, Node};
use passgate_passport::passport::{self, PassportError, VerifyContext};
use passgate_passport::scope::Scope;
use passgate_passport::trust::{Tier, TrustStore};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::report::{self, Check};

/// Longest options, in bytes: many issuers, and status lists of up to 2 MiB each.
const MAX_OPTIONS_BYTES: usize = 32 * 1024 * 1024;
/// How old a status list may be whose issuer says nothing of its lists: a year. Its own end counts all the same.
const MAX_LIST_AGE_SECONDS: u64 = 31_536_000;

/// What can be checked of a passport by itself, in the order of [`delegation::verify_chain`]; then its status list.
const CHECKS: [&str; 10] = [
    "form",
    "issuer",
    "issuer_key",
    "signature",
    "time",
    "tier",
    "audience",
    "delegation",
    "status_list",
    "possession",
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    issuers: Vec<IssuerDoc>,
    #[serde(default)]
    self_issued: SelfIssuedDoc,
    #[serde(default)]
    audience: Option<String>,
    #[serde(default)]
    leeway_seconds: u16,
    #[serde(default)]
    status_lists: BTreeMap<String, String>,
}

/// Verifies passports against one set of trusted issuers.
#[derive(Debug)]
#[wasm_bindgen]
pub struct PassportVerifier {
    trust: TrustStore,
    required: StatusLists,
    audience: Option<String>,
    leeway_seconds: i64,
    lists: BTreeMap<String, String>,
}

#[wasm_bindgen]
impl PassportVerifier {
    /// A verifier of `options`, a JSON object with `issuers`, `self_issued`, `audience`, `leeway_seconds`, and
    /// `status_lists`: tokens by their URI.
    ///
    /// # Errors
    ///
    /// A text that names the member and says what is wrong.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &str) -> Result<Self, String> {
        let options: Options =
            json::parse_into(options.as_bytes(), MAX_OPTIONS_BYTES).map_err(|error| error.to_string())?;
        if i64::from(options.leeway_seconds) > passport::MAX_LEEWAY_SECONDS {
            return Err(format!("leeway_seconds: at most {}", passport::MAX_LEEWAY_SECONDS));
        }
        Ok(Self {
            trust: bundle::trust_store(&options.issuers, &options.self_issued).map_err(|error| error.to_string())?,
            required: bundle::status_lists(&options.issuers).map_err(|error| error.to_string())?,
            audience: options.audience,
            leeway_seconds: options.leeway_seconds.into(),
            lists: options.status_lists,
        })
    }

    /// The report on `token` at `now` (Unix milliseconds), as `PassportReport` of `ts/types.ts` in JSON.
    ///
    /// # Errors
    ///
    /// None that a token can cause.
    pub fn verify(&self, token: &str, now: f64) -> Result<String, String> {
        let now = UnixMillis(milliseconds(now)?);
        report::to_json(&self.report(token, now))
    }
}

/// What `token` says, unverified, as `Passport` of `ts/types.ts` in JSON.
///
/// # Errors
///
/// Why it is no passport.
#[wasm_bindgen(js_name = inspectPassport)]
pub fn inspect(token: &str) -> Result<String, String> {
    let links = delegation::inspect_chain(token).map_err(|error| error.to_string())?;
    report::to_json(&PassportView::of(&links))
}

impl PassportVerifier {
    fn report(&self, token: &str, now: UnixMillis) -> PassportReport {
        let context = VerifyContext {
            now: now.seconds(),
            leeway_seconds: self.leeway_seconds,
            audience: self.audience.as_deref(),
        };
        match delegation::verify_chain(token, &self.trust, &context) {
            Ok(verified) => self.listed(&verified, now),
            Err(error) => PassportReport::refused(token, &error),
        }
    }

    /// The report on a passport that holds as far as its status.
    fn listed(&self, verified: &VerifiedChain, now: UnixMillis) -> PassportReport {
        let claims = &verified.root().claims;
        let lists = self.lists_for(claims, now);
        let mut report = PassportReport {
            valid: true,
            expired: false,
            revoked: false,
            reason_code: None,
            detail: None,
            failed_link: None,
            checks: report::passed(&CHECKS),
            passport: PassportView::of(&verified.links().cloned().collect::<Vec<_>>()),
            constraints: stated(verified.constraints()),
            trust_tier: Some(verified.tier().as_str()),
        };
        match lists.check(claims, now) {
            Ok(consulted) => report.leave_open(self.audience.is_some(), consulted.is_some()),
            Err(refusal) => {
                report.checks = report::failed_at(&CHECKS, "status_list", &refusal.detail);
                report.valid = false;
                report.revoked = matches!(refusal.reason, Reason::StatusRevoked | Reason::StatusSuspended);
                report.trust_tier = None;
                report.constraints = None;
                report.reason_code = Some(refusal.reason.code());
                report.failed_link = Some(0);
                report.detail = Some(format!("{}: {}", refusal.reason.title(), refusal.detail));
                if self.audience.is_none() {
                    report::not_checked(&mut report.checks, "audience", NO_AUDIENCE);
                }
            }
        }
        report
    }

    /// The lists that count for a passport: those its issuer demands, and one at hand that it names itself.
    fn lists_for(&self, claims: &Claims, now: UnixMillis) -> StatusLists {
        let mut lists = self.required.clone();
        let Some(entry) = &claims.status_list else { return lists };
        let Some(token) = self.lists.get(&entry.uri) else { return lists };
        if lists.max_age_seconds(&claims.iss).is_none() {
            lists.require(claims.iss.clone(), MAX_LIST_AGE_SECONDS);
        }
        // A list that does not verify is one that is not at hand, which refuses the passport.
        let verified = lists.verify(&self.trust, Some(&entry.uri), token, now, self.leeway_seconds);
        for list in verified.unwrap_or_default() {
            lists.insert(list);
        }
        lists
    }
}

const NO_AUDIENCE: &str = "no audience was named to compare with";
const NO_REQUEST: &str = "whether the sender holds the key shows in a request";
const NO_LIST: &str = "no status list is at hand: whether the passport is revoked is not known";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PassportReport {
    valid: bool,
    expired: bool,
    revoked: bool,
    reason_code: Option<&'static str>,
    detail: Option<String>,
    /// Which passport of the chain is at fault, from 0 for the issuer's.
    failed_link: Option<usize>,
    checks: Vec<Check>,
    passport: Option<PassportView>,
    /// What limits the agent in all, those above it counted. Known when the passport holds.
    constraints: Option<Constraints>,
    trust_tier: Option<&'static str>,
}

impl PassportReport {
    fn refused(token: &str, error: &ChainError) -> Self {
        let (code, detail) = (error.code(), error.to_string());
        Self {
            valid: false,
            expired: matches!(error.violation, Violation::Passport(PassportError::Expired { .. })),
            revoked: false,
            reason_code: Some(code),
            failed_link: Some(error.link),
            checks: report::failed_at(&CHECKS, check_of(code), &detail),
            detail: Some(detail),
            passport: delegation::inspect_chain(token).ok().and_then(|links| PassportView::of(&links)),
            constraints: None,
            trust_tier: None,
        }
    }

    /// Says of what was not looked at that it was not.
    fn leave_open(&mut self, has_audience: bool, has_list: bool) {
        if !has_audience {
            report::not_checked(&mut self.checks, "audience", NO_AUDIENCE);
        }
        if !has_list {
            report::not_checked(&mut self.checks, "status_list", NO_LIST);
        }
        report::not_checked(&mut self.checks, "possession", NO_REQUEST);
    }
}

/// The check that fails with `code`.
fn check_of(code: &str) -> &'static str {
    match code {
        "issuer_unknown" | "issuer_suspended" => "issuer",
        "issuer_key_unknown" | "issuer_key_compromised" => "issuer_key",
        "passport_signature_invalid" => "signature",
        "passport_expired" | "passport_not_yet_valid" | "passport_lifetime_exceeded" => "time",
        "tier_mismatch" => "tier",
        "audience_mismatch" => "audience",
        _ if code.starts_with("delegation_") => "delegation",
        _ => "form",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PassportView {
    id: String,
    agent_id: String,
    agent_name: Option<String>,
    issuer: String,
    key_thumbprint: String,
    permissions: Vec<String>,
    issued_at: i64,
    not_before: Option<i64>,
    expires_at: i64,
    audience: Option<Vec<String>>,
    claimed_tier: Option<&'static str>,
    status_list: Option<StatusListView>,
    /// JSON in a text: numbers stay as they were written.
    metadata: Option<String>,
    /// What this passport states; what it inherits is in those above it.
    constraints: Option<Constraints>,
    /// Who handed the authority on, from the issuer's agent downwards.
    delegated_by: Vec<DelegatorView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DelegatorView {
    id: String,
    agent_id: String,
    key_thumbprint: String,
    permissions: Vec<String>,
    expires_at: i64,
    constraints: Option<Constraints>,
}

#[derive(Serialize)]
struct StatusListView {
    uri: String,
    idx: u64,
}

impl PassportView {
    /// The last passport of `links`, on behalf of those before it.
    fn of(links: &[Link]) -> Option<Self> {
        let (leaf, above) = links.split_last()?;
        let root = &links.first()?.claims;
        let (claims, list) = (&leaf.claims, root.status_list.as_ref());
        let metadata = claims.metadata.clone().map(Node::Object);
        Some(Self {
            id: claims.jti.clone(),
            agent_id: claims.sub.clone(),
            agent_name: claims.agent_name.clone(),
            issuer: root.iss.clone(),
            key_thumbprint: claims.cnf_key.thumbprint().to_owned(),
            permissions: permissions(leaf),
            issued_at: claims.iat,
            not_before: claims.nbf,
            expires_at: claims.exp,
            audience: claims.aud.clone(),
            claimed_tier: claims.trust_tier.map(Tier::as_str),
            status_list: list.map(|entry| StatusListView { uri: entry.uri.clone(), idx: entry.idx }),
            metadata: metadata.map(|metadata| metadata.to_json()),
            constraints: stated(&leaf.constraints),
            delegated_by: above.iter().map(DelegatorView::of).collect(),
        })
    }
}

impl DelegatorView {
    fn of(link: &Link) -> Self {
        Self {
            id: link.claims.jti.clone(),
            agent_id: link.claims.sub.clone(),
            key_thumbprint: link.claims.cnf_key.thumbprint().to_owned(),
            permissions: permissions(link),
            expires_at: link.claims.exp,
            constraints: stated(&link.constraints),
        }
    }
}

fn permissions(link: &Link) -> Vec<String> {
    link.claims.permissions.iter().map(Scope::as_str).map(str::to_owned).collect()
}

fn stated(constraints: &Constraints) -> Option<Constraints> {
    (!constraints.is_empty()).then(|| constraints.clone())
}

/// A time from JavaScript, which counts in floats.
///
/// # Errors
///
/// When it is no whole number of milliseconds since 1970.
pub(crate) fn milliseconds(time: f64) -> Result<u64, String> {
    /// The last millisecond that a JavaScript date has.
    const LAST: f64 = 8.64e15;
    if !(0.0..=LAST).contains(&time) || time.fract() != 0.0 {
        return Err("the time is no whole number of milliseconds since 1970".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and within bounds, see above")]
    Ok(time as u64)
}

#[cfg(test)]
mod tests;
