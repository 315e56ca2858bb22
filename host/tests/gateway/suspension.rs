//! When `suspend` has returned, the next request is denied; when `reinstate` has returned, the next is let in.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use passgate_core::state::Subject;
use passgate_host::control::{ControlClient, Revocation, Suspension};

use crate::origin::{Origin, ok};
use crate::support::{Agent, ISSUER, NOON, Site, Wish, patiently, usual};

fn named(subject: Subject) -> Revocation {
    Revocation::try_from(subject).unwrap()
}

#[tokio::test]
async fn a_suspension_bites_at_once_and_ends_at_once() {
    let (site, gate, origin, agent) = usual().await;
    let control = site.control().await;
    let agent_id = "agent-7".to_owned();
    for subject in [
        Subject::Passport(agent.id.clone()),
        Subject::Agent { issuer: ISSUER.to_owned(), agent_id },
        Subject::Issuer(ISSUER.to_owned()),
    ] {
        let what = named(subject);
        assert_eq!(site.send(&agent.get("/search")).await.status, 200);
        let done = control.change(Suspension::Suspend, &what).await.unwrap();
        assert_eq!((done.changed, &done.record["kind"]), (true, &"suspension".into()));
        assert!(!control.change(Suspension::Suspend, &what).await.unwrap().changed);
        let reply = site.send(&agent.get("/search")).await;
        reply.assert_refusal(401, "credential_rejected");
        let denied = control.attestation(reply.field("passgate-attestation")).await.unwrap().unwrap();
        assert_eq!(denied["reason_code"], "suspended");
        let state = control.revocation(&what).await.unwrap();
        assert_eq!((state.revoked_at, state.suspended_at), (None, Some(i64::try_from(NOON / 1000).unwrap())));
        let done = control.change(Suspension::Reinstate, &what).await.unwrap();
        assert_eq!((done.changed, &done.record["kind"]), (true, &"reinstatement".into()));
    }
    assert_eq!(site.send(&agent.get("/search")).await.status, 200);
    assert_eq!(origin.seen().len(), 4);
    patiently(gate.shutdown()).await;
}

/// Sends requests while `change` is made, and one more. Gives when the first came back with `status` after the change was
/// sent, and the status of the last one.
async fn meanwhile(
    site: &Site,
    agent: &Agent,
    status: u16,
    change: impl Future<Output = ()>,
) -> (Option<Duration>, u16) {
    let (sent, mut first, mut change) = (Instant::now(), None, pin!(change));
    loop {
        let call = agent.get("/search");
        let request = pin!(site.send(&call));
        let (reply, is_made) = match select(change.as_mut(), request).await {
            Either::Left(((), request)) => (request.await, true),
            Either::Right((reply, _)) => (reply, false),
        };
        first = first.or((reply.status == status).then(|| sent.elapsed()));
        if is_made {
            let last = site.send(&agent.get("/search")).await.status;
            return (first.or((last == status).then(|| sent.elapsed())), last);
        }
    }
}

/// Prints how long it took from sending a change to the first answer that follows it.
#[tokio::test]
async fn a_change_is_in_force_when_it_returns_while_requests_go_on() {
    let origin = Origin::start(|_| ok("ok")).await;
    for store in ["memory", "redb"] {
        let guardrails = "rate_limits: {requests_per_minute: 100000}".to_owned();
        let mut site = Site::new(Wish { guardrails, ..Wish::before(&origin) }).await;
        let gate = if store == "memory" { site.start_in_memory().await } else { site.start().await.unwrap() };
        let agent = site.agent("agent-7", &["web:*"]);
        let control: ControlClient = site.control().await;
        assert_eq!(site.send(&agent.get("/search")).await.status, 200);
        let passport = named(Subject::Passport(agent.id.clone()));
        let change = async |which| assert!(control.change(which, &passport).await.unwrap().changed);
        for (which, status) in [(Suspension::Suspend, 401), (Suspension::Reinstate, 200)] {
            let (first, last) = meanwhile(&site, &agent, status, change(which)).await;
            assert_eq!(last, status, "{store}: {which:?}");
            println!("{store}: {which:?}, first answer that follows it after {:?}", first.unwrap());
        }
        let revoke = async { assert_eq!(control.revoke(&passport).await.unwrap()["kind"], "revocation") };
        let (first, last) = meanwhile(&site, &agent, 401, revoke).await;
        assert_eq!(last, 401, "{store}");
        println!("{store}: revoked, first denial after {:?}", first.unwrap());
        patiently(gate.shutdown()).await;
    }
}
