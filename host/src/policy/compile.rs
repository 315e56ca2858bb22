//! From written rules to compiled ones.

use std::collections::BTreeSet;
use std::path::PathBuf;

use passgate_api::bundle::{EffectClassDoc, checked_pointer};
use passgate_core::gate::{Gate, RateLimits};
use passgate_core::policy::{
    Approval, Condition, Effect, Fact, Facts, MINUTES_PER_WEEK, Mode, Pattern, Policy, Rule, Test, Texts, Value, Zone,
};
use passgate_core::route::{EffectClass, Route};
use passgate_core::time::UnixMillis;
use passgate_passport::action_pass::MAX_ACTION_PASS_TTL_SECONDS;
use passgate_passport::constraints;
use passgate_passport::json::MAX_SAFE_INTEGER;
use passgate_passport::trust::SelfIssued;

use super::doc::{ApprovalDoc, ConditionsDoc, DuringDoc, EffectDoc, RuleDoc, RulesMode, TierDoc, WindowDoc};
use super::texts::{self, Entry};
use super::{Compiled, Fault, Written, anchors, overlap, pattern, zones};

/// The largest number that a rule can name.
pub(super) const LARGEST: i64 = MAX_SAFE_INTEGER.cast_signed();
const MAX_APPROVERS: u32 = 8;

/// Compiles, and finds everything that is wrong.
pub(super) fn compile(written: &[Written<'_>], mode: RulesMode, gate: &Gate) -> Result<Compiled, Vec<Fault>> {
    let mut compiler =
        Compiler { gate, zones: Vec::new(), patterns: Vec::new(), faults: Vec::new(), file: PathBuf::new() };
    let mut rules: Vec<(usize, Rule)> = Vec::new();
    let mut names = BTreeSet::new();
    for (place, Written { file, at, doc }) in written.iter().enumerate() {
        compiler.file = file.to_path_buf();
        if !names.insert(&doc.name) {
            compiler.fault(format!("{at}.name"), format!("another rule has the name `{}`", doc.name));
        }
        rules.extend(compiler.rule(at, doc).map(|rule| (place, rule)));
    }
    for (place, member, why) in overlap::find(&rules) {
        let Some(Written { file, at, .. }) = written.get(place) else { continue };
        compiler.file = file.to_path_buf();
        compiler.fault(format!("{at}{member}"), why);
    }
    if !compiler.faults.is_empty() {
        return Err(compiler.faults);
    }
    let mut rules: Vec<Rule> = rules.into_iter().map(|(_, rule)| rule).collect();
    anchors::choose(&mut rules);
    let mode = if mode == RulesMode::Shadow { Mode::Shadow } else { Mode::Enforce };
    let (zones, tables) = compiler.zones.into_iter().unzip();
    let (expressions, patterns) = compiler.patterns.into_iter().unzip();
    Ok(Compiled { policy: Policy::new(mode, tables, patterns, rules), expressions, zones })
}

/// What rules are compiled with.
pub(super) struct Compiler<'a> {
    gate: &'a Gate,
    zones: Vec<(String, Zone)>,
    patterns: Vec<(String, Pattern)>,
    faults: Vec<Fault>,
    /// In which rules stand that are compiled.
    file: PathBuf,
}

