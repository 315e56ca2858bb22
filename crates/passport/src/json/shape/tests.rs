use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::super::{JsonError, parse_into, read_back};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    flag: bool,
    small: u8,
    signed: i64,
    large: u64,
    name: String,
    letter: char,
    absent: Option<Box<str>>,
    pairs: Vec<(String, i64)>,
    members: BTreeMap<String, u32>,
    kind: Kind,
    kinds: Vec<Kind>,
    tagged: Option<Tagged>,
    wrapped: Wrapped,
    unit: (),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    One(u16),
    Two(u8, String),
    Named { a: u8, b: Option<u8> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Tagged {
    A { n: u64 },
    B(Inner),
    C,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    text: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(Vec<u8>);

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Plain),
        any::<u16>().prop_map(Kind::One),
        any::<(u8, String)>().prop_map(|(n, text)| Kind::Two(n, text)),
        any::<(u8, Option<u8>)>().prop_map(|(a, b)| Kind::Named { a, b }),
    ]
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let inner = any::<String>().prop_map(|text| Tagged::B(Inner { text }));
    prop_oneof![any::<u64>().prop_map(|n| Tagged::A { n }), inner, Just(Tagged::C)]
}

prop_compose! {
    fn document()(
        (flag, small, signed, large, name, letter) in any::<(bool, u8, i64, u64, String, char)>(),
        absent in any::<Option<String>>(),
        pairs in proptest::collection::vec(any::<(String, i64)>(), 0..4),
        members in proptest::collection::btree_map(any::<String>(), any::<u32>(), 0..4),
        kind in kind(),
        kinds in proptest::collection::vec(kind(), 0..4),
        tagged in proptest::option::of(tagged()),
        wrapped in any::<Vec<u8>>(),
    ) -> Document {
        let (absent, wrapped) = (absent.map(String::into_boxed_str), Wrapped(wrapped));
        Document { flag, small, signed, large, name, letter, absent, pairs, members, kind, kinds, tagged, wrapped, unit: () }
    }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(document in document()) {
        let bytes = serde_json::to_vec(&document).unwrap();
        prop_assert_eq!(read_back::<Document>(&bytes), Ok(document));
    }

    /// A document that is damaged in one place is read as others read it, or refused.
    #[test]
    fn damaged_documents_are_refused_or_read_alike(document in document(), at in any::<usize>(), with in "[\\]\\[{}\",:0-9a-z.-]") {
        let mut bytes = serde_json::to_vec(&document).unwrap();
        let at = at % bytes.len();
        bytes[at] = with.as_bytes()[0];
        if let Ok(read) = read_back::<Document>(&bytes) {
            prop_assert_eq!(read, serde_json::from_slice::<Document>(&bytes).unwrap());
        }
    }
}

fn shape<T: serde::de::DeserializeOwned + core::fmt::Debug>(text: &str) -> String {
    match read_back::<T>(text.as_bytes()) {
        Err(JsonError::Shape(why)) => why,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn other_shapes_are_named() {
    for (found, expected) in [
        (shape::<u8>("\"a\""), "invalid type: string \\\"a\\\", expected u8"),
        (shape::<u8>("256"), "invalid value: integer `256`, expected u8"),
        (shape::<u8>("-1"), "invalid value: integer `-1`, expected u8"),
        (shape::<u8>("-0"), "invalid type: integer `-0`, expected u8"),
        (shape::<u64>("1.0"), "invalid type: floating point `1.0`, expected u64"),
        (shape::<f64>("1.5"), "invalid type: floating point `1.5`, expected f64"),
        (shape::<String>("null"), "invalid type: null, expected a string"),
        (shape::<bool>("[]"), "invalid type: sequence, expected a boolean"),
        (shape::<Inner>("{}"), "missing field `text`"),
        (shape::<Inner>("[\"a\"]"), "invalid type: sequence, expected an object"),
        (shape::<(u8, u8)>("[1,2,3]"), "a sequence has too many items"),
        (shape::<(u8, u8)>("[1]"), "a sequence has too few items"),
        (shape::<Kind>("\"other\""), "unknown variant `other`, expected one of `plain`, `one`, `two`, `named`"),
        (shape::<Kind>("{\"plain\":1}"), "invalid type: integer `1`, expected unit variant"),
        (shape::<Kind>("\"one\""), "invalid type: null, expected u16"),
        (shape::<Kind>("{}"), "invalid type: map, expected a name, or an object with one member"),
        (shape::<Tagged>("{\"n\":1}"), "missing field `kind`"),
    ] {
        assert_eq!(found, expected);
    }
}

/// A record of a newer gate has members that this one does not know.
#[derive(Debug, Deserialize)]
#[serde(rename = "passgate::open")]
struct Open {
    text: String,
    inner: Option<Inner>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Sparse {
    first: u8,
    #[serde(default)]
    second: u8,
    third: Option<u8>,
    #[serde(default = "seven")]
    last: u8,
}

fn seven() -> u8 {
    7
}

#[test]
fn members_without_a_field_are_ignored_only_by_open_structs() {
    let text = r#"{"text":"a","more":[1]}"#;
    assert_eq!(shape::<Inner>(text), "unknown field `more`, expected `text`");
    let open: Open = read_back(text.as_bytes()).unwrap();
    assert_eq!((open.text.as_str(), open.inner.is_none()), ("a", true));
    // Openness is not handed down.
    let nested = r#"{"text":"a","inner":{"text":"b","more":1}}"#;
    assert_eq!(shape::<Open>(nested), "unknown field `more`, expected `text`");
}

#[test]
fn fields_are_left_out_where_they_have_a_default_or_are_optional() {
    let read = |text: &str| read_back::<Sparse>(text.as_bytes());
    assert_eq!(read(r#"{"first":1}"#), Ok(Sparse { first: 1, second: 0, third: None, last: 7 }));
    assert_eq!(read(r#"{"third":3,"last":4,"first":1,"second":2}"#).unwrap().third, Some(3));
    assert_eq!(shape::<Sparse>(r#"{"second":2,"third":3,"last":4}"#), "missing field `first`");
    assert_eq!(shape::<Sparse>(r#"{"first":1,"second":null}"#), "invalid type: null, expected u8");
    // What fails after a field that was left out is not put down to that field.
    assert_eq!(shape::<Sparse>(r#"{"first":1,"last":"x"}"#), "invalid type: string \\\"x\\\", expected u8");
}

#[test]
fn integers_beyond_those_of_every_reader_are_only_read_back() {
    let text = alloc::format!("{}", u64::MAX);
    assert_eq!(read_back::<u64>(text.as_bytes()), Ok(u64::MAX));
    assert_eq!(parse_into::<u64>(text.as_bytes(), 100), Err(JsonError::NumberRange { at: 0 }));
}
