//! Dollar amounts as operators write them in policies.

use std::fmt;

use passgate_core::money::MicroUsd;
use passgate_passport::json;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// An amount in US dollars: a number or a text with at most six decimals, such as `100`, `0.05` or `"9.99"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usd(pub MicroUsd);

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(json::DECIMAL, UsdVisitor)
    }
}

struct UsdVisitor;

impl UsdVisitor {
    fn read<E: de::Error>(text: &str) -> Result<Usd, E> {
        MicroUsd::parse_usd_cap(text).map(Usd).map_err(|error| E::custom(format_args!("`{text}` is {error}")))
    }
}

impl<'de> Visitor<'de> for UsdVisitor {
    type Value = Usd;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount in US dollars with at most six decimals")
    }

    /// From a reader that has no text for a number.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, number: D) -> Result<Usd, D::Error> {
        number.deserialize_any(self)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Usd, E> {
        Self::read(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Usd, E> {
        Self::read(&value.to_string())
    }

    /// The shortest decimal text that reads back as the same float is what the operator wrote, as far as six decimals
    /// and a billion dollars go; arithmetic happens on integers only.
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Usd, E> {
        Self::read(&value.to_string())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Usd, E> {
        Self::read(value)
    }
}

impl Serialize for Usd {
    /// As text, so that a policy's digest never depends on how a float prints.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "An amount in US dollars with at most six decimals, as a number or a text.",
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": 1_000_000_000,
            "pattern": "^[0-9]{1,10}(\\.[0-9]{1,6})?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts() {
        for (json, micro) in
            [("100", 100_000_000), ("0.05", 50_000), ("\"9.99\"", 9_990_000), ("100.00", 100_000_000), ("0.000015", 15)]
        {
            assert_eq!(serde_json::from_str::<Usd>(json).unwrap().0, MicroUsd(micro), "{json}");
        }
        for json in ["100", "0.05", "\"9.99\"", "100.00", "0.000015", "12345678.123456", "1000000000"] {
            let exactly = passgate_passport::json::parse_into::<Usd>(json.as_bytes(), 64).unwrap();
            assert_eq!(exactly, serde_json::from_str(json).unwrap(), "{json}");
        }
        for json in ["-1", "1e3", "0.0000001", "1000000000.01", "true", "null", "[1]"] {
            assert!(passgate_passport::json::parse_into::<Usd>(json.as_bytes(), 64).is_err(), "{json}");
        }
        for json in ["-1", "\"1e3\"", "1e20", "0.0000001", "\"\"", "true", "null", "\"$5\""] {
            assert!(serde_json::from_str::<Usd>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&Usd(MicroUsd(9_990_000))).unwrap(), "\"9.99\"");
    }
}
