//! A strictly read document as the source of typed values.
//!
//! No float passes through here: a number is an integer of 64 bits, or no type can be read from it.

use alloc::borrow::Cow;
use alloc::collections::btree_map;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
use core::marker::PhantomData;
use core::slice;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::{DECIMAL, Members, Node, OPEN};

/// Reads a `T`. The error says what is wrong with the shape; it may quote the document.
pub(super) fn read<'de, T: Deserialize<'de>>(node: &Node<'_>) -> Result<T, String> {
    T::deserialize(Source::new(node)).map_err(|ShapeError(why)| why)
}

/// Whether a `T` can be read. Without the words of why not, which are most of the code of reading it.
pub(super) fn fits<'de, T: Deserialize<'de>>(node: &Node<'_>) -> bool {
    T::deserialize(Source::<Misfit>::new(node)).is_ok()
}

/// A node that is read.
struct Source<'n, 'a, E>(&'n Node<'a>, PhantomData<E>);

impl<E> Clone for Source<'_, '_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Source<'_, '_, E> {}

#[derive(Debug)]
struct ShapeError(String);

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ShapeError {}

impl Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid type: {}, expected {expected}", described(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid value: {}, expected {expected}", described(found)))
    }
}

/// That the shape is another one, and nothing more.
#[derive(Debug)]
struct Misfit;

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shape is another one")
    }
}

impl core::error::Error for Misfit {}

impl Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self
    }

    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn missing_field(_: &'static str) -> Self {
        Self
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self
    }
}

/// The longest text that is quoted: what is longer may be a key or a token.
const MAX_QUOTED_BYTES: usize = 16;

/// What a document can hold, in words. The words of serde would bring the printing of floats with them.
fn described(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("boolean `{value}`"),
        Unexpected::Unsigned(value) => format!("integer `{value}`"),
        Unexpected::Signed(value) => format!("integer `{value}`"),
        Unexpected::Str(text) if text.len() <= MAX_QUOTED_BYTES => format!("string \"{}\"", text.escape_default()),
        Unexpected::Str(text) => format!("a string of {} bytes", text.len()),
        Unexpected::Unit | Unexpected::Option => "null".to_string(),
        Unexpected::Seq => "sequence".to_string(),
        Unexpected::Map => "map".to_string(),
        Unexpected::Other(other) => other.to_string(),
        _ => "value of another kind".to_string(),
    }
}

impl<'n, 'a, E: Error> Source<'n, 'a, E> {
    fn new(node: &'n Node<'a>) -> Self {
        Self(node, PhantomData)
    }

    /// Not generic, because every type that is read has a use of it.
    fn mismatch(self, expected: &dyn Expected) -> E {
        let found = match self.0 {
            Node::Null => Unexpected::Unit,
            Node::Bool(value) => Unexpected::Bool(*value),
            Node::Number(text) => {
                let is_integer = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
                let kind = if is_integer { "integer" } else { "floating point" };
                return E::custom(format_args!("invalid type: {kind} `{text}`, expected {expected}"));
            }
            Node::String(text) => Unexpected::Str(text),
            Node::Array(_) => Unexpected::Seq,
            Node::Object(_) => Unexpected::Map,
        };
        E::invalid_type(found, expected)
    }

    fn visit_number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let Node::Number(text) = self.0 else { return Err(self.mismatch(&visitor)) };
        if let Ok(number) = text.parse() {
            return visitor.visit_u64(number);
        }
        // Minus zero is no integer to any reader.
        match text.parse() {
            Ok(number) if number != 0_i64 => visitor.visit_i64(number),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn visit_text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Node::String(text) => visitor.visit_str(text),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn visit_items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        let Node::Array(items) = self.0 else { return Err(self.mismatch(&visitor)) };
        let mut rest = Items::<E>(items.iter(), PhantomData);
        let value = visitor.visit_seq(&mut rest)?;
        if rest.0.as_slice().is_empty() { Ok(value) } else { Err(E::custom("a sequence has too many items")) }
    }

    /// An array of a struct's fields is no struct here.
    fn visit_members<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Node::Object(members) => visitor.visit_map(Pairs { rest: members.iter(), value: None, error: PhantomData }),
            _ => Err(self.mismatch(&visitor)),
        }
    }
}

macro_rules! deserialize_as {
    ($method:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            self.$method(visitor)
        })*
    };
}

