use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::{Sha256, Sha384, Sha512};

use super::*;
use crate::did_key;

const MAX: usize = 16 * 1024;

fn key() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn header_with(member: &str) -> String {
    let kid = key().public().thumbprint().to_string();
    format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"passport+jwt",{member}}}"#)
}

/// A token with any header, correctly signed: only the header can be the reason for a refusal.
fn signed(header: &str, payload: &[u8]) -> String {
    let input = format!("{}.{}", b64::encode(header.as_bytes()), b64::encode(payload));
    let signature = b64::encode(&key().sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn refusal(token: &str) -> JwsError {
    decode(token, TokenType::Passport, MAX).unwrap_err()
}

fn header_refusal(header: &str) -> JwsError {
    refusal(&signed(header, b"{}"))
}

#[test]
fn the_header_has_its_documented_bytes() {
    let token = sign(&key(), TokenType::LedgerHead, b"payload");
    let (header, _) = token.split_once('.').unwrap();
    let kid = key().public().thumbprint().to_string();
    let expected = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"ledger-head+jwt"}}"#);
    assert_eq!(b64::decode(header).unwrap(), expected.as_bytes());
    assert_eq!(token, sign(&key(), TokenType::LedgerHead, b"payload"));
}

#[test]
fn a_token_verifies_with_its_key_alone() {
    let token = sign(&key(), TokenType::Passport, b"payload");
    let verified = decode(&token, TokenType::Passport, MAX).unwrap().verify(key().public()).unwrap();
    assert_eq!(verified.payload(), b"payload");
    assert_eq!(verified.kid(), key().public().thumbprint());
    assert_eq!(verified.token(), token);

    let other = SecretKey::from_seed([8; 32]);
    let refused = decode(&token, TokenType::Passport, MAX).unwrap().verify(other.public());
    assert_eq!(refused.unwrap_err(), JwsError::KeyMismatch);
}

#[test]
fn kid_of_another_issuer_does_not_verify_with_it() {
    // Signed by one key, but naming another: the named key does not verify it, the signing key is not named.
    let other = SecretKey::from_seed([8; 32]);
    let header = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"passport+jwt"}}"#, other.public().thumbprint());
    let token = signed(&header, b"{}");
    let unverified = decode(&token, TokenType::Passport, MAX).unwrap();
    assert_eq!(unverified.clone().verify(other.public()).unwrap_err(), JwsError::SignatureInvalid);
    assert_eq!(unverified.verify(key().public()).unwrap_err(), JwsError::KeyMismatch);
}

