//! What people say to a request that was held back: how it stands, and waiting for them.

use std::time::{Duration, Instant};

use passgate_api::driver::ApprovalNotice;
use passgate_core::approval::RequestState;
use passgate_host::control::ApprovalStatus;
use passgate_passport::id::{APPROVAL_REQUEST_PREFIX, is_id};
use serde_json::{Value, json};

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::inert::inert;
use crate::request::Request;
use crate::span::{self, Span};

/// The shortest time between two looks.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// The longest time between two looks, whatever the gate says.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What stands in the way of a request, for whoever sent it, and what to do.
pub(super) fn next_step(notice: &ApprovalNotice) -> String {
    let (id, until) = (inert(&notice.request_id), span::date(notice.expires_at));
    match notice.state {
        RequestState::Pending => format!(
            "{id} waits for approval until {until}: `passgate approvals show {id}`; once approved, send this again with --approval {id}"
        ),
        RequestState::Approved => format!("{id} is approved until {until}: send this again with --approval {id}"),
        RequestState::Denied => format!("{id} was denied, and so is the same until {until}"),
        RequestState::Withdrawn | RequestState::Used => {
            format!("{id} is {}: send this again to ask anew", notice.state.as_str())
        }
    }
}

/// The same for programs.
pub(super) fn to_json(notice: &ApprovalNotice) -> Value {
    json!({
        "request_id": notice.request_id,
        "state": notice.state.as_str(),
        "expires_at": span::date(notice.expires_at),
    })
}

/// How a request for approval stands.
#[derive(Debug)]
pub(super) enum Standing {
    /// The value of the field that presents its approvals.
    Approved(String),
    /// Nobody answered yet, as a failure for whoever goes no further.
    Pending(Failure),
}

/// A request for approval, asked about at the gate that a request goes to.
pub(super) struct Waiting<'a> {
    client: &'a Client,
    question: Request,
    id: &'a str,
}

impl<'a> Waiting<'a> {
    /// The request for approval `id` of the gate of `request`.
    pub(super) fn at(client: &'a Client, request: &Request, id: &'a str) -> Result<Self, Failure> {
        if !is_id(id, APPROVAL_REQUEST_PREFIX) {
            return Err(Failure::usage("a request for approval is named `areq_` and 26 characters")
                .hint("the answer to the request that was held back names it"));
        }
        Ok(Self { client, question: request.beside(&format!("/.passgate/v1/approvals/{id}/status")), id })
    }

    /// Its approvals, once there are enough. Waits for them for `wait`; what people refused is a failure.
    pub(super) async fn approvals(&self, wait: Option<Span>) -> Result<Standing, Failure> {
        let wait = Duration::from_secs(wait.map_or(0, |wait| wait.seconds.unsigned_abs()));
        let begun = Instant::now();
        loop {
            let looked = self.look().await;
            let left = wait.saturating_sub(begun.elapsed());
            let (standing, pause) = match looked {
                Ok(found) => found,
                // The gate may be back before the time is over.
                Err(failure) if failure.exit == Exit::Unreachable => (Standing::Pending(failure), MIN_PAUSE),
                Err(failure) => return Err(failure),
            };
            match standing {
                Standing::Approved(_) => return Ok(standing),
                Standing::Pending(failure) if left.is_zero() && failure.exit == Exit::Unreachable => {
                    return Err(failure);
                }
                Standing::Pending(_) if left.is_zero() => return Ok(standing),
                Standing::Pending(_) => tokio::time::sleep(pause.min(left).max(MIN_PAUSE)).await,
            }
        }
    }

    /// How it stands now, and how long to wait before the next look.
    async fn look(&self) -> Result<(Standing, Duration), Failure> {
        let answer = self.client.send(&self.question).await?;
        let (http, field) = (answer.status.as_u16(), answer.headers.get("retry-after").cloned());
        let body = answer.collect().await?;
        let status = match http {
            200 => serde_json::from_slice::<ApprovalStatus>(&body).ok(),
            404 => return Err(self.unknown()),
            500.. => {
                return Err(Failure::unreachable(format_args!(
                    "the gate does not say how {} stands (HTTP {http})",
                    self.id
                )));
            }
            _ => None,
        };
        let status = status.filter(|status| status.request_id == self.id);
        let status = status.ok_or_else(|| {
            let message = format!("no Passgate gate said how {} stands (HTTP {http})", self.id);
            Failure::new(Exit::Unexpected, "no_gate", message).hint("check that the URL is the gate's public_url")
        })?;
        let seconds = field.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        Ok((standing(status)?, Duration::from_secs(seconds).clamp(MIN_PAUSE, MAX_PAUSE)))
    }

    fn unknown(&self) -> Failure {
        let message = format!("the gate knows no request for approval {}: it may have expired", self.id);
        Failure::new(Exit::Unexpected, "not_found", message).hint("send the request without --approval to ask anew")
    }
}

/// What a status says; what nobody can present any more is a deny.
fn standing(status: ApprovalStatus) -> Result<Standing, Failure> {
    let ApprovalStatus { approvals, expires_at, note, request_id: id, state } = status;
    let over = |code, what: &str, hint: &str| {
        let note = note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
        Err(Failure::new(Exit::Deny, code, format_args!("{id} {what}{note}")).hint(hint))
    };
    const ANEW: &str = "send the request without --approval to ask anew";
    match state.as_str() {
        "approved" if !approvals.is_empty() => Ok(Standing::Approved(approvals.join(", "))),
        "pending" => {
            let message = format!("{id} waits for approval until {expires_at}");
            let hint = format!("wait for it with --wait; an approver runs `passgate approvals approve {id}`");
            Ok(Standing::Pending(Failure::new(Exit::StepUp, "approval_pending", message).hint(hint)))
        }
        "denied" => over("approval_denied", "was denied", "do something else: the same is denied until it expires"),
        "withdrawn" => over("approval_withdrawn", "was withdrawn", ANEW),
        "used" => over("approval_used", "has been used as often as it may be", ANEW),
        "expired" => over("approval_expired", "has expired", ANEW),
        _ => Err(Failure::unexpected(format_args!("{id} is `{state}`, which this program does not know"))
            .hint("use the version of the gate")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: &str, approvals: &[&str]) -> ApprovalStatus {
        ApprovalStatus {
            approvals: approvals.iter().map(ToString::to_string).collect(),
            expires_at: "2026-01-01T00:00:00Z".to_owned(),
            note: Some("not this month".to_owned()),
            request_id: "areq_01ARYZ6S410000000000000001".to_owned(),
            state: state.to_owned(),
        }
    }

    #[test]
    fn only_what_is_approved_is_presented() {
        let approved = standing(status("approved", &["a.b.c", "d.e.f"])).unwrap();
        assert!(matches!(approved, Standing::Approved(field) if field == "a.b.c, d.e.f"));
        let pending = standing(status("pending", &[])).unwrap();
        assert!(matches!(pending, Standing::Pending(failure) if failure.exit == Exit::StepUp));
        for state in ["denied", "withdrawn", "used", "expired"] {
            let failure = standing(status(state, &[])).unwrap_err();
            assert_eq!((failure.exit, failure.code), (Exit::Deny, &*format!("approval_{state}")));
            assert!(failure.message.ends_with(": not this month"), "{}", failure.message);
        }
        for (state, approvals) in [("approved", &[][..]), ("", &["a.b.c"]), ("Approved", &["a.b.c"])] {
            assert_eq!(standing(status(state, approvals)).unwrap_err().exit, Exit::Unexpected, "{state}");
        }
    }
}
