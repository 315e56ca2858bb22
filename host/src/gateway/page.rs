//! The page that verifies passports, attestations and exports, at `/verify`.
//!
//! It is for people: a request with a passport is an agent's, and is decided like every other. Without one it would be refused,
//! so the page hides no path of the upstream's.

use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderName, Response, StatusCode};
use http_body_util::{Either, Full};
use passgate_core::attest::sha256_label;
use sha2::{Digest as _, Sha256};

use super::handler::GateBody;
use crate::http::intake::Intake;

/// The page, when `cargo xtask web build` made it before this was built.
#[cfg(verify_page)]
const PAGE: Option<&'static [u8]> = Some(include_bytes!(concat!(env!("OUT_DIR"), "/verify.html")));
#[cfg(not(verify_page))]
const PAGE: Option<&'static [u8]> = None;

const PATH: &str = "/verify";
/// The field that makes a request an agent's.
const PASSPORT: &str = "agent-passport";

/// Whether this gateway was built with the page.
#[must_use]
pub fn has_verify_page() -> bool {
    PAGE.is_some()
}

/// What the page is known by, so that whoever has it is not sent it again.
static TAG: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest: [u8; 32] = Sha256::digest(PAGE?).into();
    HeaderValue::from_str(&format!("\"{}\"", sha256_label(&digest))).ok()
});

const FIELDS: [(&str, &str); 6] = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "frame-ancestors 'none'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
];

/// The page, if that is what is asked for. It says itself what it may load: nothing.
pub(super) fn asked_for(taken: &Intake) -> Option<Response<GateBody>> {
    let field = |wanted: &str| taken.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let is_read = matches!(taken.method.as_str(), "GET" | "HEAD");
    let page = PAGE.filter(|_| is_read && taken.path == PATH && field(PASSPORT).is_none())?;
    let tag = TAG.as_ref()?;
    let is_known = field(IF_NONE_MATCH.as_str()).is_some_and(|known| known.as_slice() == tag.as_bytes());
    let (status, body) = if is_known { (StatusCode::NOT_MODIFIED, &[][..]) } else { (StatusCode::OK, page) };
    let mut response = Response::new(Either::Left(Full::new(Bytes::from_static(body))));
    *response.status_mut() = status;
    response.headers_mut().insert(ETAG, tag.clone());
    for (name, value) in FIELDS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    Some(response)
}
