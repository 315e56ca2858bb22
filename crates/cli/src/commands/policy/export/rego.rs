//! Rules as a module of Rego.
//!
//! A test is a rule of its own, true where the value passes, so that `not` is the negated test; what a condition is of a
//! fact that is not known is asked of the set `known`. Rules of a policy become elements of the sets `deny`, `step_up`,
//! `allow`, `met` and `unmet`.

use passgate_core::policy::{Condition, Effect, Fact, Network, Rule, Test, Texts};
use passgate_host::policy::Compiled;
use serde_json::json;

use super::super::generated::shape::{self, Kind, Shape};
use super::expression::{self, Written};
use super::{File, Refusal, Source, remarks};
use crate::inert::inert_json;

/// The file with the module.
pub(super) const MODULE: &str = "policy.rego";
/// What to ask for: the decision, and the names of the rules behind it.
#[cfg(feature = "prove")]
pub(super) const QUERY: &str = "data.passgate.ruling";

/// The longest list on one line, in bytes.
const MAX_LIST: usize = 100;
/// The longest text on one line, in bytes, of which each may take six: engines refuse lines of more than 1024.
const MAX_LITERAL: usize = 150;
/// The longest part of a longer one, in characters.
const MAX_PART: usize = 75;

const HEAD: &str = "\
# The rules of a Passgate gate, which stay there what they are: this is a copy for Rego.
#
# `decision` is `allow`, `deny` or `step_up`: allowed once a person has approved. `ruling` has the rules behind it as well.
#
# `input` holds the facts of a request. Absent is what is not known, and an argument that is of another kind at the route of
# the request than here; `none` lists the names of the facts that are known to be
# nothing. Amounts are in millionths of a US dollar, `now` in Unix seconds; `closed` is \"true\" or \"false\". `clock` has for
# each time zone the minute of the week that its clocks show at `now`, counted from Monday 00:00, which the caller supplies;
# it is -1 before 2026 and after 2045. A request that is not written like that is denied.
";

const DECISION: &str = "\
default decision := \"deny\"

decision := \"step_up\" if {
	is_complete
	count(deny | unmet) == 0
	count(step_up) > 0
}

decision := \"allow\" if {
	is_complete
	count(deny | unmet) == 0
	count(step_up) == 0
	count(allow) > 0
}

ruling := {\"decision\": decision, \"deny\": deny, \"unmet\": unmet, \"step_up\": step_up, \"allow\": allow}

unmet contains name if {
	some name in asking
	name in (allow | step_up)
	not name in met
}
";

/// The one file.
pub(super) fn export(source: &Source<'_>, shape: &Shape) -> Result<Vec<File>, Vec<Refusal>> {
    let mut writer =
        Writer { compiled: source.compiled, tests: Vec::new(), lines: String::new(), refusals: Vec::new() };
    let mut rules = String::new();
    for rule in source.compiled.policy.rules() {
        rules.push_str(&writer.rule(rule));
    }
    if !writer.refusals.is_empty() {
        return Err(writer.refusals);
    }
    let mut text = HEAD.to_owned();
    text.push_str(&remarks::comment("#", &source.remarks));
    let parts = [DECISION.to_owned(), sets(source.compiled), complete(shape), known(shape), rules, writer.lines];
    text.push_str("\npackage passgate\n");
    for part in parts.iter().filter(|part| !part.is_empty()) {
        text.push_str(&format!("\n{}\n", part.trim_end()));
    }
    Ok(vec![(MODULE, text)])
}

/// The sets that no rule adds to, and the names of the rules that require something.
fn sets(compiled: &Compiled) -> String {
    let rules = compiled.policy.rules();
    let asking: Vec<&Rule> = rules.iter().filter(|rule| !rule.require.is_empty()).collect();
    let names: Vec<String> = asking.iter().map(|rule| quoted(&rule.name)).collect();
    let mut text = format!("asking := {}\n", listed(['[', ']'], &names));
    let has = |effect| rules.iter().any(|rule| rule.effect == effect);
    let used = [
        ("deny", has(Effect::Deny)),
        ("step_up", has(Effect::StepUp)),
        ("allow", has(Effect::Allow)),
        ("met", !asking.is_empty()),
    ];
    for (set, _) in used.into_iter().filter(|(_, is_used)| !is_used) {
        text.push_str(&format!("\n{set} := set()\n"));
    }
    text
}

/// Whether a request has what every request has, and everything in it is of its kind.
fn complete(shape: &Shape) -> String {
    let is = |kind: Kind, value: &str| match kind {
        Kind::Text | Kind::Address => format!("is_string({value})"),
        Kind::Labels => format!("is_array({value})"),
        Kind::Number => format!("is_number({value})"),
        Kind::Any => "true".to_owned(),
    };
    let named = |fact: &Fact| (value(fact), shape::kind(fact).unwrap_or(Kind::Text));
    let given = shape::NAMED.iter().filter(|fact| shape::is_given(fact)).map(named);
    let zones = shape.zones.iter().map(|zone| (format!("input.clock[{}]", quoted(zone)), Kind::Number));
    let mut lines: Vec<String> = given.chain(zones).map(|(value, kind)| format!("\t{}", is(kind, &value))).collect();
    lines
        .extend(["\tis_array(input.none)", "\tis_object(input.arguments)", "\tcount(mistaken) == 0"].map(String::from));
    let mut text = format!("is_complete if {{\n{}\n}}\n", lines.join("\n"));
    let argument = |(name, kind): (&String, &Kind)| (value(&Fact::Argument(name.clone())), *kind);
    let optional = shape::NAMED.iter().filter(|fact| !shape::is_given(fact)).map(named);
    let all = optional.chain(shape.arguments.iter().map(argument));
    for (value, kind) in all.filter(|(_, kind)| *kind != Kind::Any) {
        let name = quoted(&value);
        text.push_str(&format!(
            "\nmistaken contains {name} if {{\n\t{value} != null\n\tnot {}\n}}\n",
            is(kind, &value)
        ));
    }
    text
}

/// The names of the facts of which something is known.
fn known(shape: &Shape) -> String {
    let arguments = shape.arguments.keys().map(|name| Fact::Argument(name.clone()));
    let mut text = "known contains name if some name in input.none\n".to_owned();
    for fact in shape::NAMED.into_iter().filter(|fact| !shape::is_given(fact)).chain(arguments) {
        text.push_str(&format!("\nknown contains {} if {} != null\n", quoted(&fact.name()), value(&fact)));
    }
    text
}

/// What the module is written with.
struct Writer<'a> {
    compiled: &'a Compiled,
    /// The tests of facts that are written, each with its name.
    tests: Vec<(Fact, Test, String)>,
    lines: String,
    refusals: Vec<Refusal>,
}

