//! Sends requests to the one configured origin and meters what comes back.
//!
//! The origin sees exactly the path, the query and the body it is given, over HTTP/1.1, with a `Content-Length` and a
//! `Host` of the gate's own. Redirects are answers like any other, content codings are left as they are, and interim
//! (1xx) responses are swallowed. Nothing is sent twice: a request is repeated only when a pooled connection turned out
//! to be closed before a byte of it was written.

mod held;
mod meter;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::oneshot;

use super::authority::{self, Scheme};
use super::headers;

pub use self::held::{HeldBody, Read};
pub use self::meter::{BodyEnd, BodyError, BodyReport, MeteredBody};

/// Header fields accepted in one response.
const MAX_RESPONSE_HEADER_COUNT: usize = 100;

/// Read buffer of one connection and so the most a response head may take, in bytes.
const MAX_RESPONSE_HEADER_BYTES: usize = 64 * 1024;

/// Whose certificates an `https` origin may present.
#[derive(Debug, Clone)]
pub struct TrustRoots(Arc<RootCertStore>);

/// Why certificate authorities cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustRootsError {
    /// There is no certificate at all.
    #[error("holds no certificate in PEM form")]
    Empty,
    /// The PEM around a certificate is damaged.
    #[error("holds a certificate whose PEM cannot be read (certificate {number})")]
    Pem {
        /// Which one, from 1.
        number: usize,
    },
    /// What the PEM holds is no X.509 certificate.
    #[error("holds a certificate that is no X.509 certificate (certificate {number})")]
    Certificate {
        /// Which one, from 1.
        number: usize,
    },
}

impl TrustRoots {
    /// The certificate authorities of Mozilla's programme, as compiled in.
    #[must_use]
    pub fn mozilla() -> Self {
        Self(Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()))
    }

    /// Exactly the certificates in `pem`, and no others.
    ///
    /// # Errors
    ///
    /// [`TrustRootsError`] when there is none, or one that cannot be used: none is left out silently.
    pub fn from_pem(pem: &[u8]) -> Result<Self, TrustRootsError> {
        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
            let certificate = certificate.map_err(|_| TrustRootsError::Pem { number })?;
            roots.add(certificate).map_err(|_| TrustRootsError::Certificate { number })?;
        }
        if roots.is_empty() { Err(TrustRootsError::Empty) } else { Ok(Self(Arc::new(roots))) }
    }

    /// What a TLS client that trusts these offers and accepts.
    ///
    /// # Errors
    ///
    /// When the TLS library refuses its own defaults.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(Arc::clone(&self.0)).with_no_client_auth())
    }
}

/// The origin and what it may take.
#[derive(Debug, Clone)]
pub struct UpstreamConfig {
    /// `http://host[:port]` or `https://host[:port]`, optionally with a final `/` and nothing more.
    pub origin: String,
    /// Whom to trust when the origin is `https`.
    pub trust_roots: TrustRoots,
    /// Time to connect.
    pub connect_timeout: Duration,
    /// Time from sending the request to a complete response head, connecting included.
    pub head_timeout: Duration,
    /// Time the response body may stand still.
    pub body_idle_timeout: Duration,
    /// Time for the whole response body.
    pub body_total_timeout: Duration,
    /// Bytes of a response body.
    pub max_response_bytes: u64,
    /// Idle connections kept for reuse.
    pub max_idle_connections: usize,
    /// Time an idle connection is kept.
    pub idle_connection_timeout: Duration,
}

impl UpstreamConfig {
    /// The defaults for an origin: 5 s to connect, 30 s for the head, 30 s idle and 10 min in all for a body of at most
    /// 32 MiB, 64 idle connections for 30 s each.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            trust_roots: TrustRoots::mozilla(),
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(30),
            body_idle_timeout: Duration::from_secs(30),
            body_total_timeout: Duration::from_secs(600),
            max_response_bytes: 32 * 1024 * 1024,
            max_idle_connections: 64,
            idle_connection_timeout: Duration::from_secs(30),
        }
    }
}

