//! Every scalar of the text has one reading, and every member a value.

use std::path::Path;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};

use super::error::ConfigError;

/// Refuses scalars that YAML 1.1 and 1.2 read differently (`0400`, `1e3`, `no`) and nulls.
///
/// A setting must not depend on which version a reader has in mind. And nothing in a configuration is null by intent:
/// a member whose items were all commented out is one, and would be taken for a member that is not there.
pub(super) fn check(path: &Path, text: &str) -> Result<(), ConfigError> {
    let mut place = Place::default();
    for event in Parser::new_from_str(text) {
        // Whoever reads the text next finds the same error and explains it.
        let Ok((event, span)) = event else { return Ok(()) };
        if let Event::Scalar(value, style, _, tag) = &event
            && let Some((problem, remedy)) =
                fault(value, *style == ScalarStyle::Plain, tag.as_ref().is_some_and(|tag| tag.to_string() == NULL_TAG))
            && let Some(member) = place.member(value)
        {
            let position = Some((span.start.line() as u64, span.start.col() as u64 + 1));
            let at_member = ConfigError::at_member(path, member, problem, Some(remedy));
            return Err(ConfigError { position, ..at_member });
        }
        place.pass(&event);
    }
    Ok(())
}

/// The line and column, from 1, of a member such as `routes[2].path`, or of the nearest one around it that is there.
pub(super) fn locate(text: &str, member: &str) -> Option<(u64, u64)> {
    let mut place = Place::default();
    let (mut found, mut depth) = (None, 0);
    for event in Parser::new_from_str(text) {
        let (event, span) = event.ok()?;
        let is_value =
            matches!(event, Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..) | Event::Alias(_));
        let is_key = matches!(place.open.last(), Some(Node::Mapping(None)));
        if is_value
            && !is_key
            && let Some(path) = place.member("")
            && path.len() > depth
            && member.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        {
            depth = path.len();
            found = Some((span.start.line() as u64, span.start.col() as u64 + 1));
        }
        place.pass(&event);
    }
    found
}

/// The tag of YAML's null, written out.
const NULL_TAG: &str = "tag:yaml.org,2002:null";

/// What is wrong with a scalar, and what to do.
fn fault(value: &str, plain: bool, tagged_null: bool) -> Option<(String, &'static str)> {
    let null = ["", "~", "null", "Null", "NULL"].contains(&value);
    if tagged_null || (plain && null) {
        return Some(("has no value".to_owned(), "remove the key or give a value"));
    }
    (plain && (is_ambiguous_number(value) || is_old_truth_value(value))).then(|| {
        let problem = format!("`{value}` reads differently in different YAML versions");
        (problem, "write a plain decimal number, or a text in quotes")
    })
}

/// Where in the document the reader is.
#[derive(Default)]
struct Place {
    open: Vec<Node>,
}

enum Node {
    /// Items read so far.
    Sequence(usize),
    /// The key whose value comes next, if one was read.
    Mapping(Option<String>),
}

impl Place {
    /// The path of the scalar that comes next, e.g. `routes[2].path`; `None` for one that is the whole document.
    fn member(&self, scalar: &str) -> Option<String> {
        let mut path = String::new();
        for node in &self.open {
            match node {
                Node::Sequence(index) => path.push_str(&format!("[{index}]")),
                Node::Mapping(key) => {
                    // Without a key, the scalar is one.
                    let key = key.as_deref().unwrap_or(scalar);
                    path.push_str(if path.is_empty() { "" } else { "." });
                    path.push_str(key);
                }
            }
        }
        (!self.open.is_empty()).then_some(path)
    }

    fn pass(&mut self, event: &Event<'_>) {
        match event {
            Event::MappingStart(..) => self.open.push(Node::Mapping(None)),
            Event::SequenceStart(..) => self.open.push(Node::Sequence(0)),
            Event::Scalar(value, ..) => self.complete(value),
            Event::Alias(_) => self.complete(""),
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
                self.complete("");
            }
            _ => {}
        }
    }

    /// Moves past a node; `key` is its text, in case it is a key.
    fn complete(&mut self, key: &str) {
        match self.open.last_mut() {
            Some(Node::Sequence(index)) => *index += 1,
            Some(Node::Mapping(before)) => *before = before.is_none().then(|| key.to_owned()),
            None => {}
        }
    }
}

