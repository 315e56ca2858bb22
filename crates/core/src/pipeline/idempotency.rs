//! Idempotency keys: which request is a repetition of which.

use alloc::string::String;

use passgate_passport::http::HttpRequest;
use passgate_passport::proof::{CoveredRequest, IDEMPOTENCY_KEY_FIELD};
use sha2::{Digest as _, Sha256};

use super::authenticate::Authenticated;
use crate::attest::sha256_label;
use crate::gate::Gate;
use crate::reason::Reason;
use crate::route::Route;
use crate::state::{IdempotencyClaim, SpendMode, agent_key, digest_key};

/// Fields that say whose account of the upstream a request is for.
const ACCOUNT_FIELDS: [&str; 2] = ["authorization", "cookie"];
/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// What is asked of the state for the request's key, as if it were refused. A key that the proof does not cover could be
/// changed on the way, and the request carried out and charged twice.
///
/// # Errors
///
/// When the request has one that is none, or that the proof does not cover.
pub(super) fn claim(
    gate: &Gate,
    authenticated: &Authenticated<'_>,
    route: Option<&Route>,
) -> Result<Option<IdempotencyClaim>, Reason> {
    let seconds = route.and_then(|route| route.idempotency_seconds);
    let Some((seconds, account)) = seconds.zip(authenticated.keyed_for.as_deref()) else { return Ok(None) };
    let covered = authenticated.proof.covered();
    let key = covered.header(IDEMPOTENCY_KEY_FIELD).filter(|key| is_key(key)).ok_or(Reason::IdempotencyKeyInvalid)?;
    let credential = &authenticated.credential;
    let whose = [&gate.id, &agent_key(credential.issuer(), credential.root_agent_id())];
    let named = whose.into_iter().map(String::as_str).chain([authenticated.proof.key_thumbprint(), account, key]);
    Ok(Some(IdempotencyClaim {
        key: digest_key(&digest(named)),
        request_sha256: request_sha256(covered),
        seconds,
        mode: SpendMode::Probe,
    }))
}

/// Whose account of the upstream a request with a key is for, as far as the request says: each has keys of its own. Nobody has
/// to have proven it, since another one only means another key, and that the request is charged.
pub(super) fn keyed_for(request: &HttpRequest<'_>) -> Option<String> {
    request.lines(IDEMPOTENCY_KEY_FIELD).next()?;
    let add = |digest: Sha256, value: &[u8]| digest.chain_update(Sha256::digest(value));
    let of_field = |digest: Sha256, name: &&str| request.lines(name).fold(digest.chain_update(name), add);
    Some(digest_key(&ACCOUNT_FIELDS.iter().fold(Sha256::new(), of_field).finalize().into()))
}

fn is_key(key: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What makes two requests the same one.
fn request_sha256(request: &CoveredRequest<'_>) -> String {
    let content_type = request.header("content-type").unwrap_or_default();
    let target = [request.method(), content_type, request.scheme(), request.authority(), request.path()];
    let query = request.query().map_or(["", ""], |query| ["?", query]);
    let body = digest_key(&Sha256::digest(request.body()).into());
    sha256_label(&digest(target.into_iter().chain(query).chain([body.as_str()])))
}

/// None of the parts can have a NUL.
fn digest<'a>(parts: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let add = |digest: Sha256, part: &str| digest.chain_update(part).chain_update([0]);
    parts.fold(Sha256::new(), add).finalize().into()
}
