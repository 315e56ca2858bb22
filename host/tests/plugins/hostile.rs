//! What a plugin can do to its gate: end its own call, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use passgate_host::plugins::BreakerState;
use serde_json::{Value, json};

use crate::guest::{Guest, TEXT, deny_with_argument, verdict};
use crate::support::{Loaded, Plugins, question};

/// More fuel than a test can burn.
const MUCH_FUEL: u64 = 1_000_000_000_000;

fn forever() -> Guest {
    Guest::new("(loop $again (br $again)) (unreachable)")
}

/// Asks a harmful plugin, and then a good one.
async fn outcome(guest: &Guest, limits: Value) -> PluginRecord {
    let mut plugins = Plugins::new();
    plugins.add("good", &guest_that_reads().component(), json!({"actions": ["good:*"]}));
    let more = json!({"actions": ["bad:*"], "grants": ["log", "keys"], "limits": limits});
    plugins.add("bad", &guest.component(), more);
    let loaded = plugins.load().await.unwrap();
    let record = loaded.ask_one("bad:x").await;
    assert!(record.verdict.is_none() && record.reason.is_none(), "{record:?}");
    assert!(record.reason_code().is_some(), "a failure refuses");
    let good = loaded.ask_one("good:x").await;
    assert_eq!((good.outcome, good.verdict), (PluginOutcome::Answered, Some(PluginVerdict::Deny)));
    assert_eq!(good.reason.as_deref(), Some("/pay"), "the good plugin goes on");
    let metrics = loaded.metrics.encode().unwrap();
    assert!(metrics.contains("passgate_plugin_calls_total{plugin=\"bad\",outcome="), "{metrics}");
    record
}

async fn assert_outcome(guest: &Guest, limits: Value, expected: PluginOutcome) {
    let record = outcome(guest, limits).await;
    assert_eq!(record.outcome, expected, "{record:?}");
}

