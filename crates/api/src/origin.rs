//! An origin in its one spelling: where a gate is reached, and where the API behind it is.

use passgate_core::domain;
use passgate_core::gate::Origin;

/// Reads `http` or `https`, `://`, and a host with an optional port: lower case, canonical, no user information, no
/// path (also no `/`), no default port. Nothing for every other spelling.
#[must_use]
pub fn parse(url: &str) -> Option<Origin> {
    let (scheme, authority) = url.split_once("://")?;
    let default_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let good_port = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0 && n.to_string() == p));
    let canonical = domain::target_host(host).is_ok_and(|h| h == host);
    let good = good_port && canonical && !authority.ends_with(default_port);
    good.then(|| Origin { scheme: scheme.to_owned(), authority: authority.to_owned() })
}