impl Compiler<'_> {
    pub(super) fn fault(&mut self, at: impl Into<String>, why: impl Into<String>) {
        self.faults.push(Fault { file: self.file.clone(), at: at.into(), why: why.into() });
    }

    /// None when something is wrong with it.
    fn rule(&mut self, at: &str, doc: &RuleDoc) -> Option<Rule> {
        let before = self.faults.len();
        if !constraints::is_name(&doc.name) {
            self.fault(format!("{at}.name"), "use 1 to 64 of a-z 0-9 _ . -");
        }
        let effect = match doc.effect {
            EffectDoc::Allow => Effect::Allow,
            EffectDoc::StepUp => Effect::StepUp,
            EffectDoc::Deny => Effect::Deny,
        };
        self.only_where_they_count(at, doc);
        let mut when = self.conditions(&format!("{at}.when"), &doc.when);
        let mut require = self.conditions(&format!("{at}.require"), &doc.require);
        let routes = self.reached(at, &when, self.faults.len() == before);
        self.arguments(&format!("{at}.when.arguments"), &doc.when.arguments, &routes, &mut when);
        self.arguments(&format!("{at}.require.arguments"), &doc.require.arguments, &routes, &mut require);
        self.told(at, &routes, &when, &require);
        self.redactions(at, &doc.redact, &routes);
        let rule = Rule {
            name: doc.name.clone(),
            effect,
            anchors: 0,
            when,
            require,
            approval: self.approval(at, effect, doc.approval.as_ref()),
            pass_ttl_seconds: doc.pass_ttl_seconds.map(i64::from),
            rates: self.rates(at, doc),
            redact: doc.redact.clone(),
        };
        (self.faults.len() == before).then_some(rule)
    }

    /// What some effects have no use for.
    fn only_where_they_count(&mut self, at: &str, doc: &RuleDoc) {
        let denies = doc.effect == EffectDoc::Deny;
        let of_what_is_let_through = [
            ("require", doc.require != ConditionsDoc::default()),
            ("pass_ttl_seconds", doc.pass_ttl_seconds.is_some()),
            ("rate_limits", doc.rate_limits != passgate_api::bundle::WindowsDoc::default()),
            ("redact", !doc.redact.is_empty()),
        ];
        for (member, _) in of_what_is_let_through.into_iter().filter(|(_, is_given)| denies && *is_given) {
            self.fault(format!("{at}.{member}"), "says nothing of what is denied: remove it");
        }
        if doc.approval.is_some() && doc.effect != EffectDoc::StepUp {
            self.fault(format!("{at}.approval"), "belongs to the effect `step_up`: use that, or remove it");
        }
        let only_required =
            [("max_records", doc.when.max_records.is_some()), ("only_known_arguments", doc.when.only_known_arguments)];
        for (member, _) in only_required.into_iter().filter(|(_, is_given)| *is_given) {
            self.fault(format!("{at}.when.{member}"), "is a requirement: write it in `require`");
        }
        let ttl = doc.pass_ttl_seconds.map(i64::from);
        if ttl.is_some_and(|ttl| !(1..=MAX_ACTION_PASS_TTL_SECONDS).contains(&ttl)) {
            self.fault(format!("{at}.pass_ttl_seconds"), format!("from 1 to {MAX_ACTION_PASS_TTL_SECONDS}"));
        }
    }

    fn approval(&mut self, at: &str, effect: Effect, doc: Option<&ApprovalDoc>) -> Option<Approval> {
        let Some(doc) = doc else {
            return (effect == Effect::StepUp).then(|| Approval { roles: Vec::new(), count: 1 });
        };
        if !(1..=MAX_APPROVERS).contains(&doc.count) {
            self.fault(format!("{at}.approval.count"), format!("from 1 to {MAX_APPROVERS}"));
        }
        for (i, role) in doc.roles.iter().enumerate() {
            if !constraints::is_name(role) {
                self.fault(format!("{at}.approval.roles[{i}]"), "use 1 to 64 of a-z 0-9 _ . -");
            }
        }
        self.attainable(at, doc);
        Some(Approval { roles: doc.roles.clone(), count: doc.count })
    }

    /// Where the policy says who approves, enough of them have to be able to.
    fn attainable(&mut self, at: &str, doc: &ApprovalDoc) {
        let Some(approvals) = &self.gate.approvals else { return };
        let has_role = |roles: &[String]| doc.roles.is_empty() || roles.iter().any(|role| doc.roles.contains(role));
        let able = approvals.approvers.iter().filter(|approver| has_role(&approver.roles)).count();
        if u32::try_from(able).is_ok_and(|able| able < doc.count) {
            let why = format!("wants {} of the approvers in `approvals`, and {able} of them can give it", doc.count);
            self.fault(format!("{at}.approval"), why);
        }
    }

    fn rates(&mut self, at: &str, doc: &RuleDoc) -> RateLimits {
        let rates = RateLimits {
            requests_per_minute: doc.rate_limits.requests_per_minute,
            requests_per_hour: doc.rate_limits.requests_per_hour,
            requests_per_day: doc.rate_limits.requests_per_day,
        };
        if rates.windows().any(|(_, limit)| limit == 0) {
            self.fault(
                format!("{at}.rate_limits"),
                "a limit is at least 1; to let nothing through, use the effect `deny`",
            );
        }
        rates
    }

    /// All but the arguments.
    fn conditions(&mut self, at: &str, doc: &ConditionsDoc) -> Vec<Condition> {
        type Reader = fn(&str) -> Result<Entry, String>;
        let lists: [(&str, &Option<Vec<String>>, Fact, Reader); 14] = [
            ("actions", &doc.actions, Fact::Action, texts::action),
            ("not_actions", &doc.not_actions, Fact::Action, texts::action),
            ("agents", &doc.agents, Fact::Agent, texts::agent),
            ("not_agents", &doc.not_agents, Fact::Agent, texts::agent),
            ("issuers", &doc.issuers, Fact::Issuer, texts::plain),
            ("not_issuers", &doc.not_issuers, Fact::Issuer, texts::plain),
            ("labels", &doc.labels, Fact::Labels, texts::label),
            ("not_labels", &doc.not_labels, Fact::Labels, texts::label),
            ("domains", &doc.domains, Fact::Domain, texts::domain),
            ("not_domains", &doc.not_domains, Fact::Domain, texts::domain),
            ("resources", &doc.resources, Fact::Resource, texts::resource),
            ("not_resources", &doc.not_resources, Fact::Resource, texts::resource),
            ("purposes", &doc.purposes, Fact::Purpose, texts::plain),
            ("not_purposes", &doc.not_purposes, Fact::Purpose, texts::plain),
        ];
        let mut conditions = Vec::new();
        for (member, list, fact, read) in lists {
            let Some(list) = list else { continue };
            let texts = self.texts(&format!("{at}.{member}"), list, read);
            conditions.push(Condition { fact, negated: member.starts_with("not_"), test: Test::Texts(texts) });
        }
        self.closed_lists(at, doc, &mut conditions);
        self.known_issuers(at, doc);
        self.numbers(at, doc, &mut conditions);
        conditions
    }

    pub(super) fn texts(&mut self, at: &str, list: &[String], read: impl Fn(&str) -> Result<Entry, String>) -> Texts {
        let mut texts = Texts::default();
        if list.is_empty() {
            self.fault(at, "lists nothing: name something, or remove it");
        }
        for (i, text) in list.iter().enumerate() {
            match read(text) {
                Ok(Entry::Exact(text)) => texts.exact.push(text),
                Ok(Entry::Begins(text)) => texts.begins.push(text),
                Ok(Entry::Ends(text)) => texts.ends.push(text),
                Ok(Entry::Matches(expression)) => {
                    texts.patterns.extend(self.pattern(&format!("{at}[{i}]"), &expression))
                }
                Err(why) => self.fault(format!("{at}[{i}]"), format!("`{text}`: {why}")),
            }
        }
        texts.exact.sort();
        texts.exact.dedup();
        texts
    }

    /// The place of the machine for an expression.
    pub(super) fn pattern(&mut self, at: &str, expression: &str) -> Option<usize> {
        if let Some(place) = self.patterns.iter().position(|(known, _)| known == expression) {
            return Some(place);
        }
        match pattern::compile(expression) {
            Ok(pattern) => {
                self.patterns.push((expression.to_owned(), pattern));
                Some(self.patterns.len() - 1)
            }
            Err(why) => {
                self.fault(at, format!("`{expression}` is no usable regular expression: {why}"));
                None
            }
        }
    }

    fn closed_lists(&mut self, at: &str, doc: &ConditionsDoc, conditions: &mut Vec<Condition>) {
        let tier = |tier: &TierDoc| format!("{tier:?}");
        let class = |class: &EffectClassDoc| EffectClass::from(*class).as_str().to_owned();
        let lists = [
            ("tiers", Fact::Tier, false, doc.tiers.as_ref().map(|list| list.iter().map(tier).collect::<Vec<_>>())),
            ("classes", Fact::Class, false, doc.classes.as_ref().map(|list| list.iter().map(class).collect())),
            ("not_classes", Fact::Class, true, doc.not_classes.as_ref().map(|list| list.iter().map(class).collect())),
        ];
        for (member, fact, negated, list) in lists {
            let Some(list) = list else { continue };
            let texts = self.texts(&format!("{at}.{member}"), &list, texts::plain);
            conditions.push(Condition { fact, negated, test: Test::Texts(texts) });
        }
    }

    /// Ids of agents are given out by issuers, so where there are several they name nobody alone.
    fn known_issuers(&mut self, at: &str, doc: &ConditionsDoc) {
        let gate = self.gate;
        let self_issued = *gate.trust.self_issued() != SelfIssued::Refused;
        let several = gate.trust.issuers().count() + gate.listed_agents.len() + usize::from(self_issued) > 1;
        if several && doc.issuers.is_none() && (doc.agents.is_some() || doc.not_agents.is_some()) {
            let member = if doc.agents.is_some() { "agents" } else { "not_agents" };
            let why = "this gate knows several issuers, of which each gives out ids: name theirs in `issuers` too";
            self.fault(format!("{at}.{member}"), why);
        }
        for (member, list) in [("issuers", &doc.issuers), ("not_issuers", &doc.not_issuers)] {
            for (i, issuer) in list.iter().flatten().enumerate() {
                let is_known = gate.trust.issuer(issuer).is_some()
                    || gate.listed_agents.iter().any(|agent| agent.signer.url.as_str() == issuer)
                    || (self_issued && issuer.starts_with("did:key:"));
                if !is_known {
                    self.fault(format!("{at}.{member}[{i}]"), format!("this gate trusts no issuer `{issuer}`"));
                }
            }
        }
    }

    fn numbers(&mut self, at: &str, doc: &ConditionsDoc, conditions: &mut Vec<Condition>) {
        let mut push = |fact, negated, test| conditions.push(Condition { fact, negated, test });
        if let Some(range) = &doc.amount_usd {
            let micro = |usd: passgate_api::usd::Usd| i64::try_from(usd.0.0).unwrap_or(LARGEST);
            let least = range.at_least.map(micro).into_iter().chain(range.above.map(|usd| micro(usd) + 1)).max();
            let most = range.at_most.map(micro).into_iter().chain(range.below.map(|usd| micro(usd) - 1)).min();
            if let Some(span) = self.span(&format!("{at}.amount_usd"), least, most, 0) {
                push(Fact::Amount, false, Test::Ranges(vec![span]));
            }
        }
        if let Some(most) = doc.max_records {
            push(Fact::Records, false, Test::Ranges(vec![(0, i64::try_from(most).unwrap_or(LARGEST).min(LARGEST))]));
        }
        if doc.only_known_arguments {
            let texts = Texts { exact: vec!["true".to_owned()], ..Texts::default() };
            push(Fact::Closed, false, Test::Texts(texts));
        }
        let instant = |text: &String| UnixMillis::from_rfc3339(text).map(UnixMillis::seconds);
        let bounds = [("not_before", &doc.not_before), ("not_after", &doc.not_after)];
        for (member, _) in bounds.into_iter().filter(|(_, text)| text.as_ref().is_some_and(|t| instant(t).is_none())) {
            self.fault(format!("{at}.{member}"), "write an instant such as 2027-01-31T18:00:00+01:00");
        }
        let (least, most) = (doc.not_before.as_ref().and_then(instant), doc.not_after.as_ref().and_then(instant));
        if (least.is_some() || most.is_some())
            && let Some(span) = self.span(&format!("{at}.not_after"), least, most.map(|second| second - 1), 0)
        {
            push(Fact::Now, false, Test::Ranges(vec![span]));
        }
        for (member, during) in [("during", &doc.during), ("not_during", &doc.not_during)] {
            let test = during.as_ref().and_then(|doc| self.during(&format!("{at}.{member}"), doc));
            conditions.extend(test.map(|test| Condition { fact: Fact::Now, negated: member != "during", test }));
        }
    }

    /// None when nothing is in it.
    pub(super) fn span(&mut self, at: &str, least: Option<i64>, most: Option<i64>, lowest: i64) -> Option<(i64, i64)> {
        let (from, until) = (least.unwrap_or(lowest), most.unwrap_or(LARGEST));
        if least.is_none() && most.is_none() {
            self.fault(at, "bounds nothing: give a bound, or remove it");
        } else if from > until || until < lowest {
            self.fault(at, "nothing lies between the bounds: correct one of them");
        } else if from < lowest || until > LARGEST {
            self.fault(at, format!("bounds lie between {lowest} and {LARGEST}"));
        } else {
            return Some((from, until));
        }
        None
    }

    fn during(&mut self, at: &str, doc: &DuringDoc) -> Option<Test> {
        let place = self.zones.iter().position(|(known, _)| *known == doc.zone).or_else(|| {
            let zone = zones::zone(&doc.zone)?;
            self.zones.push((doc.zone.clone(), zone));
            Some(self.zones.len() - 1)
        });
        if place.is_none() {
            self.fault(format!("{at}.zone"), format!("there is no time zone `{}`; write e.g. Europe/Berlin", doc.zone));
        }
        if doc.windows.is_empty() {
            self.fault(format!("{at}.windows"), "lists nothing: name a time of the week");
        }
        let mut spans = Vec::new();
        for (i, window) in doc.windows.iter().enumerate() {
            match spans_of(window) {
                Ok(more) => spans.extend(more),
                Err((member, why)) => self.fault(format!("{at}.windows[{i}].{member}"), why),
            }
        }
        Some(Test::Weekly(place?, spans))
    }

    /// The routes whose requests the rule may match.
    fn reached(&mut self, at: &str, when: &[Condition], is_sound: bool) -> Vec<Route> {
        let of_route: Vec<&Condition> =
            when.iter().filter(|condition| matches!(condition.fact, Fact::Action | Fact::Class)).collect();
        let uses_patterns =
            |condition: &&Condition| matches!(&condition.test, Test::Texts(texts) if !texts.patterns.is_empty());
        let patterns = if of_route.iter().any(uses_patterns) { &self.patterns[..] } else { &[] };
        let patterns = patterns.iter().map(|(_, pattern)| pattern.clone()).collect();
        let policy = Policy::new(Mode::Enforce, Vec::new(), patterns, Vec::new());
        let leads = |route: &&Route| {
            let class = Value::Text(route.class.as_str());
            let facts = Facts { action: route.action.as_str(), class, ..Facts::default() };
            of_route.iter().all(|condition| policy.holds(condition, &facts, true))
        };
        let reached: Vec<Route> = self.gate.routes.iter().filter(leads).cloned().collect();
        if reached.is_empty() && is_sound {
            let why = "matches no action of any route: correct the actions and classes, or add the route";
            self.fault(format!("{at}.when"), why);
        }
        reached
    }

    /// Refuses conditions on what routes do not tell: they would count against every request of theirs.
    fn told(&mut self, at: &str, routes: &[Route], when: &[Condition], require: &[Condition]) {
        for (part, conditions) in [("when", when), ("require", require)] {
            for condition in conditions {
                let tells: fn(&Route) -> bool = match condition.fact {
                    Fact::Resource => |route| route.resource.is_some(),
                    Fact::Records => |route| route.records.is_some(),
                    Fact::Amount => |route| route.amount.is_some(),
                    Fact::Domain => |route| route.domain.is_some(),
                    _ => continue,
                };
                let name = condition.fact.name();
                // An action without an amount or a domain has none, which is known.
                let has_none = matches!(condition.fact, Fact::Amount | Fact::Domain);
                let silent = routes.iter().find(|route| !tells(route));
                let Some(silent) = silent.filter(|_| !has_none || !routes.iter().any(tells)) else { continue };
                let why = format!(
                    "looks at the {name}, and the route of `{}` does not say where that stands: add `{name}` to the \
                     route, or leave its action out",
                    silent.action
                );
                self.fault(format!("{at}.{part}"), why);
            }
        }
    }

    /// What is judged must go upstream as it was.
    fn redactions(&mut self, at: &str, pointers: &[String], routes: &[Route]) {
        for (i, pointer) in pointers.iter().enumerate() {
            let member = format!("{at}.redact[{i}]");
            if let Err(error) = checked_pointer("", pointer) {
                self.fault(member, error.why);
                continue;
            }
            let judged = routes.iter().find(|route| route.judges(pointer));
            if let Some(route) = judged {
                let why = format!(
                    "the decision is made of it at the route of `{}`: it has to go upstream as it is",
                    route.action
                );
                self.fault(member, why);
            }
        }
    }

    pub(super) fn gate_routes(&self) -> &[Route] {
        &self.gate.routes
    }
}

