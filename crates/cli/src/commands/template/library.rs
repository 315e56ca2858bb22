//! The templates that come with the program.

/// Name, policy file and tests of each, by name.
pub(super) const TEMPLATES: &[(&str, &str, &str)] = &[];
