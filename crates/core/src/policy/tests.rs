use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::*;

fn texts(fact: Fact, exact: &[&str], begins: &[&str], ends: &[&str]) -> Condition {
    let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    let texts = Texts { exact: own(exact), begins: own(begins), ends: own(ends), patterns: Vec::new() };
    Condition { fact, negated: false, test: Test::Texts(texts) }
}

fn rule(name: &str, effect: Effect, when: Vec<Condition>) -> Rule {
    Rule {
        name: name.to_string(),
        effect,
        anchors: when.len().min(2),
        when,
        require: Vec::new(),
        approval: None,
        pass_ttl_seconds: None,
        rates: RateLimits::default(),
        redact: Vec::new(),
    }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy::new(Mode::Enforce, Vec::new(), Vec::new(), rules)
}

#[test]
fn a_request_is_held_against_the_rules_that_can_match_alone() {
    let anchored = |i: usize| {
        let (action, agent) = (format!("ns{}:act", i % 100), format!("bot-{}", i / 100));
        let when = vec![texts(Fact::Action, &[&action], &[], &[]), texts(Fact::Agent, &[&agent], &[], &[])];
        rule(&format!("r{i:05}"), Effect::Allow, when)
    };
    let policy = policy((0..10_000).map(anchored).collect());
    let facts = Facts { action: "ns17:act", agent: "bot-42", ..Facts::default() };
    assert_eq!(policy.index.candidates(&facts), [4217]);
    assert_eq!(policy.evaluate(&facts).outcome.rule().unwrap().name, "r04217");
    assert!(policy.index.candidates(&Facts { agent: "bot-100", ..facts }).is_empty());
}

#[test]
fn a_long_text_is_looked_for_no_longer_than_rules_are() {
    let argument = || Fact::Argument("t".to_string());
    let policy = policy(vec![
        rule("is", Effect::Allow, vec![texts(argument(), &["short"], &[], &[])]),
        rule("begins", Effect::Allow, vec![texts(argument(), &[], &["/", "/a/"], &[])]),
        rule("ends", Effect::Allow, vec![texts(argument(), &[], &[], &[".."])]),
    ]);
    let sought = &policy.index.tables[0].facts[0].1;
    let long = "/".repeat(1024 * 1024) + "..";
    let keys = sought.keys(&Value::Text(&long));
    assert_eq!(keys, ["</", "<///", ">.."]);
    assert_eq!(sought.keys(&Value::Text("é")), ["=é", ">é"]);
    let value = crate::route::ArgumentValue::Text(long);
    let facts = Facts { arguments: vec![("t", Some(&value))], ..Facts::default() };
    let matched: Vec<&str> = policy.evaluate(&facts).matched.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(matched, ["begins", "ends"]);
}

#[test]
fn open_ends_are_found() {
    let policy = policy(vec![
        rule("begins", Effect::Allow, vec![texts(Fact::Action, &[], &["payments:"], &[])]),
        rule("ends", Effect::Allow, vec![texts(Fact::Domain, &[], &[], &[".shop.example"])]),
        rule("below", Effect::Allow, vec![texts(Fact::Resource, &["a"], &["a/"], &[])]),
        rule("any", Effect::Allow, vec![texts(Fact::Action, &[], &[""], &[])]),
        rule("odd", Effect::Allow, vec![texts(Fact::Agent, &[], &["bot-"], &[])]),
    ]);
    for (facts, expected) in [
        (Facts { action: "payments:refund:all", ..Facts::default() }, &["any", "begins"][..]),
        (Facts { domain: Value::Text("a.b.shop.example"), ..Facts::default() }, &["any", "ends"]),
        (Facts { domain: Value::Text("shop.example"), ..Facts::default() }, &["any"]),
        (Facts { resource: Value::Text("a/b/c"), ..Facts::default() }, &["any", "below"]),
        (Facts { resource: Value::Text("ab"), ..Facts::default() }, &["any"]),
        (Facts { agent: "bot-7", ..Facts::default() }, &["any", "odd"]),
    ] {
        let matched: Vec<_> = policy.evaluate(&facts).matched.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(matched, expected, "{facts:?}");
    }
}

#[test]
fn what_is_not_known_hides_no_rule_that_denies() {
    let deny = rule("deny", Effect::Deny, vec![texts(Fact::Resource, &["secret"], &[], &[])]);
    let allow = rule("allow", Effect::Allow, vec![texts(Fact::Resource, &["secret"], &[], &[])]);
    let policy = policy(vec![deny, allow]);
    let matched = |resource| policy.evaluate(&Facts { resource, ..Facts::default() }).matched.len();
    assert_eq!(matched(Value::Unknown), 1);
    assert_eq!(policy.evaluate(&Facts::default()).outcome, Outcome::Denied(&policy.rules()[1]));
    assert_eq!(matched(Value::Nothing), 0);
    assert_eq!(matched(Value::Text("secret")), 2);
}

#[test]
fn addresses_are_compared_bit_by_bit() {
    let net = |address: &str, bits| Network { address: address.parse().unwrap(), bits };
    for (network, inside, outside) in [
        (net("192.0.2.0", 24), "192.0.2.255", "192.0.3.0"),
        (net("192.0.2.7", 32), "192.0.2.7", "192.0.2.6"),
        (net("0.0.0.0", 0), "255.255.255.255", "::"),
        (net("::", 0), "ffff::", "0.0.0.0"),
        (net("2001:db8::", 33), "2001:db8:7fff::", "2001:db8:8000::"),
        (net("2001:db8::1", 128), "2001:db8::1", "2001:db8::"),
    ] {
        assert!(network.contains(inside.parse().unwrap()), "{network:?} {inside}");
        assert!(!network.contains(outside.parse().unwrap()), "{network:?} {outside}");
    }
}

#[test]
fn damaged_rules_are_refused() {
    let number = Tree::Number;
    let whole = policy(vec![rule("a", Effect::Allow, vec![texts(Fact::Action, &["x", "y"], &[], &[])])]).to_tree();
    assert!(Policy::read(&whole).is_ok());
    // Another number in the place of each that is there, one at a time.
    let damaged = |tree: &Tree, at: usize| {
        fn change(tree: &Tree, at: &mut usize) -> Tree {
            match tree {
                Tree::List(items) => Tree::List(items.iter().map(|item| change(item, at)).collect()),
                other => {
                    let is_it = *at == 0;
                    *at = at.wrapping_sub(1);
                    if is_it { Tree::List(Vec::new()) } else { other.clone() }
                }
            }
        }
        change(tree, &mut at.clone())
    };
    for at in 0..12 {
        assert_eq!(Policy::read(&damaged(&whole, at)), Err(Corrupt), "{at}");
    }
    for tree in [number(1), Tree::List(vec![number(2)]), Tree::List(Vec::new()), Tree::Text("x".to_string())] {
        assert_eq!(Policy::read(&tree), Err(Corrupt));
    }
    let twice = policy(vec![rule("a", Effect::Allow, Vec::new()), rule("a", Effect::Deny, Vec::new())]);
    assert_eq!(Policy::read(&twice.to_tree()), Err(Corrupt));
    let unsorted = policy(vec![rule("a", Effect::Allow, vec![texts(Fact::Action, &["y", "x"], &[], &[])])]);
    assert_eq!(Policy::read(&unsorted.to_tree()), Err(Corrupt));
}
