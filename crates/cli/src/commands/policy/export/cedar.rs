//! Rules as Cedar policies.
//!
//! A rule that denies is a `forbid`, one that allows a `permit`, one that asks for approval a `permit` with the annotation
//! `@passgate_effect("step_up")`, and what a rule requires a `forbid` of what it matches `unless` the requirement is met.
//! Whether a fact is unknown is whether its attribute is absent, which Cedar's `has` asks.

use std::net::IpAddr;

use passgate_api::view::is_hostile;
use passgate_core::policy::{Condition, Effect, Fact, Network, Rule, Test, Texts};
use passgate_host::policy::Compiled;

use super::super::generated::shape::{self, Kind, Shape};
use super::{File, Refusal, Source, expression, remarks};

/// The file with the policies.
pub(super) const POLICIES: &str = "policies.cedar";
/// The file with the schema.
pub(super) const SCHEMA: &str = "schema.cedarschema";
/// The file with the entities.
pub(super) const ENTITIES: &str = "entities.json";
/// What an `@id` has after the rule's name where the policy is its requirement. No name of a rule has a slash.
pub(super) const REQUIREMENT: &str = "/require";

const HEAD: &str = "\
// The rules of a Passgate gate, which stay there what they are: this is a copy for Cedar.
//
// The decision is `step_up` if Cedar allows and one of the determining policies has @passgate_effect(\"step_up\"); else it is
// Cedar's own. Validate requests against the schema: a policy that fails to evaluate counts for nothing.
//
// `context` holds the facts of a request. Absent is what is not known, and an argument that is of another kind at the route
// of the request than in the schema; `none` has the names of the facts that are known to
// be nothing. Amounts are in millionths of a US dollar, `now` in Unix seconds; `closed` is \"true\" or \"false\". Addresses are
// written without an IPv4 part (`::ffff:c000:201`). `clock` has for each time zone the minute of the week that its clocks
// show at `now`, counted from Monday 00:00, which the caller supplies; it is -1 before 2026 and after 2045.
";

/// The three files.
pub(super) fn export(source: &Source<'_>, shape: &Shape) -> Result<Vec<File>, Vec<Refusal>> {
    let mut writer = Writer { compiled: source.compiled, refusals: Vec::new() };
    let mut policies = HEAD.to_owned();
    policies.push_str(&remarks::comment("//", &source.remarks));
    for rule in source.compiled.policy.rules() {
        policies.push_str(&writer.rule(rule));
    }
    if !writer.refusals.is_empty() {
        return Err(writer.refusals);
    }
    Ok(vec![(POLICIES, policies), (SCHEMA, schema(shape)), (ENTITIES, entities(source.gate))])
}

/// What the policies expect of a request.
fn schema(shape: &Shape) -> String {
    let mut lines = Vec::new();
    for fact in shape::NAMED {
        let mark = if shape::is_given(&fact) { "" } else { "?" };
        let kind = shape::kind(&fact).unwrap_or(Kind::Text);
        lines.push(format!("            {}{mark}: {},", quoted(&fact.name()), type_of(kind)));
    }
    let argument = |(name, kind): (&String, &Kind)| format!("                {}?: {},", quoted(name), type_of(*kind));
    lines.push("            \"arguments\": {".to_owned());
    lines.extend(shape.arguments.iter().map(argument));
    lines.push("            },\n            \"clock\": {".to_owned());
    lines.extend(shape.zones.iter().map(|zone| format!("                {}: Long,", quoted(zone))));
    lines.push("            },\n            \"none\": Set<String>,".to_owned());
    format!(
        "// Requests as the rules of a Passgate gate look at them.\nnamespace Passgate {{\n    entity Agent;\n    entity \
         Gate;\n\n    action \"decide\" appliesTo {{\n        principal: [Agent],\n        resource: [Gate],\n        \
         context: {{\n{}\n        }},\n    }};\n}}\n",
        lines.join("\n")
    )
}

const fn type_of(kind: Kind) -> &'static str {
    match kind {
        // Any text will do where rules look at no more than whether it is there.
        Kind::Text | Kind::Any => "String",
        Kind::Labels => "Set<String>",
        Kind::Number => "Long",
        Kind::Address => "__cedar::ipaddr",
    }
}

