//! The way to a gate that runs elsewhere: its control routes under `/.passgate`, over HTTPS, with an API key.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use passgate_api::http::keys::{KEY_BYTES, KEY_PREFIX};
use passgate_api::origin;
use passgate_passport::b64;
use zeroize::Zeroizing;

use super::client::{ClientError, exchange};
use crate::http::upstream::TrustRoots;

/// What stands before the paths of a gate's own routes.
const PREFIX: &str = "/.passgate";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest part of another's text that is repeated, in characters.
const MAX_QUOTED_CHARS: usize = 200;

/// A gate that runs elsewhere, and what to show there.
#[derive(Debug, Clone)]
pub struct RemoteGate {
    origin: String,
    api_key: HeaderValue,
    trust_roots: TrustRoots,
}

/// Why a remote gate cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteGateError {
    /// The URL is not an origin in its one spelling.
    #[error(
        "`{0}` is not where a gate is reached: write its public_url, e.g. https://tools.example.com (lower case, no path)"
    )]
    Url(String),
    /// The API key would cross a network that anyone on the way can read.
    #[error("`{0}` would show the API key to everyone on the way: use https, or a tunnel that ends on this machine")]
    Plain(String),
    /// The text is no API key. It is not repeated.
    #[error("the API key is not one: it is `pgk_` and 43 base64url characters")]
    Key,
    /// The TLS library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl RemoteGate {
    /// A gate at `url` (its origin, optionally with a final `/`), asked with `api_key`.
    ///
    /// # Errors
    ///
    /// [`RemoteGateError`]; plain `http` is for loopback addresses alone.
    pub fn new(url: &str, api_key: &str, trust_roots: TrustRoots) -> Result<Self, RemoteGateError> {
        let origin = url.strip_suffix('/').unwrap_or(url);
        let parsed = origin::parse(origin).ok_or_else(|| RemoteGateError::Url(quoted(url)))?;
        if parsed.scheme == "http" && !is_loopback(&parsed.authority) {
            return Err(RemoteGateError::Plain(quoted(url)));
        }
        let secret = api_key.strip_prefix(KEY_PREFIX).ok_or(RemoteGateError::Key)?;
        let _entropy: Zeroizing<[u8; KEY_BYTES]> =
            Zeroizing::new(b64::decode_array(secret).map_err(|_| RemoteGateError::Key)?);
        let bearer = Zeroizing::new(format!("Bearer {api_key}"));
        let mut api_key = HeaderValue::from_str(&bearer).map_err(|_| RemoteGateError::Key)?;
        api_key.set_sensitive(true);
        Ok(Self { origin: origin.to_owned(), api_key, trust_roots })
    }
}

/// Whether what is sent to `authority` stays on this machine.
fn is_loopback(authority: &str) -> bool {
    let uri: Option<http::uri::Authority> = authority.parse().ok();
    let host = uri.as_ref().map(|uri| uri.host().trim_matches(['[', ']'])).unwrap_or_default();
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Text from elsewhere, shortened for a message.
pub(super) fn quoted(text: &str) -> String {
    text.chars().take(MAX_QUOTED_CHARS).collect()
}

/// A connection pool to one gate. Redirects are not followed: they would carry the API key elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    http: HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    gate: RemoteGate,
}

impl Remote {
    pub(super) fn new(gate: RemoteGate) -> Result<Self, RemoteGateError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = gate.trust_roots.client_config().map_err(|error| RemoteGateError::Tls(error.to_string()))?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        Ok(Self { http: HttpClient::builder(TokioExecutor::new()).build(connector), gate })
    }

    /// Where the gate is reached.
    pub(super) fn origin(&self) -> &str {
        &self.gate.origin
    }

    /// Sends a request whose URI is one of the control plane's paths.
    pub(super) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let uri = format!("{}{PREFIX}{}", self.gate.origin, request.uri());
        *request.uri_mut() = uri.parse().map_err(exchange)?;
        request.headers_mut().insert(header::AUTHORIZATION, self.gate.api_key.clone());
        let response = self.http.request(request).await.map_err(|error| self.failed(&error))?;
        if response.status().is_redirection() {
            let location = response.headers().get(header::LOCATION).map(HeaderValue::as_bytes).unwrap_or_default();
            return Err(ClientError::Redirected {
                status: response.status().as_u16(),
                location: quoted(&String::from_utf8_lossy(location)),
            });
        }
        Ok(response)
    }

    fn failed(&self, error: &hyper_util::client::legacy::Error) -> ClientError {
        let why = root_cause(error);
        if error.is_connect() {
            return ClientError::Unreachable { gate: self.gate.origin.clone(), why };
        }
        exchange(why)
    }
}

/// The innermost cause says what happened; the outer ones only where.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "pgk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn gate(url: &str, key: &str) -> Result<RemoteGate, RemoteGateError> {
        RemoteGate::new(url, key, TrustRoots::mozilla())
    }

    #[test]
    fn a_key_never_leaves_this_machine_unencrypted() {
        for url in [
            "https://gate.example",
            "https://gate.example/",
            "https://192.0.2.1:8443",
            "http://localhost:8787",
            "http://127.0.0.1",
            "http://127.8.0.1",
            "http://[::1]:8787",
        ] {
            assert!(gate(url, KEY).is_ok(), "{url}");
        }
        for url in ["http://gate.example", "http://192.0.2.1:8787", "http://localhost.example", "http://[2001:db8::1]"]
        {
            assert_eq!(gate(url, KEY).unwrap_err(), RemoteGateError::Plain(url.to_owned()));
        }
        for url in [
            "",
            "gate_1",
            "gate.example",
            "https://gate.example/x",
            "https://GATE.example",
            "https://u@gate.example",
            "ftp://gate.example",
            "https://gate.example//",
            "http://localhost@gate.example",
        ] {
            assert_eq!(gate(url, KEY).unwrap_err(), RemoteGateError::Url(url.to_owned()));
        }
    }

    #[test]
    fn what_is_no_api_key_is_not_sent_and_not_shown() {
        let long = format!("{KEY}A");
        let stray = format!("{}B", KEY.trim_end_matches('A')) + &"A".repeat(42);
        for key in ["", "pgk_", "secret", KEY.trim_start_matches("pgk_"), &long, "PGK_AAAA", &stray.replace('B', "=")] {
            assert_eq!(gate("https://gate.example", key).unwrap_err(), RemoteGateError::Key, "{key}");
        }
        let shown = format!("{:?}", gate("https://gate.example", KEY).unwrap());
        assert!(!shown.contains("AAAA"), "{shown}");
    }
}
