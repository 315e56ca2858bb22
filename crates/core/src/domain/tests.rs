use super::*;
use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::ToString as _;

use proptest::prelude::*;

fn allowed(pattern: &str, target: &str) -> Result<bool, DomainError> {
    let pattern = DomainPattern::parse(pattern).unwrap();
    target_host(target).map(|host| pattern.matches(&host))
}

#[test]
fn plain_targets() {
    for target in
        ["example.com", "EXAMPLE.com", "https://example.com/a?b#c", "http://example.com:80", "https://example.com:443/"]
    {
        assert_eq!(allowed("example.com", target), Ok(true), "{target}");
    }
    assert_eq!(allowed("*.example.com", "a.b.example.com"), Ok(true));
    assert_eq!(allowed("[2001:db8::1]", "https://[2001:db8::1]/"), Ok(true));
    assert_eq!(allowed("xn--bcher-kva.example", "https://xn--bcher-kva.example"), Ok(true));
}

#[test]
fn other_names_do_not_match() {
    for target in [
        "evil-example.com",
        "example.com.evil.com",
        "https://evil.com/example.com",
        "https://evil.com?example.com",
        "https://evil.com#example.com",
    ] {
        assert_eq!(allowed("example.com", target), Ok(false), "{target}");
    }
    for target in ["example.com", "evil-example.com", "evilexample.com"] {
        assert_eq!(allowed("*.example.com", target), Ok(false), "{target}");
    }
}

#[test]
fn spelling_tricks_are_refused() {
    let tricks = [
        "https://example.com@evil.com",
        "https://example.com%2f@evil.com",
        "https://example.com\\@evil.com",
        "https://evil.com\\@example.com",
        "example.com.",
        "https://example.com./",
        "a..example.com",
        "https://example.com:8443/",
        "https://example.com:0/",
        "exa\u{ad}mple.com",
        "ｅxample.com",
        "ⓔxample.com",
        "exam\tple.com",
        "exam\nple.com",
        "%65xample.com",
        "https://%65xample.com/",
        "https:///example.com",
        "https://user@example.com",
        "ftp://example.com",
        "javascript://example.com",
        "//example.com",
        "https:example.com",
        "https:example.com://example.com",
        "",
        " example.com",
        "example.com ",
        "https://bücher.example/",
        ".example.com",
    ];
    for target in tricks {
        assert!(target_host(target).is_err(), "{target:?}");
    }
}

#[test]
fn unusual_ip_spellings_are_refused_or_stay_different() {
    for target in [
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "1.2.3",
        "127.0.0.1.",
        "[::ffff:127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "[fe80::1%25eth0]",
    ] {
        for written in [target.to_string(), format!("http://{target}/")] {
            assert_ne!(target_host(&written).as_deref(), Ok("127.0.0.1"), "{written}");
            assert!(target_host(&written).is_err(), "{written}");
        }
    }
    for target in ["[::]", "0.0.0.0", "169.254.169.254", "[fe80::]", "[64:ff9b::7f00:1]"] {
        assert_eq!(allowed("example.com", target), Ok(false), "{target}");
    }
}

#[test]
fn wildcards_only_as_whole_left_label() {
    for pattern in ["*", "*.", "*.com", "a.*.com", "ex*.com", "*.*.com", "*.127.0.0.1"] {
        assert!(DomainPattern::parse(pattern).is_err(), "{pattern}");
    }
}

/// What a WHATWG parser reads from a host; only a host that it also writes so counts.
fn by_url(written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase();
    let host = url::Host::parse(&lower).ok()?.to_string();
    let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.[:]".contains(&b);
    (host == lower && lower.bytes().all(known) && lower.split('.').all(|label| !label.is_empty())).then_some(host)
}

/// The host of a URL that must be the one written in its authority.
fn by_url_in(target: &str) -> Option<String> {
    let url = url::Url::parse(target).ok()?;
    let (scheme, after_scheme) = target.split_once("://")?;
    let default_port = if url.scheme() == "https" { ":443" } else { ":80" };
    let authority = after_scheme.split(['/', '?', '#']).next()?;
    let host = by_url(authority.strip_suffix(default_port).unwrap_or(authority))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    let written_so = url.scheme() == scheme.to_ascii_lowercase() && url.host_str() == Some(&host);
    (plain && matches!(url.scheme(), "http" | "https") && written_so).then_some(host)
}

/// What is accepted is accepted by a WHATWG parser as the same host, and the other way round.
///
/// Only a name with an A-label may pass here and not there: no Unicode tables say what else makes it invalid.
fn agree(ours: Option<&str>, theirs: Option<&str>, text: &str) -> Result<(), TestCaseError> {
    let has_a_label = |host: &str| host.split('.').any(|label| label.starts_with("xn--"));
    if theirs.is_some() || !ours.is_some_and(has_a_label) {
        prop_assert_eq!(ours, theirs, "{:?}", text);
    }
    Ok(())
}

fn agrees(host: &str) -> Result<(), TestCaseError> {
    let (ours, theirs) = (canonical_host(host).ok(), by_url(host));
    if let Some(both) = theirs.as_deref() {
        let is_name = matches!(url::Host::parse(both), Ok(url::Host::Domain(_)));
        prop_assert_eq!(host::is_name(both), is_name, "{:?}", host);
    }
    agree(ours.as_deref(), theirs.as_deref(), host)
}

