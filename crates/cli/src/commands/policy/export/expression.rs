//! Regular expressions for engines that read texts by characters.
//!
//! A gate's expressions match whole texts byte by byte, and their classes are ASCII. The engines of Rego read characters,
//! and differ among themselves in what a class means. So an expression is written anew with every class spelt out. Where
//! even so it would mean something else, because it counts bytes of characters that have several, it is written for the
//! text's bytes in hexadecimal digits.

use std::collections::BTreeSet;

use passgate_core::policy::Pattern;
use passgate_host::policy;
use regex_automata::dfa::{Automaton, dense};
use regex_automata::util::{primitives::StateID, start};
use regex_automata::{Anchored, MatchKind};
use regex_syntax::escape;
use regex_syntax::hir::{Class, ClassBytes, ClassUnicode, Hir, HirKind, Look, Repetition};
use regex_syntax::utf8::{Utf8Range, Utf8Sequences};

/// What building a machine to compare with may take, in bytes. An expression that takes more is written for bytes.
const MAX_MACHINE_BYTES: usize = 4 * 1024 * 1024;
/// The most states that a comparison looks at.
const MAX_COMPARED: usize = 200_000;

/// The last character.
const LAST: u32 = char::MAX as u32;

/// An expression for a whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// Of characters.
    Characters(String),
    /// Of the bytes of the text in UTF-8, each as two lower-case hexadecimal digits.
    Bytes(String),
}

/// The expression for texts that `pattern`, made of `expression`, matches.
///
/// # Errors
///
/// Why there is none.
pub(super) fn write(expression: &str, pattern: &Pattern) -> Result<Written, String> {
    let hir = policy::parser().parse(expression).map_err(|error| error.to_string())?;
    if let Ok(text) = whole(&hir, &Form::Characters)
        && says_the_same(&text, pattern)
    {
        return Ok(Written::Characters(text));
    }
    let why = |what| format!("the regular expression `{expression}` {what}");
    whole(&hir, &Form::Bytes).map(Written::Bytes).map_err(why)
}

/// The parts between colons of an expression that matches exactly so many of them; `None` is any part that is not empty.
/// None when it is no such expression: that of a scope with `*` before its end is one.
pub(super) fn segments(expression: &str) -> Option<Vec<Option<String>>> {
    const ANY: &str = "[^:]+";
    if expression.contains('*') {
        return None;
    }
    let marked = expression.replace(ANY, "*");
    let parts: Option<Vec<Option<String>>> = marked.split(':').map(segment).collect();
    parts.filter(|parts| parts.len() > 1 && parts.contains(&None))
}

/// `*`, or a text without anything that means more than itself.
fn segment(part: &str) -> Option<Option<String>> {
    if part == "*" {
        return Some(None);
    }
    let text = part.replace('\\', "");
    (escape(&text) == part && !text.is_empty()).then_some(Some(text))
}

/// How what an expression matches is read.
enum Form {
    Characters,
    Bytes,
}

fn whole(hir: &Hir, form: &Form) -> Result<String, &'static str> {
    Ok(format!("^(?:{})$", form.text(hir)?))
}

