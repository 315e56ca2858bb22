//! Requests made of what rules name: the values themselves and those next to them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use passgate_core::policy::{
    Condition, Effect, Fact, MINUTES_PER_WEEK, Network, Pattern, Policy, Rule, Test, Texts, Zone,
};
use passgate_host::policy::Compiled;

use super::case::{Case, Known};
use super::random::Random;
use super::shape::{Kind, NAMED, Shape, can_be_nothing, is_given, kind};

/// The longest text that is made to test a bound on lengths, in bytes. Beyond that a bound is not tried.
const MAX_TEXT_BYTES: usize = 10_000;
/// Texts made for each pattern.
const WORDS: usize = 12;
/// How many characters of each of those are changed, and of the shortest of them.
const EDITS: usize = 2;
const MAX_EDITED: usize = 40;
/// The most steps of a random walk through a pattern, before it goes to an end by the shortest way.
const MAX_STEPS: usize = 12;
/// A character of two bytes, so that bytes and characters differ.
const WIDE: char = 'é';
/// What no rule names.
const FOREIGN: &str = "unheard-of";
/// Unix seconds in the tables of time zones: summer and winter, on both sides of where clocks change in 2026 and 2027.
const TIMES: [i64; 4] = [1_774_746_000, 1_782_000_000, 1_792_890_000, 1_800_000_000];

/// What is known of a fact; `None` is that nothing is.
type Choice = Option<Known>;

/// Makes requests.
pub(crate) struct Generator<'p> {
    policy: &'p Policy,
    /// What each fact may be.
    choices: BTreeMap<Fact, Vec<Choice>>,
    /// Everything that rules name, and what is next to it, with what makes the rule match otherwise; in random order.
    bounds: Vec<Bound<'p>>,
}

/// One side of a bound that a rule sets.
struct Bound<'p> {
    fact: Fact,
    choice: Choice,
    rule: &'p Rule,
    /// Made when it is needed, and shared by the bounds of a rule.
    matching: Rc<OnceCell<Match>>,
}

/// What makes requests match a rule.
struct Match {
    /// Satisfies `when`.
    matching: BTreeMap<Fact, Vec<Choice>>,
    /// Satisfies what is required as well.
    met: BTreeMap<Fact, Vec<Choice>>,
}

impl<'p> Generator<'p> {
    pub(crate) fn new(compiled: &'p Compiled, shape: &Shape, random: &mut Random) -> Self {
        let policy = &compiled.policy;
        let choices = choices(compiled, shape);
        let mut bounds = Vec::new();
        for rule in policy.rules() {
            let matching = Rc::new(OnceCell::new());
            for condition in rule.when.iter().chain(&rule.require) {
                let fact = &condition.fact;
                let mut near: Vec<Choice> = named_by(condition, policy).into_iter().map(Some).collect();
                near.extend(without_value(fact));
                let bound = |choice| Bound { fact: fact.clone(), choice, rule, matching: Rc::clone(&matching) };
                bounds.extend(near.into_iter().map(bound));
            }
        }
        random.shuffle(&mut bounds);
        Self { policy, choices, bounds }
    }

    /// One request of a row: each bound in turn, and as many in which every fact is anything.
    pub(crate) fn request(&self, number: u64, random: &mut Random) -> Case {
        if number.is_multiple_of(2) { self.near(number / 2, random) } else { self.mixed(random) }
    }

    /// A request in which every fact is anything.
    fn mixed(&self, random: &mut Random) -> Case {
        let mut case = Case::default();
        for (fact, choices) in &self.choices {
            put(&mut case, fact, random.one(choices));
        }
        case
    }

    /// A request on one side of a bound, each bound in turn, that matches the bound's rule otherwise, met or not, as far as
    /// its other conditions let it.
    fn near(&self, number: u64, random: &mut Random) -> Case {
        let mut case = self.mixed(random);
        let count = u64::try_from(self.bounds.len()).unwrap_or(u64::MAX).max(1);
        let place = usize::try_from(number % count).unwrap_or_default();
        let Some(Bound { fact, choice, rule, matching }) = self.bounds.get(place) else { return case };
        let matching = matching.get_or_init(|| Match::of(rule, self.policy, &self.choices));
        let wanted = if random.once_in(3) { &matching.matching } else { &matching.met };
        for (fact, choices) in wanted {
            put(&mut case, fact, random.one(choices));
        }
        put(&mut case, fact, Some(choice));
        case
    }
}

