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

#[tokio::test]
async fn requests_are_refused_with_status_and_code() {
    let plain = || Request::builder().uri("/");
    let with = |name: &'static str, value: &'static str| get("/").header(name, value);
    let long: &'static str = Box::leak("m".repeat(33).into_boxed_str());
    let table: Vec<(Builder, u16, &str)> = vec![
        (get("/").method("CONNECT"), 501, "method_not_supported"),
        (get("/").method("TRACE"), 501, "method_not_supported"),
        (get("/").method("trace"), 501, "method_not_supported"),
        (get("/").method(long), 501, "method_not_supported"),
        (with("upgrade", "websocket"), 501, "upgrade_not_supported"),
        (with("upgrade", "h2c"), 501, "upgrade_not_supported"),
        (with("connection", "keep-alive,  UpGrade"), 501, "upgrade_not_supported"),
        (with("http2-settings", "AAMAAABk"), 501, "upgrade_not_supported"),
        (with("transfer-encoding", "xchunked"), 501, "transfer_encoding_not_supported"),
        (with("transfer-encoding", "gzip, chunked"), 501, "transfer_encoding_not_supported"),
        (with("transfer-encoding", "chunked, chunked"), 501, "transfer_encoding_not_supported"),
        (
            with("transfer-encoding", "identity").header("transfer-encoding", "chunked"),
            501,
            "transfer_encoding_not_supported",
        ),
        (with("transfer-encoding", "chunked").header("content-length", "0"), 400, "framing_ambiguous"),
        (with("transfer-encoding", "chunked").version(Version::HTTP_10), 400, "framing_ambiguous"),
        (with("content-length", "+0"), 400, "content_length_invalid"),
        (with("content-length", "0,0"), 400, "content_length_invalid"),
        (with("content-length", ""), 400, "content_length_invalid"),
        (with("content-length", "18446744073709551616"), 400, "content_length_invalid"),
        (with("content-length", "0").header("content-length", "1"), 400, "content_length_invalid"),
        (with("content-length", "1048577"), 413, "body_too_large"),
        (with("content-length", "18446744073709551615"), 413, "body_too_large"),
        (get("*").method("OPTIONS"), 400, "target_form_not_supported"),
        (get("gate.example:443"), 400, "target_form_not_supported"),
        (get("http://gate.example/"), 400, "target_form_not_supported"),
        (get("ftp://gate.example/"), 400, "target_form_not_supported"),
        (get("/a/../b"), 400, "target_not_canonical"),
        (get("/a%2fb"), 400, "target_not_canonical"),
        (get("//evil.example/a"), 400, "target_not_canonical"),
        (get("https://gate.example/a;x"), 400, "target_not_canonical"),
        (plain(), 400, "host_missing"),
        (Request::builder().uri("https://gate.example/"), 400, "host_missing"),
        (with("host", "gate.example"), 400, "host_duplicate"),
        (plain().header("host", ""), 400, "host_invalid"),
        (plain().header("host", "a@gate.example"), 400, "host_invalid"),
        (plain().header("host", "gate.example:0"), 400, "host_invalid"),
        (get("https://a@gate.example/"), 400, "host_invalid"),
        (get("https://other.example/"), 400, "host_mismatch"),
        (get("https://gate.example:444/"), 400, "host_mismatch"),
    ];
    for (index, (request, status, code)) in table.into_iter().enumerate() {
        let error = take(request).await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.code()), (status, code), "row {index}");
    }
}

#[tokio::test]
async fn long_targets_are_told_apart_from_odd_ones() {
    let path = format!("/{}", "a".repeat(path::MAX_PATH_BYTES));
    let error = take(get(&path)).await.unwrap_err();
    assert_eq!((error.status().as_u16(), error.code()), (414, "target_too_long"));
}

#[tokio::test]
async fn header_limits_hold_at_their_edge() {
    let many = |count: usize| (1..count).fold(get("/"), |request, i| request.header(format!("h{i}"), "v"));
    assert!(take(many(100)).await.is_ok());
    let error = take(many(101)).await.unwrap_err();
    assert_eq!((error.status().as_u16(), error.code()), (431, "headers_too_large"));

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
    let strict = IntakeLimits { accept_chunked: false, ..limits };
    let error = take_body(chunked(), b"1234", &strict).await.unwrap_err();
    assert_eq!((error.status().as_u16(), error.code()), (411, "length_required"));
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
    assert_eq!((error.status().as_u16(), error.code()), (408, "body_timeout"));
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
