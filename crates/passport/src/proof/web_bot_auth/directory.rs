//! The keys of a foreign agent: a JWK Set at a URL, and the signatures with which its keys vouch for it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sfv::BareItemFromInput;

use super::super::base::{self, Component};
use super::super::input::{self, INPUT_FIELD, Parameter, Profile, SIGNATURE_FIELD};
use super::super::{DIGEST_FIELD, ProofError, SignedHeaders, field_lines, single_line};
use super::AgentUrl;
use crate::digest::{check_content_digest, content_digest};
use crate::fields::InnerItem;
use crate::http::{Header, HttpRequest};
use crate::json::{self, Members};
use crate::jwk::{self, JwkError, MAX_JWKS_BYTES};
use crate::key::{PublicKey, SecretKey};

/// Path of the directory that an origin alone stands for.
pub const DIRECTORY_PATH: &str = "/.well-known/http-message-signatures-directory";
/// Media type of a directory.
pub const DIRECTORY_MEDIA_TYPE: &str = "application/http-message-signatures-directory+json";
/// The `tag` of the signatures of a directory.
pub const DIRECTORY_TAG: &str = "http-message-signatures-directory";
/// Most signatures of one directory. Each costs a verification.
pub const MAX_DIRECTORY_SIGNATURES: usize = 16;

/// The names of Ed25519 in a directory: those of a JWK, and that of RFC 9421.
const ALGORITHMS: [&str; 3] = ["ed25519", "EdDSA", "Ed25519"];

/// Keys whose private halves stand in RFCs: 9421 (B.1.4), 8037 (A.1, the first of RFC 8032), and the others of RFC 8032
/// (7.1). By thumbprint.
pub(super) const PUBLISHED_KEYS: [&str; 6] = [
    "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
    "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
    "FtIu-VbGrfe_KB6CH7GNwODB72MNxj_ml11dEvO-7kk",
    "FVV5umTuau890q59V-4Ga_R6qWb7ON_ivJc4EjvCwTM",
    "lZI1vM7tnlYapaF5-cy86ptx0tT_8Av721hhiNB5ti4",
    "iiDHHfFVNG6ICMUTsicgrWf1igtFYZEK73xlobt1ah4",
];

const PROFILE: Profile = Profile {
    tag: DIRECTORY_TAG,
    required: &["created", "expires", "keyid", "tag"],
    missing: "created, expires, keyid and tag are required",
    max_labels: MAX_DIRECTORY_SIGNATURES,
    max_input_bytes: 8 * 1024,
    max_signature_bytes: 4 * 1024,
    component,
};

/// Why the keys of a foreign agent were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Not a JWK Set whose Ed25519 keys are all good.
    #[error("key directory: {0}")]
    Keys(JwkError),
    /// No Ed25519 key at all, or none that signed.
    #[error("key directory: there is no Ed25519 key in it to rely on")]
    Empty,
    /// A key whose private half anybody can read.
    #[error("key directory: the private half of {keyid} is published in an RFC; make a key of your own")]
    PublishedKey {
        /// Thumbprint of the key.
        keyid: String,
    },
    /// Served as something else.
    #[error("key directory: its media type is not {DIRECTORY_MEDIA_TYPE}")]
    MediaType,
    /// The signatures do not vouch for it.
    #[error("signatures of the key directory: {0}")]
    Proof(#[from] ProofError),
}

impl DirectoryError {
    /// The stable machine code of this error; that of the [`ProofError`] where it is one.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Keys(_) => "directory_malformed",
            Self::Empty => "directory_empty",
            Self::PublishedKey { .. } => "directory_key_published",
            Self::MediaType => "directory_media_type",
            Self::Proof(error) => error.code(),
        }
    }
}

/// The Ed25519 keys of a foreign agent, each with the time in which it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    keys: Vec<DirectoryKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DirectoryKey {
    key: PublicKey,
    /// First second at which it holds.
    not_before: Option<u64>,
    /// First second at which it no longer holds.
    expires: Option<u64>,
}

impl Directory {
    /// Reads a JWK Set of at most [`MAX_JWKS_BYTES`] bytes and [`jwk::MAX_JWKS_KEYS`] keys.
    ///
    /// Keys of other types are skipped. `kid`, where a key has one, is its thumbprint; `nbf` and `exp` are unix seconds.
    ///
    /// # Errors
    /// [`DirectoryError`]; one bad Ed25519 key refuses the whole set.
    pub fn read(bytes: &[u8]) -> Result<Self, DirectoryError> {
        let directory = Self::read_any(bytes)?;
        let published = directory.keys().map(PublicKey::thumbprint).find(|keyid| PUBLISHED_KEYS.contains(keyid));
        match published.map(String::from) {
            Some(keyid) => Err(DirectoryError::PublishedKey { keyid }),
            None => Ok(directory),
        }
    }

