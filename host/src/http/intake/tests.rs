use http::request::Builder;
use http_body_util::Full;
use hyper::body::Frame;

use super::*;

fn limits() -> IntakeLimits {
    IntakeLimits::new(Scheme::Https)
}

fn get(uri: &str) -> Builder {
    Request::builder().uri(uri).header("host", "gate.example")
}

async fn take(request: Builder) -> Result<Intake, IntakeError> {
    take_body(request, b"", &limits()).await
}

async fn take_body(request: Builder, body: &'static [u8], limits: &IntakeLimits) -> Result<Intake, IntakeError> {
    intake(request.body(Full::from(body)).unwrap(), limits).await
}

#[tokio::test]
async fn a_plain_request_is_taken_in_whole() {
    let request = get("/v1/refunds?id=7&x").method("POST").header("X-Two", "a").header("x-two", "b");
    let taken = take_body(request, b"{}", &limits()).await.unwrap();
    let expected = Intake {
        method: "POST".into(),
        path: "/v1/refunds".into(),
        query: Some("id=7&x".into()),
        authority: Some("gate.example".into()),
        headers: vec![
            ("host".into(), b"gate.example".to_vec()),
            ("x-two".into(), b"a".to_vec()),
            ("x-two".into(), b"b".to_vec()),
        ],
        body: Bytes::from_static(b"{}"),
    };
    assert_eq!(taken, expected);
}

#[tokio::test]
async fn an_empty_query_stays_apart_from_none() {
    assert_eq!(take(get("/a")).await.unwrap().query, None);
    assert_eq!(take(get("/a?")).await.unwrap().query.as_deref(), Some(""));
}

/// The status and the stable code of a refusal.
fn answered(error: IntakeError) -> (u16, &'static str) {
    (error.reason().class().status(), error.reason().code())
}

