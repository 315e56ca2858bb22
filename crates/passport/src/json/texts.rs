//! The texts of a document, one after the other.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use super::{JsonError, Scanner, bounded_text, scan};

/// A text of a document.
#[derive(Debug)]
pub struct Text<'t> {
    /// What it is.
    pub kind: TextKind,
    /// Itself, unescaped.
    pub text: &'t str,
    /// Where it stands; the quotes of a name or a string are a part of it.
    pub range: Range<usize>,
    /// The names of the members that lead to it, the outermost first; without its own, if it is a name.
    pub names: &'t [Cow<'t, str>],
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    /// The name of a member.
    Name,
    /// A string.
    String,
    /// A number as it was written.
    Number,
}

/// Shows `visit` every name, string and number of a document, in their order.
///
/// # Errors
/// [`JsonError`] for anything [`read`](super::read) refuses; then nothing was shown.
pub fn visit_texts(bytes: &[u8], limit_bytes: usize, visit: &mut dyn FnMut(&Text<'_>)) -> Result<(), JsonError> {
    let text = bounded_text(bytes, limit_bytes)?;
    scan(text)?;
    Scanner { text, at: 0, largest: super::MAX_SAFE_INTEGER }.visit(&mut Vec::new(), visit)
}

impl<'a> Scanner<'a> {
    /// Passes over one value of a document that was scanned before. It goes no deeper than the document, whose depth is
    /// bounded.
    fn visit(&mut self, names: &mut Vec<Cow<'a, str>>, visit: &mut dyn FnMut(&Text<'_>)) -> Result<(), JsonError> {
        self.skip_white_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => self.each_member(|scanner, start, name| {
                visit(&Text { kind: TextKind::Name, text: &name, range: start..scanner.at, names });
                scanner.colon()?;
                names.push(name);
                scanner.visit(names, visit)?;
                names.pop();
                Ok(())
            })?,
            Some(b'[') => self.each_item(|scanner| scanner.visit(names, visit))?,
            Some(b'"') => {
                let text = self.string()?;
                visit(&Text { kind: TextKind::String, text: &text, range: start..self.at, names });
            }
            Some(b'-' | b'0'..=b'9') => {
                let text = self.number()?;
                visit(&Text { kind: TextKind::Number, text, range: start..self.at, names });
            }
            _ => drop(self.value(0)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::{format, vec};

    use super::*;

    #[test]
    fn every_text_is_shown_where_it_stands() {
        let json = r#" {"a\n":[1.0, "x\u0031", {}, [], {"b":{"c":"y"}}], "d":null, "":"", "e": -2 , "f":true}"#;
        let mut seen: Vec<String> = Vec::new();
        visit_texts(json.as_bytes(), 4096, &mut |found| {
            let names: Vec<&str> = found.names.iter().map(AsRef::as_ref).collect();
            let raw = json.get(found.range.clone()).unwrap();
            seen.push(format!(
                "{:?} {} {raw} {}",
                found.kind,
                found.text.escape_debug(),
                names.join("/").escape_debug()
            ));
        })
        .unwrap();
        assert_eq!(
            seen,
            vec![
                r#"Name a\n "a\n" "#,
                r"Number 1.0 1.0 a\n",
                r#"String x1 "x\u0031" a\n"#,
                r#"Name b "b" a\n"#,
                r#"Name c "c" a\n/b"#,
                r#"String y "y" a\n/b/c"#,
                r#"Name d "d" "#,
                r#"Name  "" "#,
                r#"String  "" "#,
                r#"Name e "e" "#,
                "Number -2 -2 e",
                r#"Name f "f" "#,
            ]
        );
    }

    #[test]
    fn what_is_no_document_is_not_shown() {
        for json in [r#"{"a":"b","a":1}"#, r#"{"a":"b"} x"#, r#"["a","#, ""] {
            let mut seen = 0;
            assert!(visit_texts(json.as_bytes(), 4096, &mut |_| seen += 1).is_err(), "{json}");
            assert_eq!(seen, 0, "{json}");
        }
    }
}
