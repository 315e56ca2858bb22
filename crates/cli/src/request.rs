//! A request as the command line describes it, and the same request signed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use passgate_core::time::UnixMillis;
use passgate_passport::http::{Header, HttpRequest};
use passgate_passport::proof::dpop::{self, DPOP_FIELD, DpopParams};
use passgate_passport::proof::{self, PASSPORT_FIELD, ProofError, ProofForm, ProofParams};
use serde::Deserialize;
use serde_json::Value;

use crate::credentials::Credentials;
use crate::exit::{Exit, Failure};
use crate::{input, moment};

/// Fields that signing or the transport makes.
const OWN_FIELDS: [&str; 9] = [
    PASSPORT_FIELD,
    DPOP_FIELD,
    "signature",
    "signature-input",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
];

/// The request, in the manner of curl.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct RequestArgs {
    /// The method; GET, or POST with data
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// The body: text, @FILE, or - for stdin. JSON is sent as application/json
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// A header field, `Name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub(crate) headers: Vec<String>,
}

/// Who signs the request.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SignerArgs {
    /// The agent's credentials [default: $PASSGATE_CREDENTIALS, or the only file in agents/]
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials: Option<PathBuf>,
    /// The agent's private key, when its credentials file has none
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
}

/// How possession of the agent's key is proven.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct ProofArgs {
    /// Prove possession of the key with a DPoP proof (RFC 9449) instead of a message signature (RFC 9421)
    #[arg(long)]
    dpop: bool,
}

impl ProofArgs {
    /// The form of the proof.
    pub(crate) const fn form(self) -> ProofForm {
        if self.dpop { ProofForm::Dpop } else { ProofForm::MessageSignature }
    }
}

/// A request in the exact bytes that are signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// The method, case kept.
    pub(crate) method: String,
    /// `http` or `https`.
    pub(crate) scheme: String,
    /// Host and port, lower case, without the default port.
    pub(crate) authority: String,
    /// The path as written.
    pub(crate) path: String,
    /// The query as written.
    pub(crate) query: Option<String>,
    /// Field lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A request file: the same as the flags, as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestFile {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: serde_json::Map<String, Value>,
    body: Option<Value>,
}

impl Request {
    /// The request that `url` and `args` describe.
    pub(crate) fn from_args(url: &str, args: &RequestArgs) -> Result<Self, Failure> {
        let mut headers = Vec::new();
        for line in &args.headers {
            let (name, value) =
                line.split_once(':').ok_or_else(|| Failure::usage("a header field is written `Name: value`"))?;
            headers.push(checked_field(name, value.trim())?);
        }
        if let Some((name, _)) = headers.iter().find(|(name, _)| OWN_FIELDS.contains(&name.as_str())) {
            return Err(Failure::usage(format_args!("the field `{name}` is made by this command and cannot be given")));
        }
        let body = args.data.as_deref().map(data).transpose()?;
        Self::build(url, args.method.as_deref(), headers, body)
    }

    /// The request that the JSON text `{method, url, headers, body}` describes.
    ///
    /// `body` is a text, or a JSON value that is sent compactly. Fields may be those of a signed request.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Failure> {
        let file: RequestFile = serde_json::from_slice(json).map_err(|error| {
            Failure::usage(format_args!("the request file is not usable: {error}"))
                .hint(r#"write {"method": "POST", "url": "http://…", "headers": {"name": "value"}, "body": "…"}"#)
        })?;
        let mut headers = Vec::new();
        for (name, value) in &file.headers {
            let value = value.as_str().ok_or_else(|| Failure::usage(format_args!("the field `{name}` is no text")))?;
            headers.push(checked_field(name, value)?);
        }
        let body = file.body.map(|body| match body {
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        });
        Self::build(&file.url, file.method.as_deref(), headers, body)
    }

    /// The request that these describe.
    pub(crate) fn made(
        url: &str,
        method: Option<&str>,
        headers: &BTreeMap<String, String>,
        body: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let headers = headers.iter().map(|(name, value)| checked_field(name, value)).collect::<Result<_, _>>()?;
        Self::build(url, method, headers, body)
    }

    fn build(
        url: &str,
        method: Option<&str>,
        mut headers: Vec<(String, String)>,
        body: Option<Vec<u8>>,
    ) -> Result<Self, Failure> {
        let default_method = if body.is_some() { "POST" } else { "GET" };
        let method = method.unwrap_or(default_method).to_owned();
        http::Method::from_bytes(method.as_bytes()).map_err(|_| Failure::usage("the method is no HTTP token"))?;
        let typed = headers.iter().any(|(name, _)| name == "content-type");
        if let Some(body) = body.as_ref().filter(|_| !typed) {
            headers.push(("content-type".to_owned(), media_type(body).to_owned()));
        }
        let (scheme, authority, path, query) = split_url(url)?;
        Ok(Self { method, scheme, authority, path, query, headers, body: body.unwrap_or_default() })
    }