#[tokio::test]
async fn requests_are_refused_for_what_is_wrong_with_them() {
    let plain = || Request::builder().uri("/");
    let with = |name: &'static str, value: &'static str| get("/").header(name, value);
    let long: &'static str = Box::leak("m".repeat(33).into_boxed_str());
    let table: Vec<(Builder, IntakeError)> = vec![
        (get("/").method("CONNECT"), IntakeError::Method),
        (get("/").method("TRACE"), IntakeError::Method),
        (get("/").method("trace"), IntakeError::Method),
        (get("/").method(long), IntakeError::Method),
        (with("upgrade", "websocket"), IntakeError::Upgrade),
        (with("upgrade", "h2c"), IntakeError::Upgrade),
        (with("connection", "keep-alive,  UpGrade"), IntakeError::Upgrade),
        (with("http2-settings", "AAMAAABk"), IntakeError::Upgrade),
        (with("transfer-encoding", "xchunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "gzip, chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "chunked, chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "identity").header("transfer-encoding", "chunked"), IntakeError::TransferEncoding),
        (with("transfer-encoding", "chunked").header("content-length", "0"), IntakeError::Framing),
        (with("transfer-encoding", "chunked").version(Version::HTTP_10), IntakeError::Framing),
        (with("content-length", "+0"), IntakeError::ContentLength),
        (with("content-length", "0,0"), IntakeError::ContentLength),
        (with("content-length", ""), IntakeError::ContentLength),
        (with("content-length", "18446744073709551616"), IntakeError::ContentLength),
        (with("content-length", "0").header("content-length", "1"), IntakeError::ContentLength),
        (with("content-length", "1048577"), IntakeError::BodyTooLarge),
        (with("content-length", "18446744073709551615"), IntakeError::BodyTooLarge),
        (get("*").method("OPTIONS"), IntakeError::TargetForm),
        (get("gate.example:443"), IntakeError::TargetForm),
        (get("http://gate.example/"), IntakeError::TargetForm),
        (get("ftp://gate.example/"), IntakeError::TargetForm),
        (plain(), IntakeError::AuthorityMissing),
        (Request::builder().uri("https://gate.example/"), IntakeError::AuthorityMissing),
        (with("host", "gate.example"), IntakeError::AuthorityDuplicate),
        (plain().header("host", ""), IntakeError::AuthorityInvalid),
        (plain().header("host", "a@gate.example"), IntakeError::AuthorityInvalid),
        (plain().header("host", "gate.example:0"), IntakeError::AuthorityInvalid),
        (get("https://a@gate.example/"), IntakeError::AuthorityInvalid),
        (get("https://other.example/"), IntakeError::AuthorityMismatch),
        (get("https://gate.example:444/"), IntakeError::AuthorityMismatch),
    ];
    for (index, (request, expected)) in table.into_iter().enumerate() {
        assert_eq!(take(request).await.unwrap_err(), expected, "row {index}");
    }
    for odd in ["/a/../b", "/a%2fb", "//evil.example/a", "https://gate.example/a;x"] {
        let error = take(get(odd)).await.unwrap_err();
        assert!(matches!(error, IntakeError::Target(_)), "{odd}: {error}");
        assert_eq!(answered(error), (400, "path_not_canonical"));
    }
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

#[tokio::test]
async fn long_targets_are_told_apart_from_odd_ones() {
    let path = format!("/{}", "a".repeat(path::MAX_PATH_BYTES));
    let error = take(get(&path)).await.unwrap_err();
    assert_eq!(answered(error), (414, "target_too_long"));
}

#[tokio::test]
async fn header_limits_hold_at_their_edge() {
    let many = |count: usize| (1..count).fold(get("/"), |request, i| request.header(format!("h{i}"), "v"));
    assert!(take(many(100)).await.is_ok());
    assert_eq!(take(many(101)).await.unwrap_err(), IntakeError::HeadersTooLarge);

    let large = |bytes: usize| get("/").header("h", "v".repeat(bytes));
    let used = "host".len() + "gate.example".len() + "h".len() + 2 * FIELD_OVERHEAD_BYTES;
    assert!(take(large(64 * 1024 - used)).await.is_ok());
    let error = take(large(64 * 1024 - used + 1)).await.unwrap_err();
    assert_eq!(error, IntakeError::HeadersTooLarge);
}

#[tokio::test]
async fn authorities_agree_after_normalising() {
    let cases = [
        (Request::builder().uri("https://GATE.example:443/").header("host", "gate.EXAMPLE"), "gate.example"),
        (Request::builder().uri("/").header("host", "gate.example:443"), "gate.example"),
        (Request::builder().uri("https://gate.example/").version(Version::HTTP_2), "gate.example"),
        (Request::builder().uri("http://gate.example/").version(Version::HTTP_2), "gate.example"),
        (Request::builder().uri("/").version(Version::HTTP_2).header("host", "gate.example"), "gate.example"),
    ];
    for (request, expected) in cases {
        assert_eq!(take(request).await.unwrap().authority.as_deref(), Some(expected));
    }
    let old = Request::builder().uri("/").version(Version::HTTP_10);
    assert_eq!(take(old).await.unwrap().authority, None);
    let none = Request::builder().uri("/").version(Version::HTTP_2);
    assert_eq!(take(none).await.unwrap_err(), IntakeError::AuthorityMissing);
}

#[tokio::test]
async fn bodies_are_bounded_whether_or_not_they_say_so() {
    let limits = IntakeLimits { max_body_bytes: 4, ..limits() };
    let chunked = || get("/").header("transfer-encoding", "chunked");
    assert_eq!(take_body(chunked(), b"1234", &limits).await.unwrap().body, "1234");
    assert_eq!(take_body(chunked(), b"12345", &limits).await.unwrap_err(), IntakeError::BodyTooLarge);
    let sized = get("/").header("content-length", "5");
    assert_eq!(take_body(sized, b"12345", &limits).await.unwrap_err(), IntakeError::BodyTooLarge);
}

/// A body whose frames are all there at once.
struct Frames(std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[tokio::test]
async fn trailers_are_dropped_and_broken_bodies_refused() {
    let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
    let mut trailers = HeaderMap::new();
    trailers.insert("passgate-decision", HeaderValue::from_static("allow"));
    let whole = Frames(vec![data("ab"), data("c"), Ok(Frame::trailers(trailers))].into_iter());
    let taken = intake(get("/").body(whole).unwrap(), &limits()).await.unwrap();
    assert_eq!(taken.body, "abc");
    assert_eq!(taken.headers, vec![("host".to_owned(), b"gate.example".to_vec())]);

    let broken = Frames(vec![data("ab"), Err("cut".into())].into_iter());
    let error = intake(get("/").body(broken).unwrap(), &limits()).await.unwrap_err();
    assert_eq!(error, IntakeError::BodyUnreadable);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_times_out() {
    let (_keep, empty) = tokio::sync::mpsc::channel::<Bytes>(1);
    let endless = Endless(empty);
    let error = intake(get("/").body(endless).unwrap(), &limits()).await.unwrap_err();
    assert_eq!(error, IntakeError::BodyTimeout);
}

/// A body that waits for data nobody sends.
struct Endless(tokio::sync::mpsc::Receiver<Bytes>);

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

#[tokio::test]
async fn split_cookies_are_joined() {
    let request = Request::builder()
        .uri("https://gate.example/")
        .version(Version::HTTP_2)
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let taken = take(request).await.unwrap();
    assert_eq!(taken.headers, vec![("cookie".to_owned(), b"a=1; b=2".to_vec())]);
}