/// Why an [`UpstreamConfig`] cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamConfigError {
    /// The origin is not a scheme and an authority alone.
    #[error("the upstream must be http://host[:port] or https://host[:port]")]
    Origin,
    /// The TLS library refused the settings.
    #[error("the upstream's TLS settings are not usable: {0}")]
    Tls(rustls::Error),
}

/// A judged request.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// The method.
    pub method: String,
    /// The path, starting with `/`.
    pub path: String,
    /// The query without its `?`.
    pub query: Option<String>,
    /// The fields to send; `Host`, `Content-Length` and `Transfer-Encoding` among them are replaced.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The whole body.
    pub body: Bytes,
}

/// The origin's answer.
#[derive(Debug)]
pub struct Answer {
    /// The final status.
    pub status: StatusCode,
    /// The fields that may go back to the client (see [`headers::returnable`]).
    pub headers: HeaderMap,
    /// The body; dropping it aborts the exchange.
    pub body: MeteredBody,
    /// Receives exactly one report when the body has ended or was dropped.
    pub report: oneshot::Receiver<BodyReport>,
}

/// Why there is no answer to give.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// The request cannot be written as HTTP/1.1 without being changed.
    #[error("the request cannot be sent as it was judged")]
    Unsendable,
    /// No connection to the origin.
    #[error("the origin could not be reached: {0}")]
    Connect(hyper_util::client::legacy::Error),
    /// No complete response head within [`UpstreamConfig::head_timeout`].
    #[error("the origin did not answer in time")]
    HeadTimeout,
    /// The connection broke or what came back is not HTTP.
    #[error("the exchange with the origin failed: {0}")]
    Exchange(hyper_util::client::legacy::Error),
    /// The origin switched protocols although nobody asked it to.
    #[error("the origin switched protocols unasked")]
    Switched,
    /// The response says it is longer than [`UpstreamConfig::max_response_bytes`], or its head is longer than 64 KiB.
    #[error("the response is too large")]
    ResponseTooLarge,
    /// The response ended like this while it was read to be looked at.
    #[error("the response was cut off: {0:?}")]
    CutOff(BodyEnd),
}

impl UpstreamError {
    /// Whether the origin may have received the request, and so may have acted on it.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        !matches!(self, Self::Unsendable | Self::Connect(_))
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unsendable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::HeadTimeout | Self::CutOff(BodyEnd::IdleTimeout | BodyEnd::TotalTimeout) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// The stable machine-readable name of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsendable => "request_unsendable",
            Self::Connect(_) => "upstream_unreachable",
            Self::HeadTimeout | Self::CutOff(BodyEnd::IdleTimeout | BodyEnd::TotalTimeout) => "upstream_timeout",
            Self::ResponseTooLarge | Self::CutOff(BodyEnd::TooLarge) => "upstream_response_too_large",
            Self::Exchange(_) | Self::Switched | Self::CutOff(_) => "upstream_protocol_error",
        }
    }
}

/// A client of the configured origin. Cheap to share by reference; holds a pool of connections.
#[derive(Debug)]
pub struct Upstream {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: UriScheme,
    authority: Authority,
    config: UpstreamConfig,
}

