//! The rules for header fields, on the types of the `http` crate.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use passgate_api::http::headers::Returnable;
pub use passgate_api::http::headers::{HeaderError, OF_THE_BODY, ask_for_whole, forwardable, proxy_claims, with_body};

/// The fields of an origin's response that go back to the client, by the rules of [`Returnable`].
#[must_use]
pub fn returnable(headers: &HeaderMap) -> HeaderMap {
    let rule = Returnable::new(headers.get_all(header::CONNECTION).iter().map(HeaderValue::as_bytes));
    let crosses = |(name, value): &(&HeaderName, &HeaderValue)| rule.crosses(name.as_str(), value.as_bytes());
    let mut returned = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(crosses) {
        returned.append(name.clone(), value.clone());
    }
    returned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_repeat_are_judged_and_kept_one_by_one() {
        let mut given = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "a=1"),
            ("set-cookie", "passgate_console=1"),
            ("set-cookie", "b=2"),
            ("connection", "close"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ] {
            given.append(name, HeaderValue::from_static(value));
        }
        let returned = returnable(&given);
        let left: Vec<_> = returned.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(left, [("set-cookie", b"a=1".as_slice()), ("set-cookie", b"b=2")]);
    }
}
