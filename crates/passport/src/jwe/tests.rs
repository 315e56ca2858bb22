use alloc::format;
use alloc::string::ToString as _;

use proptest::prelude::*;

use super::*;

// RFC 8037 appendix A.6, whose keys are those of RFC 7748 section 6.1.
const BOB: &str = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";
const EPHEMERAL_SECRET: &str = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo";
const EPHEMERAL: &str = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo";
const SHARED: &str = "Sl2dW6TOLeFyjjv0gDUPJeB-IclH0Z4zdvCbPB4WF0I";

fn bytes(text: &str) -> [u8; 32] {
    b64::decode_array(text).unwrap()
}

fn seed(byte: u8) -> Seed {
    Seed::new([byte; 32])
}

fn reader() -> DecryptionKey {
    DecryptionKey::from_seed([7; 32])
}

fn jwk(x: &[u8; 32]) -> String {
    format!(r#"{{"kty":"OKP","crv":"X25519","x":"{}"}}"#, b64::encode(x))
}

#[test]
fn the_agreement_of_rfc_8037_gives_its_secret() {
    let bob = EncryptionKey::from_jwk(format!(r#"{{"kty":"OKP","crv":"X25519","kid":"Bob","x":"{BOB}"}}"#).as_bytes());
    let bob = bob.unwrap();
    assert_eq!(bob.kid(), Some("Bob"));
    let ephemeral = bytes(EPHEMERAL_SECRET);
    assert_eq!(x25519(ephemeral, X25519_BASEPOINT_BYTES), bytes(EPHEMERAL));
    assert_eq!(x25519(ephemeral, bob.point), bytes(SHARED));
    assert_eq!(
        header(&bytes(EPHEMERAL), bob.kid()),
        format!(
            r#"{{"alg":"ECDH-ES","enc":"A256GCM","epk":{{"crv":"X25519","kty":"OKP","x":"{EPHEMERAL}"}},"kid":"Bob"}}"#
        )
    );
}

#[test]
fn the_derivation_of_rfc_7518_appendix_c_gives_its_key() {
    let shared = [
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128, 106,
        72, 246, 218, 167, 121, 140, 254, 144, 196,
    ];
    let info = OtherInfo { algorithm: "A128GCM", party_u: "Alice", party_v: "Bob", key_bits: 128 };
    let key = content_key(&shared, &info).unwrap();
    assert_eq!(b64::encode(&key[..16]), "VqqN6vgjbSBcIijNcacQGg");
    assert!(content_key(&[0; 32], &info).is_none(), "a key that contributes nothing");
}

/// Pinned: what a seed gives is the same on every runtime and in every release.
#[test]
fn equal_arguments_give_equal_bytes() {
    let key = reader();
    let token = encrypt(key.public(), b"alice@example.com", &seed(1), 0).unwrap();
    assert_eq!(token, PINNED);
    assert_eq!(key.decrypt(&token).unwrap().as_slice(), b"alice@example.com");
}

const PINNED: &str = "eyJhbGciOiJFQ0RILUVTIiwiZW5jIjoiQTI1NkdDTSIsImVwayI6eyJjcnYiOiJYMjU1MTkiLCJrdHkiOiJPS1AiLC\
                       J4IjoiNFM5Rl9NWGwwbXUzajJyc01ZTUEtT09mRGxnUDNOQnV6ZU1IaXhMcXdtNCJ9LCJraWQiOiJsX2pySElXeEFE\
                       NFdUek5acDM0SXhkV0xJR1BqckVTWXl6VUp0Z0VNZUgwIn0..\
                       8zSUjBMpFIv0nc3e.BZ8CsqJc4diflz31v7LXKKs.ZHxcIknhoO8a6KRtKWXb3Q";

#[test]
fn no_two_texts_share_a_key_whatever_the_seed() {
    let key = reader();
    let parts = |token: String| -> (String, String) {
        let mut segments = token.split('.');
        (segments.next().unwrap().to_string(), segments.nth(1).unwrap().to_string())
    };
    let sealed = |text: &[u8], seed: &Seed, number| parts(encrypt(key.public(), text, seed, number).unwrap());
    let first = sealed(b"alice@example.com", &seed(1), 0);
    let others = [
        ("another place", sealed(b"alice@example.com", &seed(1), 1)),
        ("another seed", sealed(b"alice@example.com", &seed(2), 0)),
        ("the same seed given to another text", sealed(b"bob@example.com", &seed(1), 0)),
    ];
    for (what, other) in others {
        assert!(first.0 != other.0 && first.1 != other.1, "{what}");
    }
    let to_another = DecryptionKey::from_seed([8; 32]);
    let other = parts(encrypt(to_another.public(), b"alice@example.com", &seed(1), 0).unwrap());
    assert!(first.1 != other.1, "another reader");
}

#[test]
fn points_that_give_everybody_the_same_secret_are_refused() {
    let hex = |text: &str| -> [u8; 32] {
        core::array::from_fn(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2).unwrap(), 16).unwrap())
    };
    let weak = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for text in weak {
        let point = hex(text);
        assert_eq!(x25519([3; 32], point), [0; 32], "{text}");
        assert_eq!(EncryptionKey::from_jwk(jwk(&point).as_bytes()), Err(JwkError::Key(KeyError::Weak)), "{text}");
    }
    // Other spellings of them, and of a point that is accepted.
    let mut high = bytes(BOB);
    high[31] |= 0x80;
    let mut unreduced = [0xff; 32];
    (unreduced[0], unreduced[31]) = (0xf6, 0x7f);
    let mut nine = [0; 32];
    nine[0] = 9;
    assert_eq!(x25519([3; 32], unreduced), x25519([3; 32], nine));
    for point in [
        hex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
        high,
        unreduced,
    ] {
        let refused = EncryptionKey::from_jwk(jwk(&point).as_bytes()).unwrap_err();
        assert!(matches!(refused, JwkError::Member { member: "x", .. }), "{refused}");
    }
    assert!(EncryptionKey::from_jwk(jwk(&nine).as_bytes()).is_ok());
}

#[test]
fn keys_of_other_kinds_are_refused_and_private_ones_never_quoted() {
    let private = reader().to_private_jwk();
    let secret = private.split(r#""d":""#).nth(1).unwrap().split('"').next().unwrap();
    let refused = EncryptionKey::from_jwk(private.as_bytes()).unwrap_err();
    assert_eq!(refused, JwkError::Private);
    assert!(!format!("{refused} {refused:?} {:?} {:?}", reader(), seed(1)).contains(secret));
    let long = "k".repeat(129);
    for (jwk, named) in [
        (r#"{"kty":"OKP","crv":"Ed25519","x":"X"}"#, "crv"),
        (r#"{"kty":"EC","crv":"X25519","x":"X"}"#, "kty"),
        (r#"{"kty":"OKP","crv":"X25519"}"#, "x"),
        (r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#, "x"),
        (r#"{"kty":"OKP","crv":"X25519","x":"X","alg":"ECDH-ES+A256KW"}"#, "alg"),
        (r#"{"kty":"OKP","crv":"X25519","x":"X","use":"sig"}"#, "use"),
        (r#"{"kty":"OKP","crv":"X25519","x":"X","kid":""}"#, "kid"),
        (r#"{"kty":"OKP","crv":"X25519","x":"X","kid":"a\"b"}"#, "kid"),
        (&format!(r#"{{"kty":"OKP","crv":"X25519","x":"X","kid":"{long}"}}"#), "kid"),
        (r#"{"kty":"OKP","crv":"X25519","x":"X","kid":7}"#, "kid"),
    ] {
        let jwk = jwk.replace("\"X\"", &format!("\"{BOB}\""));
        let refused = EncryptionKey::from_jwk(jwk.as_bytes()).unwrap_err();
        assert!(matches!(refused, JwkError::Member { member, .. } if member == named), "{jwk}: {refused}");
    }
}

#[test]
fn a_key_is_written_and_read_back() {
    let key = reader();
    let (public, private) = (key.public().to_jwk(), key.to_private_jwk());
    assert_eq!(&EncryptionKey::from_jwk(public.as_bytes()).unwrap(), key.public());
    let read = DecryptionKey::from_private_jwk(private.as_bytes()).unwrap();
    assert_eq!(read.public(), key.public());
    let token = encrypt(key.public(), "gr\u{fc}\u{df}".as_bytes(), &seed(3), 9).unwrap();
    assert_eq!(read.decrypt(&token).unwrap().as_slice(), "gr\u{fc}\u{df}".as_bytes());
    let other = DecryptionKey::from_seed([8; 32]);
    assert_eq!(other.decrypt(&token), Err(DecryptError::Failed));
    let mixed = private.replace(&b64::encode(&key.public().point), BOB).replace(key.public().kid().unwrap(), "Bob");
    assert_eq!(DecryptionKey::from_private_jwk(mixed.as_bytes()).unwrap_err(), JwkError::Mismatch);
    for operations in [r#"["deriveBits"]"#, "[7]", "{}", "1.5", "null"] {
        let with_operations = private.replacen('{', &format!("{{\"key_ops\":{operations},"), 1);
        let read = DecryptionKey::from_private_jwk(with_operations.as_bytes()).unwrap();
        assert_eq!(read.public(), key.public(), "{operations} says nothing of reading");
    }
    let nameless = EncryptionKey::from_jwk(jwk(&bytes(BOB)).as_bytes()).unwrap();
    assert_eq!(nameless.to_jwk(), format!(r#"{{"crv":"X25519","kty":"OKP","x":"{BOB}"}}"#));
    let token = encrypt(&nameless, b"x", &seed(1), 0).unwrap();
    let header = b64::decode(token.split('.').next().unwrap()).unwrap();
    assert!(!core::str::from_utf8(&header).unwrap().contains("kid"));
}

#[test]
fn what_was_changed_or_made_otherwise_is_not_read() {
    let key = reader();
    let token = encrypt(key.public(), b"4111 1111 1111 1111", &seed(4), 0).unwrap();
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        assert!(key.decrypt(core::str::from_utf8(&changed).unwrap()).is_err(), "byte {at}");
    }
    let (_, rest) = token.split_once('.').unwrap();
    let headed = |header: &str| format!("{}.{rest}", b64::encode(header.as_bytes()));
    let epk = format!(r#""epk":{{"crv":"X25519","kty":"OKP","x":"{EPHEMERAL}"}}"#);
    for header in [
        format!(r#"{{"alg":"ECDH-ES","enc":"A128GCM",{epk}}}"#),
        format!(r#"{{"alg":"ECDH-ES+A256KW","enc":"A256GCM",{epk}}}"#),
        format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF",{epk}}}"#),
        format!(r#"{{"alg":"ECDH-ES","enc":"A256GCM","apu":"QQ",{epk}}}"#),
        r#"{"alg":"dir","enc":"A256GCM"}"#.to_string(),
        r#"{"alg":"ECDH-ES","enc":"A256GCM","epk":{"crv":"P-256","kty":"EC","x":"A","y":"B"}}"#.to_string(),
        "[]".to_string(),
    ] {
        assert_eq!(key.decrypt(&headed(&header)), Err(DecryptError::Header), "{header}");
    }
    for text in ["", "a.b.c", "\u{e9}....", &format!("{token}."), &token.replacen("..", ".A.", 1)] {
        assert_eq!(key.decrypt(text), Err(DecryptError::Malformed), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_text_comes_back_and_no_token_is_longer_than_said(text in any::<Vec<u8>>(), byte in any::<u8>(), number in any::<u64>()) {
        let mut key = reader();
        key.public.kid = Some("k".repeat(MAX_KID_BYTES));
        let token = encrypt(key.public(), &text, &seed(byte), number).unwrap();
        prop_assert!(token.len() <= text.len().div_ceil(3) * 4 + MAX_OVERHEAD_BYTES, "{}", token.len());
        let decrypted = key.decrypt(&token).unwrap();
        prop_assert_eq!(decrypted.as_slice(), text.as_slice());
    }
}