impl Match {
    fn of(rule: &Rule, policy: &Policy, choices: &BTreeMap<Fact, Vec<Choice>>) -> Self {
        let whole = [&rule.when[..], &rule.require[..]].concat();
        Self { matching: satisfying(policy, rule, &rule.when, choices), met: satisfying(policy, rule, &whole, choices) }
    }
}

fn put(case: &mut Case, fact: &Fact, choice: Option<&Choice>) {
    match choice {
        Some(Some(known)) => drop(case.0.insert(fact.clone(), known.clone())),
        Some(None) => drop(case.0.remove(fact)),
        None => {}
    }
}

/// Of the facts that conditions look at, what satisfies all of them.
fn satisfying(
    policy: &Policy,
    rule: &Rule,
    conditions: &[Condition],
    choices: &BTreeMap<Fact, Vec<Choice>>,
) -> BTreeMap<Fact, Vec<Choice>> {
    let facts: BTreeSet<&Fact> = conditions.iter().map(|condition| &condition.fact).collect();
    let satisfies = |fact: &Fact, choice: &Choice| {
        let mut case = Case::default();
        put(&mut case, fact, Some(choice));
        let of_fact = || conditions.iter().filter(|condition| condition.fact == *fact);
        case.with(|facts| of_fact().all(|condition| policy.holds(condition, facts, rule.effect != Effect::Allow)))
    };
    facts
        .into_iter()
        .filter_map(|fact| {
            let good = choices.get(fact)?.iter().filter(|choice| satisfies(fact, choice)).cloned();
            Some((fact.clone(), good.collect()))
        })
        .collect()
}

/// What each fact may be: what rules name, what is next to it, something foreign, and nothing where that can be.
fn choices(compiled: &Compiled, shape: &Shape) -> BTreeMap<Fact, Vec<Choice>> {
    let mut values: BTreeMap<Fact, BTreeSet<Known>> = BTreeMap::new();
    let arguments = shape.arguments.iter().map(|(name, kind)| (Fact::Argument(name.clone()), *kind));
    let named = NAMED.into_iter().filter_map(|fact| Some((fact.clone(), kind(&fact)?)));
    for (fact, kind) in named.chain(arguments) {
        values.insert(fact.clone(), strangers(&fact, kind));
    }
    let rules = compiled.policy.rules();
    for condition in rules.iter().flat_map(|rule| rule.when.iter().chain(&rule.require)) {
        values.entry(condition.fact.clone()).or_default().extend(named_by(condition, &compiled.policy));
    }
    let choice = |(fact, values): (Fact, BTreeSet<Known>)| {
        let mut choices: Vec<Choice> = values.into_iter().map(Some).collect();
        choices.extend(without_value(&fact));
        (fact, choices)
    };
    values.into_iter().map(choice).collect()
}

/// What a fact may be when it has no value: unknown, or known to be nothing.
fn without_value(fact: &Fact) -> Vec<Choice> {
    let mut choices = Vec::new();
    choices.extend((!is_given(fact)).then_some(None));
    choices.extend(can_be_nothing(fact).then_some(Some(Known::Nothing)));
    choices
}

/// Values that no rule has to name.
fn strangers(fact: &Fact, kind: Kind) -> BTreeSet<Known> {
    let text = |text: &str| Known::Text(text.to_owned());
    match (fact, kind) {
        (Fact::Closed, _) => BTreeSet::from([text("true"), text("false")]),
        (Fact::Now, _) => TIMES.map(Known::Number).into(),
        (_, Kind::Any) => BTreeSet::from([text("")]),
        (_, Kind::Text) => BTreeSet::from([text(FOREIGN), text(""), Known::Text(WIDE.to_string())]),
        (_, Kind::Labels) => BTreeSet::from([Known::Labels(Vec::new()), Known::Labels(vec![FOREIGN.to_owned()])]),
        (_, Kind::Number) => [0, 1, 7_000_000].map(Known::Number).into(),
        (_, Kind::Address) => {
            let (v4, v6) = (Ipv4Addr::new(203, 0, 113, 9), Ipv6Addr::new(0x2001, 0xdb8, 9, 0, 0, 0, 0, 9));
            BTreeSet::from([Known::Address(v4.into()), Known::Address(v6.into())])
        }
    }
}

