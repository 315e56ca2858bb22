//! What tests can reach into, in a build that is not for tests: nothing.

use std::rc::Rc;

use passgate_core::attest::Stamp;
use passgate_passport::jwe::Seed;
use worker::Headers;

use crate::object::{Chain, Failure};
use crate::policy::Policy;

pub(crate) fn stamp() -> Option<Stamp> {
    None
}

pub(crate) fn seed() -> Option<Seed> {
    None
}

pub(crate) fn start_stamp() -> Option<Stamp> {
    None
}

pub(crate) fn site_policy() -> Option<Rc<Policy>> {
    None
}

pub(crate) fn site_name(name: &str) -> String {
    name.to_owned()
}

pub(crate) fn panic_at(_stage: &str) {}

pub(crate) async fn wait() {}

pub(crate) fn is_overtaken() -> bool {
    false
}

pub(crate) async fn wait_until(_is_so: impl Fn() -> bool) {}

pub(crate) fn pass_on(_headers: &Headers) -> worker::Result<()> {
    Ok(())
}

pub(crate) fn take_over(_headers: &Headers) {}

pub(crate) fn count_object_call(_path: &str) {}

pub(crate) fn count_upstream_fetch() {}

pub(crate) async fn serve_object(_chain: &Chain, path: &str) -> Result<Vec<u8>, Failure> {
    Err(Failure::new(404, format_args!("no message {path}")))
}
