//! A strictly read document as the source of typed values.
//!
//! No float passes through here: a number is an integer of 64 bits, or no type can be read from it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::btree_map;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::fmt;
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
    T::deserialize(Source(node)).map_err(|ShapeError(words)| match words {
        Some(words) => words.0,
        None => "a sequence has too few items".to_string(),
    })
}

/// A node that is read.
#[derive(Clone, Copy)]
struct Source<'n, 'a>(&'n Node<'a>);

/// As small as can be: every field of every type that is read may fail with it. It has no words when too few items are there,
/// which of a struct says nothing: the name of the field that is missing does.
#[derive(Debug)]
struct ShapeError(Option<Box<Words>>);

#[derive(Debug)]
struct Words(String);

impl ShapeError {
    /// Not generic, because all errors are made with it.
    #[inline(never)]
    fn new(words: fmt::Arguments<'_>) -> Self {
        Self(Some(Box::new(Words(words.to_string()))))
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", |words| &words.0))
    }
}

impl core::error::Error for ShapeError {}

impl Error for ShapeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(format_args!("{message}"))
    }

    #[inline]
    fn invalid_length(_: usize, _: &dyn Expected) -> Self {
        Self(None)
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format_args!("invalid type: {}, expected {expected}", described(found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format_args!("invalid value: {}, expected {expected}", described(found)))
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

impl<'n, 'a> Source<'n, 'a> {
    /// Not generic, because every type that is read has a use of it.
    #[inline(never)]
    fn mismatch(self, expected: &dyn Expected) -> ShapeError {
        let found = match self.0 {
            Node::Null => Unexpected::Unit,
            Node::Bool(value) => Unexpected::Bool(*value),
            Node::Number(text) => {
                let is_integer = text.bytes().all(|b| b == b'-' || b.is_ascii_digit());
                let kind = if is_integer { "integer" } else { "floating point" };
                return ShapeError::custom(format_args!("invalid type: {kind} `{text}`, expected {expected}"));
            }
            Node::String(text) => Unexpected::Str(text),
            Node::Array(_) => Unexpected::Seq,
            Node::Object(_) => Unexpected::Map,
        };
        ShapeError::invalid_type(found, expected)
    }

    fn visit_number<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
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

    fn visit_text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match self.0 {
            Node::String(text) => visitor.visit_str(text),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn visit_items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        let Node::Array(items) = self.0 else { return Err(self.mismatch(&visitor)) };
        let mut rest = Items(items.iter());
        let value = visitor.visit_seq(&mut rest)?;
        if rest.0.as_slice().is_empty() { Ok(value) } else { Err(ShapeError::custom("a sequence has too many items")) }
    }

    /// The members of a struct. Not generic, as much of the reading of types as possible.
    #[inline(never)]
    fn fields(self, name: &str, fields: &'static [&'static str]) -> Result<Fields<'n, 'a>, ShapeError> {
        let Node::Object(members) = self.0 else { return Err(self.mismatch(&"an object")) };
        match stranger(members, fields) {
            Some(stranger) if name != OPEN => Err(ShapeError::unknown_field(stranger, fields)),
            _ => Ok(Fields { members, names: fields.iter(), missing: None }),
        }
    }

    /// The variant of an enum that is there.
    #[inline(never)]
    fn variant(self) -> Result<Variant<'n, 'a>, ShapeError> {
        let named = match self.0 {
            Node::String(name) => Some((name, &Node::Null)),
            Node::Object(members) if members.len() == 1 => members.first_key_value(),
            _ => None,
        };
        let (name, content) = named.ok_or_else(|| self.mismatch(&"a name, or an object with one member"))?;
        Ok(Variant { name, content })
    }

    /// An array of a struct's fields is no struct here.
    fn visit_members<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        match self.0 {
            Node::Object(members) => visitor.visit_map(Pairs { rest: members.iter(), value: None }),
            _ => Err(self.mismatch(&visitor)),
        }
    }
}

macro_rules! deserialize_as {
    ($method:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
            self.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Source<'_, '_> {
    type Error = ShapeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
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

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ShapeError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        match self.0 {
            Node::Number(text) if name == DECIMAL => visitor.visit_str(text),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ShapeError> {
        self.visit_items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        self.visit_items(visitor)
    }

    /// Field by field instead of member by member: what a type derives for that is half as long, and the names of its
    /// fields need no reader.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        let mut rest = self.fields(name, fields)?;
        visitor.visit_seq(&mut rest).map_err(|error| rest.explained(error))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        visitor.visit_enum(self.variant()?)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        visitor.visit_unit()
    }
}

struct Items<'n, 'a>(slice::Iter<'n, Node<'a>>);

impl<'de> SeqAccess<'de> for &mut Items<'_, '_> {
    type Error = ShapeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ShapeError> {
        self.0.next().map(|item| seed.deserialize(Source(item))).transpose()
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
struct Fields<'n, 'a> {
    members: &'n Members<'a>,
    names: slice::Iter<'static, &'static str>,
    /// The field that was asked for last, if the object lacks it and it is none that may be left out for being optional. A
    /// struct that has no default for it fails at once, and without its name.
    missing: Option<&'static str>,
}

impl<'n, 'a> Fields<'n, 'a> {
    /// The member of the next field, if it is there; else the field is noted as missing.
    #[inline(never)]
    fn next(&mut self) -> Option<&'n Node<'a>> {
        self.missing = None;
        let name = self.names.next()?;
        let member = self.members.get(*name);
        if member.is_none() {
            self.missing = Some(name);
        }
        member
    }

    /// What `error` of a struct with these fields means.
    #[inline(never)]
    fn explained(&self, error: ShapeError) -> ShapeError {
        self.missing.map_or(error, ShapeError::missing_field)
    }
}

impl<'de> SeqAccess<'de> for &mut Fields<'_, '_> {
    type Error = ShapeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ShapeError> {
        if let Some(value) = self.next() {
            return seed.deserialize(Source(value)).map(Some);
        }
        let absent = seed.deserialize(Absent).ok();
        if absent.is_some() {
            self.missing = None;
        }
        Ok(absent)
    }
}

/// A member that is not there: nothing but an option can be read from it. Nobody is shown its error, so it has no words.
struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = ShapeError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ShapeError> {
        Err(ShapeError(None))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ShapeError> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Pairs<'n, 'a> {
    rest: btree_map::Iter<'n, Cow<'a, str>, Node<'a>>,
    value: Option<&'n Node<'a>>,
}

impl<'de> MapAccess<'de> for Pairs<'_, '_> {
    type Error = ShapeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ShapeError> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ShapeError> {
        // Nobody asks for a value before its name.
        seed.deserialize(Source(self.value.take().unwrap_or(&Node::Null)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// `"name"`, or `{"name": content}`.
struct Variant<'n, 'a> {
    name: &'n str,
    content: &'n Node<'a>,
}

impl<'de, 'n, 'a> EnumAccess<'de> for Variant<'n, 'a> {
    type Error = ShapeError;
    type Variant = Source<'n, 'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), ShapeError> {
        Ok((seed.deserialize(StrDeserializer::new(self.name))?, Source(self.content)))
    }
}

impl<'de> VariantAccess<'de> for Source<'_, '_> {
    type Error = ShapeError;

    fn unit_variant(self) -> Result<(), ShapeError> {
        if self.0.is_null() { Ok(()) } else { Err(self.mismatch(&"unit variant")) }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ShapeError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ShapeError> {
        self.visit_items(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ShapeError> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests;
