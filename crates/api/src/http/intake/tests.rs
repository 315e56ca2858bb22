use super::*;

/// The parts of a request under test.
struct Given {
    method: &'static str,
    target: Target<'static>,
    version: Version,
    fields: Vec<Field>,
}

const PLAIN: Target<'static> = Target { scheme: None, authority: None, path: "/", query: None };

fn absolute(scheme: &'static str, authority: &'static str) -> Target<'static> {
    Target { scheme: Some(scheme), authority: Some(authority), ..PLAIN }
}

/// A request without fields.
fn bare(target: Target<'static>) -> Given {
    Given { method: "GET", target, version: Version::Http11, fields: Vec::new() }
}

fn get(target: Target<'static>) -> Given {
    bare(target).with("host", "gate.example")
}

impl Given {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    fn version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    fn check(&self) -> Result<Checked, IntakeError> {
        self.check_within(&HeadLimits::new(Scheme::Https))
    }

    fn check_within(&self, limits: &HeadLimits) -> Result<Checked, IntakeError> {
        let Self { method, target, version, fields } = self;
        check(&Head { method, target: *target, version: *version, fields }, limits)
    }
}

#[test]
fn a_plain_head_passes() {
    let head = get(Target { path: "/v1/refunds", query: Some("id=7&x"), ..PLAIN }).method("POST");
    let expected = Checked { authority: Some("gate.example".to_owned()), declared_length: None };
    assert_eq!(head.check(), Ok(expected.clone()));
    let sized = head.with("Content-Length", "7").with("content-length", "7");
    assert_eq!(sized.check(), Ok(Checked { declared_length: Some(7), ..expected.clone() }));
    assert_eq!(get(PLAIN).with("Transfer-Encoding", "Chunked").check(), Ok(expected));
}

#[test]
fn heads_are_refused_for_what_is_wrong_with_them() {
    let with = |name: &str, value: &str| get(PLAIN).with(name, value);
    let table = [
        (get(PLAIN).method("CONNECT"), IntakeError::Method),
        (get(PLAIN).method("TRACE"), IntakeError::Method),
        (get(PLAIN).method("trace"), IntakeError::Method),
        (get(PLAIN).method("mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm"), IntakeError::Method),
        (with("upgrade", "websocket"), IntakeError::Upgrade),
        (with("Upgrade", "h2c"), IntakeError::Upgrade),
        (with("connection", "keep-alive,  UpGrade"), IntakeError::Upgrade),
        (with("http2-settings", "AAMAAABk"), IntakeError::Upgrade),
        (with("transfer-encoding", "xchunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "gzip, chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "chunked, chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "identity").with("transfer-encoding", "chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "chunked").with("content-length", "0"), IntakeError::Framing),
        (with("transfer-encoding", "chunked").version(Version::Http10), IntakeError::Framing),
        (with("transfer-encoding", "chunked").version(Version::Http2), IntakeError::Framing),
        (with("content-length", "+0"), IntakeError::ContentLength),
        (with("content-length", "0,0"), IntakeError::ContentLength),
        (with("content-length", ""), IntakeError::ContentLength),
        (with("content-length", "18446744073709551616"), IntakeError::ContentLength),
        (with("content-length", "0").with("content-length", "1"), IntakeError::ContentLength),
        (with("content-length", "1048577"), IntakeError::BodyTooLarge),
        (with("content-length", "18446744073709551615"), IntakeError::BodyTooLarge),
        (get(Target { path: "*", ..PLAIN }).method("OPTIONS"), IntakeError::TargetForm),
        (get(Target { authority: Some("gate.example:443"), ..PLAIN }), IntakeError::TargetForm),
        (get(absolute("http", "gate.example")), IntakeError::TargetForm),
        (get(absolute("ftp", "gate.example")), IntakeError::TargetForm),
        (bare(PLAIN), IntakeError::AuthorityMissing),
        (bare(absolute("https", "gate.example")), IntakeError::AuthorityMissing),
        (bare(PLAIN).version(Version::Http2), IntakeError::AuthorityMissing),
        (with("Host", "gate.example"), IntakeError::AuthorityDuplicate),
        (bare(PLAIN).with("host", ""), IntakeError::AuthorityInvalid),
        (bare(PLAIN).with("host", "a@gate.example"), IntakeError::AuthorityInvalid),
        (bare(PLAIN).with("host", "gate.example:0"), IntakeError::AuthorityInvalid),
        (get(absolute("https", "a@gate.example")), IntakeError::AuthorityInvalid),
        (get(absolute("https", "other.example")), IntakeError::AuthorityMismatch),
        (get(absolute("https", "gate.example:444")), IntakeError::AuthorityMismatch),
    ];
    for (index, (head, expected)) in table.into_iter().enumerate() {
        assert_eq!(head.check(), Err(expected), "row {index}");
    }
    for path in ["/a/../b", "/a%2fb", "//evil.example/a", "/a;x", ""] {
        let error = get(Target { path, ..PLAIN }).check().unwrap_err();
        assert!(matches!(error, IntakeError::Target(_)), "{path}: {error}");
        assert_eq!(answered(error), (400, "path_not_canonical"));
    }
}