impl Writer<'_> {
    fn rule(&mut self, rule: &Rule) -> String {
        let unknown = rule.effect != Effect::Allow;
        let when = self.all(rule, &rule.when, unknown);
        let require = self.all(rule, &rule.require, false);
        let set = match rule.effect {
            Effect::Allow => "allow",
            Effect::StepUp => "step_up",
            Effect::Deny => "deny",
        };
        let element = |set: &str, conditions: &[String]| {
            let body = if conditions.is_empty() { "\ttrue".to_owned() } else { conditions.join("\n") };
            format!("{set} contains {} if {{\n{body}\n}}\n\n", quoted(&rule.name))
        };
        let mut text = element(set, &when);
        if !require.is_empty() {
            text.push_str(&element("met", &require));
        }
        text
    }

    /// The conditions, of which those that cannot be expressed are noted.
    fn all(&mut self, rule: &Rule, conditions: &[Condition], unknown: bool) -> Vec<String> {
        let mut written = Vec::new();
        for condition in conditions {
            match self.condition(condition, unknown) {
                Ok(lines) => written.extend(lines.into_iter().map(|line| format!("\t{line}"))),
                Err(why) => {
                    let fact = condition.fact.name().into_owned();
                    self.refusals.push(Refusal { rule: rule.name.clone(), fact, why });
                }
            }
        }
        written
    }

    /// One condition, which holds when all of the lines do; `unknown` is what it is of something that is not known.
    fn condition(&mut self, condition: &Condition, unknown: bool) -> Result<Vec<String>, String> {
        let fact = &condition.fact;
        let is_known = format!("{} in known", quoted(&fact.name()));
        if condition.test == Test::Present {
            let is_known = if shape::is_given(fact) { "true".to_owned() } else { is_known };
            return Ok(vec![if condition.negated { format!("not {is_known}") } else { is_known }]);
        }
        let test = self.named(fact, &condition.test)?;
        let (is_given, is_known) = match condition.test {
            Test::Weekly(place, _) => (false, format!("{} >= 0", self.minute(place))),
            _ => (shape::is_given(fact), is_known),
        };
        Ok(match (unknown, condition.negated) {
            (true, false) if !is_given => vec![self.or_unknown(&test, &is_known)],
            (false, true) if !is_given => vec![is_known, format!("not {test}")],
            (_, false) => vec![test],
            (_, true) => vec![format!("not {test}")],
        })
    }

    /// The name of what holds when the test does, and when nothing is known.
    fn or_unknown(&mut self, test: &str, is_known: &str) -> String {
        let name = format!("{test}_or_unknown");
        let first = format!("{name} if {test}\n");
        if !self.lines.contains(&first) {
            self.lines.push_str(&format!("{first}\n{name} if not {is_known}\n\n"));
        }
        name
    }

    /// The name of the rule for a test of a fact.
    fn named(&mut self, fact: &Fact, test: &Test) -> Result<String, String> {
        if let Some((_, _, name)) = self.tests.iter().find(|(of, known, _)| of == fact && known == test) {
            return Ok(name.clone());
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let words: String = fact.name().chars().map(plain).collect();
        let name = format!("{words}_{}", self.tests.len() + 1);
        let ways = self.ways(test, fact)?;
        if ways.is_empty() {
            self.lines.push_str(&format!("{name} if false\n\n"));
        }
        for way in ways {
            self.lines.push_str(&format!("{name} if {way}\n\n"));
        }
        self.tests.push((fact.clone(), test.clone(), name.clone()));
        Ok(name)
    }

    /// The ways to pass a test, of which one suffices.
    fn ways(&self, test: &Test, fact: &Fact) -> Result<Vec<String>, String> {
        let value = value(fact);
        Ok(match test {
            Test::Texts(texts) if *fact == Fact::Labels => {
                let of_one = self.texts(texts, "label")?;
                of_one.iter().map(|way| format!("{{\n\tsome label in {value}\n\t{way}\n}}")).collect()
            }
            Test::Texts(texts) => self.texts(texts, &value)?,
            Test::Ranges(spans) => {
                let within = |(least, most): &(i64, i64)| span(&value, *least, *most);
                spans.iter().map(within).collect()
            }
            Test::Length(least, most) => {
                let digits = format!("count(hex.encode({value}))");
                let twice = |bytes: usize| bytes.saturating_mul(2);
                if *least == 0 {
                    vec![format!("{digits} <= {}", twice(*most))]
                } else {
                    vec![format!("{{\n\t{digits} >= {}\n\t{digits} <= {}\n}}", twice(*least), twice(*most))]
                }
            }
            Test::Networks(networks) => networks.iter().flat_map(|net| within(&value, net)).collect(),
            Test::Weekly(place, spans) => {
                let minute = self.minute(*place);
                let within = |(from, until): &(u32, u32)| format!("{{\n\t{minute} >= {from}\n\t{minute} < {until}\n}}");
                spans.iter().map(within).collect()
            }
            Test::Present => Vec::new(),
        })
    }

    /// What the clocks of a zone show, -1 when nobody knows.
    fn minute(&self, place: usize) -> String {
        let zone = self.compiled.zones.get(place).map(String::as_str).unwrap_or_default();
        format!("input.clock[{}]", quoted(zone))
    }

    fn texts(&self, texts: &Texts, value: &str) -> Result<Vec<String>, String> {
        let mut ways = Vec::new();
        if !texts.exact.is_empty() {
            let literals: Vec<String> = texts.exact.iter().map(|text| literal(text)).collect();
            ways.push(format!("{value} in {}", listed(['{', '}'], &literals)));
        }
        ways.extend(texts.begins.iter().map(|begin| format!("startswith({value}, {})", literal(begin))));
        ways.extend(texts.ends.iter().map(|end| format!("endswith({value}, {})", literal(end))));
        for place in &texts.patterns {
            let written = self.compiled.expressions.get(*place).map(String::as_str).unwrap_or_default();
            let pattern = self.compiled.policy.patterns().get(*place).ok_or("its expression is missing")?;
            ways.push(match expression::write(written, pattern)? {
                Written::Characters(text) => format!("regex.match({}, {value})", literal(&text)),
                Written::Bytes(text) => format!("regex.match({}, hex.encode({value}))", literal(&text)),
            });
        }
        Ok(ways)
    }
}

