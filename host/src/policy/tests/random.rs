//! Random rules and requests: what is compiled agrees with what is written.

use passgate_api::bundle::{EffectClassDoc, Scalar};
use passgate_api::usd::Usd;
use passgate_core::money::MicroUsd;
use passgate_core::policy::{Facts, Outcome, Rule, Value};
use passgate_core::route::{ArgumentValue, EffectClass};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::reference::{ACTIONS, Request, decide};
use super::*;

const AGENTS: [&str; 3] = ["bot-1", "bot-2", "helper"];
const ISSUERS: [&str; 2] = ["did:key:a", "did:key:b"];
const LABELS: [&str; 3] = ["web", "mail", "x"];
const DOMAINS: [&str; 4] = ["shop.example", "api.shop.example", "evil.example", "a.b.shop.example"];
const RESOURCES: [&str; 4] = ["a", "a/b", "a/b/c", "b"];
const PATHS: [&str; 5] = ["/", "/srv", "/srv/data/x", "/srvx", "srv"];
const IPS: [&str; 4] = ["192.0.2.1", "192.0.3.1", "2001:db8::1", "::ffff:192.0.2.1"];
/// Around the hours of the clock changes of 2026 and some more.
const TIMES: [i64; 6] = [1_774_745_999, 1_774_746_000, 1_792_889_999, 1_792_890_000, 1_800_000_000, 1_799_971_200];

fn texts(from: &'static [&'static str]) -> BoxedStrategy<Option<Vec<String>>> {
    maybe(vec(select(from).prop_map(String::from), 1..3))
}

/// On the heap, as there are many of them in a rule.
fn maybe<T: std::fmt::Debug + Clone + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    proptest::option::weighted(0.2, strategy).boxed()
}

fn during() -> BoxedStrategy<DuringDoc> {
    let days = [DayDoc::Mon, DayDoc::Tue, DayDoc::Wed, DayDoc::Thu, DayDoc::Fri, DayDoc::Sat, DayDoc::Sun];
    let clock = || of(select(&["00:00", "01:59", "02:30", "09:00", "17:30", "23:59"][..]).prop_map(String::from));
    let window = (of(vec(select(days.to_vec()), 1..4)), clock(), clock());
    let window = window.prop_map(|(days, from, until)| WindowDoc { days, from, until });
    let zone = select(&["UTC", "Europe/Berlin", "Pacific/Auckland"][..]);
    (zone, vec(window, 1..3)).prop_map(|(zone, windows)| DuringDoc { zone: zone.to_owned(), windows }).boxed()
}

fn scalars(kind: &'static str) -> BoxedStrategy<Scalar> {
    let text = |from: &'static [&'static str]| select(from).prop_map(|text| Scalar::Text(text.to_owned())).boxed();
    match kind {
        "count" => (-2..12_i64).prop_map(Scalar::Integer).boxed(),
        "force" => any::<bool>().prop_map(Scalar::Boolean).boxed(),
        "path" => text(&PATHS),
        "host" => text(&DOMAINS),
        "ip" => text(&IPS),
        _ => text(&["", "ab", "abc1"]),
    }
}

fn test_of(name: &'static str) -> BoxedStrategy<ArgumentTestDoc> {
    let expressions = || select(&["[a-z]+", ".*1", "/srv(/.*)?", "a|ab"][..]).prop_map(String::from);
    let values = (maybe(scalars(name)), maybe(vec(scalars(name), 1..3)), maybe(vec(scalars(name), 1..3)));
    let bounds = (maybe(-2..12_i64), maybe(-2..12_i64), maybe(0..4_u32), maybe(0..12_u32));
    let patterns = (maybe(expressions()), maybe(expressions()), texts(&PATHS), texts(&PATHS));
    let domains: &[&str] = &["shop.example", "*.shop.example"];
    let networks: &[&str] = &["192.0.2.0/24", "192.0.2.1/32", "2001:db8::/32", "0.0.0.0/0", "::/0"];
    let lists = (texts(domains), texts(domains), texts(networks), texts(networks));
    (maybe(any::<bool>()), values, bounds, patterns, lists)
        .prop_map(move |(present, (is, one_of, none_of), bounds, (matches, not_matches, below, not_below), lists)| {
            let texts = name == "note" || name == "path";
            let (hosts, not_hosts, networks, not_networks) = lists;
            ArgumentTestDoc {
                present,
                is: is.filter(|_| name != "filter"),
                one_of: one_of.filter(|_| name != "filter" && name != "force"),
                none_of: none_of.filter(|_| name != "filter" && name != "force"),
                at_least: bounds.0.filter(|_| name == "count"),
                at_most: bounds.1.filter(|_| name == "count"),
                min_length: bounds.2.filter(|_| texts),
                max_length: bounds.3.filter(|_| texts),
                matches: matches.filter(|_| texts),
                not_matches: not_matches.filter(|_| texts),
                below: below.filter(|_| name == "path"),
                not_below: not_below.filter(|_| name == "path"),
                hosts: hosts.filter(|_| name == "host"),
                not_hosts: not_hosts.filter(|_| name == "host"),
                networks: networks.filter(|_| name == "ip"),
                not_networks: not_networks.filter(|_| name == "ip"),
            }
        })
        .boxed()
}

