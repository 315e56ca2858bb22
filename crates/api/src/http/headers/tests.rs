use proptest::prelude::*;

use super::*;

fn fields(names: &[&str]) -> Vec<Field> {
    names.iter().map(|name| ((*name).to_owned(), b"v".to_vec())).collect()
}

fn names(fields: &[Field]) -> Vec<&str> {
    fields.iter().map(|(name, _)| name.as_str()).collect()
}

fn pass(given: &[&str]) -> Vec<String> {
    let passed = forwardable(&fields(given)).unwrap();
    passed.into_iter().map(|(name, _)| name).collect()
}

fn with_connection(value: &[u8]) -> Vec<Field> {
    let mut given = fields(&["x-one", "x-two", "te", "keep-alive", "accept"]);
    given.push(("connection".to_owned(), value.to_vec()));
    given
}

#[test]
fn ordinary_fields_pass_in_order_and_with_their_values() {
    let given = vec![
        ("accept".to_owned(), b"*/*".to_vec()),
        ("x-tag".to_owned(), b"a".to_vec()),
        ("content-type".to_owned(), b"application/json".to_vec()),
        ("x-tag".to_owned(), b"\xff".to_vec()),
        ("x_lonely.name".to_owned(), b"b".to_vec()),
        ("authorization".to_owned(), b"Bearer x".to_vec()),
    ];
    assert_eq!(forwardable(&given).unwrap(), given);
}

#[test]
fn fields_of_the_connection_and_of_the_gate_stay_behind() {
    let given = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "agent-passport",
        "signature",
        "signature-input",
        "passgate-agent",
        "passgate-",
        "content-length",
        "host",
        "expect",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-for",
        "x-forwarded-anything",
        "forwarded",
        "x-real-ip",
        "proxy",
        "Proxy",
        "X_Passgate_Decision",
        "x-passgate.agent",
    ];
    let mut given = fields(&given);
    given.retain(|(name, _)| name != "connection");
    assert_eq!(names(&forwardable(&given).unwrap()), Vec::<&str>::new());
}

#[test]
fn aliases_do_not_pass_beside_the_field_they_fold_onto() {
    assert_eq!(pass(&["x-tenant", "x_tenant", "x.tenant"]), ["x-tenant"]);
    assert_eq!(pass(&["content_type", "content.digest", "Author_ization", "cookie"]), ["Author_ization", "cookie"]);
}

#[test]
fn connection_removes_what_it_may_name() {
    let given = with_connection(b"close, ,X-One , te");
    let passed = forwardable(&given).unwrap();
    assert_eq!(names(&passed), ["x-two", "accept"]);
}

#[test]
fn connection_may_not_name_what_is_relied_on() {
    let refused: &[&[u8]] = &[
        b"content-length",
        b"Host",
        b"content-type",
        b"Content_Digest",
        b"authorization",
        b"cookie",
        b"close, passgate-agent",
        b"agent-passport",
        b"signature",
        b"SIGNATURE-INPUT",
        b"x-forwarded-for",
        b"forwarded",
        b"transfer-encoding",
        b"dpop",
        b"Agent_Action.Pass",
    ];
    for value in refused {
        let found = forwardable(&with_connection(value));
        assert_eq!(found, Err(HeaderError::ConnectionNamesProtected), "{}", String::from_utf8_lossy(value));
    }
    for value in [b"a b".as_slice(), b"\xff", b"x=y", b"\"close\""] {
        let found = forwardable(&with_connection(value));
        assert_eq!(found, Err(HeaderError::ConnectionMalformed), "{}", String::from_utf8_lossy(value));
    }
}

