//! The payload of an approval: writing it, reading it, and its limits.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use super::{Approval, Grant, MAX_APPROVAL_BYTES, MAX_GRANT_NEEDS, MAX_GRANT_PERMISSIONS, MAX_GRANT_USES};
use crate::action::Agent;
use crate::action_pass::ClaimError;
use crate::action_pass::claims::{
    Confirmation, NO_CONFIRMATION, NO_DATE, NO_IDENTIFIER, claim, confirmation, date, is_date, required, text,
};
use crate::b64;
use crate::claims::is_identifier;
use crate::constraints::{Constraints, ConstraintsClaim, SpendCaps};
use crate::digest::{read_sha256_label, sha256_label};
use crate::id::{APPROVAL_PREFIX, APPROVAL_REQUEST_PREFIX, is_id};
use crate::json::{self, Members, Node};
use crate::scope::Scope;

const CLAIMS: [&str; 9] = ["aud", "exp", "grant", "iat", "iss", "jti", "request_id", "shown_sha256", "v"];
const VERSION: u64 = 1;
const NO_GRANT: &str =
    "is not an object with `agent`, `needs`, `permissions`, `uses` and at most `cnf` and `constraints`";
const NO_PERMISSIONS: &str = "is not a list of 1 to 16 scopes, none twice";
const NO_CONSTRAINTS: &str =
    "has more than a grant can hold: spend per transaction and in total, domains, resources, context, records and task";

/// The payload as written; the order of the members is that of RFC 8785.
#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a str,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<GrantClaim<'a>>,
    iat: i64,
    iss: &'a str,
    jti: &'a str,
    request_id: &'a str,
    shown_sha256: String,
    v: u64,
}

#[derive(Serialize)]
struct GrantClaim<'a> {
    agent: AgentClaim<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    constraints: Option<ConstraintsClaim<'a>>,
    needs: &'a [String],
    permissions: Vec<&'a str>,
    uses: u64,
}

#[derive(Serialize)]
struct AgentClaim<'a> {
    id: &'a str,
    issuer: &'a str,
}

impl Approval {
    /// The payload as canonical JSON.
    pub(super) fn payload(&self) -> Result<Vec<u8>, ClaimError> {
        let grant = self.grant.as_ref().map(|grant| GrantClaim {
            agent: AgentClaim { id: &grant.agent.id, issuer: &grant.agent.issuer },
            cnf: grant.holder_jkt.as_deref().map(|jkt| Confirmation { jkt }),
            constraints: ConstraintsClaim::of(&grant.constraints),
            needs: &grant.needs,
            permissions: grant.permissions.iter().map(Scope::as_str).collect(),
            uses: grant.uses,
        });
        let payload = Payload {
            aud: &self.audience,
            exp: self.exp,
            grant,
            iat: self.iat,
            iss: &self.issuer,
            jti: &self.jti,
            request_id: &self.request_id,
            shown_sha256: sha256_label(&self.shown_sha256),
            v: VERSION,
        };
        json::canonical(&payload).map_err(ClaimError::Json)
    }

    /// Reads a payload; the result is as trustworthy as the bytes, not more.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, ClaimError> {
        let document = json::read(payload, MAX_APPROVAL_BYTES).map_err(ClaimError::Json)?;
        let members = document.as_object().ok_or(claim("(payload)", "is no JSON object"))?;
        if members.keys().any(|name| !CLAIMS.contains(&name.as_ref())) {
            return Err(claim("unknown", "stands in the payload, and nobody would know what it means"));
        }
        if required(members, "v")?.as_u64() != Some(VERSION) {
            return Err(claim("v", "is not 1"));
        }
        let approval = Self {
            audience: text(members, "aud")?.into(),
            exp: date(members, "exp")?,
            grant: members.get("grant").map(Grant::from_node).transpose()?,
            iat: date(members, "iat")?,
            issuer: text(members, "iss")?.into(),
            jti: text(members, "jti")?.into(),
            request_id: text(members, "request_id")?.into(),
            shown_sha256: read_sha256_label(text(members, "shown_sha256")?)
                .ok_or(claim("shown_sha256", "is not `sha256:` and 64 lower-case hex digits"))?,
        };
        approval.check().map(|()| approval)
    }

    /// Whether the claims are within their limits; the lifetime has a code of its own.
    pub(super) fn check(&self) -> Result<(), ClaimError> {
        let checks = [
            (is_identifier(&self.audience), "aud", NO_IDENTIFIER),
            (is_date(self.exp), "exp", NO_DATE),
            (is_date(self.iat), "iat", NO_DATE),
            (self.exp > self.iat, "exp", "is not after `iat`"),
            (is_identifier(&self.issuer), "iss", NO_IDENTIFIER),
            (is_id(&self.jti, APPROVAL_PREFIX), "jti", "is not `appr_` and a ULID"),
            (is_id(&self.request_id, APPROVAL_REQUEST_PREFIX), "request_id", "is not `areq_` and a ULID"),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, name, problem)) => Err(claim(name, problem)),
            None => self.grant.as_ref().map_or(Ok(()), Grant::check),
        }
    }
}