fn is_old_truth_value(scalar: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|word| word.eq_ignore_ascii_case(scalar))
}

fn is_ambiguous_number(scalar: &str) -> bool {
    let unsigned = scalar.strip_prefix(['+', '-']).unwrap_or(scalar);
    has_base(unsigned) || (is_number(unsigned) && !is_plain_decimal(scalar))
}

/// `0o17`, `0x1f`, `0b1`.
fn has_base(unsigned: &str) -> bool {
    let digits = unsigned.strip_prefix('0').and_then(|rest| rest.strip_prefix(['o', 'x', 'b', 'O', 'X', 'B']));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_'))
}

/// Whether some version of YAML, or a lenient reader, takes this for a decimal number.
fn is_number(unsigned: &str) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let starts = mantissa.strip_prefix('.').unwrap_or(mantissa).starts_with(|c: char| c.is_ascii_digit());
    let digits = mantissa.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_' || byte == b'.');
    let dots = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let exponent = exponent.map(|text| text.strip_prefix(['+', '-']).unwrap_or(text));
    starts && digits && dots <= 1 && exponent.is_none_or(is_digits)
}

fn is_plain_decimal(scalar: &str) -> bool {
    let unsigned = scalar.strip_prefix('-').unwrap_or(scalar);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    is_digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(is_digits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_spelling() {
        for plain in ["0", "7", "-7", "10", "0.05", "100.00", "1000000", "127.0.0.1", "127.0.0.1:8787", "2026-03-01"] {
            assert!(!is_ambiguous_number(plain), "{plain}");
        }
        for text in ["L2", "e3", "_1", "1e", "0xyz", "v1.2", "", ".", "-", "a:b", "1-2"] {
            assert!(!is_ambiguous_number(text), "{text}");
        }
        for odd in ["6_0", "1e3", "1E+3", "1.5e-3", "1.", ".5", "+5", "007", "0_7", "0o17", "-0x1F", "0b1", "1_0.5"] {
            assert!(is_ambiguous_number(odd), "{odd}");
        }
    }

    #[test]
    fn members_are_located() {
        let text = "version: 1\nrules:\n  - name: a\n    when: {actions: [x, y]}\n  - name: b\n";
        for (member, position) in [
            ("version", Some((1, 10))),
            ("rules", Some((3, 3))),
            ("rules[0].when.actions[1]", Some((4, 25))),
            ("rules[0].when.agents", Some((4, 11))),
            ("rules[1]", Some((5, 5))),
            ("rules[1].name.x", Some((5, 11))),
            ("rules[12]", Some((3, 3))),
            ("nothing", None),
        ] {
            assert_eq!(locate(text, member), position, "{member}");
        }
    }

    #[test]
    fn members_are_named_by_their_path() {
        for (text, member) in [
            ("a:\n", "a"),
            ("a: {b: [x, {c: ~}]}\n", "a.b[1].c"),
            ("a: [[1], [2, null]]\n", "a[1][1]"),
            ("a: &x {b: 1}\nc: *x\nd:\n  # - e\n", "d"),
            ("? {k: v}\n: 1\nb: Null\n", "b"),
            ("a: !!null ''\n", "a"),
            ("a: {b}\n", "a.b"),
            ("no: 1\n", "no"),
        ] {
            let error = check(Path::new("x"), text).unwrap_err();
            assert_eq!(error.member.as_deref(), Some(member), "{text}");
        }
        for text in ["", "# nothing\n", "a: ''\n", "a: \"null\"\n", "a: {}\nb: []\n", "a: |\n"] {
            assert_eq!(check(Path::new("x"), text), Ok(()), "{text}");
        }
    }
}
