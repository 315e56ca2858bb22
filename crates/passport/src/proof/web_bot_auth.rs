//! Foreign agents that sign their requests for Cloudflare and others: Web Bot Auth
//! (draft-ietf-webbotauth-httpsig-protocol, before that draft-meunier-web-bot-auth-architecture).
//!
//! Such an agent has no passport. It signs with `tag="web-bot-auth"`, names its key in `keyid` and the URL of its keys in
//! `signature-agent`. Whoever runs a gate decides which URL is let in, with which keys and which permissions; nothing is
//! fetched here.
//!
//! These signatures MAY cover no more than the authority. Then they are good for every method, path and body there, and
//! whoever sees one can use it. So a gate takes one as proof under three rules:
//!
//! - it must cover method, path, query, and the body by its recomputed digest, unless the request is [safe](is_safe);
//!   of a safe request too where [`Coverage::EveryRequest`] holds. [`VerifiedProof::proven`] says what was covered;
//! - for a request that is not safe it must have a `nonce`;
//! - it is accepted once and for 300 seconds at most, with or without a nonce: [`replay_key`].
//!
//! `docs/spec/web-bot-auth.md` is the normative page.

pub(super) mod agent;
mod directory;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

pub use agent::{AgentUrl, MAX_AGENT_URL_BYTES, MAX_SIGNATURE_AGENT_BYTES, SIGNATURE_AGENT_FIELD};
pub use directory::{
    DIRECTORY_MEDIA_TYPE, DIRECTORY_PATH, DIRECTORY_TAG, Directory, DirectoryError, DirectoryResponse,
    MAX_DIRECTORY_SIGNATURES, sign_response, verify_response,
};

use super::base::{self, Component};
use super::dpop::DPOP_FIELD;
use super::input::{
    self, INPUT_FIELD, MAX_SIGNATURE_BYTES, MAX_SIGNATURE_INPUT_BYTES, Parameters, Profile, SIGNATURE_FIELD,
    SignatureInput,
};
use super::{
    CoveredRequest, DEFINING_FIELDS, DIGEST_FIELD, LABEL, PASSPORT_FIELD, ProofError, ProofForm, Proven, VerifiedProof,
    check_digest_field, check_header_names, check_window, parameters_to_sign, single_line,
};
use crate::action_pass::ACTION_PASS_FIELD;
use crate::b64;
use crate::digest::content_digest;
use crate::fields::{InnerItem, plain_string};
use crate::http::{Header, HttpRequest};
use crate::key::SecretKey;

/// The `tag` of these signatures.
pub const TAG: &str = "web-bot-auth";

const PROFILE: Profile = Profile {
    tag: TAG,
    required: &["created", "expires", "keyid", "tag"],
    missing: "created, expires, keyid and tag are required",
    max_labels: 1,
    max_input_bytes: MAX_SIGNATURE_INPUT_BYTES,
    max_signature_bytes: MAX_SIGNATURE_BYTES,
    component,
};

/// A foreign agent that a gate lets in: its name and its keys belong together, and are looked up together.
#[derive(Clone, Debug)]
pub struct ForeignAgent {
    /// Where it publishes its keys.
    pub url: AgentUrl,
    /// The keys found there.
    pub directory: Directory,
}

/// Of which requests a signature has to cover method, path and query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Of every request.
    EveryRequest,
    /// Of every request that is not [safe](is_safe). For a safe one the authority is enough: whoever saw it can send
    /// another safe request to this authority in its place, once. Many agents cover no more.
    UnlessSafe,
}

/// Whether a request has no passport and says that a foreign agent signed it. Nothing about it is verified.
#[must_use]
pub fn is_presented(request: &HttpRequest<'_>) -> bool {
    /// How the tag stands in every signature that [`Presented::read`] accepts.
    const MARK: &[u8] = br#";tag="web-bot-auth""#;
    let marked = |line: &[u8]| line.len() <= MAX_SIGNATURE_INPUT_BYTES && line.windows(MARK.len()).any(|it| it == MARK);
    request.lines(PASSPORT_FIELD).next().is_none() && request.lines(INPUT_FIELD).any(marked)
}