/// What a condition names, and what is next to that.
fn named_by(condition: &Condition, policy: &Policy) -> Vec<Known> {
    match &condition.test {
        Test::Texts(texts) if condition.fact == Fact::Labels => labels(texts),
        Test::Texts(_) if condition.fact == Fact::Closed => Vec::new(),
        Test::Texts(texts) => {
            let mut all = around(texts);
            let patterns = texts.patterns.iter().filter_map(|place| policy.patterns().get(*place));
            all.extend(patterns.flat_map(words));
            all.into_iter().map(Known::Text).collect()
        }
        Test::Ranges(spans) => {
            let near = |end: i64| [end.saturating_sub(1), end, end.saturating_add(1)];
            spans.iter().flat_map(|(least, most)| [near(*least), near(*most)]).flatten().map(Known::Number).collect()
        }
        Test::Length(least, most) => lengths(*least, *most),
        Test::Networks(networks) => networks.iter().flat_map(addresses).map(Known::Address).collect(),
        Test::Weekly(place, spans) => {
            let zone = policy.zones().get(*place);
            zone.map(|zone| seconds(zone, spans)).unwrap_or_default().into_iter().map(Known::Number).collect()
        }
        Test::Present => Vec::new(),
    }
}

/// Subsets of labels: each alone, each with a foreign one, and all of them.
fn labels(texts: &Texts) -> Vec<Known> {
    let mut subsets: Vec<Vec<String>> = vec![texts.exact.clone()];
    for text in around(texts) {
        subsets.push(vec![text.clone()]);
        subsets.push(vec![FOREIGN.to_owned(), text]);
    }
    subsets.into_iter().map(Known::Labels).collect()
}

/// Texts of a list, and those that are one character longer or shorter.
fn around(texts: &Texts) -> Vec<String> {
    let mut all = Vec::new();
    for text in &texts.exact {
        all.extend([text.clone(), format!("{text}x"), format!("x{text}"), shorter(text), text.to_uppercase()]);
    }
    for begin in &texts.begins {
        all.extend([
            begin.clone(),
            format!("{begin}x"),
            format!("{begin}{WIDE}:x"),
            shorter(begin),
            format!("x{begin}"),
        ]);
    }
    for end in &texts.ends {
        let rest: String = end.chars().skip(1).collect();
        all.extend([end.clone(), format!("x{end}"), format!("a.{WIDE}{end}"), rest, format!("{end}x")]);
    }
    all
}

fn shorter(text: &str) -> String {
    let mut chars = text.chars();
    chars.next_back();
    chars.as_str().to_owned()
}

/// Texts of as many bytes as the bounds say, and one more and one less; of characters with one byte, and with two.
fn lengths(least: usize, most: usize) -> Vec<Known> {
    let near = [least.saturating_sub(1), least, least + 1, most.saturating_sub(1), most, most.saturating_add(1)];
    let mut texts = Vec::new();
    for bytes in near.into_iter().filter(|bytes| *bytes <= MAX_TEXT_BYTES) {
        texts.push("x".repeat(bytes));
        texts.push(WIDE.to_string().repeat(bytes / 2));
        texts.push(WIDE.to_string().repeat(bytes / 2) + "x");
    }
    texts.into_iter().map(Known::Text).collect()
}

/// The ends of a network and what lies outside of them, and the same bits in the other family.
fn addresses(network: &Network) -> Vec<IpAddr> {
    match network.address {
        IpAddr::V4(first) => {
            let size = u32::MAX.checked_shr(network.bits.into()).unwrap_or_default();
            let first = first.to_bits();
            let ends = [first.wrapping_sub(1), first, first | size, (first | size).wrapping_add(1)];
            let v4 = ends.map(Ipv4Addr::from_bits);
            v4.iter().map(|v4| IpAddr::V4(*v4)).chain(v4.iter().map(|v4| v4.to_ipv6_mapped().into())).collect()
        }
        IpAddr::V6(first) => {
            let size = u128::MAX.checked_shr(network.bits.into()).unwrap_or_default();
            let first = first.to_bits();
            let ends = [first.wrapping_sub(1), first, first | size, (first | size).wrapping_add(1)];
            let v4 = Ipv4Addr::new(192, 0, 2, 1);
            ends.map(|bits| Ipv6Addr::from_bits(bits).into()).into_iter().chain([v4.to_ipv6_mapped().into()]).collect()
        }
    }
}

/// Seconds at which clocks of a zone pass the ends of spans of the week, with those before and after, and at which the
/// zone's table begins, changes and ends.
fn seconds(zone: &Zone, spans: &[(u32, u32)]) -> Vec<i64> {
    let mut all = vec![zone.until - 1, zone.until];
    for offset in zone.offsets.iter().take(4) {
        all.extend([offset.from - 1, offset.from]);
    }
    for time in TIMES {
        let Some(now) = zone.minute_of_week(time) else { continue };
        for edge in spans.iter().flat_map(|(from, until)| [*from, *until]) {
            let ahead = i64::from((edge + MINUTES_PER_WEEK - now) % MINUTES_PER_WEEK) * 60;
            let at = time - time.rem_euclid(60) + ahead;
            all.extend([at - 1, at, at + 59, at + 60]);
        }
    }
    all
}