fn arguments() -> impl Strategy<Value = std::collections::BTreeMap<String, ArgumentTestDoc>> {
    let names = ["note", "path", "host", "ip", "count", "force", "filter"];
    let named =
        select(names.to_vec()).prop_flat_map(|name| test_of(name).prop_map(move |test| (name.to_owned(), test)));
    let map = vec(named, 1..3).prop_map(|pairs| pairs.into_iter().collect());
    prop_oneof![2 => Just(Default::default()), 1 => map]
}

fn usd() -> impl Strategy<Value = Usd> {
    (0..6_u64).prop_map(|dollars| Usd(MicroUsd(dollars * 1_000_000)))
}

fn conditions(required: bool) -> BoxedStrategy<ConditionsDoc> {
    const SCOPES: &[&str] =
        &["*", "payments:*", "payments:create", "files:read", "*:read", "*:refund:*", "payments:*:full", "bare"];
    const DOMAIN_PATTERNS: &[&str] = &["shop.example", "*.shop.example", "*.b.shop.example"];
    const RESOURCE_PATTERNS: &[&str] = &["*", "a", "a/*", "a/b/*"];
    let who = (
        (texts(SCOPES), texts(SCOPES)),
        (texts(&["bot-1", "bot-*", "*"]), texts(&["bot-1", "bot-*"])),
        (
            prop_oneof![1 => Just(None), 2 => vec(select(&ISSUERS[..]).prop_map(String::from), 1..3).prop_map(Some)],
            texts(&ISSUERS),
        ),
        maybe(vec(select(vec![TierDoc::L1, TierDoc::L2, TierDoc::L3]), 1..3)),
        (texts(&LABELS), texts(&LABELS)),
    );
    let classes =
        || maybe(vec(select(vec![EffectClassDoc::Read, EffectClassDoc::Write, EffectClassDoc::Destructive]), 1..3));
    let what = (
        (texts(DOMAIN_PATTERNS), texts(DOMAIN_PATTERNS)),
        (texts(RESOURCE_PATTERNS), texts(RESOURCE_PATTERNS)),
        (texts(&["billing"]), texts(&["billing"])),
        (classes(), classes()),
        maybe((of(usd()), of(usd()), of(usd()), of(usd()))),
        arguments(),
    );
    let times = || maybe(select(&["2026-10-25T02:59:59+02:00", "2027-01-15T08:00:00Z"][..]).prop_map(String::from));
    let when = (maybe(during()), maybe(during()), times(), times());
    (who, what, when, maybe(0..5_u64), proptest::bool::weighted(0.1))
        .prop_map(move |(who, what, when, max_records, closed)| {
            let range =
                what.4.map(|(above, at_least, below, at_most)| AmountRangeDoc { above, at_least, below, at_most });
            ConditionsDoc {
                actions: who.0.0,
                not_actions: who.0.1,
                agents: who.1.0,
                not_agents: who.1.1,
                issuers: who.2.0,
                not_issuers: who.2.1,
                tiers: who.3,
                labels: who.4.0,
                not_labels: who.4.1,
                domains: what.0.0,
                not_domains: what.0.1,
                resources: what.1.0,
                not_resources: what.1.1,
                purposes: what.2.0,
                not_purposes: what.2.1,
                classes: what.3.0,
                not_classes: what.3.1,
                amount_usd: range,
                arguments: what.5,
                during: when.0,
                not_during: when.1,
                not_before: when.2,
                not_after: when.3,
                max_records: max_records.filter(|_| required),
                only_known_arguments: closed && required,
            }
        })
        .boxed()
}

fn rules() -> impl Strategy<Value = Vec<RuleDoc>> {
    let effect = select(vec![EffectDoc::Allow, EffectDoc::Allow, EffectDoc::StepUp, EffectDoc::Deny]);
    let rule = (effect, conditions(false), maybe(conditions(true))).prop_map(|(effect, when, require)| RuleDoc {
        name: String::new(),
        description: None,
        effect,
        when,
        require: require.filter(|_| effect != EffectDoc::Deny).unwrap_or_default(),
        approval: None,
        pass_ttl_seconds: None,
        rate_limits: Default::default(),
        redact: Vec::new(),
    });
    vec(rule, 1..14).prop_map(|mut rules| {
        for (i, rule) in rules.iter_mut().enumerate() {
            rule.name = format!("r{:02}", (i * 5 + 3) % 14);
        }
        rules
    })
}