impl Grant {
    fn from_node(node: &Node<'_>) -> Result<Self, ClaimError> {
        const KNOWN: [&str; 6] = ["agent", "cnf", "constraints", "needs", "permissions", "uses"];
        let members = closed(node, &KNOWN).ok_or(claim("grant", NO_GRANT))?;
        let agent = closed(required(members, "agent")?, &["id", "issuer"]).ok_or(claim("grant", NO_GRANT))?;
        let scopes = required(members, "permissions")?.as_array();
        let scopes = scopes.and_then(|list| list.iter().map(|scope| Scope::parse(scope.as_str()?).ok()).collect());
        let needs = required(members, "needs")?.as_array();
        let needs = needs.and_then(|list| list.iter().map(|need| need.as_str().map(String::from)).collect());
        let constraints = members.get("constraints").map(Constraints::from_node).transpose();
        Ok(Self {
            agent: Agent { id: text(agent, "id")?.into(), issuer: text(agent, "issuer")?.into() },
            holder_jkt: members.get("cnf").map(confirmation).transpose()?,
            constraints: constraints.map_err(|_| claim("grant.constraints", NO_CONSTRAINTS))?.unwrap_or_default(),
            needs: needs.ok_or(claim("grant.needs", NO_NEEDS))?,
            permissions: scopes.ok_or(claim("grant.permissions", NO_PERMISSIONS))?,
            uses: required(members, "uses")?.as_u64().ok_or(claim("grant.uses", NO_USES))?,
        })
    }

    fn check(&self) -> Result<(), ClaimError> {
        let scopes = &self.permissions;
        let once = scopes.iter().enumerate().all(|(i, scope)| !scopes.iter().take(i).any(|other| other == scope));
        let jkt = self.holder_jkt.as_deref().is_none_or(|jkt| b64::decode_array::<32>(jkt).is_ok());
        let checks = [
            (jkt, "grant.cnf", NO_CONFIRMATION),
            (is_identifier(&self.agent.id), "grant.agent.id", NO_IDENTIFIER),
            (is_identifier(&self.agent.issuer), "grant.agent.issuer", NO_IDENTIFIER),
            (
                (1..=MAX_GRANT_NEEDS).contains(&self.needs.len()) && self.needs.iter().all(|need| is_identifier(need)),
                "grant.needs",
                NO_NEEDS,
            ),
            ((1..=MAX_GRANT_PERMISSIONS).contains(&scopes.len()) && once, "grant.permissions", NO_PERMISSIONS),
            (holds_only_what_a_grant_can(&self.constraints), "grant.constraints", NO_CONSTRAINTS),
            ((1..=MAX_GRANT_USES).contains(&self.uses), "grant.uses", NO_USES),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, name, problem)) => Err(claim(name, problem)),
            None => Ok(()),
        }
    }
}

const NO_NEEDS: &str = "is not a list of 1 to 16 texts such as `approval_required` or `rule_step_up:large`";
const NO_USES: &str = "is not an integer from 1 to 1000";

/// What nobody would hold a request against must not stand in a grant: it would seem to bound it.
fn holds_only_what_a_grant_can(constraints: &Constraints) -> bool {
    let SpendCaps { per_transaction_micro_usd, total_micro_usd, .. } = constraints.spend;
    let Constraints { domains, resources, context, max_records, task, .. } = constraints.clone();
    let spend = SpendCaps { per_transaction_micro_usd, total_micro_usd, ..SpendCaps::default() };
    *constraints == Constraints { spend, domains, resources, context, max_records, task, ..Constraints::default() }
}

/// The members of an object that has none but these.
fn closed<'j, 'a>(node: &'j Node<'a>, known: &[&str]) -> Option<&'j Members<'a>> {
    node.as_object().filter(|members| members.keys().all(|name| known.contains(&name.as_ref())))
}
