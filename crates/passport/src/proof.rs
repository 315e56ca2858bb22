//! Proof of possession on every request: RFC 9421 HTTP message signatures with Ed25519, or DPoP proofs ([`dpop`]).
//!
//! [`verify_either`] takes both forms. Agents without a passport sign for [`web_bot_auth`]. All end as a [`VerifiedProof`].
//! What follows is about message signatures.
//!
//! The agent signs the request with the key its passport names (`cnf`), sending `signature-input`, `signature` and,
//! with a body, `content-digest`. [`verify`] recomputes everything from the request as the gate will judge it and
//! hands back only what the signature covered. The passport travels in the field `agent-passport`, one line.
//!
//! What a proof must look like:
//!
//! - one label, the same in both fields, written in the canonical form of RFC 9651;
//! - covered: `@method`, `@target-uri`, `agent-passport`; `content-digest` when there is a body or the field;
//!   `content-type`, `content-encoding` and `agent-action-pass` when there is the field. `@authority`, `@scheme`,
//!   `@path`, `@query`, `@request-target` and any other request field may be covered too. Component parameters are
//!   refused;
//! - parameters: `created` (integer), `nonce` (16 to 128 visible ASCII characters without `"` and `\`) and `keyid`
//!   (the key's RFC 7638 thumbprint) are required; `expires` (integer), `alg="ed25519"` and `tag="passgate"` are
//!   optional; anything else is refused.
//!
//! A proof is acceptable at every second `now` with `created - 30 <= now <= expires_at`, both ends included, where
//! `expires_at` is the smaller of `created + 300` and `expires`; at no other time. Whoever accepts it must remember
//! the nonce up to and including `expires_at`, and refuse it when seen again.

mod base;
pub mod dpop;
mod error;
mod input;
#[cfg(test)]
mod tests;
mod uri;
pub mod web_bot_auth;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

pub use error::ProofError;
pub use input::{MAX_COMPONENTS, MAX_NONCE_CHARS, MAX_SIGNATURE_BYTES, MAX_SIGNATURE_INPUT_BYTES, MIN_NONCE_CHARS};

use crate::action_pass::ACTION_PASS_FIELD;
use crate::digest::{check_content_digest, content_digest};
use crate::http::{Header, HttpRequest};
use crate::key::{PublicKey, SecretKey};
use base::{Component, CoveredFields};
use input::{INPUT_FIELD, Parameter, SIGNATURE_FIELD, SignatureInput};

/// Name of the field that carries the passport: a compact JWS, or a [chain](crate::delegation) of them.
pub const PASSPORT_FIELD: &str = "agent-passport";
/// How long after `created` a proof is acceptable, in seconds, the last second included.
pub const PROOF_WINDOW_SECONDS: i64 = 300;
/// How far `created` may lie ahead of the verifier's clock, in seconds, the last second included.
pub const PROOF_FUTURE_SKEW_SECONDS: i64 = 30;

/// The field whose value makes requests one (draft-ietf-httpapi-idempotency-key-header), lower case. [`sign`] covers it.
pub const IDEMPOTENCY_KEY_FIELD: &str = "idempotency-key";

const DIGEST_FIELD: &str = "content-digest";
/// Fields without which the request is another one: those that say how the body is read, where a body under another of
/// them is another body, and the one that asks for a one-action pass or presents one.
const DEFINING_FIELDS: [&str; 3] = ["content-encoding", "content-type", ACTION_PASS_FIELD];
const LABEL: &str = "sig1";

/// What the signer decides about a proof.
#[derive(Clone, Copy, Debug)]
pub struct ProofParams<'a> {
    /// Time of signing, unix seconds.
    pub created: i64,
    /// A fresh random text, 16 to 128 visible ASCII characters without `"` and `\`.
    pub nonce: &'a str,
    /// Last second at which the proof may be accepted, if earlier than the window's end.
    pub expires: Option<i64>,
}

