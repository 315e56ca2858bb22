use alloc::format;
use alloc::string::ToString as _;
use alloc::vec;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn read(claim: &Value) -> Result<Constraints, ClaimsError> {
    Constraints::from_json(claim.to_string().as_bytes(), 1 << 20)
}

fn constraints(claim: Value) -> Constraints {
    read(&claim).unwrap()
}

fn full() -> Value {
    json!({
        "spend": {"per_transaction_micro_usd": 1, "daily_micro_usd": 2, "monthly_micro_usd": 3, "total_micro_usd": 7},
        "rate": {"requests_per_minute": 4, "requests_per_hour": 5, "requests_per_day": 6},
        "domains": ["api.example.com", "*.example.org", "192.0.2.7", "[2001:db8::1]"],
        "resources": ["customers/42/notes", "files/*"],
        "context": {"purpose_code": ["a", "b"], "user": ["u-1"]},
        "max_records": 100,
        "purpose": "Answer tickets",
        "task": "T-1",
        "labels": ["pii", "untrusted-input"],
    })
}

#[test]
fn every_member_is_read_and_written_in_its_documented_bytes() {
    let read = constraints(full());
    assert_eq!(read.spend.daily_micro_usd, Some(2));
    assert_eq!(read.rate.requests_per_hour, Some(5));
    let written = serde_json::to_string(&ConstraintsClaim::of(&read).unwrap()).unwrap();
    assert_eq!(
        written,
        concat!(
            r#"{"spend":{"per_transaction_micro_usd":1,"daily_micro_usd":2,"monthly_micro_usd":3,"total_micro_usd":7},"#,
            r#""rate":{"requests_per_minute":4,"requests_per_hour":5,"requests_per_day":6},"#,
            r#""domains":["api.example.com","*.example.org","192.0.2.7","[2001:db8::1]"],"#,
            r#""resources":["customers/42/notes","files/*"],"#,
            r#""context":{"purpose_code":["a","b"],"user":["u-1"]},"#,
            r#""max_records":100,"purpose":"Answer tickets","task":"T-1","labels":["pii","untrusted-input"]}"#
        )
    );
    assert_eq!(constraints(serde_json::from_str(&written).unwrap()), read);
    assert!(ConstraintsClaim::of(&Constraints::default()).is_none());
    let text = constraints(json!({"context": {"user": "u-1"}}));
    assert_eq!(text, constraints(json!({"context": {"user": ["u-1"]}})));
}

#[test]
fn unknown_members_refuse_the_passport_at_every_depth() {
    for claim in [
        json!({"denied_resources": ["a"]}),
        json!({"max_records": 1, "Max_records": 1}),
        json!({"spend": {"daily_micro_usd": 1, "yearly_micro_usd": 1}}),
        json!({"rate": {"requests_per_second": 1}}),
    ] {
        let refused = read(&claim).unwrap_err();
        let names = ["constraints", "constraints.spend", "constraints.rate"];
        assert!(matches!(refused, ClaimsError::Invalid { claim, .. } if names.contains(&claim)), "{claim}");
    }
}

#[test]
fn wrong_types_limits_and_spellings() {
    let many: Vec<String> = (0..65).map(|n| format!("a{n}")).collect();
    let names: serde_json::Map<_, _> = (0..33).map(|n| (format!("a{n}"), json!("x"))).collect();
    for claim in [
        json!(null),
        json!([]),
        json!({}),
        json!("all"),
        json!({"spend": null}),
        json!({"spend": {}}),
        json!({"spend": 5}),
        json!({"spend": {"daily_micro_usd": -1}}),
        json!({"spend": {"daily_micro_usd": 1.5}}),
        json!({"spend": {"daily_micro_usd": "1"}}),
        json!({"spend": {"daily_micro_usd": null}}),
        json!({"spend": {"daily_micro_usd": 9_007_199_254_740_992_u64}}),
        json!({"rate": {}}),
        json!({"rate": {"requests_per_day": true}}),
        json!({"domains": "example.com"}),
        json!({"domains": null}),
        json!({"domains": [5]}),
        json!({"domains": many}),
        json!({"resources": "a/*"}),
        json!({"resources": many}),
        json!({"context": {}}),
        json!({"context": []}),
        json!({"context": {"": "x"}}),
        json!({"context": {"User": "x"}}),
        json!({"context": {"a".repeat(65): "x"}}),
        json!({"context": {"user": 5}}),
        json!({"context": {"user": [5]}}),
        json!({"context": {"user": ""}}),
        json!({"context": {"user": "a\u{202e}b"}}),
        json!({"context": {"user": many}}),
        json!({"context": names}),
        json!({"max_records": -1}),
        json!({"max_records": "10"}),
        json!({"max_records": null}),
        json!({"purpose": ""}),
        json!({"purpose": "a\nb"}),
        json!({"purpose": "a".repeat(257)}),
        json!({"purpose": ["a"]}),
        json!({"task": ""}),
        json!({"task": "a b"}),
        json!({"task": "ü"}),
        json!({"task": "a".repeat(257)}),
        json!({"labels": "pii"}),
        json!({"labels": ["PII"]}),
        json!({"labels": [""]}),
        json!({"labels": ["a".repeat(65)]}),
        json!({"labels": many}),
    ] {
        assert!(read(&claim).is_err(), "{claim}");
    }
    let most: Vec<String> = (0..64).map(|n| format!("a{n}")).collect();
    for claim in [
        json!({"domains": []}),
        json!({"domains": most}),
        json!({"labels": most}),
        json!({"resources": []}),
        json!({"context": {"user": []}}),
        json!({"max_records": 0}),
        json!({"spend": {"daily_micro_usd": MAX_SAFE_INTEGER}}),
    ] {
        assert!(read(&claim).is_ok(), "{claim}");
    }
}