impl<'de, E: Error> Deserializer<'de> for Source<'_, '_, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Number(_) => self.visit_number(visitor),
            Node::String(_) => self.visit_text(visitor),
            Node::Array(_) => self.visit_items(visitor),
            Node::Object(_) => self.visit_members(visitor),
        }
    }

    deserialize_as! { visit_number: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_i8
    deserialize_i16 deserialize_i32 deserialize_i64 }
    deserialize_as! { visit_text: deserialize_str deserialize_string deserialize_char deserialize_identifier }
    deserialize_as! { visit_items: deserialize_seq }
    deserialize_as! { visit_members: deserialize_map }
    forward_to_deserialize_any! { bool f32 f64 i128 u128 bytes byte_buf unit }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, E> {
        match self.0 {
            Node::Number(text) if name == DECIMAL => visitor.visit_str(text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, E> {
        self.visit_items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, E> {
        self.visit_items(visitor)
    }

    /// Field by field instead of member by member: what a type derives for that is half as long, and the names of its
    /// fields need no reader.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        let Node::Object(members) = self.0 else { return Err(self.mismatch(&visitor)) };
        if let Some(stranger) = stranger(members, fields).filter(|_| name != OPEN) {
            return Err(E::unknown_field(stranger, fields));
        }
        let mut rest = Fields { members, names: fields.iter(), missing: None, error: PhantomData };
        match (visitor.visit_seq(&mut rest), rest.missing) {
            (Err(_), Some(missing)) => Err(E::missing_field(missing)),
            (read, _) => read,
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, E> {
        match self.0 {
            Node::String(name) => visitor.visit_enum(Variant { name, content: &Node::Null, error: PhantomData }),
            Node::Object(members) if members.len() == 1 => match members.first_key_value() {
                Some((name, content)) => visitor.visit_enum(Variant { name, content, error: PhantomData }),
                None => Err(self.mismatch(&visitor)),
            },
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        visitor.visit_unit()
    }
}

struct Items<'n, 'a, E>(slice::Iter<'n, Node<'a>>, PhantomData<E>);

impl<'de, E: Error> SeqAccess<'de> for &mut Items<'_, '_, E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, E> {
        self.0.next().map(|item| seed.deserialize(Source::new(item))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The first member that is no field.
fn stranger<'n>(members: &'n Members<'_>, fields: &[&str]) -> Option<&'n str> {
    members.keys().map(|name| &**name).find(|name| !fields.contains(name))
}

/// The members of an object, in the order of a struct's fields.
struct Fields<'n, 'a, E> {
    members: &'n Members<'a>,
    names: slice::Iter<'n, &'static str>,
    /// The field that was asked for last, if the object lacks it and it is none that may be left out for being optional. A
    /// struct that has no default for it fails at once, and without its name.
    missing: Option<&'static str>,
    error: PhantomData<E>,
}

impl<'de, E: Error> SeqAccess<'de> for &mut Fields<'_, '_, E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, E> {
        self.missing = None;
        let Some(name) = self.names.next() else { return Ok(None) };
        if let Some(value) = self.members.get(*name) {
            return seed.deserialize(Source::new(value)).map(Some);
        }
        let absent = seed.deserialize(Absent).ok();
        if absent.is_none() {
            self.missing = Some(name);
        }
        Ok(absent)
    }
}

/// A member that is not there: nothing but an option can be read from it.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Misfit> {
        Err(Misfit)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs<'n, 'a, E> {
    rest: btree_map::Iter<'n, Cow<'a, str>, Node<'a>>,
    value: Option<&'n Node<'a>>,
    error: PhantomData<E>,
}

impl<'de, E: Error> MapAccess<'de> for Pairs<'_, '_, E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, E> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, E> {
        // Nobody asks for a value before its name.
        seed.deserialize(Source::new(self.value.take().unwrap_or(&Node::Null)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// `"name"`, or `{"name": content}`.
struct Variant<'n, 'a, E> {
    name: &'n str,
    content: &'n Node<'a>,
    error: PhantomData<E>,
}

impl<'de, 'n, 'a, E: Error> EnumAccess<'de> for Variant<'n, 'a, E> {
    type Error = E;
    type Variant = Source<'n, 'a, E>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), E> {
        Ok((seed.deserialize(StrDeserializer::new(self.name))?, Source::new(self.content)))
    }
}

impl<'de, E: Error> VariantAccess<'de> for Source<'_, '_, E> {
    type Error = E;

    fn unit_variant(self) -> Result<(), E> {
        if self.0.is_null() { Ok(()) } else { Err(self.mismatch(&"unit variant")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, E> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, E> {
        self.visit_items(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, E> {
        self.visit_members(visitor)
    }
}

#[cfg(test)]
mod tests;