/// The field values to add to a request that was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// Value of `signature-input`.
    pub signature_input: String,
    /// Value of `signature`.
    pub signature: String,
    /// Value of `content-digest`; `None` when the request needs none or already has the field.
    pub content_digest: Option<String>,
}

/// Signs a request, covering what every proof must cover, and its idempotency key.
///
/// The request must carry the `agent-passport` field already. A `content-digest` field is added when there is a body
/// and no such field.
///
/// # Errors
/// When the request or the parameters would not be accepted by [`verify`]; the error is the one it would give.
pub fn sign(request: &HttpRequest<'_>, key: &SecretKey, params: &ProofParams<'_>) -> Result<SignedHeaders, ProofError> {
    sign_covering(request, key, params, &[])
}

/// Like [`sign`], and covers `extra` components too: field names in lower case, or `@authority`, `@scheme`, `@path`,
/// `@query`, `@request-target`. Names that are covered anyway are not repeated.
///
/// # Errors
/// As for [`sign`]; also when a field to cover is missing or an extra component is not supported.
pub fn sign_covering(
    request: &HttpRequest<'_>,
    key: &SecretKey,
    params: &ProofParams<'_>,
    extra: &[&str],
) -> Result<SignedHeaders, ProofError> {
    check_header_names(request)?;
    passport_field(request)?;
    input::check_nonce(params.nonce)?;
    input::check_times(params.created, params.expires)?;
    let digest = match field_lines(request, DIGEST_FIELD).as_slice() {
        [] if request.body.is_empty() => None,
        [] => Some(content_digest(request.body)),
        lines => {
            check_content_digest(lines, request.body)?;
            None
        }
    };
    let mut headers = request.headers.to_vec();
    headers.extend(digest.as_ref().map(|value| Header { name: DIGEST_FIELD, value: value.as_bytes() }));
    let complete = HttpRequest { headers: &headers, ..*request };

    let components = components_to_sign(&complete, extra)?;
    let ProofParams { created, nonce, expires } = *params;
    let parameters = parameters_to_sign(created, expires, Some(nonce), key.public(), input::PASSGATE.tag);
    let params_text = input::serialize(&components, &parameters);
    let (text, _) = base::build(&complete, &components, &params_text)?;
    let signed = SignedHeaders {
        signature_input: format!("{LABEL}={params_text}"),
        signature: input::serialize_signature(LABEL, &key.sign(text.as_bytes())),
        content_digest: digest.clone(),
    };
    input::parse_inputs(signed.signature_input.as_bytes(), &input::PASSGATE)?;
    Ok(signed)
}

/// Verifies the proof of a request against the passport's `cnf` key at `now` (unix seconds).
///
/// The steps, in order, and the code of each failure:
///
/// 1. The proof's fields are there (`proof_missing`), on one line each, within their limits (`proof_malformed`).
/// 2. They parse, are canonical and agree on one label; the parameters are the accepted ones (`proof_malformed`);
///    only supported components are covered (`proof_coverage`).
/// 3. `keyid` is the key's thumbprint (`proof_key_mismatch`).
/// 4. `now` lies in the proof's window (`proof_in_future`, `proof_expired`).
/// 5. Everything mandatory is covered (`proof_coverage`, `content_digest_missing`).
/// 6. Every covered component has one unambiguous value (`proof_coverage`, `proof_malformed`).
/// 7. The signature verifies strictly (`proof_signature_invalid`).
/// 8. The digest recomputed over the body matches (`content_digest_mismatch`).
///
/// # Errors
/// The first failing step's [`ProofError`].
pub fn verify<'a>(request: &'a HttpRequest<'a>, key: &PublicKey, now: i64) -> Result<VerifiedProof<'a>, ProofError> {
    // 1. and 2.
    check_header_names(request)?;
    let input_value = single_line(request, INPUT_FIELD)?;
    let signature_value = single_line(request, SIGNATURE_FIELD)?;
    passport_field(request)?;
    let (input, signature) = input::parse_only(input_value, signature_value, &input::PASSGATE)?;
    let SignatureInput { components, parameters, params_text, .. } = input;
    // 3.
    if parameters.keyid != key.thumbprint() {
        return Err(ProofError::KeyMismatch);
    }
    // 4.
    let expires_at = check_window(parameters.created, parameters.expires, now)?;
    // 5.
    check_coverage(request, &components)?;
    // 6.
    let (text, fields) = base::build(request, &components, params_text)?;
    // 7.
    key.verify(text.as_bytes(), &signature).map_err(|_| ProofError::SignatureInvalid)?;
    // 8.
    if components.contains(&Component::Field(DIGEST_FIELD)) {
        check_content_digest(&field_lines(request, DIGEST_FIELD), request.body)?;
    }
    Ok(VerifiedProof {
        form: ProofForm::MessageSignature,
        proven: Proven::ALL,
        created: parameters.created,
        expires_at,
        nonce: Cow::Borrowed(parameters.nonce.ok_or(ProofError::NonceMissing)?),
        key_thumbprint: Cow::Borrowed(parameters.keyid),
        covered: CoveredRequest { request, fields },
    })
}

