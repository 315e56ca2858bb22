//! Whether a host is spelled as the serialiser of the WHATWG URL standard spells it.

use core::net::Ipv4Addr;

use super::punycode;

/// Whether `host` is a name: labels of `a-z`, `0-9`, `-` and `_` with one dot between them.
///
/// A label that starts with `xn--` must also be Punycode of something that is not ASCII. A last label that a parser
/// takes for a number makes the host an IPv4 address, so such a host is no name.
pub(super) fn is_name(host: &str) -> bool {
    host.split('.').all(is_label) && !host.rsplit('.').next().is_some_and(is_number)
}

/// Whether `host` is an IPv4 address in dotted decimals, or an IPv6 address in brackets.
pub(super) fn is_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // What connects to an address of IPv4 within IPv6 reaches that of IPv4, which lists would not see.
        Some(address) => !is_mapped(address) && is_ipv6(address),
        // This parser knows only four decimals without leading zeros, which is how addresses are written.
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Whether an address in its one spelling is `::ffff:` and the two pieces of one of IPv4 (RFC 4291 section 2.5.5.2).
fn is_mapped(address: &str) -> bool {
    address.strip_prefix("::ffff:").is_some_and(|rest| rest.split(':').count() <= 2)
}

fn is_label(label: &str) -> bool {
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !label.is_empty() && label.bytes().all(known) && label.strip_prefix("xn--").is_none_or(punycode::is_encoded)
}

/// What the URL standard reads as a number: decimal digits, or hexadecimal ones (even none) after `0x`.
fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The pieces on one side of `::`, or of a whole address without it.
#[derive(Default)]
struct Pieces {
    count: usize,
    /// The longest run of zeros.
    zeros: usize,
    /// Whether the first piece is a zero.
    zero_first: bool,
    /// Whether the last piece is a zero.
    zero_last: bool,
}

/// RFC 5952 without its dotted form: the first of the longest runs of zeros is left out if it is longer than one.
fn is_ipv6(address: &str) -> bool {
    let Some((before, after)) = address.split_once("::") else {
        return Pieces::read(address).is_some_and(|all| all.count == 8 && all.zeros < 2);
    };
    let (Some(before), Some(after)) = (Pieces::read(before), Pieces::read(after)) else { return false };
    let left_out = 8_usize.saturating_sub(before.count + after.count);
    let whole_run = !before.zero_last && !after.zero_first;
    left_out >= 2 && whole_run && before.zeros < left_out && after.zeros <= left_out
}

impl Pieces {
    /// `None` when a piece is not a hexadecimal number in its one spelling. Nothing is no pieces.
    fn read(text: &str) -> Option<Self> {
        let mut pieces = Self::default();
        if text.is_empty() {
            return Some(pieces);
        }
        let mut run = 0;
        for piece in text.split(':') {
            let is_zero = piece == "0";
            if !is_zero && !is_piece(piece) {
                return None;
            }
            run = if is_zero { run + 1 } else { 0 };
            pieces.zeros = pieces.zeros.max(run);
            pieces.zero_first |= is_zero && pieces.count == 0;
            pieces.zero_last = is_zero;
            pieces.count += 1;
        }
        Some(pieces)
    }
}

/// One to four hexadecimal digits, the first of them not zero.
fn is_piece(text: &str) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (1..=4).contains(&text.len()) && !text.starts_with('0') && text.bytes().all(digit)
}
