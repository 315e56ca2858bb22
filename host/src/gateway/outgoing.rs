//! What the gate itself says to others: whom it may call, and the client it does it with.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use url::{Host, Url};

use crate::http::upstream::TrustRoots;

/// Speaks HTTP/1.1, follows no redirects.
pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// # Errors
///
/// When the TLS library refuses its settings.
pub(super) fn client(connect_timeout: Duration) -> Result<Client, rustls::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(connect_timeout));
    let tls = TrustRoots::mozilla().client_config()?;
    let connector =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
    Ok(legacy::Client::builder(TokioExecutor::new()).build(connector))
}

/// What the gate says is not for everybody on the way: without TLS it stays on this machine.
///
/// # Errors
///
/// Why the URL leads nowhere that may be told.
pub(super) fn checked_url(text: &str) -> Result<Uri, &'static str> {
    let url = Url::parse(text).map_err(|_| "is no URL")?;
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if !(url.scheme() == "https" || url.scheme() == "http" && is_here) {
        return Err("has to be an `https` URL, or an `http` URL of this machine");
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("has to be without user, password and fragment");
    }
    url.as_str().parse().map_err(|_| "is no URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_leave_the_machine_by_tls_alone() {
        for (url, is_one) in [
            ("https://hooks.example/x?y=1", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]/x", true),
            ("http://localhost/x", true),
            ("http://hooks.example/x", false),
            ("http://127.0.0.1.example/x", false),
            ("https://user@hooks.example/x", false),
            ("https://hooks.example/x#y", false),
            ("file:///x", false),
            ("hooks.example", false),
        ] {
            assert_eq!(checked_url(url).is_ok(), is_one, "{url}");
        }
    }
}
