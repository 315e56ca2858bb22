//! E-mail addresses.

use super::bytes::{
    DIGIT, DOT, HYPHEN, LETTER, LOCAL, OTHER_LETTER, PLUS, SPACE, UNDERSCORE, VALUE, WORD, at, before, continues, kind,
    skip, skip_back,
};

/// RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2.
const MAX_LOCAL: usize = 64;
const MAX_DOMAIN: usize = 255;
/// RFC 1035 section 2.3.4.
const MAX_LABEL: usize = 63;

/// The address around an `@`.
///
/// The local part is a dot-string without the characters that mostly belong to what stands around an address
/// (`/`, `=`, `?`, `&`, `|`, brackets), or a quoted string. The domain has at least two labels; letters outside ASCII
/// are accepted in both.
pub(super) fn find(bytes: &[u8], sign: usize) -> Option<(usize, usize)> {
    let start = local(bytes, sign)?;
    let end = domain(bytes, sign + 1)?;
    // The account by which version control hosts are spoken to.
    let is_remote = sign - start == 3 && continues(bytes, start, b"git") && matches!(at(bytes, end), b':' | b'/');
    (!is_remote).then_some((start, end))
}

fn local(bytes: &[u8], sign: usize) -> Option<usize> {
    if before(bytes, sign, 1) == b'"' {
        let open = skip_back(bytes, sign - 1, MAX_LOCAL, VALUE | SPACE | LOCAL);
        return (open < sign - 1 && before(bytes, open, 1) == b'"').then(|| open - 1);
    }
    let first = skip_back(bytes, sign, MAX_LOCAL, WORD | HYPHEN | DOT | PLUS | LOCAL | OTHER_LETTER);
    // Quotation marks and the like in front are not part of it.
    let start = skip(bytes, first, sign - first, HYPHEN | DOT | PLUS | LOCAL);
    (start < sign).then_some(start)
}

/// The end of the longest domain name whose last label is a top-level domain.
fn domain(bytes: &[u8], start: usize) -> Option<usize> {
    let mut found = None;
    let mut first = start;
    while first - start <= MAX_DOMAIN {
        let mut end = skip(bytes, first, MAX_LABEL, WORD | HYPHEN | OTHER_LETTER);
        end = skip_back(bytes, end, end - first, HYPHEN | UNDERSCORE);
        if end == first || at(bytes, first) == b'-' {
            break;
        }
        let encoded = continues(bytes, first, b"xn--");
        let letters = skip(bytes, first, MAX_LABEL, LETTER | OTHER_LETTER);
        if first > start && (encoded || letters - first > 1) {
            // A top-level domain ends where its letters do, so that glued digits do not hide it.
            found = Some(if encoded { end } else { letters });
        }
        if at(bytes, end) != b'.' {
            break;
        }
        first = end + 1;
    }
    found.filter(|_| !is_version(bytes, start))
}

/// Packages and images: `name@1.2.3-beta.rc`, `icon@2x.png`.
fn is_version(bytes: &[u8], start: usize) -> bool {
    let end = skip(bytes, start, MAX_LABEL, DIGIT);
    let (next, later) = (at(bytes, end), at(bytes, end + 1));
    end > start && (next == b'.' && kind(later) & DIGIT != 0 || next == b'x' && later == b'.')
}