/// Rules look at no attributes of entities: there is the gate, and any agent is one.
fn entities(gate: &str) -> String {
    let gate = serde_json::json!([{ "uid": { "type": "Passgate::Gate", "id": gate }, "attrs": {}, "parents": [] }]);
    format!("{gate:#}\n")
}

/// What policies are written with.
struct Writer<'a> {
    compiled: &'a Compiled,
    refusals: Vec<Refusal>,
}

impl Writer<'_> {
    fn rule(&mut self, rule: &Rule) -> String {
        let unknown = rule.effect != Effect::Allow;
        let when = self.all(rule, &rule.when, unknown);
        let require = self.all(rule, &rule.require, false);
        let (verb, effect) = match rule.effect {
            Effect::Allow => ("permit", "allow"),
            Effect::StepUp => ("permit", "step_up"),
            Effect::Deny => ("forbid", "deny"),
        };
        let clause = |word: &str, conditions: &[String]| match conditions {
            [] => String::new(),
            some => format!("\n{word} {{\n    {}\n}}", some.join("\n    && ")),
        };
        let policy = |id: String, verb: &str, effect: &str, clauses: &str| {
            let id = quoted(&id);
            let scope = "principal, action == Passgate::Action::\"decide\", resource";
            format!("\n@id({id})\n@passgate_effect(\"{effect}\")\n{verb} ({scope}){clauses};\n")
        };
        let mut text = policy(rule.name.clone(), verb, effect, &clause("when", &when));
        if !require.is_empty() {
            let clauses = format!("{}{}", clause("when", &when), clause("unless", &require));
            text.push_str(&policy(format!("{}{REQUIREMENT}", rule.name), "forbid", "require", &clauses));
        }
        text
    }

    /// The conditions, of which those that cannot be expressed are noted.
    fn all(&mut self, rule: &Rule, conditions: &[Condition], unknown: bool) -> Vec<String> {
        let mut written = Vec::new();
        for condition in conditions {
            match self.condition(condition, unknown) {
                Ok(text) => written.push(text),
                Err(why) => {
                    let fact = condition.fact.name().into_owned();
                    self.refusals.push(Refusal { rule: rule.name.clone(), fact, why });
                }
            }
        }
        written
    }

    /// One condition; `unknown` is what it is of something that is not known.
    fn condition(&self, condition: &Condition, unknown: bool) -> Result<String, String> {
        let fact = &condition.fact;
        let has = has(fact);
        let is_nothing = format!("context.none.contains({})", quoted(&fact.name()));
        let can_be_nothing = shape::can_be_nothing(fact);
        if condition.test == Test::Present {
            let known = match has {
                Some(has) if can_be_nothing => format!("({has} || {is_nothing})"),
                Some(has) => format!("({has})"),
                None => "true".to_owned(),
            };
            return Ok(if condition.negated { format!("!{known}") } else { known });
        }
        let test = format!("({})", self.test(&condition.test, fact)?);
        let test = if condition.negated { format!("!{test}") } else { test };
        if let Test::Weekly(place, _) = condition.test {
            let minute = self.minute(place);
            return Ok(if unknown {
                format!("({minute} < 0 || {test})")
            } else {
                format!("(0 <= {minute} && {test})")
            });
        }
        let Some(has) = has else { return Ok(test) };
        // What it is without a value: where that may be because there is none, negated tests hold of it.
        Ok(match (unknown, condition.negated) {
            (false, false) => format!("({has} && {test})"),
            (true, true) => format!("(if {has} then {test} else true)"),
            (true, false) if can_be_nothing => format!("(if {has} then {test} else !{is_nothing})"),
            (true, false) => format!("(if {has} then {test} else true)"),
            (false, true) if can_be_nothing => format!("(if {has} then {test} else {is_nothing})"),
            (false, true) => format!("({has} && {test})"),
        })
    }

    fn test(&self, test: &Test, fact: &Fact) -> Result<String, String> {
        let value = value(fact);
        match test {
            Test::Texts(texts) if *fact == Fact::Labels => labels(texts, &value),
            Test::Texts(texts) => self.texts(texts, &value),
            Test::Ranges(spans) => Ok(any(spans.iter().map(|(least, most)| span(&value, *least, *most)).collect())),
            Test::Length(..) => Err("it does not count the bytes of a text".to_owned()),
            Test::Networks(networks) => {
                let within = |net: &Network| format!("{value}.isInRange(ip({}))", quoted(&network(net)));
                Ok(any(networks.iter().map(within).collect()))
            }
            Test::Weekly(place, spans) => {
                let minute = self.minute(*place);
                let within = |(from, until): &(u32, u32)| format!("({from} <= {minute} && {minute} < {until})");
                Ok(any(spans.iter().map(within).collect()))
            }
            Test::Present => Ok("true".to_owned()),
        }
    }

    /// What the clocks of a zone show, -1 when nobody knows.
    fn minute(&self, place: usize) -> String {
        let zone = self.compiled.zones.get(place).map(String::as_str).unwrap_or_default();
        format!("context.clock[{}]", quoted(zone))
    }

    fn texts(&self, texts: &Texts, value: &str) -> Result<String, String> {
        let mut ways = Vec::new();
        if !texts.exact.is_empty() {
            ways.push(format!("[{}].contains({value})", list(&texts.exact)));
        }
        ways.extend(texts.begins.iter().map(|begin| format!("{value} like \"{}*\"", escaped(begin, true))));
        ways.extend(texts.ends.iter().map(|end| format!("{value} like \"*{}\"", escaped(end, true))));
        for place in &texts.patterns {
            let written = self.compiled.expressions.get(*place).map(String::as_str).unwrap_or_default();
            let segments = expression::segments(written)
                .ok_or_else(|| format!("it has no regular expressions such as `{written}`"))?;
            ways.push(scope(&segments, value));
        }
        Ok(any(ways))
    }
}

