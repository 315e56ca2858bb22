//! Structured fields (RFC 9651) and canonical JSON (RFC 8785): what signatures and hashes are made over.

use passgate_passport::json;
use serde_json::Value;
use sfv::{
    BareItem, Date, Decimal, Dictionary, FieldType, InnerList, Integer, Item, Key, List, ListEntry, Parameters, Parser,
};

use crate::{Set, Verdict, list, text};

pub(crate) const SETS: &[Set] = &[
    Set { name: "structured-fields", files: FIELD_FILES, count: 2135, judge: structured_fields },
    Set { name: "jcs", files: JCS_FILES, count: 10_012, judge: jcs },
];

const FIELD_FILES: &[&str] = &[
    "sfv-tests/binary.json",
    "sfv-tests/boolean.json",
    "sfv-tests/date.json",
    "sfv-tests/dictionary.json",
    "sfv-tests/display-string.json",
    "sfv-tests/examples.json",
    "sfv-tests/item.json",
    "sfv-tests/key-generated.json",
    "sfv-tests/large-generated.json",
    "sfv-tests/list.json",
    "sfv-tests/listlist.json",
    "sfv-tests/number-generated.json",
    "sfv-tests/number.json",
    "sfv-tests/param-dict.json",
    "sfv-tests/param-list.json",
    "sfv-tests/param-listlist.json",
    "sfv-tests/string-generated.json",
    "sfv-tests/string.json",
    "sfv-tests/token-generated.json",
    "sfv-tests/token.json",
    "sfv-tests/serialisation-tests/key-generated.json",
    "sfv-tests/serialisation-tests/number.json",
    "sfv-tests/serialisation-tests/string-generated.json",
    "sfv-tests/serialisation-tests/token-generated.json",
];

const JCS_FILES: &[&str] = &[
    "jcs/es6numbers/es6-10k.txt",
    "jcs/input/arrays.json",
    "jcs/output/arrays.json",
    "jcs/input/french.json",
    "jcs/output/french.json",
    "jcs/input/structures.json",
    "jcs/output/structures.json",
    "jcs/input/unicode.json",
    "jcs/output/unicode.json",
    "jcs/input/values.json",
    "jcs/output/values.json",
    "jcs/input/weird.json",
    "jcs/output/weird.json",
];

fn structured_fields(files: &[String]) -> Result<Vec<Verdict>, String> {
    let mut verdicts = Vec::new();
    for (name, file) in FIELD_FILES.iter().zip(files) {
        let name = name.trim_start_matches("sfv-tests/").trim_end_matches(".json");
        for (number, test) in list(&crate::json(file)?, "")?.iter().enumerate() {
            let expected = test.get("must_fail") != Some(&Value::Bool(true));
            let outcome = match text(test, "/header_type")? {
                "item" => field(test, item)?,
                "list" => field(test, members)?,
                "dictionary" => field(test, dictionary)?,
                other => return Err(format!("{name} has the type {other}")),
            };
            // Where both are permitted, what happens is what counts.
            let expected = if test.get("can_fail") == Some(&Value::Bool(true)) { outcome.is_ok() } else { expected };
            verdicts.push(Verdict::new(format!("{name}/{number}"), expected, outcome));
        }
    }
    Ok(verdicts)
}

/// The field in its canonical form: read from the text of the vector if it has one, and made of the values it names.
fn field<T: FieldType>(test: &Value, make: fn(&Value) -> Result<T, String>) -> Result<Result<String, String>, String> {
    let written = |field: &T| field.serialize().into().unwrap_or_default();
    let Some(raw) = test.get("raw") else {
        let value = test.get("expected").ok_or("a test without a value")?;
        return Ok(make(value).map(|field| written(&field)).and_then(|text| same(text, test)));
    };
    let raw: Option<Vec<&str>> = raw.as_array().and_then(|lines| lines.iter().map(Value::as_str).collect());
    let raw = raw.ok_or("a field that is no text")?.join(", ");
    let parsed = Parser::new(&raw).parse::<T>().map_err(|error| error.to_string());
    Ok(parsed.and_then(|field| {
        let text = written(&field);
        if let Some(value) = test.get("expected") {
            let made = written(&make(value)?);
            if made != text {
                return Err(format!("differs from its value: {made}"));
            }
        }
        same(text, test)
    }))
}

/// Whether the text is the canonical one, which is that of the vector where it has no other.
fn same(text: String, test: &Value) -> Result<String, String> {
    let lines = test.get("canonical").or_else(|| test.get("raw")).and_then(Value::as_array);
    let Some(lines) = lines else { return Ok(text) };
    let expected: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
    if expected.join(", ") == text { Ok(text) } else { Err(format!("differs: {text}")) }
}

/// A list of two: the value and its parameters.
fn pair(value: &Value) -> Result<(&Value, &Value), String> {
    match value.as_array().map(Vec::as_slice) {
        Some([first, second]) => Ok((first, second)),
        _ => Err("no list of two".to_owned()),
    }
}

fn item(value: &Value) -> Result<Item, String> {
    let (bare, parameters) = pair(value)?;
    Ok(Item::with_params(bare_item(bare)?, named(parameters, bare_item)?.collect::<Parameters>()))
}

