//! Step 8, continued: a response is read and held against its rules before it goes back.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::HeaderName};
use http_body_util::Either;
use passgate_core::pipeline::{ResponseHead, ResponseRules, ResponseVerdict, ToRead};
use passgate_core::reason::Reason;
use passgate_passport::digest::content_digest;
use passgate_passport::http::Header;
use tokio::sync::oneshot;

use super::Core;
use super::handler::CarriedBody;
use super::settle::Settlement;
use crate::http::headers::OF_THE_BODY;
use crate::http::upstream::{Answer, BodyReport, HeldBody, Read, UpstreamError};

/// What becomes of a response.
pub(super) enum Looked {
    /// It goes back.
    GoesBack(Box<GoesBack>),
    /// It does not.
    Withheld { status: StatusCode, reason: Reason },
}

/// A response on its way back.
pub(super) struct GoesBack {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: CarriedBody,
    pub(super) report: oneshot::Receiver<BodyReport>,
}

impl Looked {
    /// Goes back while it comes.
    pub(super) fn as_it_comes(answer: Answer) -> Self {
        let Answer { status, headers, body, report } = answer;
        Self::GoesBack(Box::new(GoesBack { status, headers, body: Either::Left(body), report }))
    }
}

/// Reads a response as far as `rules` want it, and leaves with `settlement` what was found.
///
/// # Errors
///
/// When it breaks off before it is read.
pub(super) async fn look(
    core: &Core,
    rules: &ResponseRules,
    method: &str,
    mut answer: Answer,
    settlement: &mut Settlement,
) -> Result<Looked, UpstreamError> {
    let lines = answer.headers.clone();
    let lines: Vec<Header<'_>> =
        lines.iter().map(|(name, value)| Header { name: name.as_str(), value: value.as_bytes() }).collect();
    let head = ResponseHead { method, status: answer.status.as_u16(), headers: &lines };
    let read = match rules.to_read(&head) {
        ToRead::Nothing => {
            if rules.hides() {
                forget_body(&mut answer.headers);
            }
            return Ok(Looked::as_it_comes(answer));
        }
        ToRead::Whole(max_bytes) => core.upstream.read(&mut answer, max_bytes).await,
        ToRead::Unreadable => Read::Beginning(Bytes::new()),
    };
    let judged = match &read {
        Read::Whole(body) => rules.judge(&head, Some(body)),
        Read::Beginning(_) => rules.judge(&head, None),
        Read::CutOff(end) => return Err(UpstreamError::CutOff(*end)),
    };
    core.metrics.looked_at(&judged.verdict);
    settlement.looked_at(judged.record);
    let Answer { status, mut headers, body: rest, .. } = answer;
    let held = match (judged.verdict, read) {
        (ResponseVerdict::Withheld(reason), _) => return Ok(Looked::Withheld { status, reason }),
        (ResponseVerdict::Changed(body), _) => {
            forget_body(&mut headers);
            headers.extend(digest_field(&body));
            HeldBody::whole(body.into())
        }
        (ResponseVerdict::AsItCame, Read::Whole(body)) => HeldBody::whole(body),
        (ResponseVerdict::AsItCame, Read::Beginning(beginning)) => HeldBody::going_on(beginning, rest),
        (ResponseVerdict::AsItCame, Read::CutOff(end)) => return Err(UpstreamError::CutOff(end)),
    };
    let (body, report) = core.upstream.deliver(held);
    Ok(Looked::GoesBack(Box::new(GoesBack { status, headers, body: Either::Right(body), report })))
}

/// Removes what is true of the body alone that came.
fn forget_body(headers: &mut HeaderMap) {
    for name in OF_THE_BODY {
        headers.remove(name);
    }
}

fn digest_field(body: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let digest = HeaderValue::try_from(content_digest(body)).ok()?;
    Some((HeaderName::from_static("content-digest"), digest))
}