    /// As [`Directory::read`], published keys too: those of the drafts' examples are.
    pub(super) fn read_any(bytes: &[u8]) -> Result<Self, DirectoryError> {
        let set = json::read(bytes, MAX_JWKS_BYTES).map_err(|error| DirectoryError::Keys(JwkError::Json(error)))?;
        let mut keys: Vec<DirectoryKey> = Vec::new();
        for members in jwk::ed25519_members(&set).map_err(DirectoryError::Keys)? {
            let key = DirectoryKey::read(members).map_err(DirectoryError::Keys)?;
            if keys.iter().any(|other| other.key == key.key) {
                return Err(DirectoryError::Keys(JwkError::DuplicateKey));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(DirectoryError::Empty) } else { Ok(Self { keys }) }
    }

    /// The keys, whenever they hold.
    pub fn keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(|entry| &entry.key)
    }

    /// The key with this thumbprint, if it holds at `now` (unix seconds).
    #[must_use]
    pub fn key_at(&self, keyid: &str, now: i64) -> Option<&PublicKey> {
        let now = u64::try_from(now).ok()?;
        let holds = |entry: &&DirectoryKey| {
            entry.not_before.is_none_or(|first| first <= now) && entry.expires.is_none_or(|end| now < end)
        };
        self.keys.iter().find(|entry| entry.key.thumbprint() == keyid).filter(holds).map(|entry| &entry.key)
    }
}

impl DirectoryKey {
    fn read(members: &Members<'_>) -> Result<Self, JwkError> {
        /// The year 5138 in seconds, or 1973 in milliseconds.
        const MAX_SECONDS: u64 = 99_999_999_999;
        let time = |name: &'static str| match members.get(name) {
            None => Ok(None),
            Some(value) => match value.as_u64().filter(|seconds| *seconds <= MAX_SECONDS) {
                Some(seconds) => Ok(Some(seconds)),
                None => Err(jwk::member(name, "is not a time in unix seconds (milliseconds are not accepted)")),
            },
        };
        let key = jwk::from_members(members, &ALGORITHMS)?;
        Ok(Self { key, not_before: time("nbf")?, expires: time("exp")? })
    }
}

/// What came back, with status 200 and without a redirect, when an agent's URL was fetched.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryResponse<'a> {
    /// The URL that was fetched.
    pub url: &'a AgentUrl,
    /// All field lines, names in lower case.
    pub headers: &'a [Header<'a>],
    /// The body.
    pub body: &'a [u8],
}

/// Reads a directory whose keys sign for it, at `now` (unix seconds), and returns those keys that did.
///
/// So a directory that was fetched by somebody else can be relied on: each key says, until `expires`, that it belongs
/// to this authority and this set. The steps, in order, and the code of each failure:
///
/// 1. The media type is [`DIRECTORY_MEDIA_TYPE`] (`directory_media_type`).
/// 2. The set is one that [`Directory::read`] accepts (`directory_malformed`, `directory_empty`,
///    `directory_key_published`).
/// 3. The signatures are there (`proof_missing`), well-formed, and one for each key that has one (`proof_malformed`).
/// 4. `content-digest` matches the body (`content_digest_missing`, `content_digest_mismatch`).
/// 5. Each covers `"@authority";req` and `content-digest` (`proof_coverage`), is not dated ahead (`proof_in_future`),
///    has not expired (`proof_expired`), is of a key of the set that holds now (`proof_key_unknown`), and verifies
///    strictly (`proof_signature_invalid`).
///
/// # Errors
/// The first failing step's [`DirectoryError`]. One bad signature refuses the directory.
pub fn verify_response(response: &DirectoryResponse<'_>, now: i64) -> Result<Directory, DirectoryError> {
    verify_signatures(response, Directory::read, now)
}

