//! What plugins are asked, what they answer, and which of them are asked.

use passgate_core::plugin::{PluginOutcome, PluginRecord, PluginVerdict};
use serde_json::json;

use crate::guest::{Guest, TEXT, deny_with_argument, verdict};
use crate::support::{Keys, Loaded, Plugins, question};

fn outcomes(records: &[PluginRecord]) -> Vec<(&str, PluginOutcome)> {
    records.iter().map(|record| (record.name.as_str(), record.outcome)).collect()
}

#[tokio::test]
async fn the_question_reaches_the_plugin_and_the_answer_the_record() {
    let config = json!({"b": [1, true], "a": "x"});
    for (offset, expected) in [
        (0, "POST"),
        (8, "https"),
        (16, "gate.example"),
        (24, "/pay"),
        (36, "q=1"),
        (52, r#"{"amount_usd":7}"#),
        (72, "gate_1"),
        (80, "payments:create"),
        (116, "agent-7"),
        (132, "L2"),
        (192, r#"{"a":"x","b":[1,true]}"#),
    ] {
        let loaded = Loaded::with(&Guest::new(&deny_with_argument(offset)), json!({"config": config})).await;
        let record = loaded.ask_one("payments:create").await;
        assert_eq!(record.reason.as_deref(), Some(expected));
        assert_eq!((record.outcome, record.verdict), (PluginOutcome::Answered, Some(PluginVerdict::Deny)));
        assert_eq!((record.name.as_str(), record.version.as_str()), ("plugin", "1.0.0"));
        assert!(record.fuel > 0);
    }
}

#[tokio::test]
async fn equal_questions_have_equal_records() {
    let loaded = Loaded::with(&Guest::new(&deny_with_argument(192)), json!({})).await;
    let first = loaded.ask_one("a:b").await;
    assert_eq!(first.reason.as_deref(), Some("null"), "without a configuration");
    assert_eq!(loaded.ask_one("a:b").await, first, "fuel and all");
}

/// More memory than stays with its place in the pool, a text that comes with the component, a global and a table.
#[tokio::test]
async fn nothing_is_left_of_the_call_before() {
    let is_changed = "(i32.or (i32.ne (i32.load (i32.const 1024)) (i32.const 0x74786574))
        (i32.or (global.get $count) (i32.eqz (ref.is_null (table.get $t (i32.const 0))))))";
    let change = "(i32.store (i32.const 1024) (i32.const 0)) (global.set $count (i32.const 1))
        (table.set $t (i32.const 0) (ref.func $f))";
    let write = "(drop (memory.grow (i32.const 40))) (local.set $a (i32.const 65536))
        (loop $next
          (if (i32.load (local.get $a)) (then (unreachable)))
          (i32.store (local.get $a) (i32.const 1))
          (local.set $a (i32.add (local.get $a) (i32.const 1024)))
          (br_if $next (i32.lt_u (local.get $a) (i32.const 2686976))))";
    let fields = "(global $count (mut i32) (i32.const 0)) (table $t 1 funcref) (elem declare func $f) (func $f)";
    let abstain = verdict(0, "i32.const 0", "i32.const 0");
    let guest = Guest::new(&format!("(if {is_changed} (then (unreachable))) {change} {write} {abstain}"));
    let loaded = Loaded::with(&guest.with_text("text").with_fields(fields), json!({})).await;
    for _ in 0..8 {
        assert_eq!(loaded.ask_one("a:b").await.verdict, Some(PluginVerdict::Abstain));
    }
}

#[tokio::test]
async fn every_verdict_has_its_record() {
    // One role of the text, as the list at 32.
    let list = format!("(i32.store (i32.const 32) (i32.const {TEXT})) (i32.store (i32.const 36) (i32.const 7))");
    let reason = format!("(i32.store (i32.const 28) (i32.const {TEXT})) (i32.store (i32.const 32) (i32.const 3))");
    let far = format!("(i32.store (i32.const 128) (i32.const {TEXT})) (i32.store (i32.const 132) (i32.const 7))");
    let step_up = format!("{far} {reason} {}", verdict(2, "i32.const 128", "i32.const 1"));
    let redact = format!("{list} {}", verdict(3, "i32.const 32", "i32.const 1"));

    let record = Loaded::with(&Guest::good(), json!({})).await.ask_one("a:b").await;
    assert_eq!((record.verdict, record.reason_code()), (Some(PluginVerdict::Abstain), None));

    let redacts = Loaded::with(&Guest::new(&redact).with_text("/a/b/cd"), json!({})).await.ask_one("a:b").await;
    assert_eq!((redacts.verdict, redacts.redacted), (Some(PluginVerdict::Redact), vec!["/a/b/cd".to_owned()]));

    let no_pointer = Loaded::with(&Guest::new(&redact).with_text("a/b/c/d"), json!({})).await.ask_one("a:b").await;
    assert_eq!(no_pointer.outcome, PluginOutcome::AnswerInvalid);

    // The reason stands where the list's second word would: after the roles.
    let reason = format!("(i32.store (i32.const 28) (i32.const {TEXT})) (i32.store (i32.const 32) (i32.const 3))");
    assert!(step_up.contains(&reason));
    let asks = Loaded::with(&Guest::new(&step_up).with_text("finance"), json!({})).await.ask_one("a:b").await;
    assert_eq!((asks.verdict, asks.roles), (Some(PluginVerdict::StepUp), vec!["finance".to_owned()]));
    assert_eq!(asks.reason.as_deref(), Some("fin"));
}

#[tokio::test]
async fn plugins_are_asked_about_their_actions_in_order_until_one_refuses() {
    let mut plugins = Plugins::new();
    let good = Guest::good().component();
    plugins.add("a-all", &good, json!({}));
    plugins.add("b-payments", &Guest::deny("no").component(), json!({"actions": ["payments:*"]}));
    plugins.add("c-web", &Guest::new("(unreachable)").component(), json!({"actions": ["web:*", "web2:x"]}));
    plugins.add("d-all", &good, json!({}));
    let loaded = plugins.load().await.unwrap();
    use PluginOutcome::{Answered, NotRun, Trapped};
    let denied = loaded.ask("payments:create").await;
    assert_eq!(outcomes(&denied), [("a-all", Answered), ("b-payments", Answered), ("d-all", NotRun)]);
    assert_eq!(denied[2].fuel, 0);
    let failed = loaded.ask("web:search").await;
    assert_eq!(outcomes(&failed), [("a-all", Answered), ("c-web", Trapped), ("d-all", NotRun)]);
    assert_eq!(outcomes(&loaded.ask("mail:send").await), [("a-all", Answered), ("d-all", Answered)]);
    let before = loaded.metrics.encode().unwrap();
    let already = loaded.host.evaluate(question("payments:create"), true).await;
    assert_eq!(outcomes(&already), [("a-all", NotRun), ("b-payments", NotRun), ("d-all", NotRun)]);
    assert_eq!(loaded.metrics.encode().unwrap(), before, "none was called");
    let in_doubt = loaded.ask("Not An Action").await;
    assert_eq!(outcomes(&in_doubt)[..2], [("a-all", Answered), ("b-payments", Answered)]);
}

#[tokio::test]
async fn a_plugin_that_asks_for_approval_does_not_end_the_round() {
    let text = format!("(i32.store (i32.const 28) (i32.const {TEXT})) (i32.store (i32.const 32) (i32.const 3))");
    let step_up = Guest::new(&format!("{text} {}", verdict(2, "i32.const 0", "i32.const 0"))).with_text("why");
    let mut plugins = Plugins::new();
    plugins.add("first", &step_up.component(), json!({}));
    plugins.add("second", &Guest::deny("no").component(), json!({}));
    let records = plugins.load().await.unwrap().ask("a:b").await;
    let verdicts: Vec<_> = records.iter().map(|record| record.verdict).collect();
    assert_eq!(verdicts, [Some(PluginVerdict::StepUp), Some(PluginVerdict::Deny)]);
}

#[tokio::test]
async fn a_plugin_reads_its_own_keys_alone() {
    // The answer goes to 512: whether there is a value, where it stands and how long it is.
    let read = format!("(call $keys (i32.const {TEXT}) (i32.const 5) (i32.const 512))");
    let trap = "(if (i32.eqz (i32.load8_u (i32.const 512))) (then (unreachable)))";
    let answer = verdict(1, "i32.load (i32.const 516)", "i32.load (i32.const 520)");
    let guest = Guest::new(&format!("{read} {trap} {answer}")).with_text("limit").with_imports(&["keys"]);
    let mut plugins = Plugins::new();
    plugins.add("mine", &guest.component(), json!({"grants": ["keys"], "actions": ["mine:*"]}));
    plugins.add("other", &guest.component(), json!({"grants": ["keys"], "actions": ["other:*"]}));
    plugins.keys = Keys([(("mine".to_owned(), "limit".to_owned()), b"seven".to_vec())].into());
    let loaded = plugins.load().await.unwrap();
    assert_eq!(loaded.ask_one("mine:x").await.reason.as_deref(), Some("seven"));
    assert_eq!(loaded.ask_one("other:x").await.outcome, PluginOutcome::Trapped, "there is none");
}

#[tokio::test]
async fn a_value_that_is_too_long_is_not_there() {
    let read = format!("(call $keys (i32.const {TEXT}) (i32.const 5) (i32.const 512))");
    let guest = Guest::new(&format!("{read} {}", verdict(0, "i32.const 0", "i32.const 0")));
    let guest = guest.with_text("limit").with_imports(&["keys"]);
    for (length, expected) in [(65_536, PluginOutcome::Answered), (65_537, PluginOutcome::Unavailable)] {
        let mut plugins = Plugins::new();
        plugins.add("mine", &guest.component(), json!({"grants": ["keys"]}));
        plugins.keys = Keys([(("mine".to_owned(), "limit".to_owned()), vec![b'x'; length])].into());
        assert_eq!(plugins.load().await.unwrap().ask_one("a:b").await.outcome, expected);
    }
}

#[tokio::test]
async fn without_plugins_there_is_nothing_to_ask() {
    let loaded = Plugins::new().load().await.unwrap();
    assert!(loaded.host.is_empty() && loaded.host.status().is_empty());
    assert_eq!(loaded.ask("a:b").await, []);
}