/// In which form a request proves possession.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofForm {
    /// RFC 9421: the fields `signature-input` and `signature`.
    MessageSignature,
    /// RFC 9449: the field `dpop`.
    Dpop,
    /// The message signature of a foreign agent, without a passport: [`web_bot_auth`].
    WebBotAuth,
}

impl ProofForm {
    /// The form of proof that goes with a request's passport; [`ProofForm::MessageSignature`] when there is none.
    ///
    /// # Errors
    /// `proof_ambiguous` when it has both.
    pub fn of(request: &HttpRequest<'_>) -> Result<Self, ProofError> {
        let has = |field| request.lines(field).next().is_some();
        match (has(dpop::DPOP_FIELD), has(INPUT_FIELD) || has(SIGNATURE_FIELD)) {
            (true, true) => Err(ProofError::Ambiguous),
            (true, false) => Ok(Self::Dpop),
            (false, _) => Ok(Self::MessageSignature),
        }
    }
}

/// Verifies the proof of a request, of whichever form it is: as [`verify`] or as [`dpop::verify`].
///
/// Where `rules` ask for a nonce of the verifier's, a message signature answers it with a `nonce` that begins with it and
/// goes on with a dot and a text of its own: the one is the same for all, the other is what is accepted once.
///
/// # Errors
/// `proof_ambiguous` when the request has proofs of both forms, else that function's; `proof_nonce_required`.
pub fn verify_either<'a>(
    request: &'a HttpRequest<'a>,
    key: &PublicKey,
    now: i64,
    rules: &dpop::DpopRules<'_>,
) -> Result<VerifiedProof<'a>, ProofError> {
    match ProofForm::of(request)? {
        ProofForm::Dpop => dpop::verify(request, key, now, rules),
        _ => {
            let proof = verify(request, key, now)?;
            let answers = |nonce: &&str| proof.nonce().strip_prefix(nonce).is_some_and(|own| own.starts_with('.'));
            match rules.nonces {
                Some(nonces) if !nonces.iter().any(answers) => Err(ProofError::NonceRequired),
                _ => Ok(proof),
            }
        }
    }
}

/// The passport a request presents: the one line of `agent-passport`, without surrounding blanks.
///
/// It is not verified in any way. A proof always covers it, so after [`verify`] this is the passport that was signed.
///
/// # Errors
/// `proof_missing` when absent; `proof_malformed` when it is empty, on several lines, or not visible ASCII.
pub fn passport_field<'a>(request: &HttpRequest<'a>) -> Result<&'a str, ProofError> {
    let missing = ProofError::Missing { field: PASSPORT_FIELD };
    // Several lines are refused for this field, so the value is always borrowed.
    let Some(Cow::Borrowed(passport)) = base::field_value(request, PASSPORT_FIELD)? else {
        return Err(missing);
    };
    if passport.is_empty() || passport.contains(' ') {
        return Err(ProofError::malformed(PASSPORT_FIELD, "it must be one compact JWS"));
    }
    Ok(passport)
}

