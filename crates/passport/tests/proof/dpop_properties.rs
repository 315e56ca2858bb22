//! Properties of DPoP proofs over arbitrary requests and arbitrary bytes.

use passgate_passport::proof::dpop::{self, DpopParams, DpopRules};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::dpop::{Draft, PARAMS, dpop_code, signed_by_library, verified};
use crate::message::{Message, NOW, agent};

prop_compose! {
    fn any_message()(
        method in "[A-Za-z!#-]{1,10}",
        segments in proptest::collection::vec("[a-zA-Z0-9:@!$&'()*+,;=_~-]{0,6}(%2F|%3B)?", 0..4),
        query in proptest::option::of("[a-zA-Z0-9%:@!$&'()*+,;=._~/?-]{0,30}"),
        passport in "[A-Za-z0-9_.~-]{1,60}",
        values in proptest::collection::vec("[ \\t]?[ -~]{0,20}[ \\t]?", 0..4),
        content_type in proptest::option::of("[ -~]{0,20}"),
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) -> Message {
        let path = format!("/{}", segments.join("/"));
        let mut message = Message { method, path, query, body, ..Message::get() };
        message.set("agent-passport", passport);
        values.into_iter().for_each(|value| message.add("x-free", value));
        content_type.into_iter().for_each(|value| message.add("content-type", value));
        message
    }
}

proptest! {
    #[test]
    fn sign_then_verify(message in any_message(), jti in "[!-~]{16,128}", age in -30i64..=300) {
        let params = DpopParams { created: NOW - age, jti: &jti, ..PARAMS };
        let free = message.has("x-free").then(|| message.component("x-free"));
        let extra: &[&str] = if free.is_some() { &["x-free"] } else { &[] };
        let signed = signed_by_library(&message, &params, extra);
        prop_assert_eq!(dpop_code(&signed, NOW, None), "ok");
        verified(&signed, |proof| {
            prop_assert_eq!(proof.covered().body(), message.body.as_slice());
            prop_assert_eq!(proof.covered().header("x-free").map(|value| value.as_bytes().to_vec()), free);
            prop_assert_eq!(proof.expires_at(), NOW - age + 300);
            Ok(())
        })?;
    }

    #[test]
    fn any_changed_byte_is_refused(
        field in select(vec!["", "dpop", "content-type", "x-intent", "agent-passport", "method", "path", "query", "host"]),
        position in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let mut message = Draft::post().signed();
        let change = |bytes: &mut [u8]| {
            let index = position.index(bytes.len());
            let changed = bytes[index] != byte;
            bytes[index] = byte;
            changed
        };
        let text = |text: &mut String| {
            let mut bytes = text.clone().into_bytes();
            let changed = change(&mut bytes);
            // A request's parts are text; other bytes never get this far.
            String::from_utf8(bytes).is_ok_and(|new| { *text = new; changed })
        };
        let changed = match field {
            "" => change(&mut message.body),
            "method" => text(&mut message.method),
            "path" => text(&mut message.path),
            "host" => text(&mut message.authority),
            "query" => message.query.as_mut().is_some_and(text),
            field => change(message.line(field)),
        };
        // A blank around a field's value is not part of it, and no byte of these values stands for one.
        prop_assert_eq!(dpop_code(&message, NOW, None) == "ok", !changed);
    }

    /// Two requests for which one proof holds, at whatever times, are one request.
    #[test]
    fn no_instant_accepts_one_proof_for_two_requests(
        one in any_message(),
        two in any_message(),
        mixed in proptest::collection::vec(any::<bool>(), 6),
        now in NOW - 400..NOW + 400,
    ) {
        // A request that takes some parts from one and some from the other, so that they differ in few.
        let mut other = one.clone();
        if mixed[0] { other.method = two.method.clone(); }
        if mixed[1] { other.path = two.path.clone(); }
        if mixed[2] { other.query = two.query.clone(); }
        if mixed[3] { other.body = two.body.clone(); }
        if mixed[4] { other.set("agent-passport", two.value("agent-passport")); }
        if mixed[5] { other.authority = "tools.example".into(); }
        let signed = signed_by_library(&one, &PARAMS, &[]);
        other.add("dpop", signed.value("dpop"));
        let same = (&one.method, &one.path, &one.query, &one.body, &one.authority)
            == (&other.method, &other.path, &other.query, &other.body, &other.authority)
            && one.value("agent-passport") == other.value("agent-passport");
        let inside = (NOW - 30..=NOW + 300).contains(&now);
        prop_assert_eq!(dpop_code(&signed, now, None) == "ok", inside);
        prop_assert_eq!(dpop_code(&other, now, None) == "ok", inside && same);
    }

    /// Of all spellings of one target a proof holds for a single one.
    #[test]
    fn one_proof_stands_for_one_spelling(path in "/(a|b|\\.|/|%61|%2[eEfF]|%){0,8}") {
        let signed = Draft::plain().message;
        let as_sent = Message { path: path.clone(), ..signed };
        let proof = as_sent.view(|request| dpop::sign(request, &agent(), &PARAMS, &[]));
        let normal = !path.contains("%61") && !path.contains("%2e") && !path.contains("%2E") && !path.contains("%2f")
            && !path.split('/').any(|segment| segment == "." || segment == "..")
            && !path.replace("%2F", "").contains('%');
        prop_assert_eq!(proof.is_ok(), normal, "{}", path);
    }

    #[test]
    fn arbitrary_field_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut message = Draft::post().signed();
        message.set("dpop", bytes);
        prop_assert_ne!(dpop_code(&message, NOW, None), "ok");
    }

    /// Claims of any shape under a good signature reach deeper than random bytes.
    #[test]
    fn shuffled_claims_never_panic(
        claim in select(vec!["jti", "htm", "htu", "iat", "ath", "exp", "nonce", "htq", "htb", "htf"]),
        text in "\\PC{0,40}",
        pieces in proptest::collection::vec(select(vec!["https", "://", "%", "2e", "/", "..", "?", "#", "[", ":", "443", "@"]), 0..12),
    ) {
        let draft = Draft::post();
        for value in [text.clone(), pieces.concat()] {
            let mut draft = draft.clone();
            draft.claims[claim] = value.into();
            let message = draft.signed();
            message.view(|request| drop(dpop::verify(request, agent().public(), NOW, &DpopRules::default())));
        }
    }
}
