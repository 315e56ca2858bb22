//! Files that are looked at again and again while the gateway serves.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Has `look` work on `state`, once at once and then once in every `period`, until `stop` completes. It happens where no
/// request waits: files can be slow, and what stands in them takes its time. `what` is named when it panics, which ends it.
pub(crate) async fn look_again<S: Send + 'static>(
    what: &'static str,
    period: Duration,
    mut state: S,
    look: impl Fn(&mut S) + Clone + Send + 'static,
    stop: impl Future<Output = ()>,
) {
    let mut stop = std::pin::pin!(stop);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        let look = look.clone();
        let looking = tokio::task::spawn_blocking(move || {
            look(&mut state);
            state
        });
        match looking.await {
            Ok(looked) => state = looked,
            Err(error) => return tracing::error!(%error, "{what} not looked at any more"),
        }
    }
}