impl Form {
    fn text(&self, hir: &Hir) -> Result<String, &'static str> {
        Ok(match hir.kind() {
            HirKind::Empty => "(?:)".to_owned(),
            HirKind::Literal(literal) => self.literal(&literal.0)?,
            HirKind::Class(Class::Bytes(class)) => self.bytes(class)?,
            HirKind::Class(Class::Unicode(class)) => self.characters(class),
            HirKind::Look(look) => self.look(*look)?.to_owned(),
            HirKind::Repetition(repetition) => self.repetition(repetition)?,
            HirKind::Capture(capture) => self.text(&capture.sub)?,
            HirKind::Concat(parts) => parts.iter().map(|part| self.text(part)).collect::<Result<_, _>>()?,
            HirKind::Alternation(ways) => {
                let ways: Vec<String> = ways.iter().map(|way| self.text(way)).collect::<Result<_, _>>()?;
                format!("(?:{})", ways.join("|"))
            }
        })
    }

    fn literal(&self, bytes: &[u8]) -> Result<String, &'static str> {
        match self {
            Self::Characters => {
                std::str::from_utf8(bytes).map(character_literal).map_err(|_| "names parts of characters")
            }
            Self::Bytes => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    fn look(&self, look: Look) -> Result<&'static str, &'static str> {
        match (self, look) {
            (_, Look::Start) => Ok("^"),
            (_, Look::End) => Ok("$"),
            (Self::Characters, Look::StartLF) => Ok("(?m:^)"),
            (Self::Characters, Look::EndLF) => Ok("(?m:$)"),
            (Self::Bytes, Look::StartLF | Look::EndLF) => Err("looks for ends of lines and counts bytes"),
            _ => Err("asks for the end of a word, which means other things in other engines"),
        }
    }

    fn repetition(&self, repetition: &Repetition) -> Result<String, &'static str> {
        let part = self.text(&repetition.sub)?;
        let times = match (repetition.min, repetition.max) {
            (0, None) => "*".to_owned(),
            (1, None) => "+".to_owned(),
            (0, Some(1)) => "?".to_owned(),
            (least, None) => format!("{{{least},}}"),
            (least, Some(most)) if least == most => format!("{{{least}}}"),
            (least, Some(most)) => format!("{{{least},{most}}}"),
        };
        let is_one = matches!(repetition.sub.kind(), HirKind::Class(_));
        Ok(if is_one { format!("{part}{times}") } else { format!("(?:{part}){times}") })
    }

    /// A class of bytes. As characters it is taken to mean all that are not ASCII, or none of them.
    fn bytes(&self, class: &ClassBytes) -> Result<String, &'static str> {
        let listed: BTreeSet<u8> = class.iter().flat_map(|range| range.start()..=range.end()).collect();
        if matches!(self, Self::Bytes) {
            return Ok(pairs(&listed));
        }
        let high = listed.range(0x80..).count();
        if high != 0 && high != 0x80 {
            return Err("names parts of characters");
        }
        let mut ranges: Vec<(u32, u32)> =
            class.iter().filter(|r| r.start() < 0x80).map(|r| (r.start().into(), r.end().min(0x7f).into())).collect();
        if high != 0 {
            ranges.push((0x80, LAST));
        }
        Ok(character_class(&ranges))
    }

    fn characters(&self, class: &ClassUnicode) -> String {
        if matches!(self, Self::Characters) {
            let ranges: Vec<(u32, u32)> = class.iter().map(|r| (r.start().into(), r.end().into())).collect();
            return character_class(&ranges);
        }
        let sequences = class.iter().flat_map(|range| Utf8Sequences::new(range.start(), range.end()));
        let digits = |range: &Utf8Range| pairs(&(range.start..=range.end).collect());
        let ways: Vec<String> = sequences.map(|seq| seq.as_slice().iter().map(digits).collect()).collect();
        format!("(?:{})", ways.join("|"))
    }
}

fn character_literal(text: &str) -> String {
    let one = |c: char| {
        if c.is_ascii_graphic() || c == ' ' { escape(c.encode_utf8(&mut [0; 4])) } else { code_point(c.into()) }
    };
    text.chars().map(one).collect()
}

fn code_point(value: u32) -> String {
    format!("\\x{{{value:X}}}")
}

/// A class of characters, its ranges in order. One that has the last character is written as what is not in it.
fn character_class(ranges: &[(u32, u32)]) -> String {
    let is_open = ranges.last().is_some_and(|(_, last)| *last == LAST);
    let listed = if is_open { rest(ranges) } else { ranges.to_vec() };
    let end = |value: u32| match char::from_u32(value).filter(char::is_ascii_alphanumeric) {
        Some(c) => c.to_string(),
        None => code_point(value),
    };
    let one = |(first, last): &(u32, u32)| {
        if first == last { end(*first) } else { format!("{}-{}", end(*first), end(*last)) }
    };
    let text: String = listed.iter().map(one).collect();
    match (is_open, listed.is_empty()) {
        (true, true) => "(?s:.)".to_owned(),
        (true, false) => format!("[^{text}]"),
        (false, false) => format!("[{text}]"),
        // No character is in it.
        (false, true) => format!("[^{}-{}]", code_point(0), code_point(LAST)),
    }
}

/// The ranges between these, and before them.
fn rest(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut rest = Vec::new();
    let mut next = 0;
    for (first, last) in ranges {
        if next < *first {
            rest.push((next, first - 1));
        }
        next = last + 1;
    }
    rest
}

