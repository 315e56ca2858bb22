use http::HeaderValue;
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
async fn the_target_and_the_version_reach_the_rules_as_they_are() {
    let old = |request: Builder| request.version(http::Version::HTTP_10);
    let second = |request: Builder| request.version(http::Version::HTTP_2);
    let bare = |uri: &str| Request::builder().uri(uri);
    for (index, (request, expected)) in [
        (get("*").method("OPTIONS"), Err(IntakeError::TargetForm)),
        (get("gate.example:443"), Err(IntakeError::TargetForm)),
        (get("http://gate.example/"), Err(IntakeError::TargetForm)),
        (get("https://a@gate.example/"), Err(IntakeError::AuthorityInvalid)),
        (get("https://other.example/"), Err(IntakeError::AuthorityMismatch)),
        (get("/").header("host", "gate.example"), Err(IntakeError::AuthorityDuplicate)),
        (bare("/"), Err(IntakeError::AuthorityMissing)),
        (second(bare("/")), Err(IntakeError::AuthorityMissing)),
        (old(get("/").header("transfer-encoding", "chunked")), Err(IntakeError::Framing)),
        (old(bare("/")), Ok(None)),
        (get("https://GATE.example:443/"), Ok(Some("gate.example"))),
        (second(bare("http://gate.example/")), Ok(Some("gate.example"))),
    ]
    .into_iter()
    .enumerate()
    {
        let taken = take(request).await.map(|taken| taken.authority);
        assert_eq!(taken, expected.map(|authority| authority.map(str::to_owned)), "row {index}");
    }
    assert!(matches!(take(get("/a/../b")).await, Err(IntakeError::Target(_))));
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
        .version(http::Version::HTTP_2)
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let taken = take(request).await.unwrap();
    assert_eq!(taken.headers, vec![("cookie".to_owned(), b"a=1; b=2".to_vec())]);
}