/// Whether a request is one that changes nothing and can be repeated: `GET` or `HEAD`, without a body.
#[must_use]
pub fn is_safe(request: &HttpRequest<'_>) -> bool {
    matches!(request.method, "GET" | "HEAD") && request.body.is_empty()
}

/// The signature of a foreign agent as presented: well-formed, and not verified in any way.
pub struct Presented<'a> {
    request: &'a HttpRequest<'a>,
    components: Vec<Component<'a>>,
    parameters: Parameters<'a>,
    params_text: &'a str,
    signature: Vec<u8>,
    agent: Option<AgentUrl>,
}

impl<'a> Presented<'a> {
    /// Reads the signature of a request: the first two steps of [`verify`].
    ///
    /// # Errors
    /// As for [`verify`].
    pub fn read(request: &'a HttpRequest<'a>) -> Result<Self, ProofError> {
        // 1.
        check_header_names(request)?;
        let has = |field| request.lines(field).next().is_some();
        if has(PASSPORT_FIELD) || has(DPOP_FIELD) {
            return Err(ProofError::Ambiguous);
        }
        let input_value = single_line(request, INPUT_FIELD)?;
        let signature_value = single_line(request, SIGNATURE_FIELD)?;
        let (input, signature) = input::parse_only(input_value, signature_value, &PROFILE)?;
        let SignatureInput { components, parameters, params_text, .. } = input;
        // 2.
        let agent = agent::covered(request, &components)?;
        Ok(Self { request, components, parameters, params_text, signature, agent })
    }

    /// The agent that the request names, by which its keys are looked up. `None` when it names none: then only the key
    /// says who signed, and it has to be one that the gate lists for a single agent.
    #[must_use]
    pub fn agent(&self) -> Option<&AgentUrl> {
        self.agent.as_ref()
    }

    /// The RFC 7638 thumbprint of the key that is said to have signed.
    #[must_use]
    pub fn keyid(&self) -> &str {
        self.parameters.keyid
    }

    /// Verifies against the keys of one agent at `now` (unix seconds): the other steps of [`verify`].
    ///
    /// # Errors
    /// As for [`verify`].
    pub fn verify(self, agent: &ForeignAgent, coverage: Coverage, now: i64) -> Result<VerifiedProof<'a>, ProofError> {
        let Parameters { created, expires, nonce, keyid } = self.parameters;
        // 3.
        if self.agent.is_some_and(|named| named != agent.url) {
            return Err(ProofError::AgentMismatch);
        }
        let key = agent.directory.key_at(keyid, now).ok_or(ProofError::KeyUnknown)?;
        // 4.
        let expires_at = check_window(created, expires, now)?;
        // 5.
        let proven = check_coverage(self.request, &self.components, coverage)?;
        if nonce.is_none() && !is_safe(self.request) {
            return Err(ProofError::NonceMissing);
        }
        // 6.
        let (text, fields) = base::build(self.request, &self.components, self.params_text)?;
        // 7.
        key.verify(text.as_bytes(), &self.signature).map_err(|_| ProofError::SignatureInvalid)?;
        // 8.
        check_digest_field(self.request)?;
        Ok(VerifiedProof {
            form: ProofForm::WebBotAuth,
            proven,
            created,
            expires_at,
            nonce: Cow::Owned(replay_key(nonce, &self.signature)),
            key_thumbprint: Cow::Borrowed(keyid),
            covered: CoveredRequest { request: self.request, fields },
        })
    }
}