/// What of a request's method and target a proof covers. Scheme aside, every proof covers the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The method is the signer's.
    pub method: bool,
    /// The path is the signer's.
    pub path: bool,
    /// The query is the signer's, or that there is none.
    pub query: bool,
}

impl Proven {
    /// Method, path and query.
    pub const ALL: Self = Self { method: true, path: true, query: true };
}

/// A proof that was verified. Only [`verify`], [`dpop::verify`] and [`web_bot_auth::Presented::verify`] make one.
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifiedProof<'a> {
    form: ProofForm,
    proven: Proven,
    created: i64,
    expires_at: i64,
    nonce: Cow<'a, str>,
    key_thumbprint: Cow<'a, str>,
    covered: CoveredRequest<'a>,
}

impl<'a> VerifiedProof<'a> {
    /// The form it had.
    #[must_use]
    pub fn form(&self) -> ProofForm {
        self.form
    }

    /// What of method and target it covers: all, unless a gate takes less from a foreign agent for safe requests.
    #[must_use]
    pub fn proven(&self) -> Proven {
        self.proven
    }

    /// When the proof was made, by the signer's clock (unix seconds).
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// What may be accepted once for each key: the nonce of a message signature, the replay key of a DPoP proof
    /// ([`dpop::replay_key`]) or of a foreign signature ([`web_bot_auth::replay_key`]). It is not yet known to be fresh:
    /// that needs state. At most 128 visible ASCII characters.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// RFC 7638 thumbprint of the key that signed.
    #[must_use]
    pub fn key_thumbprint(&self) -> &str {
        &self.key_thumbprint
    }

    /// The last second (unix) at which this proof is acceptable: the nonce must be remembered up to and including it.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.expires_at
    }

    /// The request, reduced to what the signature covers.
    #[must_use]
    pub fn covered(&self) -> &CoveredRequest<'a> {
        &self.covered
    }
}

/// A request reduced to what its verified signature covers. Nothing else of the request can be reached through it, but
/// for what [`VerifiedProof::proven`] names, of a safe request without a body.
#[derive(Clone)]
pub struct CoveredRequest<'a> {
    request: &'a HttpRequest<'a>,
    fields: CoveredFields<'a>,
}

impl<'a> CoveredRequest<'a> {
    /// The method, case kept.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.request.method
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &'a str {
        self.request.scheme
    }

    /// Host and optional port.
    #[must_use]
    pub fn authority(&self) -> &'a str {
        self.request.authority
    }

    /// The path, as sent.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.request.path
    }

    /// The query, as sent, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.request.query
    }

    /// The value of a covered field, lines joined with a comma and a space. `None` when the field is not covered,
    /// whether or not the request has it. `name` is lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(covered, _)| *covered == name).map(|(_, value)| value.as_ref())
    }

    /// Every covered field with its value, as [`CoveredRequest::header`] gives it.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, value.as_ref()))
    }

    /// The body: empty, or matched by the covered `content-digest` or by `htb`.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.request.body
    }
}

impl fmt::Debug for CoveredRequest<'_> {
    /// Prints the names of the covered fields, not their values: those can be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields.iter().map(|(name, _)| *name).collect();
        f.debug_struct("CoveredRequest").field("request", self.request).field("fields", &names).finish()
    }
}

/// Names must be in lower case, or a field would be invisible to the checks and visible to others.
fn check_header_names(request: &HttpRequest<'_>) -> Result<(), ProofError> {
    match request.headers.iter().find(|header| header.name.bytes().any(|byte| byte.is_ascii_uppercase())) {
        Some(header) => Err(ProofError::malformed_field(header.name, "field names must be in lower case")),
        None => Ok(()),
    }
}

