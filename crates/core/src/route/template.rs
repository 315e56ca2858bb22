//! The resource that a path names, as constraints of passports name resources.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use passgate_passport::constraints::ResourcePattern;

use super::PathPattern;

/// A resource made of parameters of the path: `customers/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTemplate {
    segments: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Parameter(String),
}

/// The text is no template of a resource for the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a resource is 1 to 16 segments joined by '/', each a text such as 'customers' or a parameter of the path such as '{{id}}'"
)]
pub struct ResourceTemplateError;

impl ResourceTemplate {
    /// Reads a template whose parameters are those of `path`.
    pub fn parse(text: &str, path: &PathPattern) -> Result<Self, ResourceTemplateError> {
        let segments: Vec<Part> = text.split('/').map(Part::parse).collect();
        let known = |part: &Part| match part {
            // What looks like a parameter and is none was meant as one.
            Part::Literal(text) => !text.contains(['{', '}']),
            Part::Parameter(name) => path.has_parameter(name),
        };
        let sample = fill(&segments, |_| Some("x"));
        let is_resource = sample.is_some_and(|sample| is_resource(&sample));
        if is_resource && segments.iter().all(known) { Ok(Self { segments }) } else { Err(ResourceTemplateError) }
    }

    /// The resource with the values of the parameters; `None` when one has none.
    pub(super) fn fill<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        fill(&self.segments, value)
    }
}

impl Part {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => Self::Parameter(name.to_string()),
            None => Self::Literal(text.to_string()),
        }
    }
}

fn fill<'a>(segments: &[Part], value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mut filled = String::new();
    for (index, part) in segments.iter().enumerate() {
        if index > 0 {
            filled.push('/');
        }
        match part {
            Part::Literal(text) => filled.push_str(text),
            Part::Parameter(name) => filled.push_str(value(name)?),
        }
    }
    Some(filled)
}

/// A pattern without a wildcard.
fn is_resource(text: &str) -> bool {
    !text.ends_with('*') && ResourcePattern::parse(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_from_the_path() {
        let path = PathPattern::parse("/customers/{id}/notes/{note}").unwrap();
        let template = ResourceTemplate::parse("crm/{id}/{note}", &path).unwrap();
        let value = |name: &str| path.parameter("/customers/42/notes/7", name);
        assert_eq!(template.fill(value).as_deref(), Some("crm/42/7"));
    }

    #[test]
    fn what_is_no_resource_is_refused() {
        let path = PathPattern::parse("/customers/{id}").unwrap();
        for text in ["", "/", "a//b", "/a", "a/", "*", "a/*", "a/..", "a/{other}", "a/x{id}", "{}", "a?b"] {
            assert_eq!(ResourceTemplate::parse(text, &path), Err(ResourceTemplateError), "{text}");
        }
    }
}
