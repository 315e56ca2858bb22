//! Regular expressions as machines that a gate can run without an engine for them.

use std::collections::BTreeMap;

use passgate_core::policy::{Arc, Pattern, State};
use regex_automata::dfa::{Automaton, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::{Anchored, MatchKind, util::start};
use regex_syntax::hir::{Hir, Look};
use regex_syntax::{Parser, ParserBuilder};

/// The most states of one machine.
const MAX_STATES: usize = 1_000;
/// What building a machine may take, in bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 1_000;

/// The machine that matches what the whole of `expression` does. Classes such as `\d` and `\w` are ASCII, and `.` is any one
/// byte, a line feed too: what a rule forbids anywhere in a text it forbids on every line.
pub(super) fn compile(expression: &str) -> Result<Pattern, String> {
    let too_large = || format!("it takes more than {MAX_STATES} states: use a simpler expression");
    if expression.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("it is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let hir = parser().parse(expression).map_err(|error| last_line(&error))?;
    let whole = Hir::concat(vec![hir, Hir::look(Look::End)]);
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_BYTES)))
        .build_from_hir(&whole)
        .map_err(|_| too_large())?;
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(regex_automata::dfa::StartKind::Anchored)
        .dfa_size_limit(Some(MAX_BYTES))
        .determinize_size_limit(Some(MAX_BYTES))
        .minimize(true);
    let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|_| too_large())?;
    let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).map_err(|e| e.to_string())?;
    let pattern = walk(&dfa, start).ok_or_else(too_large)?;
    if !pattern.states.iter().any(|state| state.accepts) {
        return Err("it matches no text".to_owned());
    }
    Ok(pattern)
}

/// The parser of expressions in rules.
pub fn parser() -> Parser {
    ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build()
}

/// The message of the expression's parser without its picture.
fn last_line(error: &regex_syntax::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The states that can be reached from `start`, which becomes the first; none when there are too many.
fn walk(dfa: &dense::DFA<Vec<u32>>, start: StateID) -> Option<Pattern> {
    let mut places = BTreeMap::from([(start, 0)]);
    let mut reached = vec![start];
    let mut states = Vec::new();
    while let Some(at) = reached.get(states.len()).copied() {
        let mut arcs: Vec<Arc> = Vec::new();
        for byte in 0..=u8::MAX {
            let next = dfa.next_state(at, byte);
            if dfa.is_dead_state(next) {
                continue;
            }
            let to = *places.entry(next).or_insert_with(|| {
                reached.push(next);
                reached.len() - 1
            });
            match arcs.last_mut().filter(|arc| arc.to == to && arc.last.checked_add(1) == Some(byte)) {
                Some(arc) => arc.last = byte,
                None => arcs.push(Arc { first: byte, last: byte, to }),
            }
        }
        states.push(State { accepts: dfa.is_match_state(dfa.next_eoi_state(at)), arcs });
        if reached.len() > MAX_STATES {
            return None;
        }
    }
    Some(Pattern { states })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_are_matched() {
        for (expression, good, bad) in [
            ("a|ab", &["a", "ab"][..], &["", "b", "abb"][..]),
            ("a)|(b|(c)", &[], &[]),
            (r"\d{3}-\w+", &["123-a_Z9"], &["12-a", "123-", "١٢٣-a", "123-é"]),
            ("(?i)ORD", &["ord", "OrD"], &["ords"]),
            ("[^/]*", &["", "é", "a b"], &["a/b"]),
            ("^x$", &["x"], &["x\n", "ax"]),
            ("é+", &["éé"], &["e"]),
            (r"\bfoo\b.*", &["foo", "foo bar"], &["food", "a foo"]),
            ("(a*)*b", &["b", "aaab"], &["aaaa"]),
            (".*DROP.*", &["DROP", "x\nDROP\nx"], &["drop"]),
            (r"[^\n]*", &["a"], &["a\n"]),
        ] {
            let Ok(pattern) = compile(expression) else {
                assert!(good.is_empty() && bad.is_empty(), "{expression}");
                continue;
            };
            assert!(good.iter().all(|text| pattern.matches(text)), "{expression}");
            assert!(!bad.iter().any(|text| pattern.matches(text)), "{expression}");
        }
    }

    #[test]
    fn a_megabyte_is_walked_through_once() {
        let text = "a".repeat(1024 * 1024);
        for expression in
            ["(a*)*b", "(a|aa)+b", "(a|a?)+b", "(.*)(.*)(.*)(.*)(.*)b", "(.*a){12}b", "^(([a-z])+.)+[A-Z]([a-z])+$"]
        {
            let pattern = compile(expression).unwrap();
            assert!(!pattern.matches(&text), "{expression}");
            assert_eq!(pattern.matches(&format!("{text}b")), expression.ends_with('b'), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        for bad in ["(", "a{2,1}", r"\p{Greek", "[é]", "(?=a)", r"(a)\1", "a^b", &"x".repeat(1001)] {
            assert!(compile(bad).is_err(), "{bad}");
        }
        for large in ["(a|b)*a(a|b){12}", "(.{1000}){1000}", "((a{100}){100}){100}"] {
            assert!(compile(large).is_err_and(|why| why.contains("states")), "{large}");
        }
    }
}
