use alloc::format;
use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::json;

use alloc::string::ToString as _;

use super::*;

const LIMIT: usize = 1 << 16;

fn error(text: &str) -> JsonError {
    parse(text.as_bytes(), LIMIT).unwrap_err()
}

#[test]
fn plain_documents_are_read() {
    let text = r#" {"a":[1,-2,3.5,true,false,null],"b":{"c":"\u00e9\n\ud83d\ude00"},"":"" } "#;
    let expected = json!({"a": [1, -2, 3.5, true, false, null], "b": {"c": "\u{e9}\n\u{1f600}"}, "": ""});
    assert_eq!(parse(text.as_bytes(), LIMIT).unwrap(), expected);
}

#[test]
fn duplicate_names_are_refused_at_every_depth_and_in_every_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":{"c":1,"c":2}}"#,
        r#"[[{"x":{"y":0,"y":0}}]]"#,
        r#"{"exp":1,"\u0065xp":2}"#,
        r#"{"\u0065xp":1,"e\u0078p":2}"#,
        r#"{"":1,"":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"a\/b":1,"a/b":2}"#,
        r#"{"\n":1,"\u000a":2}"#,
    ] {
        assert!(matches!(error(text), JsonError::DuplicateKey { .. }), "{text}");
    }
    // The same name in different objects, and names that only look alike, are no duplicates.
    for text in [r#"{"a":{"a":{"a":1}}}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":1,"A":2}"#] {
        assert!(parse(text.as_bytes(), LIMIT).is_ok(), "{text}");
    }
}

#[test]
fn duplicates_are_refused_in_members_the_reader_ignores() {
    #[derive(Debug, Deserialize)]
    #[serde(rename = "passgate::open")]
    struct Narrow {
        a: u8,
    }
    let ok: Narrow = parse_into(br#"{"a":1,"ignored":{"b":1,"c":2}}"#, LIMIT).unwrap();
    assert_eq!(ok.a, 1);
    let refused = parse_into::<Narrow>(br#"{"a":1,"ignored":{"b":1,"b":2}}"#, LIMIT).unwrap_err();
    assert_eq!(refused, JsonError::DuplicateKey { at: 24 });
}

#[test]
fn numbers_stay_where_every_reader_agrees() {
    for text in ["0", "-0", "9007199254740991", "-9007199254740991", "1.5", "1e3", "1E-7", "1e308", "0.10"] {
        assert!(parse(text.as_bytes(), LIMIT).is_ok(), "{text}");
    }
    let digits = "9".repeat(400);
    for text in ["9007199254740992", "-9007199254740992", "18446744073709551616", &digits, "1e400", "-1e400", "2.0e308"]
    {
        assert_eq!(error(text), JsonError::NumberRange { at: 0 }, "{text}");
    }
    for text in ["01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1_0", "--1", "NaN", "Infinity", "-Infinity", "١"] {
        assert!(matches!(error(text), JsonError::Syntax { .. } | JsonError::TrailingBytes { .. }), "{text}");
    }
}

#[test]
fn strings_are_well_formed_unicode() {
    for text in [
        r#""\ud800""#,
        r#""\udc00""#,
        r#""\ud800\ud800""#,
        r#""\ud800x""#,
        r#""\ud800\ue000""#,
        r#""\ud800\u0041""#,
        r#""\ud83d\n""#,
        r#"{"\udfff":1}"#,
    ] {
        assert!(matches!(error(text), JsonError::LoneSurrogate { .. }), "{text}");
    }
    for text in
        ["\"\u{1}\"", "\"\n\"", "\"\0\"", r#""\x""#, r#""\u12""#, r#""\u+123""#, r#""\U0041""#, "\"", "\"\\", "'a'"]
    {
        assert!(matches!(error(text), JsonError::Syntax { .. }), "{text:?}");
    }
    let ends = r#""\ud800\udc00\udbff\udfff\ud7ff\ue000""#;
    assert_eq!(parse(ends.as_bytes(), LIMIT).unwrap(), json!("\u{10000}\u{10ffff}\u{d7ff}\u{e000}"));
    for (bytes, at) in [
        (&b"\"\xff\""[..], 1),
        (b"\"\xc0\xaf\"", 1),
        (b"\"\xed\xa0\x80\"", 1),
        (b"\"ab\xf8\x88\x80\x80\x80\"", 3),
        (b"\xff\xfe\"\0", 0),
    ] {
        assert_eq!(parse(bytes, LIMIT), Err(JsonError::NotUtf8 { at }), "{bytes:?}");
    }
}

#[test]
fn one_value_and_nothing_else() {
    for text in ["1 2", "{}x", "{},", "[]]", "null\0", "{}{}", "\"a\"\"b\"", "true//"] {
        assert!(matches!(error(text), JsonError::TrailingBytes { .. }), "{text}");
    }
    for text in [
        "",
        " ",
        "\u{feff}{}",
        "{",
        "[",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\" 1}",
        "[1 2]",
        "{,}",
        "[,]",
        "tru",
        "True",
        "nul",
        "{\"a\"}",
        "{1:2}",
        "/**/1",
        "\u{a0}1",
        "\u{b}1",
    ] {
        assert!(matches!(error(text), JsonError::Syntax { .. }), "{text:?}");
    }
}

#[test]
fn depth_and_size_are_bounded_inclusively() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes(), LIMIT).is_ok());
    assert_eq!(error(&nested(MAX_DEPTH + 1)), JsonError::TooDeep { at: MAX_DEPTH });
    assert_eq!(error(&nested(200)), JsonError::TooDeep { at: MAX_DEPTH });
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert!(parse(objects(MAX_DEPTH).as_bytes(), LIMIT).is_ok());
    assert!(matches!(error(&objects(MAX_DEPTH + 1)), JsonError::TooDeep { .. }));
    // Even an unfinished document of brackets alone is refused at the limit.
    assert_eq!(error(&"[".repeat(60_000)), JsonError::TooDeep { at: MAX_DEPTH });
    assert!(parse(b"[10]", 4).is_ok());
    assert_eq!(parse(b"[10]", 3), Err(JsonError::TooLarge { limit: 3 }));
}

