//! JSON with one reading.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::Deny;

/// Reads a plugin's configuration.
pub(crate) fn config<T: DeserializeOwned>(text: &str) -> Result<T, Deny> {
    serde_json::from_str(text)
        .map_err(|error| Deny::new(format_args!("the plugin's configuration does not fit: {error}")))
}

/// Reads a request's body; see [`Request::json`](crate::Request::json).
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Deny> {
    let read = || {
        serde_json::from_slice::<Unambiguous>(bytes)?;
        serde_json::from_slice(bytes)
    };
    read().map_err(|error| Deny::new(format_args!("the body is not JSON of the expected form: {error}")))
}

/// Any JSON value in which no object has a member twice.
struct Unambiguous;

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_str<E>(self, _: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unambiguous, A::Error> {
        while items.next_element::<Unambiguous>()?.is_some() {}
        Ok(Unambiguous)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unambiguous, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                members.next_value::<IgnoredAny>()?;
                return Err(A::Error::custom(format_args!("the member `{name}` stands twice")));
            }
            members.next_value::<Unambiguous>()?;
            names.insert(name);
        }
        Ok(Unambiguous)
    }
}