fn requests() -> impl Strategy<Value = Request> {
    let text = |from: &'static [&'static str]| select(from).prop_map(String::from);
    let who =
        (0..ACTIONS.len(), text(&AGENTS), text(&ISSUERS), select(&["L1", "L2", "L3"][..]), vec(text(&LABELS), 0..3));
    let what = (of(text(&["billing", "other"])), 0..700_u64, text(&DOMAINS), of(text(&RESOURCES)), 0..6_u64);
    let arguments = (of(text(&["", "ab", "abc1"])), text(&PATHS), of(text(&DOMAINS)), of(text(&IPS)), -2..12_i64);
    let more = (of(any::<bool>()), any::<bool>(), any::<bool>(), select(&TIMES[..]), 0..7 * 86_400_i64);
    (who, what, arguments, more).prop_map(|(who, what, arguments, more)| Request {
        route: who.0,
        agent: who.1,
        issuer: who.2,
        tier: who.3,
        labels: who.4,
        purpose: what.0,
        cents: what.1,
        domain: what.2,
        resource: what.3.filter(|_| who.0 == 2),
        records: what.4,
        note: arguments.0,
        path: arguments.1,
        host: arguments.2,
        ip: arguments.3.map(|ip| ip.parse().unwrap()),
        count: arguments.4,
        force: more.0,
        filter: more.1,
        closed: more.2,
        now: more.3 + more.4,
    })
}

/// The rules that compile together: those that are refused are left out.
fn usable(mut rules: Vec<RuleDoc>, gate: &Gate) -> (Vec<RuleDoc>, Policy) {
    loop {
        match compiled(&rules, gate) {
            Ok(policy) => return (rules, policy),
            Err(faults) => {
                let bad: Vec<usize> =
                    faults.iter().map(|fault| fault.at.split(['[', ']']).nth(1).unwrap().parse().unwrap()).collect();
                let mut place = 0..;
                rules.retain(|_| !bad.contains(&place.next().unwrap()));
            }
        }
    }
}

fn outcome(policy: &Policy, request: &Request) -> (&'static str, Option<String>) {
    let text = |text: &Option<String>| text.clone().map(ArgumentValue::Text);
    let boolean = |value: bool| ArgumentValue::Text(value.to_string());
    let held = [
        ("note", text(&request.note).filter(|_| request.pays())),
        ("path", Some(ArgumentValue::Text(request.path.clone()))),
        ("host", text(&request.host)),
        ("ip", request.ip.map(ArgumentValue::Address)),
        ("count", Some(ArgumentValue::Number(request.count))),
        ("force", request.force.map(boolean)),
        ("filter", request.filter.then(|| ArgumentValue::Text(String::new()))),
    ];
    let class = [EffectClass::Write, EffectClass::Destructive, EffectClass::Read, EffectClass::Write][request.route];
    let number = |number: u64| Value::Number(i64::try_from(number).unwrap());
    let facts = Facts {
        action: ACTIONS[request.route],
        agent: &request.agent,
        amount: if request.pays() { number(request.cents * 10_000) } else { Value::Nothing },
        class: Value::Text(class.as_str()),
        closed: request.closed,
        domain: if request.pays() { Value::Text(&request.domain) } else { Value::Nothing },
        issuer: &request.issuer,
        labels: request.labels.iter().map(String::as_str).collect(),
        now: request.now,
        purpose: request.purpose.as_deref().map_or(Value::Nothing, Value::Text),
        records: if request.reads() { number(request.records) } else { Value::Number(0) },
        resource: match &request.resource {
            _ if request.pays() => Value::Nothing,
            Some(resource) => Value::Text(resource),
            None => Value::Unknown,
        },
        tier: request.tier,
        arguments: held.iter().map(|(name, value)| (*name, value.as_ref())).collect(),
    };
    let ruling = policy.evaluate(&facts);
    let word = match ruling.outcome {
        Outcome::Denied(_) => "denied",
        Outcome::Unmet(..) => "unmet",
        Outcome::StepUp(_) => "step_up",
        Outcome::Allowed(_) => "allowed",
        Outcome::Missing => "missing",
    };
    (word, ruling.outcome.rule().map(|rule| rule.name.clone()))
}

proptest! {
    #[test]
    fn compiled_rules_say_what_is_written(rules in rules(), requests in vec(requests(), 40), turn in 0..14_usize) {
        let gate = gate();
        let (rules, policy) = usable(rules, &gate);
        let mut turned = rules.clone();
        turned.rotate_left(turn.min(rules.len()));
        let (kept, other) = usable(turned, &gate);
        for request in requests {
            let expected = decide(&rules, &request);
            prop_assert_eq!(&outcome(&policy, &request), &expected, "{:?}", request);
            // In whatever order they are written.
            if kept.len() == rules.len() {
                prop_assert_eq!(&outcome(&other, &request), &expected);
            }
        }
    }

    #[test]
    fn every_rule_that_covers_another_is_looked_at(docs in rules()) {
        let gate = gate();
        let alone = docs.iter().filter_map(|doc| Some(compiled(std::slice::from_ref(doc), &gate).ok()?.rules()[0].clone()));
        let rules: Vec<(usize, Rule)> = alone.enumerate().collect();
        let wider = overlap::Wider::of(&rules);
        for (_, narrow) in &rules {
            let found = wider.than(narrow);
            for (place, wide) in &rules {
                prop_assert!(!overlap::implies(&narrow.when, &wide.when) || found.contains(place), "{narrow:?} {wide:?}");
            }
        }
    }
}