#[test]
fn claims_about_the_client_are_the_gates_own() {
    let claims = proxy_claims("::ffff:192.0.2.7".parse().unwrap(), Scheme::Https, Some("gate.example"));
    let expected = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("via", "1.1 passgate"),
        ("x-forwarded-host", "gate.example"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(claims, expected);
}

#[test]
fn responses_lose_what_is_not_the_origins_to_say() {
    let given = [
        ("content-type", "text/plain"),
        ("content-length", "2"),
        ("connection", "close, x-hop, content-length"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("trailer", "x"),
        ("upgrade", "h2c"),
        ("passgate-decision", "allow"),
        ("Passgate_Decision", "allow"),
        ("ratelimit", "x"),
        ("RateLimit.Policy", "x"),
        ("ratelimit-remaining", "1"),
        ("alt-svc", "h3=\":443\""),
        ("location", "https://elsewhere.example/"),
        ("set-cookie", "session=1"),
        ("set-cookie", "passgate_console=1"),
        ("set-cookie", "__Host-Passgate=1"),
        ("set-cookie", " __Secure-passgate.x=1"),
    ];
    let returned = returnable(&given.map(|(name, value)| (name.to_owned(), value.into())));
    let left: Vec<(&str, &[u8])> = returned.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let expected: Vec<(&str, &[u8])> = vec![
        ("content-type", b"text/plain"),
        ("content-length", b"2"),
        ("ratelimit-remaining", b"1"),
        ("location", b"https://elsewhere.example/"),
        ("set-cookie", b"session=1"),
    ];
    assert_eq!(left, expected);
}

/// One of `names` with its case and its separators changed at random.
fn respelled(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    (prop::sample::select(names), prop::collection::vec((any::<bool>(), 0..3_usize), 40)).prop_map(|(name, choices)| {
        let spell = |(character, (upper, separator)): (char, (bool, usize))| match character {
            '-' => ['-', '_', '.'].into_iter().cycle().nth(separator).unwrap_or('-'),
            _ if upper => character.to_ascii_uppercase(),
            _ => character,
        };
        name.chars().zip(choices).map(spell).collect()
    })
}

const NEVER: &[&str] = &[
    "agent-passport",
    "signature",
    "signature-input",
    "passgate-agent-id",
    "passgate-decision",
    "x-http-method-override",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-real-ip",
    "forwarded",
    "transfer-encoding",
    "content-length",
    "host",
    "proxy-authorization",
    "x-original-url",
];

proptest! {
    #[test]
    fn no_spelling_of_a_protected_name_passes(name in respelled(NEVER), copies in 1..3_usize) {
        let mut given = fields(&["accept"]);
        given.extend(fields(&vec![name.as_str(); copies]));
        let passed = forwardable(&given).unwrap();
        prop_assert_eq!(names(&passed), ["accept"]);
    }

    #[test]
    fn connection_cannot_name_a_protected_field_in_any_spelling(name in respelled(&NEVER[..10])) {
        let found = forwardable(&with_connection(name.as_bytes()));
        prop_assert_eq!(found, Err(HeaderError::ConnectionNamesProtected));
    }

    #[test]
    fn nothing_is_invented(given in prop::collection::vec("[a-zA-Z_.-]{1,12}", 0..12)) {
        let given: Vec<Field> = given.into_iter().map(|name| (name, b"v".to_vec())).collect();
        if let Ok(passed) = forwardable(&given) {
            let mut rest = given.iter();
            prop_assert!(passed.iter().all(|field| rest.any(|other| other == field)));
        }
    }
}

#[test]
fn an_origin_cannot_ask_for_passports() {
    let ours = [
        ("www-authenticate", "Passport realm=\"x\", error=\"credential_missing\""),
        ("www-authenticate", "Basic realm=\"x\", passport"),
        ("accept-signature", "sig1=(\"@method\");created;tag=\"passgate\""),
        ("x-passgate-decision", "allow"),
    ];
    let theirs = [
        ("www-authenticate", "Basic realm=\"passport office\""),
        ("www-authenticate", "Passports"),
        ("accept-signature", "sig1=(\"@status\");created;tag=\"app\""),
        ("x-request-id", "Passport"),
    ];
    let given: Vec<Field> =
        ours.into_iter().chain(theirs).map(|(name, value)| (name.to_owned(), value.into())).collect();
    let left: Vec<Field> = theirs.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    assert_eq!(returnable(&given), left);
}

#[test]
fn the_origin_is_asked_for_what_can_be_looked_at() {
    let mut given: Vec<Field> =
        [("accept", "a"), ("accept-encoding", "gzip"), ("Range", "bytes=0-1"), ("if_range", "b")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
    ask_for_whole(&mut given);
    let left: Vec<(&str, &[u8])> = given.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    assert_eq!(left, [("accept", b"a".as_slice()), ("accept-encoding", b"identity")]);
}
