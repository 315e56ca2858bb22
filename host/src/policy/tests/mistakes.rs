use super::*;

/// What is wrong with one rule, without its file.
fn faults(rule: &str) -> Vec<String> {
    let faults = compiled(&docs(&format!("rules: [{rule}]")), &gate()).err().unwrap_or_default();
    faults.into_iter().map(|fault| format!("{}: {}", fault.at, fault.why)).collect()
}

#[test]
fn mistakes_in_a_rule_are_named_with_their_place() {
    for (rule, expected) in [
        ("{name: R, effect: allow, when: {actions: [bare]}}".to_owned(), "rules[0].name: use 1 to 64 of"),
        (allow(r#"when: {actions: ["payments:"]}"#), "rules[0].when.actions[0]: `payments:`: segment 1"),
        (allow("when: {actions: []}"), "rules[0].when.actions: lists nothing"),
        (allow(r#"when: {actions: ["web:*"]}"#), "rules[0].when: matches no action of any route"),
        (allow("when: {actions: [bare], classes: [read]}"), "rules[0].when: matches no action of any route"),
        (allow("when: {agents: [a b], issuers: ['did:key:x']}"), "rules[0].when.agents[0]: `a b`: use 1 to 256"),
        (allow("when: {issuers: [nobody]}"), "rules[0].when.issuers[0]: this gate trusts no issuer `nobody`"),
        (allow("when: {labels: [A]}"), "rules[0].when.labels[0]: `A`: use names"),
        (allow("when: {domains: ['*.com']}"), "rules[0].when.domains[0]: `*.com`: a wildcard must be"),
        (allow("when: {domains: ['*.co.uk']}"), "rules[0].when.domains[0]: `*.co.uk`: it stands for every name"),
        (allow("when: {actions: [bare], domains: [a.example]}"), "rules[0].when: looks at the domain"),
        (allow("when: {actions: [bare], amount_usd: {above: 1}}"), "rules[0].when: looks at the amount"),
        (allow("when: {resources: [a]}"), "rules[0].when: looks at the resource, and the route of `bare`"),
        (allow("when: {actions: [bare]}, require: {max_records: 3}"), "rules[0].require: looks at the records"),
        (allow("when: {max_records: 3}"), "rules[0].when.max_records: is a requirement"),
        (allow("when: {only_known_arguments: true}"), "rules[0].when.only_known_arguments: is a requirement"),
        (allow("when: {amount_usd: {above: 5, at_most: 5}}"), "rules[0].when.amount_usd: nothing lies between"),
        (allow("when: {amount_usd: {}}"), "rules[0].when.amount_usd: bounds nothing"),
        (allow("when: {not_before: soon}"), "rules[0].when.not_before: write an instant"),
        (
            allow("when: {not_before: 2027-01-02T00:00:00Z, not_after: 2027-01-01T00:00:00Z}"),
            "rules[0].when.not_after: nothing lies between",
        ),
        (
            allow("when: {during: {zone: Mars/Olympus, windows: [{}]}}"),
            "rules[0].when.during.zone: there is no time zone",
        ),
        (allow("when: {during: {zone: UTC, windows: []}}"), "rules[0].when.during.windows: lists nothing"),
        (
            allow("when: {during: {zone: UTC, windows: [{days: []}]}}"),
            "rules[0].when.during.windows[0].days: lists nothing",
        ),
        (
            allow("when: {during: {zone: UTC, windows: [{from: '9:00'}]}}"),
            "rules[0].when.during.windows[0].from: `9:00`",
        ),
        (
            allow("when: {during: {zone: UTC, windows: [{until: '24:01'}]}}"),
            "rules[0].when.during.windows[0].until: `24:01`",
        ),
    ] {
        assert_told(&rule, expected);
    }
}

fn allow(rest: &str) -> String {
    format!("{{name: r, effect: allow, {rest}}}")
}

fn assert_told(rule: &str, expected: &str) {
    let faults = faults(rule);
    assert!(faults.iter().any(|fault| fault.contains(expected)), "{rule}: {faults:?}");
}

#[test]
fn mistakes_in_arguments_and_obligations_are_named_with_their_place() {
    for (rule, expected) in [
        (
            allow("when: {arguments: {path: {below: [/srv]}}}"),
            "rules[0].when.arguments.path: the route of `payments:create`",
        ),
        (allow("when: {actions: ['files:*'], arguments: {pth: {is: x}}}"), "declares no argument `pth`: add it"),
        (allow("when: {actions: ['files:*'], arguments: {path: {}}}"), "rules[0].when.arguments.path: tests nothing"),
        (
            allow("when: {actions: ['files:*'], arguments: {path: {below: [/a/../b]}}}"),
            "path.below[0]: `/a/../b`: use a path",
        ),
        (allow("when: {actions: ['files:*'], arguments: {path: {at_most: 3}}}"), "path.at_most: cannot be asked of"),
        (allow("when: {actions: ['files:*'], arguments: {count: {is: many}}}"), "count.is[0]: is not of the kind"),
        (allow("when: {actions: ['files:*'], arguments: {filter: {is: x}}}"), "filter.is: cannot be asked of"),
        (
            allow("when: {actions: ['files:*'], arguments: {ip: {networks: [192.0.2.1/24]}}}"),
            "ip.networks[0]: `192.0.2.1/24`",
        ),
        (allow("when: {actions: ['files:*'], arguments: {path: {matches: '('}}}"), "path.matches: `(` is no usable"),
        (
            allow("when: {actions: ['payments:*'], arguments: {note: {min_length: 9, max_length: 8}}}"),
            "nothing lies between",
        ),
        (allow("approval: {count: 1}"), "rules[0].approval: belongs to the effect `step_up`"),
        ("{name: r, effect: step_up, approval: {count: 0}}".to_owned(), "rules[0].approval.count: from 1 to 8"),
        ("{name: r, effect: step_up, approval: {roles: [The Boss]}}".to_owned(), "rules[0].approval.roles[0]: use"),
        (allow("pass_ttl_seconds: 301"), "rules[0].pass_ttl_seconds: from 1 to 300"),
        (allow("rate_limits: {requests_per_day: 0}"), "rules[0].rate_limits: a limit is at least 1"),
        (allow("redact: [card]"), "rules[0].redact[0]: write an RFC 6901 pointer"),
        (allow("when: {actions: ['payments:*']}, redact: [/usd]"), "rules[0].redact[0]: the decision is made of it"),
        (
            "{name: r, effect: deny, require: {labels: [x]}}".to_owned(),
            "rules[0].require: says nothing of what is denied",
        ),
        (allow("when: {actions: [bare], not_actions: ['*']}"), "rules[0].when: matches no action of any route"),
        (allow("when: {labels: [a], not_labels: [a, b]}"), "rules[0].when: never holds: its conditions on `labels`"),
        (allow("when: {amount_usd: {above: 5}}, require: {amount_usd: {below: 5}}"), "rules[0].require: is never met"),
        (allow("when: {tiers: [L1]}, require: {tiers: [L2, L3]}"), "rules[0].require: is never met"),
    ] {
        assert_told(&rule, expected);
    }
}

#[test]
fn rules_that_decide_nothing_are_refused() {
    for (rules, expected) in [
        (
            "- {name: a, effect: allow}\n- {name: a, effect: deny, when: {labels: [x]}}",
            "rules[1].name: another rule has the name `a`",
        ),
        ("- {name: a, effect: allow}\n- {name: b, effect: deny}", "rules[0]: contradicts rule `b`"),
        (
            "- {name: a, effect: deny, when: {actions: ['payments:*']}}\n- {name: b, effect: allow, when: {actions: ['payments:create'], labels: [x]}}",
            "rules[1]: is dead: rule `a` denies everything that it matches",
        ),
        (
            "- {name: a, effect: step_up, when: {amount_usd: {above: 5}}}\n- {name: b, effect: allow, when: {amount_usd: {above: 7}, labels: [x]}}",
            "rules[1]: is dead: rule `a` asks for approval of",
        ),
        (
            "- {name: a, effect: allow, when: {labels: [x]}}\n- {name: b, effect: allow}",
            "rules[0]: says nothing that rule `b` does not say",
        ),
        (
            "- {name: a, effect: deny, when: {labels: [x]}}\n- {name: b, effect: deny, when: {labels: [x]}}",
            "rules[0]: says nothing",
        ),
    ] {
        let faults = compiled(&docs(&format!("rules:\n{rules}")), &gate()).unwrap_err();
        let said: Vec<_> = faults.iter().map(|fault| format!("{}: {}", fault.at, fault.why)).collect();
        assert!(said.len() == 1 && said.iter().all(|fault| fault.starts_with(expected)), "{rules}: {said:?}");
    }
    for rules in [
        "- {name: a, effect: allow}\n- {name: b, effect: deny, when: {labels: [x]}}",
        "- {name: a, effect: step_up}\n- {name: b, effect: allow, when: {labels: [x]}, require: {tiers: [L2]}}",
        "- {name: a, effect: allow, when: {labels: [x]}, rate_limits: {requests_per_day: 5}}\n- {name: b, effect: allow}",
        "- {name: a, effect: allow, when: {labels: [x], tiers: [L2]}}\n- {name: b, effect: allow, when: {labels: [y]}}",
        "- {name: a, effect: allow, when: {labels: [x]}, require: {labels: [y]}}",
    ] {
        assert_eq!(compiled(&docs(&format!("rules:\n{rules}")), &gate()).map(drop), Ok(()), "{rules}");
    }
}

#[test]
fn what_the_approvers_cannot_give_is_named() {
    let person = |name: &str, seed: u8, roles: &[&str]| passgate_core::gate::Approver {
        name: name.to_owned(),
        key: passgate_passport::key::SecretKey::from_seed([seed; 32]).public().clone(),
        roles: roles.iter().map(ToString::to_string).collect(),
    };
    let approvers =
        vec![person("alice", 1, &["finance"]), person("bob", 2, &["finance", "legal"]), person("carol", 3, &[])];
    let approvals = passgate_core::gate::Approvals { approvers, request_ttl_seconds: 3600 };
    let gate = Gate { approvals: Some(approvals), ..gate() };
    for (approval, is_sound) in [
        ("{count: 3}", true),
        ("{count: 4}", false),
        ("{count: 2, roles: [finance]}", true),
        ("{count: 2, roles: [legal]}", false),
        ("{count: 2, roles: [legal, finance]}", true),
        ("{roles: [press]}", false),
    ] {
        let told = compiled(&docs(&format!("rules: [{{name: r, effect: step_up, approval: {approval}}}]")), &gate);
        assert_eq!(told.is_ok(), is_sound, "{approval}");
        if let Err(faults) = told {
            assert_eq!(faults[0].at, "rules[0].approval");
        }
    }
}
