//! Which header fields may cross the gate.
//!
//! Names are compared *folded*: in lower case, with `_` and `.` read as `-`. Origins behind CGI-style interfaces see
//! `X_Auth.User` and `x-auth-user` as one name, so a field is judged by what it could become, not by how it is spelled.

use std::net::IpAddr;

use passgate_passport::digest::content_digest;

use super::authority::Scheme;

/// A header field: its name and its value.
pub type Field = (String, Vec<u8>);

/// Prefix of the fields by which the gate speaks of identity and decision; nobody else may set them.
pub const GATE_PREFIX: &str = "passgate-";

/// As [`GATE_PREFIX`], in the older fashion.
const GATE_X_PREFIX: &str = "x-passgate-";

/// The authentication scheme and the signature tag of the gate's own challenges.
const GATE_SCHEME: &[u8] = b"passport";
const GATE_TAG: &[u8] = b"tag=\"passgate\"";

/// Fields that belong to one connection (RFC 9110 section 7.6.1), folded.
const HOP_BY_HOP: &[&str] =
    &["connection", "http2-settings", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// Fields that are meant for the gate alone.
const GATE_ONLY: &[&str] = &[
    "agent-action-pass",
    "agent-approval",
    "agent-passport",
    "dpop",
    "signature",
    "signature-agent",
    "signature-input",
];

/// Fields that the gate writes anew because it sends the body and chooses the host itself.
const REWRITTEN: &[&str] = &["content-length", "expect", "host"];

/// Fields by which some origins take another method or target than the ones in the request line.
const OVERRIDES: &[&str] = &[
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Statements about the client or the host that origins believe when they come from a proxy.
const PROXY_CLAIMS: &[&str] = &[
    "cf-connecting-ip",
    "forwarded",
    // CGI turns it into `HTTP_PROXY`, by which many HTTP clients choose a proxy for their own requests.
    "proxy",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-host",
    "x-original-host",
    "x-real-ip",
];

/// Fields that pass under their own name but under no other spelling, and that `Connection` may not remove.
const RELIED_ON: &[&str] =
    &["authorization", "content-digest", "content-encoding", "content-type", "cookie", "idempotency-key"];

/// Response fields that only the gate may set, or that would lead clients around it.
const RESPONSE_STRIPPED: &[&str] = &["alt-svc", "ratelimit", "ratelimit-policy"];

/// Why a request's header fields cannot be forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// `Connection` asks for the removal of a field that the gate or its decision relies on.
    #[error("the connection field names a protected field")]
    ConnectionNamesProtected,
    /// `Connection` is not a list of tokens.
    #[error("the connection field is malformed")]
    ConnectionMalformed,
}

/// The name under which a field is judged.
#[must_use]
pub fn fold(name: &str) -> String {
    let fold = |character: char| match character {
        '_' | '.' => '-',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// Fields that say how a body hashes.
const DIGEST_FIELDS: [&str; 4] = ["content-digest", "content-md5", "digest", "repr-digest"];

/// The body to forward: `redacted`, if something is taken out of `body`. Then the digests of the old body leave `fields`, and a
/// `Content-Digest` of the new one comes.
pub fn with_body<B: From<Vec<u8>>>(fields: &mut Vec<Field>, body: B, redacted: Option<Vec<u8>>) -> B {
    let Some(redacted) = redacted else { return body };
    fields.retain(|(name, _)| !DIGEST_FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field)));
    fields.push(("content-digest".to_owned(), content_digest(&redacted).into_bytes()));
    redacted.into()
}

/// Fields by which a request asks for a part of a response, or for one in another coding (RFC 9110 sections 12.5.3 and 14.2).
const ASKING: [&str; 4] = ["a-im", "accept-encoding", "if-range", "range"];

/// Has the origin send what can be looked at: the whole response, without a content coding.
pub fn ask_for_whole(fields: &mut Vec<Field>) {
    fields.retain(|(name, _)| !ASKING.contains(&fold(name).as_str()));
    fields.push(("accept-encoding".to_owned(), b"identity".to_vec()));
}

/// Fields of a response that are true of its body as it came, and of no other.
pub const OF_THE_BODY: [&str; 9] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "etag",
    "repr-digest",
    "signature",
    "signature-input",
];

/// The fields of a request that go on to the origin, in their order and with their values untouched.
///
/// Dropped are hop-by-hop fields and those that `Connection` names, fields for the gate alone, fields that the gate
/// writes anew (`Host`, `Content-Length`, `Expect`), method and target overrides, and proxy claims such as
/// `X-Forwarded-*` (see [`proxy_claims`]). A name with `_` or `.` is also dropped when it folds onto another field of
/// the request or onto one that origins act on, such as `Content_Type`.
///
/// # Errors
///
/// [`HeaderError`] when `Connection` is malformed or names a field that the gate or its decision relies on: removing it
/// would show the origin another request than the one that was judged, and keeping it would break RFC 9110.
pub fn forwardable(headers: &[Field]) -> Result<Vec<Field>, HeaderError> {
    let connection =
        headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection")).map(|(_, value)| value.as_slice());
    let listed = connection_names(connection).ok_or(HeaderError::ConnectionMalformed)?;
    if listed.0.iter().any(|name| is_protected(name)) {
        return Err(HeaderError::ConnectionNamesProtected);
    }
    let plain: Vec<String> = headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let plain = Names::of(plain.into_iter().filter(|name| *name == fold(name)).collect());
    let crosses = |name: &str| {
        let folded = fold(name);
        let is_alias = folded != name.to_ascii_lowercase();
        let shadows = plain.contains(&folded) || is_protected(&folded);
        !(is_stripped(&folded) || listed.contains(&folded) || (is_alias && shadows))
    };
    Ok(headers.iter().filter(|(name, _)| crosses(name)).cloned().collect())
}