/// Denies with the path of the request.
fn guest_that_reads() -> Guest {
    Guest::new(&deny_with_argument(24))
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    assert_outcome(&forever(), json!({"deadline_ms": 20, "fuel": MUCH_FUEL}), PluginOutcome::TimedOut).await;
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_fuel() {
    let record = outcome(&forever(), json!({"fuel": 3_000_000})).await;
    assert_eq!((record.outcome, record.fuel), (PluginOutcome::FuelExhausted, 3_000_000));
}

#[tokio::test]
async fn endless_recursion_ends_with_its_stack() {
    let guest = Guest::new("(call $deeper (i32.const 0))")
        .with_fields("(func $deeper (param i32) (result i32) (i32.add (i32.const 1) (call $deeper (local.get 0))))");
    assert_outcome(&guest, json!({"fuel": MUCH_FUEL}), PluginOutcome::LimitExceeded).await;
}

#[tokio::test]
async fn memory_ends_at_its_limit_and_not_at_four_gigabytes() {
    let at_once = Guest::new("(memory.grow (i32.const 65535))");
    assert_outcome(&at_once, json!({}), PluginOutcome::LimitExceeded).await;
    let by_and_by = Guest::new("(loop $again (drop (memory.grow (i32.const 16))) (br $again)) (unreachable)");
    assert_outcome(&by_and_by, json!({}), PluginOutcome::LimitExceeded).await;
    let limits = json!({"memory_bytes": 268_435_456, "fuel": MUCH_FUEL});
    assert_outcome(&by_and_by, limits, PluginOutcome::LimitExceeded).await;
}

#[tokio::test]
async fn tables_end_at_their_limit() {
    let grow = "(loop $again (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $again)) (unreachable)";
    let guest = Guest::new(grow).with_fields("(table $t 1 funcref)");
    assert_outcome(&guest, json!({}), PluginOutcome::LimitExceeded).await;
    let at_once = Guest::new("(table.grow $t (ref.null func) (i32.const -2))").with_fields("(table $t 1 funcref)");
    // Growing a table costs fuel for each element, before anything else is looked at.
    assert_outcome(&at_once, json!({}), PluginOutcome::FuelExhausted).await;
    let limits = json!({"table_elements": 100_000, "fuel": MUCH_FUEL});
    assert_outcome(&at_once, limits, PluginOutcome::LimitExceeded).await;
}

#[tokio::test]
async fn a_reason_of_200_megabytes_is_not_taken_over() {
    let pages = 200 * 16;
    let text = format!("(drop (memory.grow (i32.const {pages})))");
    let answer = verdict(1, "i32.const 0", "i32.const 209715200");
    let guest = Guest::new(&format!("{text} {answer}"));
    assert_outcome(&guest, json!({"memory_bytes": 268_435_456}), PluginOutcome::LimitExceeded).await;
    let beyond = Guest::new(&answer);
    assert_outcome(&beyond, json!({"answer_bytes": 1_048_576}), PluginOutcome::AnswerInvalid).await;
}

#[tokio::test]
async fn a_log_storm_ends_at_its_limits() {
    let storm = |length: u32| {
        let write = format!("(call $log (i32.const 1) (i32.const {TEXT}) (i32.const {length}))");
        Guest::new(&format!("(loop $again {write} (br $again)) (unreachable)")).with_imports(&["log"])
    };
    assert_outcome(&storm(1), json!({}), PluginOutcome::LimitExceeded).await;
    assert_outcome(&storm(1000), json!({"host_calls": 10_000}), PluginOutcome::LimitExceeded).await;
    assert_outcome(&storm(1), json!({"host_calls": 10_000, "log_bytes": 0}), PluginOutcome::LimitExceeded).await;
    assert_outcome(&storm(40_000), json!({"answer_bytes": 1024}), PluginOutcome::LimitExceeded).await;
}

#[tokio::test]
async fn a_storm_of_calls_of_the_host_ends_at_its_limit() {
    let read = format!("(call $keys (i32.const {TEXT}) (i32.const 1) (i32.const 512))");
    let guest = Guest::new(&format!("(loop $again {read} (br $again)) (unreachable)")).with_imports(&["keys"]);
    assert_outcome(&guest, json!({"host_calls": 10_000}), PluginOutcome::LimitExceeded).await;
    assert_outcome(&guest, json!({"host_calls": 0}), PluginOutcome::LimitExceeded).await;
}

#[tokio::test]
async fn a_trap_is_its_own_outcome() {
    for trap in [
        "(unreachable)",
        "(i32.div_u (i32.const 1) (i32.const 0))",
        "(i32.load (i32.const -4))",
        "(drop (memory.grow (i32.const 1))) (call_indirect $t (param i32) (result i32) (i32.const 0) (i32.const 9))",
    ] {
        let guest = Guest::new(trap).with_fields("(table $t 1 funcref)");
        assert_outcome(&guest, json!({}), PluginOutcome::Trapped).await;
    }
}

#[tokio::test]
async fn a_verdict_that_is_none_is_no_answer() {
    for discriminant in [4, 5, 255] {
        let guest = Guest::new(&verdict(discriminant, "i32.const 0", "i32.const 0"));
        assert_outcome(&guest, json!({}), PluginOutcome::AnswerInvalid).await;
    }
    for pointer in ["i32.const -1", "i32.const 2"] {
        let guest = Guest::new(pointer);
        assert_outcome(&guest, json!({}), PluginOutcome::AnswerInvalid).await;
    }
}

#[tokio::test]
async fn a_reason_out_of_bounds_is_no_answer() {
    for reason in ["", &"x".repeat(257), "two\nlines", "\u{1b}[31m", "nul\0"] {
        assert_outcome(&Guest::deny(reason), json!({}), PluginOutcome::AnswerInvalid).await;
    }
    let mut no_text = Guest::deny("ab");
    no_text.text = "\\ff\\fe".to_owned();
    assert_outcome(&no_text, json!({}), PluginOutcome::AnswerInvalid).await;
}

#[tokio::test]
async fn keys_that_cannot_be_read_end_the_call() {
    for (key, expected) in [("broken", PluginOutcome::Unavailable), ("panic", PluginOutcome::Trapped)] {
        let read = format!("(call $keys (i32.const {TEXT}) (i32.const {}) (i32.const 512))", key.len());
        let guest = Guest::new(&format!("{read} (unreachable)")).with_text(key).with_imports(&["keys"]);
        assert_outcome(&guest, json!({}), expected).await;
    }
}

#[tokio::test]
async fn a_key_that_no_operator_can_write_is_not_there() {
    for key in [&"k".repeat(129), "", "a\nb"] {
        let read = format!("(call $keys (i32.const {TEXT}) (i32.const {}) (i32.const 512))", key.len());
        // Without a value it has nothing against the request.
        let answer = format!(
            "{read} (if (i32.load8_u (i32.const 512)) (then (unreachable))) {}",
            verdict(0, "i32.const 0", "i32.const 0")
        );
        let guest = Guest::new(&answer).with_text(key).with_imports(&["keys"]);
        let record = Loaded::with(&guest, json!({"grants": ["keys"]})).await.ask_one("a:b").await;
        assert_eq!(
            (record.outcome, record.verdict),
            (PluginOutcome::Answered, Some(PluginVerdict::Abstain)),
            "{record:?}"
        );
    }
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    let read = format!("(call $keys (i32.const {TEXT}) (i32.const 4) (i32.const 512)) (unreachable)");
    let guest = Guest::new(&read).with_text("late").with_imports(&["keys"]);
    assert_outcome(&guest, json!({"deadline_ms": 20}), PluginOutcome::TimedOut).await;
}

#[tokio::test]
async fn other_tasks_go_on_while_a_plugin_spins() {
    const ENOUGH: usize = 5;
    let loaded = Loaded::with(&forever(), json!({"limits": {"fuel": MUCH_FUEL}})).await;
    // From here on the deadline comes when the test says so.
    tokio::time::pause();
    let host = loaded.host.clone();
    // All on one thread: the other task has a turn only when the plugin gives way.
    let spinning = tokio::spawn(async move { host.evaluate(question("a:b"), false).await });
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        while counted.fetch_add(1, Ordering::Relaxed) < ENOUGH {
            tokio::task::yield_now().await;
        }
    });
    other.await.unwrap();
    assert!(!spinning.is_finished(), "the plugin was at it all the time");
    assert!(turns.load(Ordering::Relaxed) > ENOUGH);
    tokio::time::advance(Duration::from_secs(11)).await;
    let [record] = spinning.await.unwrap().try_into().unwrap();
    assert_eq!(record.outcome, PluginOutcome::TimedOut);
    assert!(record.fuel >= 1_000_000, "what it used is on record: {}", record.fuel);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_ends() {
    let mut plugins = Plugins::new();
    plugins.add("good", &guest_that_reads().component(), json!({"actions": ["good:*"]}));
    plugins.add("bad", &forever().component(), json!({"actions": ["bad:*"], "limits": {"fuel": MUCH_FUEL}}));
    let loaded = plugins.load().await.unwrap();
    // More often than there are places for calls, and than failures open a breaker.
    for _ in 0..100 {
        tokio::select! {
            biased;
            records = loaded.ask("bad:x") => panic!("it cannot end by itself: {records:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(loaded.ask_one("good:x").await.outcome, PluginOutcome::Answered);
    assert!(loaded.host.status().iter().all(|status| status.breaker == BreakerState::Closed));
}

#[tokio::test]
async fn a_plugin_that_keeps_failing_is_left_alone_for_a_while() {
    // Traps in the first millisecond of time, and abstains later.
    let trap = "(if (i64.eqz (i64.load offset=64 (local.get 0))) (then (unreachable)))";
    let guest = Guest::new(&format!("{trap} {}", verdict(0, "i32.const 0", "i32.const 0")));
    let loaded = Loaded::with(&guest, json!({})).await;
    let ask = async |now_ms: u64| {
        let mut question = question("a:b");
        question.facts.now_ms = now_ms;
        let [record] = loaded.host.evaluate(question, false).await.try_into().unwrap();
        record.outcome
    };
    let breaker = || loaded.host.status()[0].breaker;
    tokio::time::pause();
    for _ in 0..5 {
        assert_eq!(breaker(), BreakerState::Closed);
        assert_eq!(ask(0).await, PluginOutcome::Trapped);
    }
    assert_eq!(ask(1).await, PluginOutcome::Unavailable, "it is not called");
    assert_eq!(breaker(), BreakerState::Open);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(breaker(), BreakerState::Trial);
    assert_eq!(ask(0).await, PluginOutcome::Trapped, "the trial fails");
    assert_eq!(ask(1).await, PluginOutcome::Unavailable);
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(ask(1).await, PluginOutcome::Answered, "the trial succeeds");
    assert_eq!((ask(1).await, breaker()), (PluginOutcome::Answered, BreakerState::Closed));
}