fn agrees_in(target: &str) -> Result<(), TestCaseError> {
    agree(target_host(target).ok().as_deref(), by_url_in(target).as_deref(), target)
}

/// Labels of which each other one is likely to be taken for a number.
fn host_text() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        "[a-z0-9_-]{0,6}",
        "[A-Za-z0-9._%:@\\[\\]-]{0,8}",
        "[0-9]{0,4}",
        "25[0-9]",
        "0[xX]?[0-9a-fA-Fg]{0,4}",
        "xn--[a-z0-9-]{0,12}",
    ];
    proptest::collection::vec(label, 1..6).prop_map(|labels| labels.join("."))
}

/// Addresses that are nearly in the one spelling: zeros, left-out pieces and leading zeros at any place.
fn address_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => Just("0".to_owned()), 2 => Just(String::new()), 4 => "[0-9a-fA-F]{1,4}",
        1 => "[0-9a-g]{0,5}", 1 => Just("1.2.3.4".to_owned())];
    proptest::collection::vec(piece, 0..10).prop_map(|pieces| format!("[{}]", pieces.join(":")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn hosts_are_read_as_by_the_url_standard(host in prop_oneof![host_text(), address_text(), "\\PC{0,12}"]) {
        agrees(&host)?;
    }

    #[test]
    fn canonical_addresses_are_accepted(v6 in any::<[u16; 8]>(), zeros in any::<u8>(), v4 in any::<[u8; 4]>()) {
        let keep = |(at, piece): (usize, u16)| if zeros >> at & 1 == 1 { 0 } else { piece };
        let pieces: alloc::vec::Vec<u16> = v6.into_iter().enumerate().map(keep).collect();
        let address = core::net::Ipv6Addr::from(<[u16; 8]>::try_from(pieces).unwrap());
        let host = url::Host::<String>::Ipv6(address).to_string();
        prop_assert_eq!(canonical_host(&host).is_ok(), address.to_ipv4_mapped().is_none(), "{}", host);
        let host = url::Host::<String>::Ipv4(v4.into()).to_string();
        prop_assert_eq!(canonical_host(&host), Ok(host));
    }

    #[test]
    fn addresses_within_addresses_are_refused(v4 in any::<[u8; 4]>()) {
        let mapped = core::net::Ipv4Addr::from(v4).to_ipv6_mapped();
        prop_assert!(canonical_host(&url::Host::<String>::Ipv6(mapped).to_string()).is_err(), "{}", mapped);
    }

    #[test]
    fn targets_are_read_as_by_the_url_standard(
        scheme in prop_oneof![4 => "https?", 1 => "[hH][tT]{1,2}[pP][sS]?", 1 => "ftp|ws|file|https:a|x/y|"],
        slashes in prop_oneof![9 => Just("://"), 1 => Just(":///"), 1 => Just(":")],
        before in prop_oneof![9 => Just(""), 1 => Just("a@"), 1 => Just("@"), 1 => Just("a:b@"), 1 => Just(":@")],
        host in prop_oneof![host_text(), address_text()],
        after in prop_oneof![4 => "(:(80|443|0443|8443|))?", 1 => "(:80|:443|:){2}", 1 => ":[0-9a-z]{0,6}"],
        rest in prop_oneof![Just(String::new()), "[/?#][!-~&&[^\\\\]]{0,12}"],
    ) {
        agrees_in(&format!("{scheme}{slashes}{before}{host}{after}{rest}"))?;
    }

    /// A name from the letters of a script: everything that the URL standard makes of it passes.
    #[test]
    fn international_names_pass_as_a_labels(label in prop_oneof![
        "[a-zäöüßéà]{1,12}", "[а-я]{1,20}", "[一-龥]{1,12}", "[ぁ-ゖa-z]{1,12}", "[א-ת]{1,12}", "[😀-🙏]{1,6}", "\\PC{1,8}",
    ]) {
        if let Ok(url::Host::Domain(name)) = url::Host::parse(&format!("{label}.example")) {
            agrees(&name)?;
        }
    }
}

/// No code point is refused that the URL standard lets stand in a name.
#[test]
fn only_folded_code_points_are_refused() {
    for code in '\u{80}'..=char::MAX {
        let Ok(url::Host::Domain(name)) = url::Host::parse(&format!("a{code}b")) else { continue };
        if by_url(&name).is_some() {
            assert_eq!(canonical_host(&name).as_deref(), Ok(name.as_str()), "{code:?}");
        }
    }
}

/// Each decodes to nothing, to plain letters or to something that is not a code point.
#[test]
fn what_is_no_punycode_is_refused() {
    for label in ["xn--", "xn--a-", "xn---", "xn----", "xn--example-", "xn--99999999", "xn--a_b-_", "xn--0", "xn---tda"]
    {
        assert!(canonical_host(label).is_err() && by_url(label).is_none(), "{label}");
    }
    // What folds to `/`, to `.`, to nothing or to a plain letter, and what is private.
    for label in ["xn--ab-1u3n", "xn--ab-r13a", "xn--evilcom-t56c", "xn--ab-5da", "xn--mi7c", "xn--x-ro7g", "xn--z1g"] {
        assert!(canonical_host(label).is_err() && by_url(label).is_none(), "{label}");
    }
}
