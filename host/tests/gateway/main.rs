//! The gateway in one process with a recording origin behind it and signed requests in front.
#![cfg(test)]

#[expect(dead_code, reason = "the tests of the plugin host use all of it")]
#[path = "../plugins/guest.rs"]
mod guest;
#[expect(dead_code, reason = "the other tests that share this origin use all of it")]
#[path = "../http_dataplane/origin.rs"]
mod origin;
mod support;

mod approvals;
mod control;
mod crowding;
mod decisions;
mod failures;
mod forwarding;
mod guardian;
mod hostile;
mod page;
mod plugins;
mod responses;
mod starting;
mod status_lists;
mod suspension;
