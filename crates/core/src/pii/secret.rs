//! Keys, tokens and passwords, found by what they are known to start with or are assigned to.

use super::bytes::{
    ALNUM, ARROW, ASSIGN, DIGIT, DOT, EQUALS, HEX, HYPHEN, LETTER, LINE_BREAK, PARENTHESIS, PLUS, QUOTE, SLASH, SPACE,
    TILDE, UNDERSCORE, UPPER, VALUE, WORD, any_word, at, before, continues, has, is, part, skip, skip_back,
};
use super::context::names_secret;
use super::encoded;

/// The longest password, and the longest name in front of it, in bytes.
const MAX_VALUE: usize = 512;
const MAX_NAME: usize = 48;

/// The shortest token with a prefix: one of Slack.
const MIN_TOKEN: usize = 15;

/// The characters of a token behind its prefix: capitals and digits are checked as [`UPPER`].
const URL: u32 = WORD | HYPHEN;
const DOTTED: u32 = URL | DOT;

/// Characters, how many of them at least (a negative number: exactly), and the prefixes behind which they stand, as
/// their issuers document them.
const PREFIXES: &[(u32, i8, &[u8])] = &[
    // Amazon Web Services
    (UPPER | DIGIT, -16, b"AKIA ASIA ABIA ACCA"),
    // Twilio
    (HEX, -32, b"AC SK"),
    // Google's keys
    (URL, -35, b"AIza"),
    // GitHub, npm
    (ALNUM, 36, b"ghp_ gho_ ghu_ ghs_ ghr_ npm_"),
    // Hugging Face, OpenAI's older keys
    (ALNUM, 30, b"hf_ sk-"),
    // Stripe
    (ALNUM, 16, b"sk_live_ sk_test_ rk_live_ rk_test_ whsec_"),
    // Databricks, DigitalOcean, Shopify
    (HEX, 32, b"dapi dop_v1_ shpat_ shpss_"),
    // Slack
    (URL, 10, b"xapp- xoxa- xoxb- xoxo- xoxp- xoxr- xoxs-"),
    // GitLab, Google, HashiCorp Vault, Anthropic, OpenAI, OpenRouter
    (URL, 20, b"glpat- GOCSPX- ya29. hvs. sk-ant- sk-proj- sk-svcacct- sk-admin- sk-or-v1-"),
    // GitHub, PyPI, Atlassian
    (URL, 50, b"github_pat_ pypi- ATATT3"),
    // SendGrid
    (DOTTED, 60, b"SG."),
];

/// What starts a value that stands for the secret instead of being it; before them come the brackets and signs of
/// templates, variables and paths.
const PLACEHOLDERS: &[u8] =
    b"your example change redact placeholder xxx *** ... null none true false undefined string \
required optional process. os. env config self. this. secrets. vault: arn: hidden masked insert enter";

/// The token that starts with the word at an index: a known prefix, a JWT, or credentials behind `Bearer` or `Basic`
/// (RFC 6750 section 2.1, RFC 7617 section 2).
pub(super) fn token(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let previous = before(bytes, start, 1);
    let is_glued = matches!(previous, b'-' | b'_');
    match at(bytes, start) {
        b'e' if !is_glued => jwt(bytes, start).map(|end| (start, end)),
        b'B' | b'b' => credentials(bytes, start),
        b'A' | b'G' | b'S' | b'd' | b'g' | b'h' | b'n' | b'p' | b'r' | b's' | b'w' | b'x' | b'y' => {
            if skip(bytes, start, MIN_TOKEN, DOTTED) < start + MIN_TOKEN {
                return None;
            }
            PREFIXES.iter().find_map(|&(alphabet, length, prefixes)| {
                // A hyphen or point of the alphabet in front would make each part of a long token be read again.
                let is_part = (is_glued && alphabet & HYPHEN != 0) || (previous == b'.' && alphabet & DOT != 0);
                let mut found = None;
                any_word(prefixes, &mut |prefix| {
                    let first = start + prefix.len();
                    if !is_part && part(bytes, start, first) == prefix {
                        found = prefixed(bytes, first, alphabet, length);
                    }
                    found.is_some()
                });
                found.map(|end| (start, end))
            })
        }
        _ => None,
    }
}

/// The end of the token whose prefix ends at an index.
fn prefixed(bytes: &[u8], first: usize, alphabet: u32, length: i8) -> Option<usize> {
    let end = skip(bytes, first, bytes.len(), alphabet);
    let token = part(bytes, first, end);
    let is_lower = alphabet & LETTER == 0 && token.iter().any(u8::is_ascii_lowercase);
    let least = usize::from(length.unsigned_abs());
    let fits = token.len() == least || (token.len() > least && length > 0);
    (fits && !is_lower && !is(bytes, end, WORD) && is_mixed(token)).then_some(end)
}