    /// An unsigned request for `path` at the same gate.
    pub(crate) fn beside(&self, path: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: None,
            headers: Vec::new(),
            body: Vec::new(),
            ..self.clone()
        }
    }

    /// The same request with a field more. It has to be one that HTTP allows, and not there yet.
    pub(crate) fn with_field(mut self, name: &str, value: &str) -> Result<Self, Failure> {
        if self.headers.iter().any(|(there, _)| there == name) {
            return Err(Failure::usage(format_args!("the field `{name}` is given already"))
                .hint(format_args!("leave out the -H with `{name}`")));
        }
        self.headers.push(checked_field(name, value)?);
        Ok(self)
    }

    /// Whether the request carries a proof already.
    pub(crate) fn is_signed(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "signature-input" || name == DPOP_FIELD)
    }

    /// The field lines as proofs see them.
    pub(crate) fn header_views(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_bytes() }).collect()
    }

    /// The whole URL.
    pub(crate) fn url(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme, self.authority, self.path)
    }

    /// The request as proofs see it; `headers` are those of [`Self::header_views`].
    fn view<'a>(&'a self, headers: &'a [Header<'a>]) -> HttpRequest<'a> {
        HttpRequest {
            method: &self.method,
            scheme: &self.scheme,
            authority: &self.authority,
            path: &self.path,
            query: self.query.as_deref(),
            headers,
            body: &self.body,
        }
    }

    /// The request with passport and proof, signed at `now` with a fresh nonce.
    pub(crate) fn sign(self, credentials: &Credentials, form: ProofForm, now: UnixMillis) -> Result<Self, Failure> {
        self.sign_answering(None, credentials, form, now)
    }

    /// The same, with an answer to the gate's challenge.
    pub(crate) fn sign_answering(
        mut self,
        challenge: Option<&str>,
        credentials: &Credentials,
        form: ProofForm,
        now: UnixMillis,
    ) -> Result<Self, Failure> {
        self.headers.push((PASSPORT_FIELD.to_owned(), credentials.passport.clone()));
        let (own, created) = (moment::nonce()?, now.seconds());
        let proof = if form == ProofForm::Dpop {
            self.dpop_proof(credentials, &DpopParams { created, jti: &own, expires: None, nonce: challenge })
        } else {
            let nonce = challenge.map_or_else(|| own.clone(), |challenge| format!("{challenge}.{own}"));
            self.message_signature(credentials, &ProofParams { created, nonce: &nonce, expires: None })
        };
        self.headers.extend(proof.map_err(|error| {
            Failure::new(Exit::Invalid, error.code(), format_args!("the request cannot be signed: {error}"))
        })?);
        Ok(self)
    }

    fn message_signature(
        &self,
        credentials: &Credentials,
        params: &ProofParams<'_>,
    ) -> Result<Vec<(String, String)>, ProofError> {
        let headers = self.header_views();
        let signed = proof::sign(&self.view(&headers), &credentials.key, params)?;
        let mut fields = Vec::with_capacity(3);
        fields.extend(signed.content_digest.map(|digest| ("content-digest".to_owned(), digest)));
        fields.push(("signature-input".to_owned(), signed.signature_input));
        fields.push(("signature".to_owned(), signed.signature));
        Ok(fields)
    }

    fn dpop_proof(
        &self,
        credentials: &Credentials,
        params: &DpopParams<'_>,
    ) -> Result<Vec<(String, String)>, ProofError> {
        let headers = self.header_views();
        let proof = dpop::sign(&self.view(&headers), &credentials.key, params, &[])?;
        Ok(vec![(DPOP_FIELD.to_owned(), proof)])
    }

    /// The request for an HTTP client.
    pub(crate) fn to_http(&self) -> Result<http::Request<Full<Bytes>>, Failure> {
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.url());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
            .body(Full::new(Bytes::from(self.body.clone())))
            .map_err(|error| Failure::usage(format_args!("the request cannot be sent: {error}")))
    }
}

/// A field line with its name in lower case.
fn checked_field(name: &str, value: &str) -> Result<(String, String), Failure> {
    let name = name.trim();
    let bad = |what: &str| {
        Failure::usage(format_args!("the {what} of the header field `{name}` has characters that HTTP does not allow"))
    };
    let lower = http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("name"))?;
    http::HeaderValue::from_str(value).map_err(|_| bad("value"))?;
    if !value.is_ascii() {
        return Err(bad("value"));
    }
    Ok((lower.as_str().to_owned(), value.to_owned()))
}

/// The body that a `--data` argument stands for.
fn data(argument: &str) -> Result<Vec<u8>, Failure> {
    match argument.strip_prefix('@') {
        Some(file) => input::read(file).map(|bytes| bytes.to_vec()),
        None if argument == input::STDIN => input::read(argument).map(|bytes| bytes.to_vec()),
        None => Ok(argument.as_bytes().to_vec()),
    }
}

fn media_type(body: &[u8]) -> &'static str {
    if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() {
        "application/json"
    } else {
        "application/octet-stream"
    }
}

