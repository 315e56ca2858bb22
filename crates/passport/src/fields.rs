//! Reading of structured fields (RFC 9651) without losing anything.
//!
//! RFC 9651 lets the last of several equal keys win. For signatures that would let two readers see two messages, so
//! this reader reports every member and every parameter as received, duplicates included, and leaves it to the caller
//! to refuse them.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::convert::Infallible;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser, Version};

/// Parses a whole dictionary field value. Every key of the text appears, in order.
///
/// Dates and display strings, which no field of ours uses, are syntax errors here (the grammar of RFC 8941).
///
/// # Errors
/// When any part of the text is not a dictionary.
pub(crate) fn parse_dictionary(text: &[u8]) -> Result<Vec<Member<'_>>, sfv::Error> {
    Parser::new(text).with_version(Version::Rfc8941).parse_dictionary_with_visitor(Dictionary(Vec::new()))
}

/// One dictionary member as received.
pub(crate) struct Member<'a> {
    pub(crate) key: &'a str,
    pub(crate) value: Value<'a>,
    pub(crate) parameters: Vec<(&'a str, BareItemFromInput<'a>)>,
}

/// A member's value.
pub(crate) enum Value<'a> {
    Item(BareItemFromInput<'a>),
    InnerList(Vec<InnerItem<'a>>),
}

/// One item of an inner list.
pub(crate) struct InnerItem<'a> {
    pub(crate) value: BareItemFromInput<'a>,
    pub(crate) parameters: Vec<(&'a str, BareItemFromInput<'a>)>,
}

/// The text of a string item that was written without any escape; `None` for everything else.
pub(crate) fn plain_string<'a>(item: &BareItemFromInput<'a>) -> Option<&'a str> {
    match item {
        BareItemFromInput::String(Cow::Borrowed(text)) => Some(text.as_str()),
        _ => None,
    }
}

struct Dictionary<'a>(Vec<Member<'a>>);

impl<'a> DictionaryVisitor<'a> for Dictionary<'a> {
    type Out = Vec<Member<'a>>;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        Ok(Entry { key: key.as_str(), members: &mut self.0 })
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

struct Entry<'s, 'a> {
    key: &'a str,
    members: &'s mut Vec<Member<'a>>,
}

impl<'s, 'a> Entry<'s, 'a> {
    fn with(self, value: Value<'a>) -> MemberParameters<'s, 'a> {
        MemberParameters { member: Member { key: self.key, value, parameters: Vec::new() }, members: self.members }
    }
}

impl<'a> EntryVisitor<'a> for Entry<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(self)
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(List { entry: self, items: Vec::new() })
    }
}

impl<'a> ItemVisitor<'a> for Entry<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, item: BareItemFromInput<'a>) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        Ok(self.with(Value::Item(item)))
    }
}

struct List<'s, 'a> {
    entry: Entry<'s, 'a>,
    items: Vec<InnerItem<'a>>,
}

impl<'a> InnerListVisitor<'a> for List<'_, 'a> {
    type Error = Infallible;

    fn item(&mut self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(ListItem { items: &mut self.items })
    }

    fn finish(self) -> Result<impl ParameterVisitor<'a>, Infallible> {
        Ok(self.entry.with(Value::InnerList(self.items)))
    }
}

struct ListItem<'s, 'a> {
    items: &'s mut Vec<InnerItem<'a>>,
}

impl<'a> ItemVisitor<'a> for ListItem<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn bare_item(self, value: BareItemFromInput<'a>) -> Result<impl ParameterVisitor<'a, Out = ()>, Infallible> {
        Ok(ItemParameters { item: InnerItem { value, parameters: Vec::new() }, items: self.items })
    }
}

struct MemberParameters<'s, 'a> {
    member: Member<'a>,
    members: &'s mut Vec<Member<'a>>,
}

impl<'a> ParameterVisitor<'a> for MemberParameters<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(&mut self, key: &'a KeyRef, value: BareItemFromInput<'a>) -> Result<(), Infallible> {
        self.member.parameters.push((key.as_str(), value));
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        self.members.push(self.member);
        Ok(())
    }
}

struct ItemParameters<'s, 'a> {
    item: InnerItem<'a>,
    items: &'s mut Vec<InnerItem<'a>>,
}

impl<'a> ParameterVisitor<'a> for ItemParameters<'_, 'a> {
    type Out = ();
    type Error = Infallible;

    fn parameter(&mut self, key: &'a KeyRef, value: BareItemFromInput<'a>) -> Result<(), Infallible> {
        self.item.parameters.push((key.as_str(), value));
        Ok(())
    }

    fn finish(self) -> Result<(), Infallible> {
        self.items.push(self.item);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn reports_every_member_and_parameter_in_order() {
        let members = parse_dictionary(br#"b=1;x;x=2, a=("p" "q";k), b=:AA==:"#).unwrap();
        let keys: Vec<_> = members.iter().map(|member| member.key).collect();
        assert_eq!(keys, vec!["b", "a", "b"]);
        let parameters: Vec<_> = members[0].parameters.iter().map(|(key, _)| *key).collect();
        assert_eq!(parameters, vec!["x", "x"]);
        let Value::InnerList(items) = &members[1].value else { panic!("an inner list") };
        assert_eq!(items.iter().map(|item| item.parameters.len()).collect::<Vec<_>>(), vec![0, 1]);
        assert_eq!(plain_string(&items[0].value), Some("p"));
        assert!(matches!(&members[2].value, Value::Item(BareItemFromInput::ByteSequence(bytes)) if bytes == &[0]));
    }

    #[test]
    fn a_string_with_an_escape_is_not_plain() {
        let members = parse_dictionary(br#"a="x\"y", b="", c=tok"#).unwrap();
        let plain: Vec<_> = members
            .iter()
            .map(|member| match &member.value {
                Value::Item(item) => plain_string(item),
                Value::InnerList(_) => None,
            })
            .collect();
        assert_eq!(plain, vec![None, Some(""), None]);
    }

    #[test]
    fn the_whole_text_must_parse() {
        for text in ["a=", "a=1,", "a=1 b=2", "A=1", "a=@1", "a=%\"x\"", "a=(1", "a=\"\u{e9}\"", "a=1;"] {
            assert!(parse_dictionary(text.as_bytes()).is_err(), "{text}");
        }
    }
}