/// Verifies the signature of a foreign agent at `now` (unix seconds).
///
/// The steps, in order, and the code of each failure:
///
/// 1. There is neither a passport nor a DPoP proof (`proof_ambiguous`). The signature's fields are there
///    (`proof_missing`), on one line each, within their limits, canonical, with one label and the accepted parameters
///    (`proof_malformed`); only supported components are covered (`proof_coverage`).
/// 2. `signature-agent`, where it stands, is well-formed and names one https URL (`proof_malformed`), which is covered
///    (`proof_coverage`).
/// 3. It is the agent's (`proof_agent_mismatch`), and `keyid` one of its keys that holds now (`proof_key_unknown`).
/// 4. `now` lies in the window of [`verify`](super::verify) (`proof_in_future`, `proof_expired`).
/// 5. Everything mandatory is covered (`proof_coverage`, `content_digest_missing`), and there is a `nonce` unless the
///    request is safe (`proof_nonce_missing`).
/// 6. Every covered component has one unambiguous value (`proof_coverage`, `proof_malformed`).
/// 7. The signature verifies strictly (`proof_signature_invalid`).
/// 8. `content-digest`, where it stands, matches the body (`content_digest_mismatch`).
///
/// # Errors
/// The first failing step's [`ProofError`].
pub fn verify<'a>(
    request: &'a HttpRequest<'a>,
    agent: &ForeignAgent,
    coverage: Coverage,
    now: i64,
) -> Result<VerifiedProof<'a>, ProofError> {
    Presented::read(request)?.verify(agent, coverage, now)
}

/// What is remembered of a signature: `wba:` and the base64url SHA-256 of the word `nonce`, a line feed and the nonce;
/// without a nonce, of the word `signature`, a line feed and the 64 bytes of the signature. Whoever accepts a signature
/// has to refuse the same of the same key until the proof has expired.
///
/// The label is no part of it: anyone can change it. A strictly verified Ed25519 signature has one spelling, so nobody
/// without the key makes a second signature of the same request.
#[must_use]
pub fn replay_key(nonce: Option<&str>, signature: &[u8]) -> String {
    let digest: [u8; 32] = match nonce {
        Some(nonce) => Sha256::digest([b"nonce\n", nonce.as_bytes()].concat()),
        None => Sha256::digest([b"signature\n", signature].concat()),
    }
    .into();
    ["wba:", &b64::encode(&digest)].concat()
}

/// What a foreign agent decides about a signature.
#[derive(Clone, Copy, Debug)]
pub struct ForeignParams<'a> {
    /// Where the agent publishes its keys, as it is sent: an https origin, or the URL of a JWK Set.
    pub agent: &'a str,
    /// Time of signing, unix seconds.
    pub created: i64,
    /// Last second at which the signature may be accepted. Gates accept none after `created + 300`.
    pub expires: i64,
    /// A fresh random text, 16 to 128 visible ASCII characters without `"` and `\`.
    pub nonce: &'a str,
}

/// The field values to add to a request that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignHeaders {
    /// Value of `signature-agent`.
    pub signature_agent: String,
    /// Value of `signature-input`.
    pub signature_input: String,
    /// Value of `signature`.
    pub signature: String,
    /// Value of `content-digest`; `None` when the request needs none or already has the field.
    pub content_digest: Option<String>,
}

