//! What the pure crates are not allowed to have: the time and randomness.

use passgate_core::attest::Stamp;
use passgate_core::time::UnixMillis;
use passgate_passport::jwe::Seed;

/// The time of day. In a Worker it stands still between one input or output and the next.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(worker::Date::now().as_millis())
}

/// Time and randomness of one record.
///
/// # Errors
///
/// When there is no secure randomness: a guessable id is never made instead.
pub(crate) fn stamp() -> Result<Stamp, String> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| format!("no secure randomness: {error}"))?;
    Ok(Stamp { now: now(), random })
}

/// What the keys are made from that a request's personal data is encrypted with.
///
/// # Errors
///
/// As [`stamp`].
pub(crate) fn seed() -> Result<Seed, String> {
    let mut random = [0; Seed::BYTES];
    getrandom::fill(&mut random).map_err(|error| format!("no secure randomness: {error}"))?;
    Ok(Seed::new(random))
}

/// A stamp as it stands in a header field between the Worker and its objects: milliseconds, a dot, 20 hex digits.
pub(crate) fn to_text(stamp: Stamp) -> String {
    let digits: String = stamp.random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}.{digits}", stamp.now.0)
}

/// Reads what [`to_text`] wrote.
pub(crate) fn from_text(text: &str) -> Option<Stamp> {
    let (now, digits) = text.split_once('.')?;
    let mut random = [0; 10];
    if digits.len() != 2 * random.len() {
        return None;
    }
    for (byte, at) in random.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(Stamp { now: UnixMillis(now.parse().ok()?), random })
}