/// Scheme, authority, path and query, none of them decoded or repaired: what is signed is what was written.
fn split_url(url: &str) -> Result<(String, String, String, Option<String>), Failure> {
    let bad = |why: &str| {
        Failure::usage(format_args!("the URL {why}")).hint("write http://HOST[:PORT]/PATH with percent-escapes")
    };
    if !url.is_ascii() {
        return Err(bad("has characters outside ASCII"));
    }
    let uri: Uri = url.parse().map_err(|_| bad("is malformed"))?;
    let scheme = uri.scheme_str().map(str::to_ascii_lowercase).filter(|scheme| scheme == "http" || scheme == "https");
    let scheme = scheme.ok_or_else(|| bad("does not start with http:// or https://"))?;
    let authority =
        uri.authority().map(|authority| authority.as_str().to_ascii_lowercase()).ok_or_else(|| bad("names no host"))?;
    if authority.contains('@') {
        return Err(bad("holds a user name; an agent's credentials are its passport and key"));
    }
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority).to_owned();
    Ok((scheme, authority, uri.path().to_owned(), uri.query().map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data: Option<&str>, headers: &[&str]) -> RequestArgs {
        RequestArgs {
            method: None,
            data: data.map(Into::into),
            headers: headers.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn urls_are_split_and_not_repaired() {
        for (url, scheme, authority, path, query) in [
            ("http://a.example", "http", "a.example", "/", None),
            ("HTTP://A.Example:80/x?", "http", "a.example", "/x", Some("")),
            ("https://a.example:443/x?q=1#f", "https", "a.example", "/x", Some("q=1")),
            ("http://127.0.0.1:8787/a/../%2e?b=%41", "http", "127.0.0.1:8787", "/a/../%2e", Some("b=%41")),
            ("http://[::1]:8/", "http", "[::1]:8", "/", None),
        ] {
            let split = split_url(url).unwrap();
            assert_eq!(
                (split.0.as_str(), split.1.as_str(), split.2.as_str(), split.3.as_deref()),
                (scheme, authority, path, query)
            );
        }
        for url in ["", "/x", "a.example/x", "ftp://a/x", "http://u:p@a/", "http://a/ä", "http:///x", "http://a b/"] {
            assert_eq!(split_url(url).unwrap_err().exit, Exit::Unexpected, "{url}");
        }
    }

    #[test]
    fn flags_become_a_request() {
        let get = Request::from_args("http://a/x", &args(None, &["X-Trace:  7 "])).unwrap();
        assert_eq!((get.method.as_str(), get.headers), ("GET", vec![("x-trace".into(), "7".into())]));
        let post = Request::from_args("http://a/x", &args(Some("{\"a\":1}"), &[])).unwrap();
        assert_eq!((post.method.as_str(), post.body.as_slice()), ("POST", &b"{\"a\":1}"[..]));
        assert_eq!(post.headers, vec![("content-type".into(), "application/json".into())]);
        let typed = Request::from_args("http://a/x", &args(Some("a=1"), &["Content-Type: text/plain"])).unwrap();
        assert_eq!(typed.headers, vec![("content-type".into(), "text/plain".into())]);
        for header in
            ["Signature: x", "AGENT-PASSPORT: x", "DPoP: x", "host: x", "no-colon", "na me: x", "n: a\nb", ": x"]
        {
            assert!(Request::from_args("http://a/x", &args(None, &[header])).is_err(), "{header}");
        }
    }

    #[test]
    fn request_files_say_the_same_as_flags() {
        let json = br#"{"method":"PUT","url":"http://a/x","headers":{"X-A":"1"},"body":{"b":[1]}}"#;
        let request = Request::from_json(json).unwrap();
        assert_eq!((request.method.as_str(), request.body.as_slice()), ("PUT", &br#"{"b":[1]}"#[..]));
        assert!(request.headers.contains(&("x-a".into(), "1".into())));
        for json in ["", "[]", "{}", r#"{"url":"http://a/","uri":1}"#, r#"{"url":"http://a/","headers":{"a":1}}"#] {
            assert!(Request::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_signed_request_verifies() {
        let key = passgate_passport::key::SecretKey::from_seed([3; 32]);
        let public = key.public().clone();
        let credentials = Credentials { passport: "a.b.c~d.e.f".into(), key };
        for form in [ProofForm::MessageSignature, ProofForm::Dpop] {
            let request = Request::from_args("http://a.example/pay?x=1", &args(Some("{}"), &[])).unwrap();
            let signed = request.sign(&credentials, form, UnixMillis(1_700_000_000_000)).unwrap();
            assert!(signed.is_signed());
            let mut seen = signed.clone();
            for (path, holds) in [("/pay", true), ("/pay2", false)] {
                seen.path = path.into();
                let headers = seen.header_views();
                let (view, rules) = (seen.view(&headers), dpop::DpopRules::default());
                let verified = proof::verify_either(&view, &public, 1_700_000_000, &rules);
                assert_eq!(verified.map(|proof| proof.form()).ok(), holds.then_some(form));
            }
        }
    }
}