#[test]
fn a_typed_readers_message_is_bounded_and_inert() {
    let long = format!("\"\\u001b[31m{}\"", "x".repeat(5000));
    let Err(JsonError::Shape(message)) = parse_into::<u8>(long.as_bytes(), LIMIT) else {
        panic!("a string is no number");
    };
    assert!(message.chars().count() <= MAX_SHAPE_MESSAGE);
    assert!(!message.chars().any(char::is_control));
}

/// The text at a pointer, or what stands there instead of a number.
fn number_text(bytes: &[u8], pointer: &str) -> Result<Option<String>, JsonError> {
    Ok(read(bytes, LIMIT)?.pointer(pointer)?.and_then(|node| match node {
        Node::Number(text) => Some(text.to_string()),
        _ => None,
    }))
}

#[test]
fn a_number_is_the_text_that_was_sent() {
    let text = br#" {"amount": 10.50, "list":[0,{"a/b":1e2,"m~n":-0}], "\u0065sc": 7, "s":"5", "o":{}} "#;
    for (pointer, expected) in [
        ("/amount", Some("10.50")),
        ("/list/0", Some("0")),
        ("/list/1/a~1b", Some("1e2")),
        ("/list/1/m~0n", Some("-0")),
        ("/esc", Some("7")),
        ("/missing", None),
        ("/list/2", None),
        ("/list/00", None),
        ("/list/-", None),
        ("/list/+1", None),
        ("/amount/x", None),
        ("/", None),
    ] {
        assert_eq!(number_text(text, pointer).unwrap().as_deref(), expected, "{pointer}");
    }
    assert_eq!(number_text(b"12.0", "").unwrap().as_deref(), Some("12.0"));
    for pointer in ["/s", "/o", "/list", ""] {
        assert_eq!(number_text(text, pointer), Ok(None), "{pointer}");
    }
    for pointer in ["amount", "/a~", "/a~2"] {
        assert_eq!(number_text(text, pointer), Err(JsonError::Pointer), "{pointer}");
    }
    // The rest of the document is held to the same rules.
    assert!(matches!(number_text(br#"{"a":1,"a":2}"#, "/a"), Err(JsonError::DuplicateKey { .. })));
    assert!(matches!(number_text(br#"{"a":1}x"#, "/a"), Err(JsonError::TrailingBytes { .. })));
}

/// JSON-like text: fragments that meet at the edges of the grammar.
fn jsonish() -> impl Strategy<Value = String> {
    let fragments = vec![
        "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\ud83d", "\\ude00", "0041", "a", "\"a\"", "\"b\":", "é",
        "0", "1", "-", ".", "e", "E+", "12", "true", "null", "fals", "false", " ", "\n", "\u{1}", "{}", "[]",
        "\"\\n\"",
    ];
    proptest::collection::vec(proptest::sample::select(fragments), 0..14).prop_map(|parts| parts.concat())
}

/// Without its feature `float_roundtrip`, serde_json may read a printed float back one unit in the last place off.
fn reads_back(float: f64) -> bool {
    serde_json::from_str::<f64>(&Value::from(float).to_string()).is_ok_and(|read| read.to_bits() == float.to_bits())
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>().prop_filter("read back as printed", |f| reads_back(*f)).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn every_strict_document_is_read_back(document in documents()) {
        let text = document.to_string();
        prop_assert!(parse(text.as_bytes(), usize::MAX).is_ok(), "{}", text);
    }

    #[test]
    fn a_borrowed_document_copies_to_the_parsed_one_and_back(document in documents()) {
        let text = document.to_string();
        if let Ok(node) = read(text.as_bytes(), usize::MAX) {
            let parsed = parse(text.as_bytes(), usize::MAX).unwrap();
            prop_assert_eq!(&node.to_value(), &parsed);
            prop_assert_eq!(Node::from(&parsed).to_value(), parsed);
        }
    }

    #[test]
    fn the_scanner_and_serde_json_agree_on_the_grammar(text in jsonish()) {
        let theirs = serde_json::from_str::<Value>(&text);
        match parse(text.as_bytes(), LIMIT) {
            Ok(value) => prop_assert_eq!(Some(value), theirs.ok()),
            Err(JsonError::Syntax { .. } | JsonError::TrailingBytes { .. } | JsonError::LoneSurrogate { .. }) => {
                prop_assert!(theirs.is_err(), "{:?} is JSON", text);
            }
            Err(stricter) => prop_assert!(
                matches!(stricter, JsonError::DuplicateKey { .. } | JsonError::NumberRange { .. }),
                "{:?}: {:?}", text, stricter
            ),
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), pointer in ".{0,8}") {
        let _ = parse(&bytes, LIMIT);
        let _ = number_text(&bytes, &pointer);
    }
}