fn span(value: &str, least: i64, most: i64) -> String {
    if least == most {
        format!("{value} == {least}")
    } else {
        format!("{{\n\t{value} >= {least}\n\t{value} <= {most}\n}}")
    }
}

/// Addresses in a network. Some engines take an IPv4 address in an IPv6 one for itself, so which it is written as is asked,
/// and the networks around all of those have a way of their own.
fn within(value: &str, network: &Network) -> Vec<String> {
    const MAPPED: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    const MAPPED_BITS: u8 = 96;
    let text = quoted(&format!("{}/{}", network.address, network.bits));
    let colon = if network.address.is_ipv4() { "not contains" } else { "contains" };
    let mut ways = vec![format!("{{\n\t{colon}({value}, \":\")\n\tnet.cidr_contains({text}, {value})\n}}")];
    if network.bits < MAPPED_BITS && network.contains(MAPPED.into()) {
        ways.push(format!("{{\n\tstartswith({value}, \"::ffff:\")\n\tcontains({value}, \".\")\n}}"));
    }
    ways
}

fn value(fact: &Fact) -> String {
    match fact {
        Fact::Argument(name) => format!("input.arguments[{}]", quoted(name)),
        named => format!("input.{}", named.name()),
    }
}

/// Elements between brackets, one a line where they are many.
fn listed([open, close]: [char; 2], elements: &[String]) -> String {
    let line = elements.join(", ");
    if line.len() <= MAX_LIST {
        format!("{open}{line}{close}")
    } else {
        format!("{open}\n\t{}\n{close}", elements.join(",\n\t"))
    }
}

/// A text of any length, in parts on lines of their own where it is long.
fn literal(text: &str) -> String {
    if text.len() <= MAX_LITERAL {
        return quoted(text);
    }
    let chars: Vec<char> = text.chars().collect();
    let parts: Vec<String> = chars.chunks(MAX_PART).map(|part| quoted(&part.iter().collect::<String>())).collect();
    format!("concat(\"\", [\n\t{}\n])", parts.join(",\n\t"))
}

/// A short text as a literal.
fn quoted(text: &str) -> String {
    inert_json(&json!(text).to_string())
}
