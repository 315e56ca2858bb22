//! Step 8, continued: what of the upstream's response goes back, and how it ends in the ledger.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use passgate_api::answer;
use passgate_api::edge::EdgeUpstreamDoc;
use passgate_api::http::headers::{Field, OF_THE_BODY, with_body};
use passgate_core::attest::{OutcomeResult, ResponseRecord};
use passgate_core::pipeline::{Permit, ResponseHead, ResponseRules, ResponseVerdict, ToRead};
use passgate_core::reason::Reason;
use passgate_passport::http::Header;
use worker::{Delay, Response};

use crate::handler::respond;
use crate::upstream::{self, Arrived, Metered, Outbound, Pieces, Report, SendError, boxed};
use crate::{clock, testing};

/// What the caller gets, and what the ledger will say of it.
pub(crate) struct Carried {
    pub(crate) response: Response,
    /// The upstream's status, when it answered.
    pub(crate) status: Option<u16>,
    /// What will be known when the body has ended.
    pub(crate) report: Result<futures_channel::oneshot::Receiver<Report>, OutcomeResult>,
    /// What was found in the response.
    pub(crate) looked: Option<ResponseRecord>,
}

/// Sends what was judged and holds what comes back against `rules`. `own` are the gate's own fields.
pub(crate) async fn carry(
    permit: Permit,
    upstream: &EdgeUpstreamDoc,
    outbound: &Outbound,
    rules: Option<&ResponseRules>,
    own: Vec<(&'static str, String)>,
) -> Carried {
    testing::count_upstream_fetch();
    let sent = upstream::send(permit, upstream, outbound).await;
    testing::panic_at("sent");
    let (mut status, mut looked) = (None, None);
    let given = match sent {
        Ok(answer) => {
            let mut arrived = Arrived::of(&answer);
            status = Some(arrived.status);
            let withheld = match rules {
                Some(rules) => look(rules, &outbound.method, &mut arrived, upstream, &mut looked).await,
                None => Ok(None),
            };
            withheld.map(|withheld| (arrived, withheld))
        }
        Err(error) => Err(error),
    };
    let metered = given.and_then(|(arrived, withheld)| match withheld {
        Some(reason) => {
            Ok((respond(answer::withheld(reason, arrived.status, own.clone())), Err(OutcomeResult::Withheld)))
        }
        None => upstream::meter(arrived, upstream, &own)
            .map(|Metered { response, report }| (response, Ok(report)))
            .map_err(|error| SendError::new(OutcomeResult::Aborted, error)),
    });
    let (response, report) = metered.unwrap_or_else(|error| {
        worker::console_warn!("an allowed request got no answer from upstream: {}", error.why);
        let (status, code, title) = error.answer();
        (respond(answer::upstream_failure(status, code, title, own)), Err(error.result))
    });
    Carried { response, status, report, looked }
}

/// Reads a response as far as `rules` want it. Gives why it is withheld, if it is, and leaves in `looked` what was found.
async fn look(
    rules: &ResponseRules,
    method: &str,
    arrived: &mut Arrived,
    upstream: &EdgeUpstreamDoc,
    looked: &mut Option<ResponseRecord>,
) -> Result<Option<Reason>, SendError> {
    let fields = arrived.fields.clone();
    let headers: Vec<Header<'_>> = fields.iter().map(|(name, value)| Header { name, value }).collect();
    let head = ResponseHead { method, status: arrived.status, headers: &headers };
    let (read, is_whole) = match (rules.to_read(&head), &mut arrived.body) {
        (ToRead::Nothing, _) => {
            if rules.hides() {
                forget_body(&mut arrived.fields);
            }
            return Ok(None);
        }
        (ToRead::Whole(max_bytes), Some(body)) => read(body, max_bytes, upstream).await?,
        (ToRead::Whole(_), None) => (Vec::new(), true),
        (ToRead::Unreadable, _) => (Vec::new(), false),
    };
    let judged = rules.judge(&head, is_whole.then_some(read.as_slice()));
    *looked = Some(judged.record);
    match judged.verdict {
        ResponseVerdict::Withheld(reason) => {
            worker::console_warn!("the response to an allowed request is withheld: {}", reason.code());
            return Ok(Some(reason));
        }
        ResponseVerdict::Changed(changed) => {
            forget_body(&mut arrived.fields);
            let body = with_body(&mut arrived.fields, Vec::new(), Some(changed));
            arrived.length = Some(body.len() as u64);
            arrived.body = Some(following(body, None));
        }
        ResponseVerdict::AsItCame => {
            let rest = arrived.body.take();
            if is_whole {
                arrived.length = Some(read.len() as u64);
            }
            arrived.body = rest.map(|rest| following(read, Some(rest).filter(|_| !is_whole)));
        }
    }
    Ok(None)
}

/// What comes of a body until it has ended (then it is whole), is longer than `max_bytes`, or has taken the time that its
/// head may take too.
async fn read(body: &mut Pieces, max_bytes: usize, upstream: &EdgeUpstreamDoc) -> Result<(Vec<u8>, bool), SendError> {
    let until = clock::now().0.saturating_add(upstream.response_timeout_ms.into());
    let mut read = Vec::new();
    while read.len() <= max_bytes {
        let left = until.saturating_sub(clock::now().0);
        let wait = left.min(upstream.idle_timeout_ms.into());
        match select(body.next(), Delay::from(Duration::from_millis(wait))).await {
            Either::Left((None, _)) => return Ok((read, true)),
            Either::Left((Some(Ok(piece)), _)) => read.extend_from_slice(&piece),
            Either::Left((Some(Err(error)), _)) => return Err(SendError::new(OutcomeResult::Aborted, error)),
            Either::Right(_) if wait == left => break,
            Either::Right(_) => {
                return Err(SendError::new(OutcomeResult::TimedOut, "the upstream's response stood still"));
            }
        }
    }
    Ok((read, false))
}

/// A body that begins with what was read of it.
fn following(read: Vec<u8>, rest: Option<Pieces>) -> Pieces {
    let beginning = futures_util::stream::iter((!read.is_empty()).then_some(Ok(read)));
    match rest {
        Some(rest) => boxed(beginning.chain(rest)),
        None => boxed(beginning),
    }
}

/// Removes what is true of the body alone that came.
fn forget_body(fields: &mut Vec<Field>) {
    fields.retain(|(name, _)| !OF_THE_BODY.contains(&name.as_str()));
}