#[test]
fn accepted_headers_may_be_spelled_differently() {
    let kid = key().public().thumbprint().to_string();
    for header in [
        format!(r#"{{"alg":"Ed25519","kid":"{kid}","typ":"passport+jwt"}}"#),
        format!(r#"{{"typ":"application/passport+jwt","kid":"{kid}","alg":"EdDSA"}}"#),
        format!(" {{ \"alg\" : \"EdDSA\",\n\"kid\":\"{kid}\",\"typ\":\"passport+jwt\" }}"),
    ] {
        let token = signed(&header, b"{}");
        let verified = decode(&token, TokenType::Passport, MAX).unwrap().verify(key().public());
        assert!(verified.is_ok(), "{header}");
    }
}

#[test]
fn alg_none_in_every_spelling_and_type() {
    for alg in [r#""none""#, r#""None""#, r#""nOnE""#, r#""NONE""#, r#""""#] {
        let header = format!(r#"{{"alg":{alg},"kid":"k","typ":"passport+jwt"}}"#);
        assert_eq!(header_refusal(&header), JwsError::Algorithm, "{alg}");
    }
    for alg in [r#"["EdDSA"]"#, "0", "null", "true", r#"{"EdDSA":1}"#] {
        let header = format!(r#"{{"alg":{alg},"kid":"k","typ":"passport+jwt"}}"#);
        assert_eq!(header_refusal(&header), JwsError::HeaderShape { member: "alg" }, "{alg}");
    }
    let without = header_refusal(r#"{"kid":"k","typ":"passport+jwt"}"#);
    assert_eq!(without, JwsError::HeaderShape { member: "alg" });
    let unsecured = format!("{}.e30.", b64::encode(br#"{"alg":"none"}"#));
    assert_eq!(refusal(&unsecured), JwsError::Segments);
}

#[test]
fn other_algorithms_and_near_misses() {
    for alg in [
        "HS256",
        "HS384",
        "HS512",
        "ES256",
        "ES256K",
        "ES384",
        "RS256",
        "PS256",
        "Ed448",
        "EdDSA448",
        "eddsa",
        "EDDSA",
        "ed25519",
        "Ed25519 ",
        " EdDSA",
        "EdDSA\\u0000",
        "EdDSA\\n",
        "EdDS\\u0430",
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"k","typ":"passport+jwt"}}"#);
        assert_eq!(header_refusal(&header), JwsError::Algorithm, "{alg}");
    }
}

/// The public key in every form in which a verifier could take it for a secret: bytes, DER, PEM, JWK and the texts it is
/// named by, each also behind a space and before the end of a line.
fn public_key_as_secrets() -> Vec<Vec<u8>> {
    let key = key();
    let (public, raw) = (key.public(), key.public().as_bytes());
    // SubjectPublicKeyInfo of RFC 8410.
    let der = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &raw[..]].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&der));
    let texts = [
        pem,
        public.to_jwk(),
        format!(r#"{{"keys":[{}]}}"#, public.to_jwk()),
        b64::encode(raw),
        STANDARD.encode(raw),
        STANDARD.encode(&der),
        raw.iter().map(|byte| format!("{byte:02x}")).collect(),
        did_key::encode(public),
        public.thumbprint().to_string(),
        String::new(),
    ];
    let forms = [raw.to_vec(), der].into_iter().chain(texts.into_iter().map(String::into_bytes));
    forms.flat_map(|form| [[b" ", &form[..]].concat(), [&form[..], b"\n"].concat(), form]).collect()
}

const MACS: [&str; 3] = ["HS256", "HS384", "HS512"];

fn mac(alg: &str, secret: &[u8], input: &str) -> Vec<u8> {
    let input = input.as_bytes();
    match alg {
        "HS256" => Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(input).finalize().into_bytes().to_vec(),
        "HS384" => Hmac::<Sha384>::new_from_slice(secret).unwrap().chain_update(input).finalize().into_bytes().to_vec(),
        _ => Hmac::<Sha512>::new_from_slice(secret).unwrap().chain_update(input).finalize().into_bytes().to_vec(),
    }
}

#[test]
fn a_public_key_is_nobodys_secret() {
    let kid = key().public().thumbprint().to_string();
    let input = |alg: &str| {
        let header = format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"passport+jwt"}}"#);
        format!("{}.{}", b64::encode(header.as_bytes()), b64::encode(b"{}"))
    };
    for secret in public_key_as_secrets() {
        for alg in MACS {
            let named = format!("{}.{}", input(alg), b64::encode(&mac(alg, &secret, &input(alg))));
            assert_eq!(refusal(&named), JwsError::Algorithm, "{alg}");
            // Under the name that is accepted, and as long as a signature.
            let mut as_signature = mac(alg, &secret, &input("EdDSA"));
            as_signature.resize(64, 0);
            let token = format!("{}.{}", input("EdDSA"), b64::encode(&as_signature));
            let verified = decode(&token, TokenType::Passport, MAX).unwrap().verify(key().public());
            assert_eq!(verified.unwrap_err(), JwsError::SignatureInvalid, "{alg}");
        }
    }
}

#[test]
fn header_members_that_choose_keys_or_change_the_reading() {
    for (member, name) in [
        (r#""crit":["exp"]"#, "crit"),
        (r#""crit":["b64"],"b64":false"#, "b64"),
        (r#""crit":[]"#, "crit"),
        (r#""crit":"exp""#, "crit"),
        (r#""crit":null"#, "crit"),
        (r#""b64":false"#, "b64"),
        (r#""b64":true"#, "b64"),
        (r#""zip":"DEF""#, "zip"),
        (r#""cty":"JWT""#, "cty"),
        (r#""cty":"""#, "cty"),
        (r#""cty":null"#, "cty"),
        (r#""jku":"https://attacker.example/keys""#, "jku"),
        (r#""x5u":"https://attacker.example/cert""#, "x5u"),
        (r#""x5c":["MIIB"]"#, "x5c"),
        (r#""x5t":"AAAA""#, "x5t"),
        (r#""x5t#S256":"AAAA""#, "x5t#S256"),
        (r#""jwk":{"kty":"OKP"}"#, "jwk"),
        (r#""enc":"A256GCM""#, "unknown"),
        (r#""Alg":"none""#, "unknown"),
        (r#""":1"#, "unknown"),
        (r#""\u001b[31m":1"#, "unknown"),
    ] {
        assert_eq!(header_refusal(&header_with(member)), JwsError::HeaderMember { member: name }, "{member}");
    }
}

#[test]
fn duplicate_header_members() {
    for member in [r#""alg":"EdDSA""#, r#""\u0061lg":"none""#, r#""typ":"passport+jwt""#, r#""kid":"x""#] {
        let refused = header_refusal(&header_with(member));
        assert!(matches!(refused, JwsError::Header(JsonError::DuplicateKey { .. })), "{member}");
    }
}

#[test]
fn header_is_no_object_or_no_json() {
    for header in ["[]", "null", "1", "\"EdDSA\"", "true", r#"["EdDSA","k","passport+jwt"]"#, "{}"] {
        assert_eq!(header_refusal(header), JwsError::HeaderShape { member: "alg" }, "{header}");
    }
    for header in ["{", "{} ", "", "\u{feff}{}", r#"{"alg":"EdDSA"}x"#] {
        let token = signed(header, b"{}");
        assert!(decode(&token, TokenType::Passport, MAX).is_err(), "{header}");
    }
}

#[test]
fn kid_as_a_path_a_pattern_or_a_flood() {
    let long = "k".repeat(MAX_KID_BYTES + 1);
    for kid in ["", "../../etc/x", "*", "a\\u0000", "a\\n", "key:*", "a b", "a=", "a/b", "k\\u00e9", &long] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"{kid}","typ":"passport+jwt"}}"#);
        assert_eq!(header_refusal(&header), JwsError::KeyId, "{kid}");
    }
    let flood = format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"passport+jwt"}}"#, "k".repeat(8 * 1024));
    assert_eq!(header_refusal(&flood), JwsError::TooLarge { limit: MAX_HEADER_BYTES });
    for kid in ["null", "1", "[]", r#"["k"]"#] {
        let header = format!(r#"{{"alg":"EdDSA","kid":{kid},"typ":"passport+jwt"}}"#);
        assert_eq!(header_refusal(&header), JwsError::HeaderShape { member: "kid" }, "{kid}");
    }
}

#[test]
fn every_kind_of_token_in_the_place_of_every_other() {
    for made in TokenType::ALL {
        let token = sign(&key(), made, b"{}");
        for wanted in TokenType::ALL {
            let read = decode(&token, wanted, MAX).map(|_| ());
            let expected = if made == wanted { Ok(()) } else { Err(JwsError::Type { expected: wanted.as_str() }) };
            assert_eq!(read, expected, "{made:?} as {wanted:?}");
        }
    }
}

#[test]
fn typ_is_exact() {
    for typ in [
        "JWT",
        "jwt",
        "",
        "Passport+JWT",
        "passport+JWT",
        "passport",
        "passport+jwt ",
        "Application/passport+jwt",
        "application/application/passport+jwt",
        "dpop+jwt",
        "application/",
        "x/passport+jwt",
    ] {
        let header = format!(r#"{{"alg":"EdDSA","kid":"k","typ":"{typ}"}}"#);
        assert_eq!(header_refusal(&header), JwsError::Type { expected: "passport+jwt" }, "{typ}");
    }
    let without = header_refusal(r#"{"alg":"EdDSA","kid":"k"}"#);
    assert_eq!(without, JwsError::HeaderShape { member: "typ" });
}

#[test]
fn segments_other_than_three() {
    let token = sign(&key(), TokenType::Passport, b"payload");
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    for malformed in [
        String::new(),
        String::from("."),
        String::from(".."),
        String::from("..."),
        input.to_string(),
        header.to_string(),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}."),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{payload}.{payload}.{payload}.{signature}"),
    ] {
        assert_eq!(refusal(&malformed), JwsError::Segments, "{malformed}");
    }
    // Neither JSON serialisation (RFC 7515 section 7.2) is a compact token.
    let flattened = format!(r#"{{"payload":"{payload}","protected":"{header}","signature":"{signature}"}}"#);
    let general =
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#);
    assert_eq!(refusal(&flattened), JwsError::Segments);
    assert_eq!(refusal(&general), JwsError::Segments);
}

#[test]
fn base64_variants_of_every_segment() {
    let token = sign(&key(), TokenType::Passport, b"payload");
    let parts: Vec<&str> = token.split('.').collect();
    for (at, segment) in ["header", "payload", "signature"].into_iter().enumerate() {
        for damage in ["=", "==", " ", "\n", "\r\n", "\t", "+", "/", "%3D", "\u{e9}"] {
            let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
            changed[at].push_str(damage);
            assert_eq!(refusal(&changed.join(".")), JwsError::Base64 { segment }, "{damage:?}");
        }
    }
    // 64 bytes leave four bits over in the last character, and they have to be zero.
    let (rest, last) = token.split_at(token.len() - 1);
    assert!("AQgw".contains(last));
    let stray = format!("{rest}{}", char::from(last.as_bytes()[0] + 1));
    assert_eq!(refusal(&stray), JwsError::Base64 { segment: "signature" });
}

#[test]
fn signatures_of_other_lengths() {
    let token = sign(&key(), TokenType::Passport, b"payload");
    let (input, _) = token.rsplit_once('.').unwrap();
    for length in [1, 32, 63, 65, 128] {
        let other = format!("{input}.{}", b64::encode(&vec![1; length]));
        assert_eq!(refusal(&other), JwsError::Base64 { segment: "signature" }, "{length}");
    }
}

#[test]
fn size_is_checked_before_anything_else() {
    let token = sign(&key(), TokenType::Passport, b"payload");
    assert!(decode(&token, TokenType::Passport, token.len()).is_ok());
    let limit = token.len() - 1;
    assert_eq!(decode(&token, TokenType::Passport, limit).unwrap_err(), JwsError::TooLarge { limit });
    let megabyte = "\u{0}".repeat(1 << 20);
    assert_eq!(refusal(&megabyte), JwsError::TooLarge { limit: MAX });
}

proptest! {
    #[test]
    fn what_is_signed_is_read_back(payload in proptest::collection::vec(any::<u8>(), 1..200)) {
        let token = sign(&key(), TokenType::Approval, &payload);
        let verified = decode(&token, TokenType::Approval, MAX).unwrap().verify(key().public()).unwrap();
        prop_assert_eq!(verified.payload(), &payload[..]);
    }

    #[test]
    fn one_changed_character_refuses_the_token(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
        let token = sign(&key(), TokenType::Passport, b"{\"sub\":\"agent\"}");
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != token);
        let verified = decode(&changed, TokenType::Passport, MAX).and_then(|read| read.verify(key().public()));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}", dotted in "[A-Za-z0-9_=.-]{0,200}") {
        prop_assert!(decode(&text, TokenType::Passport, MAX).is_err());
        prop_assert!(decode(&dotted, TokenType::Passport, MAX).is_err());
    }
}