pub(super) fn verify_signatures(
    response: &DirectoryResponse<'_>,
    read: fn(&[u8]) -> Result<Directory, DirectoryError>,
    now: i64,
) -> Result<Directory, DirectoryError> {
    let message = as_message(response);
    // 1.
    if !has_media_type(&message) {
        return Err(DirectoryError::MediaType);
    }
    // 2.
    let directory = read(response.body)?;
    // 3.
    super::super::check_header_names(&message)?;
    let inputs = input::parse_inputs(single_line(&message, INPUT_FIELD)?, &PROFILE)?;
    let signatures = input::parse_signatures(single_line(&message, SIGNATURE_FIELD)?, &inputs, &PROFILE)?;
    // 4.
    match field_lines(&message, DIGEST_FIELD).as_slice() {
        [] => return Err(ProofError::ContentDigestMissing.into()),
        lines => check_content_digest(lines, response.body).map_err(ProofError::from)?,
    }
    // 5.
    let mut proven: Vec<&str> = Vec::with_capacity(inputs.len());
    for (input, signature) in inputs.iter().zip(&signatures) {
        let parameters = &input.parameters;
        check_coverage(&input.components)?;
        check_times(parameters.created, parameters.expires, now)?;
        let key = directory.key_at(parameters.keyid, now).ok_or(ProofError::KeyUnknown)?;
        if proven.contains(&parameters.keyid) {
            return Err(ProofError::malformed(INPUT_FIELD, "a key signs twice").into());
        }
        let (text, _) = base::build(&message, &input.components, input.params_text)?;
        key.verify(text.as_bytes(), signature).map_err(|_| ProofError::SignatureInvalid)?;
        proven.push(parameters.keyid);
    }
    let keys = directory.keys.iter().filter(|entry| proven.contains(&entry.key.thumbprint())).cloned().collect();
    Ok(Directory { keys })
}

/// Signs a directory that is served at `url` with each of its keys: the fields to add to the response.
///
/// # Errors
/// `proof_malformed` when the times cannot stand together, or there are more than [`MAX_DIRECTORY_SIGNATURES`] keys.
pub fn sign_response(
    url: &AgentUrl,
    body: &[u8],
    keys: &[&SecretKey],
    created: i64,
    expires: i64,
) -> Result<SignedHeaders, ProofError> {
    input::check_times(created, Some(expires))?;
    let digest = content_digest(body);
    let headers = [Header { name: DIGEST_FIELD, value: digest.as_bytes() }];
    let message = as_message(&DirectoryResponse { url, headers: &headers, body });
    let components = [Component::AuthorityOfRequest, Component::Field(DIGEST_FIELD)];
    let (mut inputs, mut signatures) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
    for (index, key) in keys.iter().enumerate() {
        let parameters = [
            ("created", Parameter::Integer(created)),
            ("expires", Parameter::Integer(expires)),
            ("keyid", Parameter::Text(key.public().thumbprint())),
            ("tag", Parameter::Text(DIRECTORY_TAG)),
        ];
        let params_text = input::serialize(&components, &parameters);
        let (text, _) = base::build(&message, &components, &params_text)?;
        let label = format!("binding{index}");
        signatures.push(input::serialize_signature(&label, &key.sign(text.as_bytes())));
        inputs.push(format!("{label}={params_text}"));
    }
    let signature_input = inputs.join(", ");
    input::parse_inputs(signature_input.as_bytes(), &PROFILE)?;
    Ok(SignedHeaders { signature_input, signature: signatures.join(", "), content_digest: Some(digest) })
}

/// A response in the shape that signature bases are built from. Of the request, only the authority is covered.
fn as_message<'a>(response: &DirectoryResponse<'a>) -> HttpRequest<'a> {
    HttpRequest {
        method: "GET",
        scheme: "https",
        authority: response.url.authority(),
        path: DIRECTORY_PATH,
        query: None,
        headers: response.headers,
        body: response.body,
    }
}

/// The authority of the request, or a field of the response.
fn component<'a>(item: &InnerItem<'a>) -> Result<Component<'a>, ProofError> {
    let name = input::component_name(item)?;
    match item.parameters.as_slice() {
        [("req", BareItemFromInput::Boolean(true))] if name == "@authority" => Ok(Component::AuthorityOfRequest),
        [] if !name.starts_with('@') => Component::parse(name),
        _ => Err(ProofError::coverage(name, "is not supported in the signature of a directory")),
    }
}

fn check_coverage(components: &[Component<'_>]) -> Result<(), ProofError> {
    match [Component::AuthorityOfRequest, Component::Field(DIGEST_FIELD)].iter().find(|it| !components.contains(it)) {
        Some(component) => Err(ProofError::coverage(component.name(), "must be covered (`@authority` with `;req`)")),
        None => Ok(()),
    }
}

/// No leeway ahead: a proof from the future would outrank every later one.
fn check_times(created: i64, expires: Option<i64>, now: i64) -> Result<(), ProofError> {
    match expires {
        _ if created > now => Err(ProofError::InFuture { created, now }),
        Some(expires_at) if now > expires_at => Err(ProofError::Expired { expires_at, now }),
        _ => Ok(()),
    }
}

fn has_media_type(message: &HttpRequest<'_>) -> bool {
    let Ok(line) = single_line(message, "content-type") else { return false };
    let essence = line.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(DIRECTORY_MEDIA_TYPE.as_bytes())
}
