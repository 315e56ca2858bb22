//! Properties of foreign signatures over arbitrary requests, times and bytes.

#![expect(clippy::panic, reason = "a failing helper fails its test")]

use passgate_passport::proof::web_bot_auth::{self, Coverage, Directory, ForeignParams};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::message::{Message, NOW, agent};
use crate::web_bot_auth::{
    LITTLE, bare_params, code, code_of, get, good, params, signed, signer, verified, without_passport,
};

prop_compose! {
    fn any_message()(
        method in select(vec!["GET", "HEAD", "POST", "DELETE", "get"]),
        path in "/[a-zA-Z0-9%:@!$&'()*+,;=._~/-]{0,20}",
        query in proptest::option::of("[a-zA-Z0-9%:@!$&'()*+,;=._~/?-]{0,20}"),
        content_type in proptest::option::of("[ -~]{0,20}"),
        body in proptest::collection::vec(any::<u8>(), 0..40),
    ) -> Message {
        let mut message = Message { method: method.into(), path, query, body, ..Message::get() };
        message.remove("agent-passport");
        content_type.into_iter().for_each(|value| message.add("content-type", value));
        message
    }
}

fn signed_by_library(message: &Message, params: &ForeignParams<'_>) -> Message {
    let headers = message.view(|request| web_bot_auth::sign(request, &agent(), params));
    let headers = headers.unwrap_or_else(|error| panic!("{error}"));
    let mut message = message.clone();
    message.add("signature-agent", headers.signature_agent);
    message.add("signature-input", headers.signature_input);
    message.add("signature", headers.signature);
    headers.content_digest.into_iter().for_each(|digest| message.add("content-digest", digest));
    message
}

/// Every byte that a proof speaks for, to be changed; `None` where the part has no such byte.
fn change(message: &mut Message, part: &str, position: Index, byte: u8) -> Option<bool> {
    let set = |bytes: &mut [u8]| {
        let index = (!bytes.is_empty()).then(|| position.index(bytes.len()))?;
        Some(core::mem::replace(bytes.get_mut(index)?, byte) != byte)
    };
    let text = |text: &mut String| {
        let mut bytes = text.clone().into_bytes();
        let changed = set(&mut bytes)?;
        // A request's parts are text; other bytes never get this far.
        *text = String::from_utf8(bytes).ok()?;
        Some(changed)
    };
    match part {
        "body" => set(&mut message.body),
        "method" => text(&mut message.method),
        "path" => text(&mut message.path),
        "authority" => text(&mut message.authority),
        "query" => text(message.query.as_mut()?),
        field => set(message.line(field)),
    }
}

const PARTS: [&str; 10] = [
    "body",
    "method",
    "path",
    "authority",
    "query",
    "signature-agent",
    "signature-input",
    "signature",
    "content-type",
    "content-digest",
];

proptest! {
    #[test]
    fn sign_then_verify(message in any_message(), nonce in "[!#-\\[\\]-~]{16,128}", age in -30i64..=300, lasts in 0i64..90_000) {
        let created = NOW - age;
        let params = ForeignParams { agent: "https://signer.example", created, expires: created + lasts, nonce: &nonce };
        let signed = signed_by_library(&message, &params);
        let expected = if age <= lasts { "ok" } else { "proof_expired" };
        prop_assert_eq!(code_of(&signed, &signer(), Coverage::EveryRequest, NOW), expected);
    }

    #[test]
    fn any_changed_byte_of_a_whole_request_is_refused(part in select(&PARTS[..]), position in any::<Index>(), byte in any::<u8>()) {
        let mut message = good();
        let Some(changed) = change(&mut message, part, position, byte) else { return Ok(()) };
        prop_assert_eq!(code(&message) == "ok", !changed, "{}", part);
    }

    /// Of a signature that covers little, what it does cover cannot be changed, and nothing makes it good for more than
    /// a safe request.
    #[test]
    fn a_little_signature_stays_little(part in select(vec!["authority", "method", "signature-agent", "signature-input", "signature"]), position in any::<Index>(), byte in any::<u8>()) {
        let mut message = signed(get(), LITTLE, &bare_params());
        let Some(changed) = change(&mut message, part, position, byte) else { return Ok(()) };
        prop_assert_eq!(code(&message) == "ok", !changed, "{}", part);
    }

    /// Whoever remembers the replay key up to `expires_at` accepts no signature twice, whatever is done to the request,
    /// and whenever it comes again.
    #[test]
    fn no_instant_accepts_one_signature_twice(
        with_nonce in any::<bool>(),
        other in any_message(),
        label in "[a-z*][a-z0-9_.*-]{0,8}",
        first in NOW - 40..NOW + 70,
        later in 0i64..120,
    ) {
        let params = if with_nonce { params() } else { bare_params() };
        let sent = signed(get(), LITTLE, &params);
        let mut again = Message { authority: sent.authority.clone(), ..without_passport(Message::get()) };
        (again.method, again.path, again.query) = (other.method, other.path, other.query);
        for field in ["signature", "signature-input"] {
            again.add(field, [label.as_bytes(), &sent.value(field)[1..]].concat());
        }
        let accepted = |message: &Message, now: i64| message.view(|request| {
            let proof = web_bot_auth::verify(request, &signer(), Coverage::UnlessSafe, now).ok()?;
            Some((proof.nonce().to_owned(), proof.expires_at()))
        });
        if let (Some((key, expires_at)), Some((key_again, _))) = (accepted(&sent, first), accepted(&again, first + later)) {
            prop_assert_eq!(key, key_again);
            prop_assert!(first + later <= expires_at);
        }
    }

    #[test]
    fn what_is_not_covered_is_not_shown(name in "[a-z]{1,8}", value in "[!-~]{1,20}") {
        let mut message = signed(get(), LITTLE, &bare_params());
        message.add(&name, value);
        verified(&message, |proof| {
            prop_assert_eq!(proof.covered().header(&name), None);
            prop_assert_eq!(proof.covered().fields().count(), 0);
            Ok(())
        })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(field in select(vec!["signature", "signature-input", "signature-agent"]), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut message = good();
        message.set(field, bytes.clone());
        prop_assert_ne!(code(&message), "ok");
        prop_assert!(Directory::read(&bytes).is_err());
    }
}
