use alloc::string::{String, ToString as _};
use alloc::vec;
use alloc::vec::Vec;

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use serde_json::{Value, json};

use super::*;
use crate::b64;
use crate::jws::{self, JwsError, TokenType};
use crate::key::SecretKey;
use crate::trust::{Issuer, IssuerKey, IssuerStatus, Tier};

const ISSUER: &str = "https://issuer.example";
const URI: &str = "https://issuer.example/statuslists/1";
const IAT: i64 = 1_800_000_000;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// Key 1 for ever, key 2 until shortly before the lists of these tests.
fn issuer() -> Issuer {
    let entry = |seed: u8, not_after| IssuerKey { not_after, ..IssuerKey::unbounded(key(seed).public().clone()) };
    Issuer {
        id: ISSUER.to_string(),
        tier: Tier::L2,
        status: IssuerStatus::Active,
        keys: vec![entry(1, None), entry(2, Some(IAT - 1))],
        max_passport_ttl_seconds: 3600,
    }
}

fn read_at(token: &str, now: i64, uri: Option<&str>) -> Result<StatusList, StatusListError> {
    verify(token, &StatusListContext { issuer: &issuer(), uri, now, leeway_seconds: 30 })
}

fn read(token: &str) -> Result<StatusList, StatusListError> {
    read_at(token, IAT, None)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec_zlib(bytes, 6)
}

fn claims(bits: u64, stream: &[u8]) -> Value {
    json!({"iat": IAT, "sub": URI, "status_list": {"bits": bits, "lst": b64::encode(stream)}})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims(1, &zlib(&[0]));
    claims[name] = value;
    claims
}

fn signed(claims: &Value) -> String {
    jws::sign(&key(1), TokenType::StatusList, claims.to_string().as_bytes())
}

fn new_list(revoked: &[u64]) -> NewStatusList {
    NewStatusList {
        iss: ISSUER.to_string(),
        uri: URI.to_string(),
        iat: IAT,
        exp: Some(IAT + 60),
        ttl_seconds: Some(30),
        entries: 20,
        revoked: revoked.iter().copied().collect(),
    }
}

fn statuses(list: &StatusList) -> Vec<u8> {
    let value = |status| match status {
        Status::Valid => 0,
        Status::Invalid => 1,
        Status::Suspended => 2,
        Status::Other(value) => value,
        Status::OutOfRange => panic!("an entry of the list"),
    };
    (0..list.entries()).map(|idx| value(list.status(idx))).collect()
}

#[test]
fn one_status_list_entry_is_read() {
    let claim = json!({"status_list": {"idx": 412, "uri": "https://example.com/statuslists/1"}});
    let status = StatusRef::from_claim(&Node::from(&claim)).unwrap();
    assert_eq!((status.idx, status.uri.as_str()), (412, "https://example.com/statuslists/1"));
}

#[test]
fn other_shapes_are_refused() {
    let uri = "https://example.com/1";
    for claim in [
        json!(null),
        json!("https://example.com/1"),
        json!([]),
        json!({}),
        json!({"status_list": null}),
        json!({"status_list": {"idx": 1}}),
        json!({"status_list": {"uri": uri}}),
        json!({"status_list": {"idx": -1, "uri": uri}}),
        json!({"status_list": {"idx": 1.5, "uri": uri}}),
        json!({"status_list": {"idx": "1", "uri": uri}}),
        json!({"status_list": {"idx": 9_007_199_254_740_992_u64, "uri": uri}}),
        json!({"status_list": {"idx": 1, "uri": ""}}),
        json!({"status_list": {"idx": 1, "uri": "a b"}}),
        json!({"status_list": {"idx": 1, "uri": "a".repeat(1025)}}),
        json!({"status_list": {"idx": 1, "uri": uri, "bits": 1}}),
        json!({"status_list": {"idx": 1, "uri": uri}, "other_mechanism": {}}),
        json!({"other_mechanism": {}}),
    ] {
        assert!(StatusRef::from_claim(&Node::from(&claim)).is_err(), "{claim}");
    }
}