/// The spans of a week, of which one that goes over its end is two.
fn spans_of(window: &WindowDoc) -> Result<Vec<(u32, u32)>, (&'static str, String)> {
    const DAY: u32 = 24 * 60;
    let minute = |member, text: &Option<String>, default| match text {
        None => Ok(default),
        Some(text) => minute_of_day(text).ok_or((member, format!("`{text}`: write a time such as 09:30"))),
    };
    let (from, until) = (minute("from", &window.from, 0)?, minute("until", &window.until, DAY)?);
    if from == DAY {
        return Err(("from", "24:00 begins no day: write 00:00 of the next".to_owned()));
    }
    let until = if until <= from { until + DAY } else { until };
    let days = match &window.days {
        Some(days) if days.is_empty() => return Err(("days", "lists nothing: name a day, or remove it".to_owned())),
        Some(days) => days.iter().map(|day| *day as u32).collect(),
        None => Vec::from_iter(0..7),
    };
    let mut spans = Vec::new();
    for day in days {
        let (from, until) = (day * DAY + from, day * DAY + until);
        spans.push((from, until.min(MINUTES_PER_WEEK)));
        if until > MINUTES_PER_WEEK {
            spans.push((0, until - MINUTES_PER_WEEK));
        }
    }
    Ok(spans)
}

/// `00:00` to `24:00`
fn minute_of_day(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':').filter(|_| text.len() == 5)?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
    let total = number(hour)? * 60 + number(minute).filter(|minute| *minute < 60)?;
    (total <= 24 * 60).then_some(total)
}
