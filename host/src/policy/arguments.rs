//! Conditions on arguments, by the kinds that routes declare.

use std::collections::BTreeMap;

use passgate_api::bundle::Scalar;
use passgate_core::policy::{Condition, Fact, Network, Test, Texts};
use passgate_core::route::{ArgumentKind, ArgumentValue, Route};

use super::compile::{Compiler, LARGEST};
use super::doc::ArgumentTestDoc;
use super::texts::{self, Entry};

impl Compiler<'_> {
    /// Compiles the tests of arguments that all of `routes` declare.
    pub(super) fn arguments(
        &mut self,
        at: &str,
        tests: &BTreeMap<String, ArgumentTestDoc>,
        routes: &[Route],
        conditions: &mut Vec<Condition>,
    ) {
        for (name, doc) in tests {
            let at = format!("{at}.{name}");
            let Some(kind) = self.kind(&at, name, routes) else { continue };
            let fact = Fact::Argument(name.clone());
            let tests = self.tests(&at, kind, doc);
            if tests.is_empty() {
                self.fault(at, "tests nothing: say what the argument has to be, or remove it");
            }
            conditions.extend(tests.into_iter().map(|(negated, test)| Condition { fact: fact.clone(), negated, test }));
        }
    }

    /// The one kind that the argument has at all routes.
    fn kind(&mut self, at: &str, name: &str, routes: &[Route]) -> Option<ArgumentKind> {
        let declared = |route: &Route| route.arguments.iter().find(|argument| argument.name == name).map(|a| a.kind);
        let mut found = None;
        for route in routes {
            let Some(kind) = declared(route) else {
                let known = self.gate_routes().iter().any(|route| declared(route).is_some());
                let why = format!(
                    "the route of `{}` declares no argument `{name}`{}: add it to the route, or leave its action out",
                    route.action,
                    if known { ", as others do" } else { "" }
                );
                self.fault(at, why);
                return None;
            };
            if found.is_some_and(|other| other != kind) {
                self.fault(
                    at,
                    format!("`{name}` is of another kind at the route of `{}`: write a rule for each", route.action),
                );
                return None;
            }
            found = Some(kind);
        }
        found
    }

    fn tests(&mut self, at: &str, kind: ArgumentKind, doc: &ArgumentTestDoc) -> Vec<(bool, Test)> {
        let mut tests = Vec::new();
        self.of_another_kind(at, kind, doc);
        tests.extend(doc.present.map(|present| (!present, Test::Present)));
        let is = doc.is.as_ref().map(|value| vec![value.clone()]);
        let values = [
            ("is", is.as_ref(), false),
            ("one_of", doc.one_of.as_ref(), false),
            ("none_of", doc.none_of.as_ref(), true),
        ];
        for (member, list, negated) in values {
            let test = list.and_then(|list| self.values(&format!("{at}.{member}"), kind, list));
            tests.extend(test.map(|test| (negated, test)));
        }
        if doc.at_least.is_some() || doc.at_most.is_some() {
            let span = self.span(&format!("{at}.at_most"), doc.at_least, doc.at_most, -LARGEST);
            tests.extend(span.map(|span| (false, Test::Ranges(vec![span]))));
        }
        if doc.min_length.is_some() || doc.max_length.is_some() {
            let (least, most) = (doc.min_length.map(i64::from), doc.max_length.map(i64::from));
            let span = self.span(&format!("{at}.max_length"), least, most, 0);
            let bytes = |number: i64| usize::try_from(number.min(i64::from(u32::MAX))).unwrap_or_default();
            tests.extend(span.map(|(least, most)| (false, Test::Length(bytes(least), bytes(most)))));
        }
        self.lists(at, kind, doc, &mut tests);
        tests
    }

    fn lists(&mut self, at: &str, kind: ArgumentKind, doc: &ArgumentTestDoc, tests: &mut Vec<(bool, Test)>) {
        for (member, expression) in [("matches", &doc.matches), ("not_matches", &doc.not_matches)] {
            let place = expression.as_ref().and_then(|text| self.pattern(&format!("{at}.{member}"), text));
            let texts = place.map(|place| Texts { patterns: vec![place], ..Texts::default() });
            tests.extend(texts.map(|texts| (member == "not_matches", Test::Texts(texts))));
        }
        for (member, list) in [("below", &doc.below), ("not_below", &doc.not_below)] {
            let Some(list) = list else { continue };
            let at = format!("{at}.{member}");
            let mut texts = self.texts(&at, list, |path| match kind.read(path) {
                Some(_) => Ok(Entry::Exact(path.to_owned())),
                None => Err(format!(
                    "use a path of the kind {}, without `.`, `..`, empty segments, `\\` and `%`",
                    name_of(kind)
                )),
            });
            let below = |path: &String| if path == "/" { path.clone() } else { format!("{path}/") };
            texts.begins = texts.exact.iter().map(below).collect();
            tests.push((member == "not_below", Test::Texts(texts)));
        }
        for (member, list) in [("hosts", &doc.hosts), ("not_hosts", &doc.not_hosts)] {
            let Some(list) = list else { continue };
            tests
                .push((member == "not_hosts", Test::Texts(self.texts(&format!("{at}.{member}"), list, texts::domain))));
        }
        for (member, list) in [("networks", &doc.networks), ("not_networks", &doc.not_networks)] {
            let Some(list) = list else { continue };
            tests.push((member == "not_networks", Test::Networks(self.networks(&format!("{at}.{member}"), list))));
        }
    }

    fn networks(&mut self, at: &str, list: &[String]) -> Vec<Network> {
        if list.is_empty() {
            self.fault(at, "lists nothing: name a network, or remove it");
        }
        let mut networks = Vec::new();
        for (i, text) in list.iter().enumerate() {
            match texts::network(text) {
                Ok(network) => networks.push(network),
                Err(why) => self.fault(format!("{at}[{i}]"), format!("`{text}`: {why}")),
            }
        }
        networks
    }

    /// One of some values of the argument's own kind.
    fn values(&mut self, at: &str, kind: ArgumentKind, list: &[Scalar]) -> Option<Test> {
        let (mut texts, mut spans, mut networks) = (Texts::default(), Vec::new(), Vec::new());
        if list.is_empty() {
            self.fault(at, "lists nothing: name a value, or remove it");
        }
        for (i, value) in list.iter().enumerate() {
            match value.read(kind) {
                Some(ArgumentValue::Text(text)) => texts.exact.push(text),
                Some(ArgumentValue::Number(number)) => spans.push((number, number)),
                Some(ArgumentValue::Address(address)) => {
                    networks.push(Network { address, bits: if address.is_ipv4() { 32 } else { 128 } });
                }
                None => {
                    self.fault(
                        format!("{at}[{i}]"),
                        format!("is not of the kind that the routes declare, {}", name_of(kind)),
                    );
                    return None;
                }
            }
        }
        texts.exact.sort();
        texts.exact.dedup();
        Some(match kind {
            ArgumentKind::Integer => Test::Ranges(spans),
            ArgumentKind::Address => Test::Networks(networks),
            _ => Test::Texts(texts),
        })
    }

    /// Refuses what is never true of the kind.
    fn of_another_kind(&mut self, at: &str, kind: ArgumentKind, doc: &ArgumentTestDoc) {
        use ArgumentKind::{Address, Any, Boolean, Host, Integer, Path, RelativePath, Text};
        let given = [
            ("is", doc.is.is_some(), &[Text, Integer, Boolean, Path, RelativePath, Host, Address][..]),
            ("one_of", doc.one_of.is_some(), &[Text, Integer, Path, RelativePath, Host, Address]),
            ("none_of", doc.none_of.is_some(), &[Text, Integer, Path, RelativePath, Host, Address]),
            ("at_least", doc.at_least.is_some(), &[Integer]),
            ("at_most", doc.at_most.is_some(), &[Integer]),
            ("matches", doc.matches.is_some(), &[Text, Path, RelativePath]),
            ("not_matches", doc.not_matches.is_some(), &[Text, Path, RelativePath]),
            ("min_length", doc.min_length.is_some(), &[Text, Path, RelativePath]),
            ("max_length", doc.max_length.is_some(), &[Text, Path, RelativePath]),
            ("below", doc.below.is_some(), &[Path, RelativePath]),
            ("not_below", doc.not_below.is_some(), &[Path, RelativePath]),
            ("hosts", doc.hosts.is_some(), &[Host]),
            ("not_hosts", doc.not_hosts.is_some(), &[Host]),
            ("networks", doc.networks.is_some(), &[Address]),
            ("not_networks", doc.not_networks.is_some(), &[Address]),
        ];
        debug_assert!(
            given.iter().all(|(_, _, kinds)| !kinds.contains(&Any)),
            "of anything only its presence is known"
        );
        for (member, _, _) in given.into_iter().filter(|(_, is_given, kinds)| *is_given && !kinds.contains(&kind)) {
            self.fault(
                format!("{at}.{member}"),
                format!("cannot be asked of an argument of the kind {}", name_of(kind)),
            );
        }
    }
}

const fn name_of(kind: ArgumentKind) -> &'static str {
    match kind {
        ArgumentKind::Text => "`text`",
        ArgumentKind::Integer => "`integer`",
        ArgumentKind::Boolean => "`boolean`",
        ArgumentKind::Path => "`path`",
        ArgumentKind::RelativePath => "`relative_path`",
        ArgumentKind::Host => "`host`",
        ArgumentKind::Address => "`address`",
        ArgumentKind::Any => "`any`",
    }
}
