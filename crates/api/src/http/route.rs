//! The control routes as data.
//!
//! | route | scope | |
//! | --- | --- | --- |
//! | `GET /v1/attestations` | `ledger:read` | one page, filtered by `agent_id`, `gate_id`, `decision`, `after`, `before`; `limit`, `cursor` |
//! | `GET /v1/attestations/{id}` | `ledger:read` | one attestation |
//! | `GET /v1/attestations/export` | `ledger:read` | all that match, `format=jsonl` (with a signed head) or `format=csv`, streamed |
//! | `GET /v1/ledger/verify` | `ledger:read` | reads the whole ledger and says whether it holds |
//! | `GET /v1/keys` | public | the attestation keys as a JWK Set |
//! | `POST /v1/keys/rotate` | `bundle:write` | hands over to the next attestation key; only where the gate has its files |
//! | `POST /v1/passports/verify` | public | whether a passport holds at this gate |
//! | `POST /v1/passports/{id}/revoke` | `revoke` | revokes a passport |
//! | `POST /v1/revocations` | `revoke` | revokes a passport, an agent, a key or an issuer |
//! | `GET /v1/revocations` | `ledger:read` | since when something is revoked or suspended |
//! | `POST /v1/suspensions` | `revoke` | suspends a passport, an agent, a key or an issuer |
//! | `POST /v1/reinstatements` | `revoke` | ends its suspension |
//! | `POST /v1/reconciliations` | `budget:write` | says what became of a request whose outcome was not known |
//! | `GET /v1/approvals` | `approval:read` | one page of requests for approval; `state`, `limit`, `after` |
//! | `GET /v1/approvals/{id}` | `approval:read` | one of them, with what approvers are shown |
//! | `GET /v1/approvals/{id}/status` | public | how it stands, with its approvals, for whoever was told its id |
//! | `POST /v1/approvals/{id}/approve` | `approval:write` | an approval, as its approver signed it |
//! | `POST /v1/approvals/{id}/deny` | `approval:write` | denies it |
//! | `POST /v1/approvals/{id}/withdraw` | `approval:write` | takes it back, and every approval of it |
//! | `GET /v1/bundle` | `bundle:write` | the signed bundle that was put and is in force; only where the gate runs on one |
//! | `PUT /v1/bundle` | `bundle:write` | replaces it |
//! | `GET /v1/plugins/{name}/keys/{key}` | `bundle:write` | the value of a plugin's key, as it was put; only where there are plugins |
//! | `PUT /v1/plugins/{name}/keys/{key}` | `bundle:write` | writes it: the body, byte by byte |
//! | `DELETE /v1/plugins/{name}/keys/{key}` | `bundle:write` | deletes it |
//! | `GET /v1/status-lists/{key}` | public | a status list in force; only where lists are pushed |
//! | `PUT /v1/status-lists` | `bundle:write` | brings a newer one |
//!
//! `HEAD` is answered like `GET`; the transport leaves the body out.

use std::fmt;

use percent_encoding::percent_decode_str;

use passgate_core::state::MAX_PLUGIN_VALUE_BYTES;
use passgate_passport::status::MAX_STATUS_LIST_TOKEN_BYTES;

use super::reply::Reply;
use crate::answer::Problem;
use crate::edge::MAX_BUNDLE_BYTES;

/// The longest body of a route that takes a short document, in bytes: room for the largest passport.
const MAX_DOCUMENT_BYTES: usize = 20 * 1024;