#[test]
fn spelling_tricks_are_no_domains() {
    for text in [
        "",
        "*",
        "*.",
        "*.com",
        "**.example.com",
        "a.*.example.com",
        "*example.com",
        "EXAMPLE.com",
        "example.com.",
        ".example.com",
        "a..b",
        "example.com/",
        "example.com:443",
        "user@example.com",
        "ex%61mple.com",
        "exämple.com",
        "example.com ",
        "*.2.7",
        "*.0.2.7",
        "*.0x7f.1",
        "*.[::1]",
        "[]",
        "[::1",
        "::1",
        "[::1]x",
        "[fe80::1%25eth0]",
    ] {
        assert_eq!(DomainPattern::parse(text), None, "{text:?}");
    }
    let longest = format!("{}.com", "a".repeat(MAX_PATTERN_BYTES - 4));
    assert!(DomainPattern::parse(&longest).is_some());
    assert!(DomainPattern::parse(&format!("a{longest}")).is_none());
}

#[test]
fn spelling_tricks_are_no_resources() {
    for text in [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a/*/b", "*/a", "a*", "a/b*", "**", "*/*",
        "a/%2e%2e", "a\\b", "a?b", "a#b", "a~b", "a b", "ä", "a\n",
    ] {
        assert_eq!(ResourcePattern::parse(text), None, "{text:?}");
        assert!(!ResourcePattern::parse("*").unwrap().matches(text), "{text:?}");
    }
    let segments = |count: usize| vec!["a"; count].join("/");
    assert!(ResourcePattern::parse(&segments(16)).is_some());
    assert!(ResourcePattern::parse(&segments(17)).is_none());
    assert!(ResourcePattern::parse(&"a".repeat(257)).is_none());
}

#[test]
fn patterns_cover_what_they_match() {
    for (wide, narrow, expected) in [
        ("example.com", "example.com", true),
        ("example.com", "*.example.com", false),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.example.com", true),
        ("*.example.com", "a.b.example.com", true),
        ("*.example.com", "*.example.com", true),
        ("*.example.com", "*.a.example.com", true),
        ("*.a.example.com", "*.example.com", false),
        ("*.example.com", "evil-example.com", false),
        ("*.example.com", "*.evilexample.com", false),
        ("192.0.2.7", "192.0.2.7", true),
    ] {
        let pattern = |text| DomainPattern::parse(text).unwrap();
        assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} {narrow}");
    }
    for (wide, narrow, expected) in [
        ("*", "a", true),
        ("*", "*", true),
        ("*", "a/b/*", true),
        ("a/*", "a", false),
        ("a", "a/*", false),
        ("a/*", "a/*", true),
        ("a/*", "a/b", true),
        ("a/*", "a/b/*", true),
        ("a/b/*", "a/*", false),
        ("a/*", "ab/c", false),
        ("a/*", "*", false),
        ("a/b", "a/b", true),
    ] {
        let pattern = |text| ResourcePattern::parse(text).unwrap();
        assert_eq!(pattern(wide).covers(&pattern(narrow)), expected, "{wide} {narrow}");
    }
}

#[test]
fn absent_is_unlimited_and_empty_is_nothing() {
    let free = Constraints::default();
    assert!(free.permits_domain("a.b") && free.permits_resource("a") && free.permits_context("user", None));
    let shut = constraints(json!({"domains": [], "resources": [], "context": {"user": []}}));
    assert!(!shut.permits_domain("a.b") && !shut.permits_resource("a") && !shut.permits_context("user", Some("u")));
    let some = constraints(json!({"domains": ["*.b.c"], "resources": ["a/*"], "context": {"user": "u"}}));
    assert!(some.permits_domain("a.b.c") && some.permits_resource("a/b") && some.permits_context("user", Some("u")));
    assert!(!some.permits_domain("b.c") && !some.permits_resource("a") && !some.permits_context("user", Some("v")));
    assert!(!some.permits_context("user", None) && some.permits_context("other", None));
}

#[test]
fn each_limit_narrows_and_does_not_widen() {
    let cases = [
        (Widened::Spend, json!({"spend": {"per_transaction_micro_usd": 5}})),
        (Widened::Spend, json!({"spend": {"daily_micro_usd": 5}})),
        (Widened::Spend, json!({"spend": {"monthly_micro_usd": 5}})),
        (Widened::Spend, json!({"spend": {"total_micro_usd": 5}})),
        (Widened::Rate, json!({"rate": {"requests_per_minute": 5}})),
        (Widened::Rate, json!({"rate": {"requests_per_hour": 5}})),
        (Widened::Rate, json!({"rate": {"requests_per_day": 5}})),
        (Widened::MaxRecords, json!({"max_records": 5})),
    ];
    for (widened, claim) in cases {
        let with = |digit: &str| constraints(serde_json::from_str(&claim.to_string().replace('5', digit)).unwrap());
        let parent = with("5");
        assert_eq!(parent.clone().narrowed(&with("6")), Err(widened), "{claim}");
        for digit in ["5", "4", "0"] {
            assert_eq!(parent.clone().narrowed(&with(digit)), Ok(with(digit)), "{claim}");
        }
        assert_eq!(parent.clone().narrowed(&Constraints::default()), Ok(parent.clone()), "inherited: {claim}");
        assert_eq!(Constraints::default().narrowed(&parent), Ok(parent), "added: {claim}");
    }
    for (widened, parent, narrower, wider) in [
        (Widened::Domains, json!({"domains": ["*.b.c"]}), json!({"domains": ["a.b.c"]}), json!({"domains": ["b.c"]})),
        (Widened::Domains, json!({"domains": []}), json!({"domains": []}), json!({"domains": ["b.c"]})),
        (Widened::Resources, json!({"resources": ["a/*"]}), json!({"resources": []}), json!({"resources": ["*"]})),
        (
            Widened::Context,
            json!({"context": {"user": ["u", "v"]}}),
            json!({"context": {"user": "u"}}),
            json!({"context": {"user": ["u", "w"]}}),
        ),
        (Widened::Purpose, json!({"purpose": "A"}), json!({"purpose": "A"}), json!({"purpose": "a"})),
        (Widened::Task, json!({"task": "T-1"}), json!({"task": "T-1"}), json!({"task": "t-1"})),
        (Widened::Labels, json!({"labels": ["a"]}), json!({"labels": ["a", "b"]}), json!({"labels": ["b"]})),
        (Widened::Labels, json!({"labels": ["a"]}), json!({"labels": ["a"]}), json!({"labels": []})),
    ] {
        let [parent, narrower, wider] = [parent, narrower, wider].map(constraints);
        assert_eq!(parent.clone().narrowed(&narrower), Ok(narrower.clone()));
        assert_eq!(parent.clone().narrowed(&wider), Err(widened), "{wider:?}");
        assert_eq!(parent.clone().narrowed(&Constraints::default()), Ok(parent.clone()), "inherited");
        assert_eq!(Constraints::default().narrowed(&parent), Ok(parent), "added");
    }
    let both = constraints(json!({"context": {"user": "u"}})).narrowed(&constraints(json!({"context": {"team": "t"}})));
    assert_eq!(both, Ok(constraints(json!({"context": {"user": "u", "team": "t"}}))));
}

fn hosts() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(vec!["a", "b", "c"]), 1..5).prop_map(|labels| labels.join("."))
}

fn resources() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(vec!["a", "b"]), 1..5).prop_map(|segments| segments.join("/"))
}

proptest! {
    #[test]
    fn a_covered_domain_reaches_nothing_more(
        wide in (any::<bool>(), hosts()), narrow in (any::<bool>(), hosts()), host in hosts(),
    ) {
        let pattern = |(below, name): (bool, String)| DomainPattern::parse(&if below { format!("*.{name}") } else { name });
        if let (Some(wide), Some(narrow)) = (pattern(wide), pattern(narrow)) {
            prop_assert!(!(wide.covers(&narrow) && narrow.matches(&host) && !wide.matches(&host)));
            // What is not covered has a host to show for it: the name itself or one fresh label below it.
            let shown = [narrow.as_str().to_string(), narrow.as_str().replace('*', "z")];
            let differs = shown.iter().any(|host| narrow.matches(host) && !wide.matches(host));
            prop_assert_eq!(!wide.covers(&narrow), differs);
        }
    }

    #[test]
    fn a_covered_resource_touches_nothing_more(
        wide in (any::<bool>(), resources()), narrow in (any::<bool>(), resources()), resource in resources(),
    ) {
        let text = |(below, name): (bool, String)| if below { format!("{name}/*") } else { name };
        let [wide, narrow] = [wide, narrow].map(|one| ResourcePattern::parse(&text(one)).unwrap());
        prop_assert!(!(wide.covers(&narrow) && narrow.matches(&resource) && !wide.matches(&resource)));
        let shown = narrow.as_str().replace('*', "z");
        prop_assert_eq!(!wide.covers(&narrow), narrow.matches(&shown) && !wide.matches(&shown));
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,200}") {
        let _ = Constraints::from_json(text.as_bytes(), 1000);
        let _ = (DomainPattern::parse(&text), ResourcePattern::parse(&text));
    }
}