/// Bytes as pairs of digits: the first digits that go with the same second ones together.
fn pairs(listed: &BTreeSet<u8>) -> String {
    let mut groups: Vec<(String, String)> = Vec::new();
    for first in 0..16_u8 {
        let second: String = (0..16_u8).filter(|second| listed.contains(&(first << 4 | second))).map(digit).collect();
        match groups.iter_mut().find(|(_, known)| *known == second) {
            _ if second.is_empty() => {}
            Some((firsts, _)) => firsts.push(digit(first)),
            None => groups.push((digit(first).to_string(), second)),
        }
    }
    let class = |digits: &str| if digits.len() == 1 { digits.to_owned() } else { format!("[{digits}]") };
    let ways: Vec<String> = groups.iter().map(|(first, second)| format!("{}{}", class(first), class(second))).collect();
    if ways.is_empty() { "[^0-9a-f]".to_owned() } else { format!("(?:{})", ways.join("|")) }
}

/// A number below 16 as a digit.
fn digit(number: u8) -> char {
    char::from_digit(number.into(), 16).unwrap_or('0')
}

/// Whether an expression of characters matches the texts that `pattern` matches: no text leads the two apart.
fn says_the_same(text: &str, pattern: &Pattern) -> bool {
    let (Some(machine), Some(valid)) = (Machine::of(text), Machine::of("^(?s:.)*$")) else { return false };
    let begin = ((!pattern.states.is_empty()).then_some(0), machine.begin, valid.begin);
    let mut seen = BTreeSet::from([begin]);
    let mut open = vec![begin];
    while let Some((state, here, so_far)) = open.pop() {
        let accepts = state.and_then(|place: usize| pattern.states.get(place)).is_some_and(|state| state.accepts);
        if valid.accepts(so_far) && accepts != machine.accepts(here) {
            return false;
        }
        for byte in 0..=u8::MAX {
            let next = (step(pattern, state, byte), machine.step(here, byte), valid.step(so_far, byte));
            let is_over = valid.is_dead(next.2) || (next.0.is_none() && machine.is_dead(next.1));
            if !is_over && seen.insert(next) {
                open.push(next);
            }
        }
        if seen.len() > MAX_COMPARED {
            return false;
        }
    }
    true
}

fn step(pattern: &Pattern, state: Option<usize>, byte: u8) -> Option<usize> {
    let arcs = &pattern.states.get(state?)?.arcs;
    arcs.iter().find(|arc| arc.first <= byte && byte <= arc.last).map(|arc| arc.to)
}

/// An expression of characters as a machine that reads bytes.
struct Machine {
    dfa: dense::DFA<Vec<u32>>,
    begin: StateID,
}

impl Machine {
    fn of(expression: &str) -> Option<Self> {
        let config = dense::Config::new()
            .match_kind(MatchKind::All)
            .start_kind(regex_automata::dfa::StartKind::Anchored)
            .dfa_size_limit(Some(MAX_MACHINE_BYTES))
            .determinize_size_limit(Some(MAX_MACHINE_BYTES));
        let dfa = dense::Builder::new().configure(config).build(expression).ok()?;
        let begin = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
        Some(Self { dfa, begin })
    }

    fn step(&self, state: StateID, byte: u8) -> StateID {
        self.dfa.next_state(state, byte)
    }

    fn accepts(&self, state: StateID) -> bool {
        self.dfa.is_match_state(self.dfa.next_eoi_state(state))
    }

    fn is_dead(&self, state: StateID) -> bool {
        self.dfa.is_dead_state(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_scopes_are_found() {
        let parts = |list: &[&str]| Some(list.iter().map(|t| (*t != "*").then(|| (*t).to_owned())).collect::<Vec<_>>());
        assert_eq!(segments("payments:[^:]+:full"), parts(&["payments", "*", "full"]));
        assert_eq!(segments(r"a\.b:[^:]+"), parts(&["a.b", "*"]));
        for other in [
            "[^:]+",
            "a:b",
            "a:[^:]+(:[^:]+)*",
            "a.b:[^:]+",
            "a:[^:]+x",
            "a::[^:]+",
            "a*:[^:]+",
            "a|b:[^:]+",
            r"\d:[^:]+",
        ] {
            assert_eq!(segments(other), None, "{other}");
        }
    }

    #[test]
    fn pairs_of_digits_are_bytes() {
        let pairs = |range: std::ops::RangeInclusive<u8>| pairs(&range.collect());
        assert_eq!(pairs(0x61..=0x61), "(?:61)");
        assert_eq!(pairs(0x2e..=0x31), "(?:2[ef]|3[01])");
        assert_eq!(pairs(0x00..=0xff), "(?:[0123456789abcdef][0123456789abcdef])");
    }
}