/// Folded names of fields, in order: a request may list many.
#[derive(Debug, Clone, Default)]
struct Names(Vec<String>);

impl Names {
    fn of(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        Self(names)
    }

    fn contains(&self, name: &String) -> bool {
        self.0.binary_search(name).is_ok()
    }
}

/// The gate's own statements about a client, in place of those that [`forwardable`] drops.
///
/// `peer` is the address the connection came from and `authority` the one the request named.
#[must_use]
pub fn proxy_claims(peer: IpAddr, scheme: Scheme, authority: Option<&str>) -> Vec<Field> {
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut claims = vec![
        field("x-forwarded-for", &peer.to_canonical().to_string()),
        field("x-forwarded-proto", scheme.as_str()),
        field("via", "1.1 passgate"),
    ];
    claims.extend(authority.map(|authority| field("x-forwarded-host", authority)));
    claims
}

/// Which fields of one response of the origin go back to the client.
///
/// Dropped are hop-by-hop fields and those that `Connection` names, everything under [`GATE_PREFIX`], the rate-limit
/// fields the gate reports its own limits in, `Alt-Svc`, cookies named like the gate's own, and challenges like the
/// gate's own: `WWW-Authenticate` with the scheme `Passport`, `Accept-Signature` with the tag `passgate`.
#[derive(Debug, Clone)]
pub struct Returnable {
    listed: Names,
}

impl Returnable {
    /// The rule for a response with these values of `Connection`.
    pub fn new<'a>(connection: impl IntoIterator<Item = &'a [u8]>) -> Self {
        // A malformed list names nothing; the field itself is dropped in any case.
        Self { listed: connection_names(connection.into_iter()).unwrap_or_default() }
    }

    /// Whether a field of the response goes back.
    #[must_use]
    pub fn crosses(&self, name: &str, value: &[u8]) -> bool {
        let folded = fold(name);
        // The framing of the response must survive whatever the origin lists.
        let dropped_by_list = self.listed.contains(&folded) && !REWRITTEN.contains(&folded.as_str());
        let dropped = is_hop_by_hop(&folded)
            || is_gates(&folded)
            || RESPONSE_STRIPPED.contains(&folded.as_str())
            || (folded == "set-cookie" && sets_gate_cookie(value))
            || speaks_as_gate(&folded, value);
        !(dropped || dropped_by_list)
    }
}

/// The fields of a response of the origin that go back to the client, by the rules of [`Returnable`].
#[must_use]
pub fn returnable(fields: &[Field]) -> Vec<Field> {
    let connection = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
    let rule = Returnable::new(connection.map(|(_, value)| value.as_slice()));
    fields.iter().filter(|(name, value)| rule.crosses(name, value)).cloned().collect()
}

fn is_hop_by_hop(folded: &str) -> bool {
    HOP_BY_HOP.contains(&folded) || folded.starts_with("proxy-")
}

/// Whether a field never goes on to the origin, however it is spelled.
fn is_stripped(folded: &str) -> bool {
    is_hop_by_hop(folded)
        || is_gates(folded)
        || folded.starts_with("x-forwarded-")
        || [GATE_ONLY, REWRITTEN, OVERRIDES, PROXY_CLAIMS].iter().any(|names| names.contains(&folded))
}

/// Whether `Connection` may not name the field. Hop-by-hop fields are what it is for.
fn is_protected(folded: &str) -> bool {
    let framing = folded == "transfer-encoding";
    framing || RELIED_ON.contains(&folded) || (is_stripped(folded) && !is_hop_by_hop(folded))
}

/// The folded names in `Connection` fields, or `None` if they are not lists of tokens. Empty elements are permitted
/// (RFC 9110 section 5.6.1.2).
fn connection_names<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Names> {
    let mut names = Vec::new();
    for token in values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
        if !token.is_empty() {
            names.push(fold(std::str::from_utf8(token).ok().filter(|name| is_token(name))?));
        }
    }
    Some(Names::of(names))
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_gates(folded: &str) -> bool {
    folded.starts_with(GATE_PREFIX) || folded.starts_with(GATE_X_PREFIX)
}

/// Whether a field asks for a passport or a proof, which agents would send to nobody but a gate.
fn speaks_as_gate(folded: &str, value: &[u8]) -> bool {
    match folded {
        "www-authenticate" => value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).any(|challenge| {
            let scheme = challenge.split(u8::is_ascii_whitespace).next().unwrap_or_default();
            scheme.eq_ignore_ascii_case(GATE_SCHEME)
        }),
        "accept-signature" => value.windows(GATE_TAG.len()).any(|part| part == GATE_TAG),
        _ => false,
    }
}

fn sets_gate_cookie(set_cookie: &[u8]) -> bool {
    let name = set_cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
    let name = fold(&String::from_utf8_lossy(name.trim_ascii()));
    let name = ["--host-", "--secure-"].iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(&name);
    name.starts_with("passgate")
}

#[cfg(test)]
mod tests;