/// At least one of some texts is listed.
fn labels(texts: &Texts, value: &str) -> Result<String, String> {
    if !(texts.begins.is_empty() && texts.ends.is_empty() && texts.patterns.is_empty()) {
        return Err("of the elements of a set it tests equality alone".to_owned());
    }
    Ok(format!("{value}.containsAny([{}])", list(&texts.exact)))
}

/// Texts with exactly these parts between colons, where `None` is any part that is not empty. With as many colons as the
/// parts need, none is left for a `*` to go over.
fn scope(segments: &[Option<String>], value: &str) -> String {
    let parts: Vec<String> =
        segments.iter().map(|part| part.as_ref().map_or("*".to_owned(), |text| escaped(text, true))).collect();
    let more = format!("*{}", ":*".repeat(segments.len()));
    let mut all = vec![format!("{value} like \"{}\"", parts.join(":"))];
    all.extend([more.as_str(), "*::*", ":*", "*:"].map(|barred| format!("!({value} like \"{barred}\")")));
    format!("({})", all.join(" && "))
}

fn any(ways: Vec<String>) -> String {
    if ways.is_empty() { "false".to_owned() } else { ways.join(" || ") }
}

fn span(value: &str, least: i64, most: i64) -> String {
    if least == most { format!("{value} == {least}") } else { format!("({least} <= {value} && {value} <= {most})") }
}

fn value(fact: &Fact) -> String {
    match fact {
        Fact::Argument(name) => format!("context.arguments[{}]", quoted(name)),
        named => format!("context.{}", named.name()),
    }
}

/// Whether a fact has a value; none if every request has one.
fn has(fact: &Fact) -> Option<String> {
    match fact {
        Fact::Argument(name) => Some(format!("context.arguments has {}", quoted(name))),
        given if shape::is_given(given) => None,
        named => Some(format!("context has {}", named.name())),
    }
}

fn network(network: &Network) -> String {
    format!("{}/{}", address(network.address), network.bits)
}

/// An address as Cedar reads it, which refuses an IPv4 part in an IPv6 address.
pub(super) fn address(address: IpAddr) -> String {
    match address {
        IpAddr::V6(v6) if v6.to_string().contains('.') => v6.segments().map(|part| format!("{part:x}")).join(":"),
        other => other.to_string(),
    }
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

/// A text as a literal.
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, false))
}

/// A text inside a literal, or inside a pattern, where `*` is any text.
fn escaped(text: &str, is_pattern: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => safe.extend(['\\', c]),
            '*' if is_pattern => safe.push_str("\\*"),
            c if is_hostile(c) => safe.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => safe.push(c),
        }
    }
    safe
}