/// The status and the stable code of a refusal.
fn answered(error: IntakeError) -> (u16, &'static str) {
    (error.reason().class().status(), error.reason().code())
}

#[test]
fn refusals_are_answered_under_stable_codes() {
    for (error, status, code) in [
        (IntakeError::HeadersTooLarge, 431, "headers_too_large"),
        (IntakeError::Method, 501, "method_not_supported"),
        (IntakeError::Upgrade, 501, "upgrade_not_supported"),
        (IntakeError::TransferEncoding, 501, "transfer_encoding_not_supported"),
        (IntakeError::Framing, 400, "request_malformed"),
        (IntakeError::ContentLength, 400, "request_malformed"),
        (IntakeError::TargetForm, 400, "path_not_canonical"),
        (IntakeError::AuthorityMissing, 400, "host_mismatch"),
        (IntakeError::AuthorityDuplicate, 400, "host_mismatch"),
        (IntakeError::AuthorityInvalid, 400, "host_mismatch"),
        (IntakeError::AuthorityMismatch, 400, "host_mismatch"),
        (IntakeError::BodyTooLarge, 413, "body_too_large"),
        (IntakeError::BodyTimeout, 408, "body_timeout"),
        (IntakeError::BodyUnreadable, 400, "request_malformed"),
    ] {
        assert_eq!(answered(error), (status, code), "{error}");
    }
}

#[test]
fn long_targets_are_told_apart_from_odd_ones() {
    let path: &'static str = Box::leak(format!("/{}", "a".repeat(path::MAX_PATH_BYTES)).into_boxed_str());
    let error = get(Target { path, ..PLAIN }).check().unwrap_err();
    assert_eq!(answered(error), (414, "target_too_long"));
}

#[test]
fn limits_hold_at_their_edge() {
    let many = |count: usize| (1..count).fold(get(PLAIN), |head, i| head.with(&format!("h{i}"), "v"));
    assert!(many(100).check().is_ok());
    assert_eq!(many(101).check(), Err(IntakeError::HeadersTooLarge));

    let large = |bytes: usize| get(PLAIN).with("h", &"v".repeat(bytes));
    let used = "host".len() + "gate.example".len() + "h".len() + 2 * FIELD_OVERHEAD_BYTES;
    assert!(large(64 * 1024 - used).check().is_ok());
    assert_eq!(large(64 * 1024 - used + 1).check(), Err(IntakeError::HeadersTooLarge));

    let limits = HeadLimits { max_body_bytes: 4, ..HeadLimits::new(Scheme::Https) };
    assert!(get(PLAIN).with("content-length", "4").check_within(&limits).is_ok());
    let error = get(PLAIN).with("content-length", "5").check_within(&limits);
    assert_eq!(error, Err(IntakeError::BodyTooLarge));
}

#[test]
fn authorities_agree_after_normalising() {
    let gate = "gate.example";
    for (head, expected) in [
        (bare(absolute("https", "GATE.example:443")).with("host", "gate.EXAMPLE"), Some(gate)),
        (bare(PLAIN).with("host", "gate.example:443"), Some(gate)),
        (bare(absolute("https", gate)).version(Version::Http2), Some(gate)),
        (bare(absolute("http", gate)).version(Version::Http2), Some(gate)),
        (bare(PLAIN).version(Version::Http2).with("host", gate), Some(gate)),
        (bare(PLAIN).version(Version::Http10), None),
    ] {
        assert_eq!(head.check().unwrap().authority.as_deref(), expected);
    }
}

#[test]
fn split_cookies_are_joined_where_they_are_split() {
    let field = |name: &str, value: &str| (name.to_owned(), Vec::from(value));
    let split = vec![field("cookie", "a=1"), field("accept", "*/*"), field("cookie", "b=2")];
    let joined = vec![field("accept", "*/*"), field("cookie", "a=1; b=2")];
    assert_eq!(join_cookies(split.clone(), Version::Http2), joined);
    assert_eq!(join_cookies(split.clone(), Version::Http11), split);
}
