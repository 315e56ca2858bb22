//! Lists of texts in rules: what each entry stands for.

use std::net::IpAddr;

use passgate_core::domain::DomainPattern;
use passgate_core::policy::Network;
use passgate_passport::claims::is_identifier;
use passgate_passport::constraints::{self, ResourcePattern};
use passgate_passport::scope::Scope;

/// What one entry of a list matches.
pub(super) enum Entry {
    /// This text.
    Exact(String),
    /// What begins so.
    Begins(String),
    /// What ends so.
    Ends(String),
    /// What this regular expression matches.
    Matches(String),
}

type Read = Result<Entry, String>;

/// `payments:create`, `payments:*`, `vault:*:read`
pub(super) fn action(text: &str) -> Read {
    let scope = Scope::parse(text).map_err(|error| error.to_string())?;
    let before = scope.as_str().strip_suffix('*');
    Ok(match before {
        _ if !text.contains('*') => Entry::Exact(text.to_owned()),
        Some(before) if !before.contains('*') => Entry::Begins(before.to_owned()),
        _ => {
            let segments: Vec<String> = text.split(':').map(segment).collect();
            let joined = segments.join(":");
            Entry::Matches(if before.is_some() { format!("{joined}(:[^:]+)*") } else { joined })
        }
    })
}

fn segment(text: &str) -> String {
    if text == "*" { "[^:]+".to_owned() } else { regex_syntax::escape(text) }
}

/// `bot-1`, `bot-*`
pub(super) fn agent(text: &str) -> Read {
    let (name, entry): (_, fn(String) -> Entry) = match text.strip_suffix('*') {
        Some(begin) => (begin, Entry::Begins),
        None => (text, Entry::Exact),
    };
    if name.contains('*') || !(is_identifier(name) || (name.is_empty() && text == "*")) {
        return Err("use 1 to 256 visible ASCII characters, with `*` at the end alone".to_owned());
    }
    Ok(entry(name.to_owned()))
}

/// `untrusted_web`
pub(super) fn label(text: &str) -> Read {
    let why = "use names of 1 to 64 of a-z 0-9 _ . -";
    constraints::is_name(text).then(|| Entry::Exact(text.to_owned())).ok_or_else(|| why.to_owned())
}

/// `api.example.com`, `*.example.com`
pub(super) fn domain(text: &str) -> Read {
    DomainPattern::parse(text).map_err(|error| error.to_string())?;
    if is_public_suffix(text) {
        return Err(
            "it stands for every name that anyone registers below: name the organisation's own domain".to_owned()
        );
    }
    let lower = text.to_ascii_lowercase();
    Ok(match lower.strip_prefix('*') {
        Some(end) => Entry::Ends(end.to_owned()),
        None => Entry::Exact(lower),
    })
}

/// Whether a wildcard stands below a public suffix, where anyone registers names.
pub(crate) fn is_public_suffix(pattern: &str) -> bool {
    let Some(parent) = pattern.strip_prefix("*.") else { return false };
    let parent = parent.to_ascii_lowercase();
    psl::suffix_str(&parent) == Some(parent.as_str())
}

/// `customers/42`, `customers/*`
pub(super) fn resource(text: &str) -> Read {
    let why = "use a resource such as `customers/42`, or `customers/*` for what is below";
    ResourcePattern::parse(text).ok_or(why)?;
    Ok(match text.strip_suffix('*') {
        Some(begin) => Entry::Begins(begin.to_owned()),
        None => Entry::Exact(text.to_owned()),
    })
}

/// A text without control characters.
pub(super) fn plain(text: &str) -> Read {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err("use 1 to 256 bytes without control characters".to_owned());
    }
    Ok(Entry::Exact(text.to_owned()))
}

/// `192.0.2.0/24`, `2001:db8::/32`
pub(super) fn network(text: &str) -> Result<Network, String> {
    let why = || "use a network such as `192.0.2.0/24`, whose address has no bits set after those".to_owned();
    let (address, bits) = text.split_once('/').ok_or_else(why)?;
    let parsed: IpAddr = address.parse().map_err(|_| why())?;
    let bits: u8 = bits.parse().ok().filter(|number: &u8| number.to_string() == bits).ok_or_else(why)?;
    let (value, width) = match parsed {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let has_more = value.checked_shl(bits.into()).is_some_and(|rest| rest != 0);
    if bits > width || parsed.to_string() != address || has_more {
        return Err(why());
    }
    if matches!(parsed, IpAddr::V6(v6) if bits >= 96 && v6.to_ipv4_mapped().is_some()) {
        return Err("no argument has an address of IPv4 within IPv6: write the network of IPv4".to_owned());
    }
    Ok(Network { address: parsed, bits })
}
