//! Properties over arbitrary requests and arbitrary field bytes.

use passgate_passport::digest::content_digest;
use passgate_passport::proof::ProofParams;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::message::{Message, NOW, good, good_params};

prop_compose! {
    fn any_message()(
        method in "[A-Za-z!#-]{1,10}",
        path in "/[a-zA-Z0-9%:@!$&'()*+,;=._~/-]{0,30}",
        query in proptest::option::of("[a-zA-Z0-9%:@!$&'()*+,;=._~/?-]{0,30}"),
        passport in "[A-Za-z0-9_.-]{1,60}",
        values in proptest::collection::vec("[ \\t]?[ -~]{0,20}[ \\t]?", 0..4),
        content_type in proptest::option::of("[ -~]{0,20}"),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) -> Message {
        let mut message = Message { method, path, query, body, ..Message::get() };
        message.set("agent-passport", passport);
        values.into_iter().for_each(|value| message.add("x-free", value));
        content_type.into_iter().for_each(|value| message.add("content-type", value));
        message
    }
}

proptest! {
    #[test]
    fn sign_then_verify(
        message in any_message(),
        nonce in "[!#-\\[\\]-~]{16,128}",
        age in -30i64..=300,
    ) {
        let params = ProofParams { created: NOW - age, nonce: &nonce, expires: None };
        let free = message.has("x-free").then(|| message.component("x-free"));
        let extra: &[&str] = if free.is_some() { &["x-free"] } else { &[] };
        let signed = message.clone().signed_by_library(&params, extra);
        prop_assert_eq!(signed.code(), "ok");
        signed.verified(|proof| {
            prop_assert_eq!(proof.nonce(), nonce.as_str());
            prop_assert_eq!(proof.covered().body(), message.body.as_slice());
            let read = proof.covered().header("x-free").map(|value| value.as_bytes().to_vec());
            prop_assert_eq!(read, free);
            Ok(())
        })?;
    }

    /// The verifier and the tests' own signer agree on the signature base.
    #[test]
    fn two_implementations_agree(message in any_message()) {
        let mut message = message;
        let mut list =
            r#""@method" "@target-uri" "agent-passport" "@query" "@request-target""#.to_owned();
        if !message.body.is_empty() {
            message.add("content-digest", content_digest(&message.body));
        }
        for field in ["content-digest", "content-type", "x-free"] {
            if message.has(field) {
                list.push_str(&format!(" \"{field}\""));
            }
        }
        prop_assert_eq!(message.signed(&list, &good_params()).code(), "ok");
    }

    #[test]
    fn any_flipped_bit_is_refused(
        field in select(vec![
            "", "signature", "signature-input", "content-digest", "content-type", "agent-passport",
        ]),
        position in any::<Index>(),
        bit in 0u8..8,
    ) {
        let mut message = good();
        let bytes = if field.is_empty() { &mut message.body } else { message.line(field) };
        let index = position.index(bytes.len());
        bytes[index] ^= 1 << bit;
        prop_assert_ne!(message.code(), "ok");
    }

    #[test]
    fn arbitrary_field_bytes_never_panic(
        field in select(vec![
            "signature", "signature-input", "content-digest", "agent-passport", "x-intent",
        ]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut message = good();
        message.set(field, bytes);
        prop_assert_ne!(message.code(), "ok");
    }

    /// Pieces of structured fields in any order reach deeper than random bytes.
    #[test]
    fn shuffled_grammar_never_panics(
        field in select(vec!["signature", "signature-input", "content-digest"]),
        pieces in proptest::collection::vec(select(vec![
            "p", "=", "(", ")", ";", ",", " ", "\t", "\"", "\\", ":", "?1", "-", "1", ".", "@1",
            "%\"", "AA==", "created", "nonce", "keyid", "sha-256", "*", "\"@method\"",
            "\"@target-uri\"", "\"agent-passport\"",
        ]), 0..40),
    ) {
        let mut message = good();
        message.set(field, pieces.concat());
        prop_assert_ne!(message.code(), "ok");
    }

    #[test]
    fn no_instant_outside_the_window_accepts(now in NOW - 400..NOW + 400) {
        let inside = (NOW - 30..=NOW + 300).contains(&now);
        prop_assert_eq!(good().code_at(now) == "ok", inside);
    }
}