impl Upstream {
    /// A client for the origin; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`UpstreamConfigError`] when the origin or the trust roots cannot be used.
    pub fn new(config: UpstreamConfig) -> Result<Self, UpstreamConfigError> {
        let (scheme, authority) = parse_origin(&config.origin).ok_or(UpstreamConfigError::Origin)?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_timeout));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.trust_roots.client_config().map_err(UpstreamConfigError::Tls)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.idle_connection_timeout)
            .pool_max_idle_per_host(config.max_idle_connections)
            .http1_max_headers(MAX_RESPONSE_HEADER_COUNT)
            .http1_max_buf_size(MAX_RESPONSE_HEADER_BYTES)
            .set_host(false)
            .build(connector);
        Ok(Self { client, scheme, authority, config })
    }

    /// Sends one request and gives the answer as soon as its head is complete.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`]; ask it whether the request may have arrived.
    pub async fn send(&self, outbound: Outbound) -> Result<Answer, UpstreamError> {
        let request = self.request(outbound).ok_or(UpstreamError::Unsendable)?;
        let exchange = self.client.request(request);
        let response =
            tokio::time::timeout(self.config.head_timeout, exchange)
                .await
                .map_err(|_| UpstreamError::HeadTimeout)?
                .map_err(|error| {
                    if error.is_connect() { UpstreamError::Connect(error) } else { UpstreamError::Exchange(error) }
                })?;
        let (head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(UpstreamError::Switched);
        }
        self.answer(head.status, &head.headers, body)
    }

    fn answer(&self, status: StatusCode, headers: &HeaderMap, body: Incoming) -> Result<Answer, UpstreamError> {
        let limit = self.config.max_response_bytes;
        // The parser checks its buffer before it reads, so a head can outgrow it by one read.
        let head_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if body.size_hint().lower() > limit || head_bytes > MAX_RESPONSE_HEADER_BYTES {
            return Err(UpstreamError::ResponseTooLarge);
        }
        let (body, report) =
            MeteredBody::new(body, limit, self.config.body_idle_timeout, self.config.body_total_timeout);
        Ok(Answer { status, headers: headers::returnable(headers), body, report })
    }

    /// Reads a response that is looked at before it goes back: as [`Answer::read`], within the time that its head may take too.
    pub async fn read(&self, answer: &mut Answer, max_bytes: usize) -> Read {
        answer.read(max_bytes, self.config.head_timeout).await
    }

    /// A body on its way back that was read before, and the report of what was delivered of it.
    pub fn deliver(&self, held: HeldBody) -> (MeteredBody<HeldBody>, oneshot::Receiver<BodyReport>) {
        // What is still to come of it has its limit, and what stands in place of it may be longer.
        MeteredBody::new(held, u64::MAX, self.config.body_idle_timeout, self.config.body_total_timeout)
    }

    /// The request as it will be written, or `None` if it cannot be without a change.
    fn request(&self, outbound: Outbound) -> Option<Request<Full<Bytes>>> {
        let method = Method::from_bytes(outbound.method.as_bytes()).ok()?;
        let mut fields = self.fields(&outbound)?;
        if !outbound.body.is_empty() || expects_body(&method) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(outbound.body.len()));
        }
        let target = match &outbound.query {
            Some(query) => format!("{}?{query}", outbound.path),
            None => outbound.path.clone(),
        };
        let path_and_query: PathAndQuery = target.parse().ok()?;
        let unchanged = path_and_query.as_str() == target && path_and_query.path() == outbound.path;
        if !unchanged || !target.starts_with('/') || method == Method::CONNECT {
            return None;
        }
        let uri = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
            .ok()?;
        let mut request = Request::new(Full::new(outbound.body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = fields;
        Some(request)
    }

    fn fields(&self, outbound: &Outbound) -> Option<HeaderMap> {
        let mut fields = HeaderMap::with_capacity(outbound.headers.len() + 2);
        for (name, value) in &outbound.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            fields.append(name, HeaderValue::from_bytes(value).ok()?);
        }
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE] {
            fields.remove(name);
        }
        fields.insert(header::HOST, HeaderValue::from_str(self.authority.as_str()).ok()?);
        Some(fields)
    }
}

/// Whether a request without a body must still say so (RFC 9110 section 8.6).
fn expects_body(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS)
}