/// What an API key may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Reading records, and what is revoked.
    LedgerRead,
    /// Revoking, suspending and reinstating.
    Revoke,
    /// Saying what became of requests whose outcome was not known.
    BudgetWrite,
    /// Reading requests for approval.
    ApprovalRead,
    /// Answering them.
    ApprovalWrite,
    /// Replacing the bundle, the status lists, what plugins read and the attestation key.
    BundleWrite,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::LedgerRead, Self::Revoke, Self::BudgetWrite, Self::ApprovalRead, Self::ApprovalWrite, Self::BundleWrite];

    /// The scope as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LedgerRead => "ledger:read",
            Self::Revoke => "revoke",
            Self::BudgetWrite => "budget:write",
            Self::ApprovalRead => "approval:read",
            Self::ApprovalWrite => "approval:write",
            Self::BundleWrite => "bundle:write",
        }
    }

    /// The scope of exactly that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A control route, with what its path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /v1/attestations`
    Attestations,
    /// `GET /v1/attestations/{id}`
    Attestation(String),
    /// `GET /v1/attestations/export`
    Export,
    /// `GET /v1/ledger/verify`
    VerifyLedger,
    /// `GET /v1/keys`
    Keys,
    /// `POST /v1/keys/rotate`
    RotateKey,
    /// `POST /v1/passports/verify`
    VerifyPassport,
    /// `POST /v1/passports/{id}/revoke`
    RevokePassport(String),
    /// `POST /v1/revocations`
    Revoke,
    /// `GET /v1/revocations`
    Revocation,
    /// `POST /v1/suspensions`
    Suspend,
    /// `POST /v1/reinstatements`
    Reinstate,
    /// `POST /v1/reconciliations`
    Reconcile,
    /// `GET /v1/approvals`
    Approvals,
    /// `GET /v1/approvals/{id}`
    Approval(String),
    /// `GET /v1/approvals/{id}/status`
    ApprovalStatus(String),
    /// `POST /v1/approvals/{id}/approve`
    Approve(String),
    /// `POST /v1/approvals/{id}/deny`
    DenyApproval(String),
    /// `POST /v1/approvals/{id}/withdraw`
    WithdrawApproval(String),
    /// `GET /v1/bundle`
    Bundle,
    /// `PUT /v1/bundle`
    PutBundle,
    /// `GET /v1/plugins/{name}/keys/{key}`
    PluginKey(PluginKey),
    /// `PUT /v1/plugins/{name}/keys/{key}`
    PutPluginKey(PluginKey),
    /// `DELETE /v1/plugins/{name}/keys/{key}`
    DeletePluginKey(PluginKey),
    /// `GET /v1/status-lists/{key}`
    StatusList(String),
    /// `PUT /v1/status-lists`
    PutStatusLists,
}

/// What a path says of a plugin's key. Nothing but the store looks at whether it is within the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginKey {
    /// The plugin's name.
    pub plugin: String,
    /// The key.
    pub key: String,
}

/// No route is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path is none of a route.
    #[error("no control route has this path")]
    NotFound,
    /// The path is, with other methods.
    #[error("the route has no such method")]
    MethodNotAllowed {
        /// The methods there are, as in `Allow`.
        allow: String,
    },
}

impl Route {
    /// The route of a request, `path` being what follows the gate's own prefix, without the query.
    ///
    /// # Errors
    ///
    /// [`RouteError`].
    pub fn parse(method: &str, path: &str) -> Result<Self, RouteError> {
        let method = if method == "HEAD" { "GET" } else { method };
        let there = Self::at(path).ok_or(RouteError::NotFound)?;
        let allow = || there.iter().map(|route| route.method().to_owned()).collect::<Vec<_>>().join(", ");
        let found = there.iter().find(|route| route.method() == method);
        found.cloned().ok_or_else(|| RouteError::MethodNotAllowed { allow: allow() })
    }

