//! Text from elsewhere, made harmless for a terminal.
//!
//! Agent names, paths and answers are chosen by others. Escape sequences, characters that move or reorder text and
//! characters nobody sees are shown as `\u{..}`; everything else stays readable in every script.

use passgate_api::view::is_hostile;

/// `text` on one line with every hostile character escaped.
pub(crate) fn inert(text: &str) -> String {
    escape(text, is_hostile)
}

/// Like [`inert`], keeping line feeds and tabs.
pub(crate) fn inert_lines(text: &str) -> String {
    escape(text, |c| is_hostile(c) && c != '\n' && c != '\t')
}

/// The same JSON with hostile characters as JSON escapes. `json` is what a serialiser wrote, so that outside strings it
/// holds no such character.
pub(crate) fn inert_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hostile(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escape(text: &str, hostile: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if hostile(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_characters_become_visible() {
        for (text, shown) in [
            ("plain äöü 漢字", "plain äöü 漢字"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("a\r\nb\tc", "a\\u{d}\\u{a}b\\u{9}c"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("\u{202e}gnp.exe\u{2069}", "\\u{202e}gnp.exe\\u{2069}"),
            ("a\u{200b}b\u{feff}\u{e0041}", "a\\u{200b}b\\u{feff}\\u{e0041}"),
        ] {
            assert_eq!(inert(text), shown);
        }
        assert_eq!(inert_lines("a\n\tb\u{1b}c\r"), "a\n\tb\\u{1b}c\\u{d}");
    }

    #[test]
    fn inert_json_reads_back_as_the_same_value() {
        let value = serde_json::json!({"name": "a\u{1b}\u{9b}\u{202e}\u{e0041}\u{7f}ä\n", "list": [1, "\u{2028}"]});
        for json in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let safe = inert_json(&json);
            assert!(!safe.chars().any(|c| is_hostile(c) && c != '\n'));
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }
}