/// Signs a request as a foreign agent does, covering all that a gate can ask for.
///
/// # Errors
/// When the request or the parameters would not be accepted by [`verify`]; the error is the one it would give. Also when
/// the request has a `signature-agent` field already.
pub fn sign(
    request: &HttpRequest<'_>,
    key: &SecretKey,
    params: &ForeignParams<'_>,
) -> Result<ForeignHeaders, ProofError> {
    let ForeignParams { agent, created, expires, nonce } = *params;
    check_header_names(request)?;
    AgentUrl::parse(agent)?;
    if request.lines(SIGNATURE_AGENT_FIELD).next().is_some() {
        return Err(ProofError::malformed(SIGNATURE_AGENT_FIELD, "the request has one already"));
    }
    check_digest_field(request)?;
    let has = |field: &&str| request.lines(field).next().is_some();
    let digest = (!request.body.is_empty() && !has(&DIGEST_FIELD)).then(|| content_digest(request.body));
    let signature_agent = format!("{LABEL}=\"{agent}\"");
    let mut headers = request.headers.to_vec();
    headers.push(Header { name: SIGNATURE_AGENT_FIELD, value: signature_agent.as_bytes() });
    headers.extend(digest.as_ref().map(|value| Header { name: DIGEST_FIELD, value: value.as_bytes() }));
    let complete = HttpRequest { headers: &headers, ..*request };
    // The target holds the authority, but many verifiers look for that one by name.
    let mut components = Vec::from([Component::Authority, Component::Method, Component::TargetUri]);
    let described = [DIGEST_FIELD].into_iter().chain(DEFINING_FIELDS);
    components.extend(described.filter(|field| complete.lines(field).next().is_some()).map(Component::Field));
    components.push(Component::AgentMember(LABEL));
    let parameters = parameters_to_sign(created, Some(expires), Some(nonce), key.public(), TAG);
    let params_text = input::serialize(&components, &parameters);
    let (text, _) = base::build(&complete, &components, &params_text)?;
    let signature_input = format!("{LABEL}={params_text}");
    let signature = input::serialize_signature(LABEL, &key.sign(text.as_bytes()));
    headers.push(Header { name: INPUT_FIELD, value: signature_input.as_bytes() });
    headers.push(Header { name: SIGNATURE_FIELD, value: signature.as_bytes() });
    Presented::read(&HttpRequest { headers: &headers, ..*request })?;
    Ok(ForeignHeaders { signature_agent, signature_input, signature, content_digest: digest })
}

/// A component without parameters, or one member of `signature-agent`.
fn component<'a>(item: &InnerItem<'a>) -> Result<Component<'a>, ProofError> {
    let name = input::component_name(item)?;
    match item.parameters.as_slice() {
        [("key", key)] if name == SIGNATURE_AGENT_FIELD => plain_string(key)
            .map(Component::AgentMember)
            .ok_or_else(|| ProofError::malformed(INPUT_FIELD, "the key of a member is not a plain string")),
        _ => input::plain_component(item),
    }
}

/// What the signature covers of method and target, if that is enough for this request.
fn check_coverage(
    request: &HttpRequest<'_>,
    components: &[Component<'_>],
    coverage: Coverage,
) -> Result<Proven, ProofError> {
    let has = |component| components.contains(&component);
    let target = has(Component::TargetUri);
    let proven = Proven {
        method: has(Component::Method),
        path: target || has(Component::RequestTarget) || has(Component::Path),
        query: target || has(Component::RequestTarget) || has(Component::Query),
    };
    if !target && !has(Component::Authority) {
        return Err(ProofError::coverage("@authority", "must be covered, or `@target-uri`"));
    }
    if coverage == Coverage::EveryRequest || !is_safe(request) {
        let parts = [("@method", proven.method), ("@path", proven.path), ("@query", proven.query)];
        if let Some((name, _)) = parts.iter().find(|(_, covered)| !covered) {
            return Err(ProofError::coverage(name, "must be covered; `@target-uri` covers authority, path and query"));
        }
    }
    let present = |field: &str| request.lines(field).next().is_some();
    if present(ACTION_PASS_FIELD) && !has(Component::Field(ACTION_PASS_FIELD)) {
        return Err(ProofError::coverage(ACTION_PASS_FIELD, "must be covered: it says what the gate is asked to do"));
    }
    if !request.body.is_empty() {
        if !present(DIGEST_FIELD) {
            return Err(ProofError::ContentDigestMissing);
        }
        let mut described = [DIGEST_FIELD].into_iter().chain(DEFINING_FIELDS);
        if let Some(field) = described.find(|field| present(field) && !has(Component::Field(field))) {
            return Err(ProofError::coverage(field, "must be covered when there is a body"));
        }
    }
    Ok(proven)
}