/// Whether there is a digit, and more than one character: keys have both, words and rows of `x` do not.
fn is_mixed(token: &[u8]) -> bool {
    has(token, DIGIT) && !is_repeated(token)
}

fn is_repeated(value: &[u8]) -> bool {
    value.windows(2).all(|pair| pair.first() == pair.last())
}

/// A JWS or JWE in compact serialisation whose header is a JSON object (RFC 7515 section 7.1, RFC 7519 section 3).
fn jwt(bytes: &[u8], start: usize) -> Option<usize> {
    let segment = |start: usize| skip(bytes, start, bytes.len(), URL);
    let header = segment(start);
    let payload = segment(header + 1);
    let is_jwt = part(bytes, start, start + 3) == b"eyJ"
        && header - start > 10
        && at(bytes, header) == b'.'
        && payload - header > 8
        && at(bytes, payload) == b'.';
    if !is_jwt {
        return None;
    }
    let mut end = payload;
    for _ in 0..3 {
        if at(bytes, end) == b'.' {
            end = segment(end + 1);
        }
    }
    Some(end)
}

fn credentials(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let bearer = continues(bytes, start, b"bearer ");
    if !bearer && !continues(bytes, start, b"basic ") {
        return None;
    }
    let first = start + if bearer { 7 } else { 6 };
    let last = skip(bytes, first, bytes.len(), DOTTED | PLUS | SLASH | TILDE);
    let end = skip(bytes, last, 2, EQUALS);
    let token = part(bytes, first, last);
    let is_token = if bearer {
        token.len() >= 16 && is_mixed(token)
    } else {
        let mut decoded = [0; 48];
        let length = encoded::decode(token, &mut decoded);
        let decoded = part(&decoded, 0, length);
        token.len() >= 6 && has(decoded, ARROW) && encoded::is_text(decoded)
    };
    is_token.then_some((first, end))
}

/// The value behind an equals sign or a colon at an index if the name in front says that it is a secret. It has at
/// least six bytes, among them one that is neither a letter nor common in names.
pub(super) fn assigned(bytes: &[u8], sign: usize) -> Option<(usize, usize)> {
    let name = skip_back(bytes, sign, 2, SPACE);
    let name_end = skip_back(bytes, name, 1, QUOTE);
    let name_start = skip_back(bytes, name_end, MAX_NAME, URL);
    if name_end - name_start < 3 || !names_secret(part(bytes, name_start, name_end)) {
        return None;
    }
    let sign_end = skip(bytes, sign, 2, ASSIGN);
    let gap = skip(bytes, sign_end, 3, SPACE);
    let first = skip(bytes, gap, 1, QUOTE);
    let end = skip(bytes, first, MAX_VALUE, VALUE);
    let value = part(bytes, first, end);
    let is_plain = skip(bytes, first, MAX_VALUE, LETTER | UNDERSCORE | HYPHEN | DOT | PARENTHESIS) == end;
    (is_value(value) && !is_plain).then_some((first, end))
}

/// Whether a whole text can be a secret, where the hint says that it is one.
pub(super) fn is_hinted(text: &[u8]) -> bool {
    is_value(text) && text.len() <= MAX_VALUE && !has(text, SPACE | LINE_BREAK)
}

fn is_value(value: &[u8]) -> bool {
    let is_reference =
        matches!(value.first(), Some(b'$' | b'<' | b'{' | b'%' | b'*' | b'[' | b'(' | b'/' | b'@' | b'.'));
    let is_call = value.ends_with(b")") && has(part(value, 0, value.len() - 1), PARENTHESIS);
    let is_placeholder = any_word(PLACEHOLDERS, &mut |word| continues(value, 0, word));
    value.len() >= 6 && !is_reference && !is_call && !is_placeholder && !is_repeated(value)
}

/// The private key whose header starts at an index (RFC 7468 sections 2 and 10 and the like), up to its end line or,
/// without one, up to the end of the text.
pub(super) fn private_key(bytes: &[u8], start: usize) -> Option<usize> {
    const LABEL: usize = 32;
    if !continues(bytes, start, b"-----BEGIN ") {
        return None;
    }
    let label = start + 11;
    let end = skip(bytes, label, LABEL, UPPER | SPACE);
    let name = part(bytes, label, end);
    if !name.ends_with(b"PRIVATE KEY") && !name.ends_with(b"PRIVATE KEY BLOCK") {
        return None;
    }
    let mut index = end;
    while index < bytes.len() {
        if at(bytes, index) == b'-' && continues(bytes, index, b"-----END ") {
            let label = skip(bytes, index + 9, LABEL, UPPER | SPACE);
            return Some(skip(bytes, label, 5, HYPHEN));
        }
        index += 1;
    }
    Some(bytes.len())
}