/// The two worked examples of section 4.1 of the draft.
#[test]
fn the_examples_of_the_draft_are_read() {
    let one = json!({"iat": IAT, "sub": URI, "status_list": {"bits": 1, "lst": "eNrbuRgAAhcBXQ"}});
    let list = read(&signed(&one)).unwrap();
    assert_eq!(statuses(&list), [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
    let two = json!({"iat": IAT, "sub": URI, "status_list": {"bits": 2, "lst": "eNo76fITAAPfAgc"}});
    let list = read(&signed(&two)).unwrap();
    assert_eq!(statuses(&list), [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    assert_eq!(list.status(3), Status::Other(3));
}

#[test]
fn every_width_is_read_from_the_lowest_bits() {
    for (bits, expected) in [
        (1, vec![0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
        (2, vec![2, 0, 3, 2, 1, 0, 0, 0]),
        (4, vec![2, 11, 1, 0]),
        (8, vec![0xb2, 0x01]),
    ] {
        let list = read(&signed(&claims(bits, &zlib(&[0xb2, 0x01])))).unwrap();
        assert_eq!(statuses(&list), expected, "{bits}");
        assert_eq!(list.entries(), expected.len() as u64);
        for idx in [list.entries(), list.entries() + 1, 1 << 32, u64::MAX] {
            assert_eq!(list.status(idx), Status::OutOfRange, "{bits} {idx}");
        }
    }
}

#[test]
fn a_list_that_was_issued_is_read_as_it_was_meant() {
    let token = issue(&key(1), &new_list(&[0, 7, 8, 19])).unwrap();
    assert_eq!(issue(&key(1), &new_list(&[0, 7, 8, 19])).unwrap(), token);
    let list = read_at(&token, IAT, Some(URI)).unwrap();
    assert_eq!((list.issuer(), list.uri(), list.issued_at()), (ISSUER, URI, IAT));
    assert_eq!((list.expires_at(), list.ttl_seconds(), list.entries()), (Some(IAT + 60), Some(30), 24));
    let revoked: Vec<u64> = (0..24).filter(|idx| list.status(*idx) == Status::Invalid).collect();
    assert_eq!(revoked, [0, 7, 8, 19]);
}

#[test]
fn a_list_is_issued_only_as_a_verifier_would_accept_it() {
    let most = 8 * MAX_STATUS_LIST_BYTES as u64;
    for (list, error) in [
        (NewStatusList { iss: "two words".to_string(), ..new_list(&[]) }, IssueListError::Issuer),
        (NewStatusList { uri: String::new(), ..new_list(&[]) }, IssueListError::Uri),
        (NewStatusList { iat: -1, ..new_list(&[]) }, IssueListError::Times),
        (NewStatusList { exp: Some(IAT), ..new_list(&[]) }, IssueListError::Times),
        (NewStatusList { ttl_seconds: Some(0), ..new_list(&[]) }, IssueListError::Times),
        (NewStatusList { entries: 0, ..new_list(&[]) }, IssueListError::Entries),
        (NewStatusList { entries: most + 1, ..new_list(&[]) }, IssueListError::Entries),
        (new_list(&[20]), IssueListError::Index { index: 20, entries: 20 }),
    ] {
        assert_eq!(issue(&key(1), &list), Err(error));
    }
}

#[test]
fn only_the_issuers_key_of_that_time_can_sign() {
    let payload = claims(1, &zlib(&[0])).to_string();
    let sign = |seed| jws::sign(&key(seed), TokenType::StatusList, payload.as_bytes());
    assert!(read(&sign(1)).is_ok());
    for stranger in [sign(2), sign(3)] {
        assert_eq!(read(&stranger), Err(StatusListError::KeyUnknown));
    }
    let earlier = with("iat", json!(IAT - 1)).to_string();
    assert!(read(&jws::sign(&key(2), TokenType::StatusList, earlier.as_bytes())).is_ok());
}

#[test]
fn other_tokens_are_no_lists() {
    let payload = claims(1, &zlib(&[0])).to_string();
    for typ in TokenType::ALL.into_iter().filter(|typ| *typ != TokenType::StatusList) {
        let refused = read(&jws::sign(&key(1), typ, payload.as_bytes()));
        let expected = JwsError::Type { expected: "statuslist+jwt" };
        assert_eq!(refused, Err(StatusListError::Token(expected)), "{typ:?}");
    }
}

#[test]
fn a_compromised_key_voids_lists_dated_from_then_on() {
    let token = issue(&key(1), &new_list(&[3])).unwrap();
    for (since, expected) in [
        (IAT + 1, Ok(())),
        (IAT, Err(StatusListError::KeyCompromised { iat: IAT, since: IAT })),
        (0, Err(StatusListError::KeyCompromised { iat: IAT, since: 0 })),
    ] {
        let mut issuer = issuer();
        issuer.keys[0].compromised_at = Some(since);
        let context = StatusListContext { issuer: &issuer, uri: None, now: IAT, leeway_seconds: 30 };
        assert_eq!(verify(&token, &context).map(|_| ()), expected, "{since}");
    }
}

#[test]
fn any_changed_character_of_a_list_is_found() {
    let token = issue(&key(1), &new_list(&[3])).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(read(core::str::from_utf8(&changed).unwrap()).is_err(), "{at}");
    }
}

#[test]
fn a_list_of_somebody_else_or_of_another_uri_is_refused() {
    let other = signed(&with("iss", json!("https://other.example")));
    assert_eq!(read(&other), Err(StatusListError::IssuerMismatch));
    assert!(read(&signed(&with("iss", json!(ISSUER)))).is_ok());
    let token = signed(&claims(1, &zlib(&[0])));
    assert_eq!(read_at(&token, IAT, Some("https://issuer.example/statuslists/2")), Err(StatusListError::UriMismatch));
    assert!(read_at(&token, IAT, Some(URI)).is_ok());
}

#[test]
fn a_list_from_the_future_is_refused_and_an_old_one_is_read_and_not_fresh() {
    let token = issue(&key(1), &new_list(&[])).unwrap();
    assert_eq!(read_at(&token, IAT - 31, None), Err(StatusListError::InFuture { iat: IAT, now: IAT - 31 }));
    let list = read_at(&token, IAT - 30, None).unwrap();
    assert_eq!((list.age_seconds(IAT - 30), list.age_seconds(IAT + 7)), (0, 7));
    assert!(list.is_fresh(IAT - 30, 0) && list.is_fresh(IAT + 40, 40));
    assert!(!list.is_fresh(IAT + 41, 40));
    assert!(list.is_fresh(IAT + 59, 1000));
    assert!(!list.is_fresh(IAT + 60, 1000), "`exp` is the first second in which it holds no longer");
    assert!(read_at(&token, IAT + 1_000_000, None).is_ok());
}

#[test]
fn claims_of_another_shape_are_refused() {
    for (claims, at) in [
        (json!([]), "(payload)"),
        (with("iss", json!(1)), "iss"),
        (with("sub", json!("")), "sub"),
        (with("sub", json!("a b")), "sub"),
        (with("sub", json!(null)), "sub"),
        (with("iat", json!(-1)), "iat"),
        (with("iat", json!(1.5)), "iat"),
        (with("iat", json!("1")), "iat"),
        (with("exp", json!(null)), "exp"),
        (with("exp", json!(IAT)), "exp"),
        (with("ttl", json!(0)), "ttl"),
        (with("ttl", json!("60")), "ttl"),
        (with("status_list", json!([])), "status_list"),
        (with("status_list", json!({"lst": "eNoAAAAAAAE"})), "bits"),
        (with("status_list", json!({"bits": 3, "lst": "eNoAAAAAAAE"})), "status_list.bits"),
        (with("status_list", json!({"bits": "1", "lst": "eNoAAAAAAAE"})), "status_list.bits"),
        (with("status_list", json!({"bits": 1})), "lst"),
        (with("status_list", json!({"bits": 1, "lst": 1})), "status_list.lst"),
        (with("status_list", json!({"bits": 1, "lst": "eNrbuRgAAhcBXQ=="})), "status_list.lst"),
        (with("status_list", json!({"bits": 1, "lst": "eNrbuRgAAhcBX/"})), "status_list.lst"),
    ] {
        match read(&signed(&claims)) {
            Err(StatusListError::Claim { claim, .. }) => assert_eq!(claim, at, "{claims}"),
            other => panic!("{claims}: {other:?}"),
        }
    }
    for name in ["sub", "iat", "status_list"] {
        let mut claims = claims(1, &zlib(&[0]));
        claims.as_object_mut().unwrap().remove(name);
        assert!(matches!(read(&signed(&claims)), Err(StatusListError::Claim { .. })), "{name}");
    }
    let twice = r#"{"iat":1,"iat":1}"#;
    let twice = jws::sign(&key(1), TokenType::StatusList, twice.as_bytes());
    assert!(matches!(read(&twice), Err(StatusListError::Json(_))));
}

#[test]
fn only_one_whole_zlib_stream_is_a_list() {
    let whole = zlib(&[1; 100]);
    let with_rest = [whole.as_slice(), &[0]].concat();
    let two = [whole.as_slice(), whole.as_slice()].concat();
    let mut other_checksum = whole.clone();
    *other_checksum.last_mut().unwrap() ^= 1;
    let raw = compress_to_vec(&[1; 100], 6);
    for stream in [&[][..], &whole[..whole.len() - 1], &whole[..2], &with_rest, &two, &other_checksum, &raw, b"text"] {
        assert_eq!(read(&signed(&claims(1, stream))), Err(StatusListError::Compression), "{stream:?}");
    }
}

#[test]
fn a_list_may_inflate_to_a_mebibyte_and_no_more() {
    let list = read(&signed(&claims(1, &zlib(&vec![0; MAX_STATUS_LIST_BYTES])))).unwrap();
    assert_eq!(list.entries(), 8 * MAX_STATUS_LIST_BYTES as u64);
    for bytes in [MAX_STATUS_LIST_BYTES + 1, 64 * MAX_STATUS_LIST_BYTES] {
        assert_eq!(read(&signed(&claims(1, &zlib(&vec![0; bytes])))), Err(StatusListError::TooLarge), "{bytes}");
    }
    let mut state = 1_u64;
    let noise = core::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(MAX_STATUS_LIST_BYTES).collect();
    let list = read(&signed(&claims(8, &zlib(&noise)))).unwrap();
    assert_eq!(statuses(&list), noise);
    let long = "A".repeat(MAX_STATUS_LIST_TOKEN_BYTES + 1);
    assert!(matches!(read(&long), Err(StatusListError::Token(JwsError::TooLarge { .. }))));
}

#[test]
fn an_unsigned_bomb_is_not_inflated() {
    let bomb = claims(1, &zlib(&vec![0; 2 * MAX_STATUS_LIST_BYTES])).to_string();
    let token = jws::sign(&key(1), TokenType::StatusList, bomb.as_bytes());
    let (signing_input, _) = token.rsplit_once('.').unwrap();
    let forged = [signing_input, ".", &"A".repeat(86)].concat();
    assert_eq!(read(&forged), Err(StatusListError::Token(JwsError::SignatureInvalid)));
}