fn members(value: &Value) -> Result<List, String> {
    list(value, "")?.iter().map(member).collect()
}

fn dictionary(value: &Value) -> Result<Dictionary, String> {
    Ok(named(value, member)?.collect())
}

fn member(value: &Value) -> Result<ListEntry, String> {
    let (first, parameters) = pair(value)?;
    let Some(items) = first.as_array() else { return Ok(item(value)?.into()) };
    let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
    Ok(InnerList::with_params(items, named(parameters, bare_item)?.collect::<Parameters>()).into())
}

/// Pairs of a key and a value.
fn named<T>(value: &Value, read: fn(&Value) -> Result<T, String>) -> Result<impl Iterator<Item = (Key, T)>, String> {
    let entry = |entry| {
        let (key, value) = pair(entry)?;
        let key = key.as_str().ok_or("a key that is no text")?;
        let key = Key::from_string(key.to_owned()).map_err(|(error, _)| error.to_string())?;
        Ok((key, read(value)?))
    };
    Ok(list(value, "")?.iter().map(entry).collect::<Result<Vec<_>, String>>()?.into_iter())
}

fn bare_item(value: &Value) -> Result<BareItem, String> {
    match value {
        Value::Bool(value) => Ok(BareItem::Boolean(*value)),
        Value::Number(number) => number_item(number),
        Value::String(text) => {
            let text = sfv::String::from_string(text.clone()).map_err(|(error, _)| error.to_string())?;
            Ok(BareItem::String(text))
        }
        _ => typed(value),
    }
}

fn number_item(number: &serde_json::Number) -> Result<BareItem, String> {
    if let Some(integer) = number.as_i64() {
        return Ok(BareItem::Integer(Integer::try_from(integer).map_err(|error| error.to_string())?));
    }
    let number = number.as_f64().ok_or("a number beyond all")?;
    Ok(BareItem::Decimal(Decimal::try_from(number).map_err(|error| error.to_string())?))
}

/// What JSON has not: an object with its type and its value.
fn typed(value: &Value) -> Result<BareItem, String> {
    match text(value, "/__type")? {
        "token" => {
            let token = sfv::Token::from_string(text(value, "/value")?.to_owned());
            Ok(BareItem::Token(token.map_err(|(error, _)| error.to_string())?))
        }
        "binary" => Ok(BareItem::ByteSequence(base32(text(value, "/value")?)?)),
        "displaystring" => Ok(BareItem::DisplayString(text(value, "/value")?.to_owned())),
        "date" => {
            let seconds = value.get("value").and_then(Value::as_i64).ok_or("a date that is no integer")?;
            let seconds = Integer::try_from(seconds).map_err(|error| error.to_string())?;
            Ok(BareItem::Date(Date::from_unix_seconds(seconds)))
        }
        other => Err(format!("there is no type {other}")),
    }
}

/// RFC 4648 section 6.
fn base32(text: &str) -> Result<Vec<u8>, String> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u16, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|letter| *letter == digit);
        let value = value.and_then(|value| u16::try_from(value).ok()).ok_or("no base32")?;
        held = (held << 5 | value) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits).to_le_bytes()[0]);
        }
    }
    Ok(bytes)
}

/// The documents in the form that hashes are made over, by the writer of records; and, where all numbers are integers, by
/// that of passports and actions, which refuses others. Then numbers alone.
fn jcs(files: &[String]) -> Result<Vec<Verdict>, String> {
    let (numbers, documents) = files.split_first().ok_or("no files")?;
    let mut verdicts: Vec<Verdict> =
        numbers.lines().enumerate().map(|(number, line)| es6_number(number + 1, line)).collect::<Result<_, _>>()?;
    for (name, texts) in JCS_FILES.iter().skip(1).step_by(2).zip(documents.chunks(2)) {
        let [input, output] = texts else { return Err(format!("{name} has no output")) };
        let name = name.trim_start_matches("jcs/input/").trim_end_matches(".json");
        let value = crate::json(input)?;
        let whole = serde_json_canonicalizer::to_string(&value).map_err(|error| error.to_string());
        verdicts.push(Verdict::new(name, true, whole.and_then(|text| equal(text, output))));
        let strict = json::canonical(&value).map_err(|error| error.to_string());
        let strict = strict.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
        let integers = !has_fraction(&value);
        verdicts.push(Verdict::new(format!("{name}/integers"), integers, strict.and_then(|text| equal(text, output))));
    }
    Ok(verdicts)
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_i64() && !number.is_u64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

fn equal(text: String, expected: &str) -> Result<String, String> {
    if text == expected.trim_end() { Ok(text) } else { Err(format!("differs: {text}")) }
}

/// A line of the bits of a number, in hexadecimal, and its text.
fn es6_number(line: usize, text: &str) -> Result<Verdict, String> {
    let (bits, expected) = text.split_once(',').ok_or_else(|| format!("line {line} has no comma"))?;
    let bits = u64::from_str_radix(bits, 16).map_err(|error| error.to_string())?;
    let written = serde_json_canonicalizer::to_string(&f64::from_bits(bits)).map_err(|error| error.to_string());
    Ok(Verdict::new(format!("number/{line}"), true, written.and_then(|text| equal(text, expected))))
}