fn parse_origin(origin: &str) -> Option<(UriScheme, Authority)> {
    let (scheme, rest) = origin.split_once("://")?;
    let (scheme, uri_scheme) = match scheme {
        "http" => (Scheme::Http, UriScheme::HTTP),
        "https" => (Scheme::Https, UriScheme::HTTPS),
        _ => return None,
    };
    let authority = authority::normalise(rest.strip_suffix('/').unwrap_or(rest), scheme)?;
    Some((uri_scheme, authority.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(origin: &str) -> Result<Upstream, UpstreamConfigError> {
        Upstream::new(UpstreamConfig::new(origin))
    }

    fn outbound(path: &str, query: Option<&str>) -> Outbound {
        Outbound {
            method: "GET".into(),
            path: path.into(),
            query: query.map(Into::into),
            headers: vec![("accept".into(), b"*/*".to_vec())],
            body: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn origins_are_a_scheme_and_an_authority() {
        for origin in ["http://tools.example", "https://tools.example:8443/", "http://[::1]:80"] {
            assert!(upstream(origin).is_ok(), "{origin}");
        }
        let refused = [
            "",
            "tools.example",
            "ftp://tools.example",
            "http://",
            "http://tools.example/base",
            "http://a@tools.example",
            "http://tools.example:0",
            "http://tools.example?x",
            "HTTP://tools.example",
        ];
        for origin in refused {
            assert!(matches!(upstream(origin), Err(UpstreamConfigError::Origin)), "{origin}");
        }
    }

    #[test]
    fn trust_roots_must_be_certificates() {
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem();
        assert!(TrustRoots::from_pem(own.as_bytes()).is_ok());
        for (pem, expected) in [
            (String::new(), TrustRootsError::Empty),
            ("not pem".to_owned(), TrustRootsError::Empty),
            (own.replace("CERTIFICATE", "PUBLIC KEY"), TrustRootsError::Empty),
            (pem("AAAA"), TrustRootsError::Certificate { number: 1 }),
            (format!("{own}{}", pem("AAAA")), TrustRootsError::Certificate { number: 2 }),
            (format!("{own}{}", pem("!")), TrustRootsError::Pem { number: 2 }),
            (own.replace("-----END CERTIFICATE-----", ""), TrustRootsError::Pem { number: 1 }),
        ] {
            assert_eq!(TrustRoots::from_pem(pem.as_bytes()).map(|_| ()), Err(expected), "{pem}");
        }
    }

    #[tokio::test]
    async fn targets_are_sent_as_given_or_not_at_all() {
        let upstream = upstream("http://tools.example:8080").unwrap();
        for (path, query, written) in [
            ("/", None, "/"),
            ("/", Some(""), "/?"),
            ("/a/b", Some("x=1&y=%2f"), "/a/b?x=1&y=%2f"),
            ("//a", None, "//a"),
            ("/a", Some("b?c"), "/a?b?c"),
        ] {
            let request = upstream.request(outbound(path, query)).unwrap();
            assert_eq!(request.uri().path_and_query().unwrap().as_str(), written);
            assert_eq!(request.uri().authority().unwrap(), "tools.example:8080");
        }
        for (path, query) in
            [("", None), ("*", None), ("a", None), ("/a#b", None), ("/a", Some("b#c")), ("/a?b", None), ("/a b", None)]
        {
            assert!(upstream.request(outbound(path, query)).is_none(), "{path} {query:?}");
        }
    }

    #[tokio::test]
    async fn host_and_length_are_the_gates_own() {
        let upstream = upstream("http://tools.example").unwrap();
        let mut given = outbound("/", None);
        given.method = "POST".into();
        given.body = Bytes::from_static(b"abc");
        for (name, value) in [("host", "evil.example"), ("content-length", "99"), ("transfer-encoding", "chunked")] {
            given.headers.push((name.into(), value.into()));
        }
        let request = upstream.request(given.clone()).unwrap();
        let sent = |name: &str| request.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(sent("host"), ["tools.example"]);
        assert_eq!(sent("content-length"), ["3"]);
        assert!(sent("transfer-encoding").is_empty());
        assert_eq!(sent("accept"), ["*/*"]);

        given.body = Bytes::new();
        let empty = upstream.request(given).unwrap();
        assert_eq!(empty.headers().get("content-length").unwrap(), "0");
    }
}