/// A `content-digest` that nothing asked for must not say something else about the body than the body does.
fn check_digest_field(request: &HttpRequest<'_>) -> Result<(), ProofError> {
    match field_lines(request, DIGEST_FIELD).as_slice() {
        [] => Ok(()),
        lines => Ok(check_content_digest(lines, request.body)?),
    }
}

fn field_lines<'a>(request: &HttpRequest<'a>, name: &str) -> Vec<&'a [u8]> {
    request.lines(name).collect()
}

fn single_line<'a>(request: &HttpRequest<'a>, field: &'static str) -> Result<&'a [u8], ProofError> {
    let mut lines = request.lines(field);
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        (None, _) => Err(ProofError::Missing { field }),
        (Some(_), Some(_)) => Err(ProofError::malformed(field, "it stands on several lines")),
    }
}

/// Whether `now` lies in the proof's window; returns the window's last second.
fn check_window(created: i64, expires: Option<i64>, now: i64) -> Result<i64, ProofError> {
    let window_end = created.saturating_add(PROOF_WINDOW_SECONDS);
    let expires_at = expires.map_or(window_end, |expires| expires.min(window_end));
    if created > now.saturating_add(PROOF_FUTURE_SKEW_SECONDS) {
        return Err(ProofError::InFuture { created, now });
    }
    if now > expires_at {
        return Err(ProofError::Expired { expires_at, now });
    }
    Ok(expires_at)
}

/// The components every proof of this request must cover.
fn mandatory_components(request: &HttpRequest<'_>) -> Vec<Component<'static>> {
    let mut mandatory = Vec::with_capacity(8);
    mandatory.extend([Component::Method, Component::TargetUri, Component::Field(PASSPORT_FIELD)]);
    if !request.body.is_empty() || request.lines(DIGEST_FIELD).next().is_some() {
        mandatory.push(Component::Field(DIGEST_FIELD));
    }
    let present = |field: &&str| request.lines(field).next().is_some();
    mandatory.extend(DEFINING_FIELDS.into_iter().filter(present).map(Component::Field));
    mandatory
}

fn check_coverage(request: &HttpRequest<'_>, components: &[Component<'_>]) -> Result<(), ProofError> {
    if !request.body.is_empty() && request.lines(DIGEST_FIELD).next().is_none() {
        return Err(ProofError::ContentDigestMissing);
    }
    match mandatory_components(request).iter().find(|component| !components.contains(component)) {
        Some(component) => Err(ProofError::coverage(component.name(), "must be covered")),
        None => Ok(()),
    }
}

fn components_to_sign<'a>(request: &HttpRequest<'_>, extra: &[&'a str]) -> Result<Vec<Component<'a>>, ProofError> {
    let mut components: Vec<Component<'a>> = mandatory_components(request);
    let key = request.lines(IDEMPOTENCY_KEY_FIELD).next();
    components.extend(key.map(|_| Component::Field(IDEMPOTENCY_KEY_FIELD)));
    for name in extra {
        let component = Component::parse(name)?;
        if !components.contains(&component) {
            components.push(component);
        }
    }
    Ok(components)
}

fn parameters_to_sign<'a>(
    created: i64,
    expires: Option<i64>,
    nonce: Option<&'a str>,
    key: &'a PublicKey,
    tag: &'a str,
) -> Vec<(&'static str, Parameter<'a>)> {
    let mut parameters = Vec::with_capacity(6);
    parameters.push(("created", Parameter::Integer(created)));
    parameters.extend(expires.map(|expires| ("expires", Parameter::Integer(expires))));
    parameters.extend(nonce.map(|nonce| ("nonce", Parameter::Text(nonce))));
    parameters.push(("keyid", Parameter::Text(key.thumbprint())));
    parameters.push(("alg", Parameter::Text("ed25519")));
    parameters.push(("tag", Parameter::Text(tag)));
    parameters
}