/// Texts that a pattern matches, and those that are next to them.
fn words(pattern: &Pattern) -> Vec<String> {
    let ends = ends(pattern);
    let mut random = Random::new(pattern.states.len() as u64);
    let mut words = Vec::new();
    for number in 0..WORDS {
        let steps = random.below(MAX_STEPS) * usize::from(number > 0);
        let Some(word) = word(pattern, &ends, steps, &mut random) else { continue };
        words.extend([
            shorter(&word),
            format!("{word}x"),
            format!("{word}{WIDE}"),
            format!("{word}\n"),
            format!("x{word}"),
        ]);
        let places = if number == 0 { 0..word.chars().count().min(MAX_EDITED) } else { 0..EDITS };
        for place in places {
            let place = if number == 0 { place } else { random.below(word.chars().count()) };
            words.extend(edited(&word, place));
        }
        words.push(word.chars().map(confusable).collect());
        words.push(word);
    }
    words
}

/// The texts with one character left out or doubled at a place, or with a separator or another part there.
fn edited(text: &str, place: usize) -> Vec<String> {
    const PUT_IN: [&str; 4] = [":", "/", "x:", "x/"];
    let before: String = text.chars().take(place).collect();
    let after: String = text.chars().skip(place).collect();
    let without: String = after.chars().skip(1).collect();
    let same: String = after.chars().take(1).collect();
    let mut texts = vec![format!("{before}{without}")];
    texts.extend(PUT_IN.into_iter().chain([same.as_str()]).map(|part| format!("{before}{part}{after}")));
    texts
}

/// What engines that know Unicode take for the same, as a digit or in another case.
const fn confusable(c: char) -> char {
    match c {
        '0'..='9' => '\u{663}',
        'k' | 'K' => '\u{212a}',
        's' | 'S' => '\u{17f}',
        other => other,
    }
}

/// For each state the symbol that leads to an accepting one by the shortest way; none where no way leads there or it is one.
fn ends(pattern: &Pattern) -> Vec<Option<(char, usize)>> {
    let mut ends: Vec<Option<(char, usize)>> = vec![None; pattern.states.len()];
    let mut reached: BTreeSet<usize> =
        pattern.states.iter().enumerate().filter(|(_, state)| state.accepts).map(|(place, _)| place).collect();
    loop {
        let mut found = Vec::new();
        for place in (0..pattern.states.len()).filter(|place| !reached.contains(place)) {
            let way = symbols(pattern, place).into_iter().find(|(_, to)| reached.contains(to));
            found.extend(way.map(|way| (place, way)));
        }
        if found.is_empty() {
            return ends;
        }
        for (place, way) in found {
            reached.insert(place);
            if let Some(end) = ends.get_mut(place) {
                *end = Some(way);
            }
        }
    }
}

/// Characters that lead on from a state, and where to.
fn symbols(pattern: &Pattern, place: usize) -> Vec<(char, usize)> {
    const PLAIN: &str = "a0/Z_-:. z9A9\n\t~x1";
    PLAIN
        .chars()
        .chain((0x20..0x7f_u8).map(char::from))
        .chain([WIDE, '€'])
        .filter_map(|c| {
            let mut bytes = [0; 4];
            let to = c.encode_utf8(&mut bytes).bytes().try_fold(place, |at, byte| {
                let arcs = &pattern.states.get(at)?.arcs;
                arcs.iter().find(|arc| arc.first <= byte && byte <= arc.last).map(|arc| arc.to)
            });
            Some((c, to?))
        })
        .collect()
}

/// A text that is matched: so many random steps, and the shortest way from there.
fn word(pattern: &Pattern, ends: &[Option<(char, usize)>], steps: usize, random: &mut Random) -> Option<String> {
    let (mut word, mut place) = (String::new(), 0);
    for _ in 0..steps {
        let ways = symbols(pattern, place);
        // Wide characters are rare among the ways and matter most.
        let last = ways.last().filter(|_| random.once_in(4));
        let Some((c, to)) = last.or_else(|| random.one(&ways)) else { break };
        word.push(*c);
        place = *to;
    }
    while !pattern.states.get(place)?.accepts {
        let (c, to) = (*ends.get(place)?)?;
        word.push(c);
        place = to;
    }
    Some(word)
}