    /// The routes of a path, whatever their method.
    fn at(path: &str) -> Option<Vec<Self>> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        Some(match segments.as_slice() {
            ["attestations"] => vec![Self::Attestations],
            ["attestations", "export"] => vec![Self::Export],
            ["attestations", id] => vec![Self::Attestation(decoded(id)?)],
            ["ledger", "verify"] => vec![Self::VerifyLedger],
            ["keys"] => vec![Self::Keys],
            ["keys", "rotate"] => vec![Self::RotateKey],
            ["passports", "verify"] => vec![Self::VerifyPassport],
            ["passports", id, "revoke"] => vec![Self::RevokePassport(decoded(id)?)],
            ["revocations"] => vec![Self::Revocation, Self::Revoke],
            ["suspensions"] => vec![Self::Suspend],
            ["reinstatements"] => vec![Self::Reinstate],
            ["reconciliations"] => vec![Self::Reconcile],
            ["approvals"] => vec![Self::Approvals],
            ["approvals", id] => vec![Self::Approval(decoded(id)?)],
            ["approvals", id, "status"] => vec![Self::ApprovalStatus(decoded(id)?)],
            ["approvals", id, "approve"] => vec![Self::Approve(decoded(id)?)],
            ["approvals", id, "deny"] => vec![Self::DenyApproval(decoded(id)?)],
            ["approvals", id, "withdraw"] => vec![Self::WithdrawApproval(decoded(id)?)],
            ["bundle"] => vec![Self::Bundle, Self::PutBundle],
            ["plugins", plugin, "keys", key] => {
                let named = PluginKey { plugin: decoded(plugin)?, key: decoded(key)? };
                vec![Self::PluginKey(named.clone()), Self::PutPluginKey(named.clone()), Self::DeletePluginKey(named)]
            }
            ["status-lists"] => vec![Self::PutStatusLists],
            ["status-lists", key] => vec![Self::StatusList(decoded(key)?)],
            _ => return None,
        })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Attestations
            | Self::Attestation(_)
            | Self::Export
            | Self::VerifyLedger
            | Self::Keys
            | Self::Approvals
            | Self::Approval(_)
            | Self::ApprovalStatus(_)
            | Self::Revocation
            | Self::Bundle
            | Self::PluginKey(_)
            | Self::StatusList(_) => "GET",
            Self::RotateKey
            | Self::VerifyPassport
            | Self::RevokePassport(_)
            | Self::Revoke
            | Self::Suspend
            | Self::Reinstate
            | Self::Reconcile
            | Self::Approve(_)
            | Self::DenyApproval(_)
            | Self::WithdrawApproval(_) => "POST",
            Self::PutBundle | Self::PutStatusLists | Self::PutPluginKey(_) => "PUT",
            Self::DeletePluginKey(_) => "DELETE",
        }
    }

    /// The scope that an API key needs for it; `None` when it is public.
    #[must_use]
    pub const fn scope(&self) -> Option<Scope> {
        match self {
            Self::Keys | Self::VerifyPassport | Self::StatusList(_) | Self::ApprovalStatus(_) => None,
            Self::Attestations | Self::Attestation(_) | Self::Export | Self::VerifyLedger | Self::Revocation => {
                Some(Scope::LedgerRead)
            }
            Self::RevokePassport(_) | Self::Revoke | Self::Suspend | Self::Reinstate => Some(Scope::Revoke),
            Self::Reconcile => Some(Scope::BudgetWrite),
            Self::Approvals | Self::Approval(_) => Some(Scope::ApprovalRead),
            Self::Approve(_) | Self::DenyApproval(_) | Self::WithdrawApproval(_) => Some(Scope::ApprovalWrite),
            Self::RotateKey
            | Self::Bundle
            | Self::PutBundle
            | Self::PutStatusLists
            | Self::PluginKey(_)
            | Self::PutPluginKey(_)
            | Self::DeletePluginKey(_) => Some(Scope::BundleWrite),
        }
    }

    /// The longest body it takes, in bytes. Whoever reads the body stops there and answers with [`Reply::too_large`].
    #[must_use]
    pub const fn max_body_bytes(&self) -> usize {
        match self {
            Self::PutBundle => MAX_BUNDLE_BYTES,
            Self::PutStatusLists => MAX_STATUS_LIST_TOKEN_BYTES,
            Self::PutPluginKey(_) => MAX_PLUGIN_VALUE_BYTES,
            _ => MAX_DOCUMENT_BYTES,
        }
    }
}

/// A segment as it is meant; `None` when it names nothing.
fn decoded(segment: &str) -> Option<String> {
    let text = percent_decode_str(segment).decode_utf8().ok()?;
    (!text.is_empty()).then(|| text.into_owned())
}

