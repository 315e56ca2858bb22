//! The page that verifies passports, attestations and exports, at `/verify`.
//!
//! It is for people: a request with a passport is an agent's, and is decided like every other. Without one it would be refused,
//! so the page hides no path of the upstream's.

use http::Response;
use passgate_api::answer;

use super::handler::{GateBody, respond};
use crate::http::intake::Intake;

/// The page, when `cargo xtask web build` made it before this was built.
#[cfg(verify_page)]
const PAGE: Option<&[u8]> = Some(include_bytes!(concat!(env!("OUT_DIR"), "/verify.html")));
#[cfg(not(verify_page))]
const PAGE: Option<&[u8]> = None;

const PATH: &str = "/verify";
/// The field that makes a request an agent's.
const PASSPORT: &str = "agent-passport";

/// Whether this gateway was built with the page.
#[must_use]
pub fn has_verify_page() -> bool {
    PAGE.is_some()
}

/// The page, if that is what is asked for. It says itself what it may load: nothing.
pub(super) fn asked_for(taken: &Intake) -> Option<Response<GateBody>> {
    let is_read = matches!(taken.method.as_str(), "GET" | "HEAD");
    let is_agents = taken.headers.iter().any(|(name, _)| name == PASSPORT);
    let page = PAGE.filter(|_| is_read && taken.path == PATH && !is_agents)?;
    let headers = [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-cache"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).into();
    Some(respond(answer::Response { status: 200, headers, body: page.to_vec() }))
}