impl From<RouteError> for Reply {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::NotFound => Self::not_found("no control route has this path"),
            RouteError::MethodNotAllowed { allow } => {
                let problem = Problem::new(405, "method_not_allowed", "The route has no such method.");
                Self::problem(&problem).with("allow", allow)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_found_by_its_method_and_path() {
        let key = |plugin: &str, key: &str| PluginKey { plugin: plugin.to_owned(), key: key.to_owned() };
        for (method, path, route) in [
            ("GET", "/v1/attestations", Route::Attestations),
            ("HEAD", "/v1/attestations", Route::Attestations),
            ("GET", "/v1/attestations/att_1", Route::Attestation("att_1".to_owned())),
            ("GET", "/v1/attestations/a%2Fb%20c", Route::Attestation("a/b c".to_owned())),
            ("GET", "/v1/attestations/export", Route::Export),
            ("GET", "/v1/ledger/verify", Route::VerifyLedger),
            ("GET", "/v1/keys", Route::Keys),
            ("POST", "/v1/keys/rotate", Route::RotateKey),
            ("POST", "/v1/passports/verify", Route::VerifyPassport),
            ("POST", "/v1/passports/pass_1/revoke", Route::RevokePassport("pass_1".to_owned())),
            ("POST", "/v1/revocations", Route::Revoke),
            ("GET", "/v1/revocations", Route::Revocation),
            ("POST", "/v1/suspensions", Route::Suspend),
            ("POST", "/v1/reinstatements", Route::Reinstate),
            ("GET", "/v1/bundle", Route::Bundle),
            ("PUT", "/v1/bundle", Route::PutBundle),
            ("GET", "/v1/status-lists/k", Route::StatusList("k".to_owned())),
            ("PUT", "/v1/status-lists", Route::PutStatusLists),
            ("GET", "/v1/plugins/shops/keys/list", Route::PluginKey(key("shops", "list"))),
            ("POST", "/v1/reconciliations", Route::Reconcile),
            ("GET", "/v1/approvals", Route::Approvals),
            ("GET", "/v1/approvals/areq_1", Route::Approval("areq_1".to_owned())),
            ("GET", "/v1/approvals/areq_1/status", Route::ApprovalStatus("areq_1".to_owned())),
            ("POST", "/v1/approvals/areq_1/approve", Route::Approve("areq_1".to_owned())),
            ("POST", "/v1/approvals/areq_1/deny", Route::DenyApproval("areq_1".to_owned())),
            ("POST", "/v1/approvals/areq_1/withdraw", Route::WithdrawApproval("areq_1".to_owned())),
            ("PUT", "/v1/plugins/shops/keys/a%2Fb", Route::PutPluginKey(key("shops", "a/b"))),
            ("DELETE", "/v1/plugins/keys/keys/keys", Route::DeletePluginKey(key("keys", "keys"))),
        ] {
            assert_eq!(Route::parse(method, path), Ok(route), "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_not_found_and_other_methods_are_told_what_there_is() {
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v2/keys",
            "v1/keys",
            "/v1/keys/",
            "/v1//keys",
            "/v1/attestations/",
            "/v1/attestations/a/b",
            "/v1/attestations/%ff",
            "/v1/passports/x",
            "/v1/passports//revoke",
            "/v1/status-lists/",
            "/v1/plugins/shops/keys",
            "/v1/plugins/shops/keys/",
            "/v1/plugins//keys/list",
            "/v1/plugins/shops/keys/a/b",
            "/v1/plugins/shops/keys/%ff",
            "/v1/plugins/shops/list",
            "/.passgate/v1/keys",
            "/V1/keys",
        ] {
            assert_eq!(Route::parse("GET", path), Err(RouteError::NotFound), "{path}");
        }
        for (method, path, allow) in [
            ("DELETE", "/v1/attestations", "GET"),
            ("get", "/v1/keys", "GET"),
            ("PUT", "/v1/revocations", "GET, POST"),
            ("POST", "/v1/bundle", "GET, PUT"),
            ("HEAD", "/v1/passports/verify", "POST"),
            ("POST", "/v1/plugins/shops/keys/list", "GET, PUT, DELETE"),
            ("", "/v1/ledger/verify", "GET"),
        ] {
            let error = Route::parse(method, path).unwrap_err();
            assert_eq!(error, RouteError::MethodNotAllowed { allow: allow.to_owned() }, "{method} {path}");
            let reply = Reply::from(error);
            assert_eq!(reply.status, 405);
            assert!(reply.fields.contains(&("allow", allow.to_owned())));
        }
    }

    #[test]
    fn scopes_have_one_name_each() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()), Some(scope));
        }
        for name in ["", "public", "Revoke", "ledger", "ledger:read ", "*"] {
            assert_eq!(Scope::from_name(name), None, "{name}");
        }
    }
}
