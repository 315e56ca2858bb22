//! What actions do, by their names.

use passgate_passport::scope::ActionName;

/// What an action does to what it touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EffectClass {
    /// It changes nothing.
    Read,
    /// It changes something.
    Write,
    /// It takes something away for good.
    Destructive,
    /// It changes what others may do.
    Admin,
}

/// The words that say it, class by class. `transfer_ownership` is two words that follow each other.
const WORDS: [(EffectClass, &[&str]); 4] = [
    (EffectClass::Read, &["get", "list", "read", "describe", "search", "view", "fetch", "query", "head"]),
    (
        EffectClass::Write,
        &[
            "write", "update", "create", "execute", "invoke", "modify", "send", "put", "post", "commit", "push",
            "deploy",
        ],
    ),
    (EffectClass::Destructive, &["delete", "drop", "destroy", "purge", "terminate", "remove", "truncate"]),
    (EffectClass::Admin, &["admin", "transfer ownership", "revoke", "escalate", "grant", "impersonate"]),
];

impl EffectClass {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Destructive, Self::Admin];

    /// `read`, `write`, `destructive` or `admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Admin => "admin",
        }
    }

    /// The class of an action whose operator does not say it: the highest that one of the words in its name has, and `write`
    /// where none has any. `method` is a hint that only raises: `DELETE` takes away, `PUT` and `PATCH` change.
    ///
    /// A name is read as words of letters and digits. A word counts as it is: `deleted` and `undelete` are not `delete`.
    pub fn of(action: &ActionName, method: Option<&str>) -> Self {
        let named = Self::named(action.as_str());
        let hint = match method {
            Some("DELETE") => Self::Destructive,
            Some("PUT" | "PATCH") => Self::Write,
            _ => Self::Read,
        };
        named.max(hint)
    }

    /// The class above it, of which there is none above the highest.
    #[must_use]
    pub fn raised(self) -> Self {
        Self::ALL.into_iter().find(|class| *class > self).unwrap_or(self)
    }

    fn named(name: &str) -> Self {
        let mut found = None;
        let mut before = "";
        for word in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            for (class, known) in WORDS {
                let is_one = |known: &&str| match known.split_once(' ') {
                    None => word == *known,
                    Some((first, second)) => before == first && word == second,
                };
                if known.iter().any(is_one) {
                    found = found.max(Some(class));
                }
            }
            before = word;
        }
        found.unwrap_or(Self::Write)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn of(name: &str) -> &'static str {
        EffectClass::named(name).as_str()
    }

    #[test]
    fn every_word_has_its_class() {
        let all: Vec<&str> = WORDS.iter().flat_map(|(_, words)| *words).copied().collect();
        assert_eq!(all.len(), 34);
        for (class, words) in WORDS {
            for word in words {
                let word = word.replace(' ', "_");
                for name in [word.clone(), alloc::format!("files:{word}"), alloc::format!("{word}_things")] {
                    assert_eq!(of(&name), class.as_str(), "{name}");
                }
            }
        }
    }

    #[test]
    fn names_are_read_as_words() {
        for (name, class) in [
            ("web:search", "read"),
            ("delete_file", "destructive"),
            ("get_or_create-user", "write"),
            ("read_and_delete", "destructive"),
            ("list-users", "read"),
            ("admin:users:list", "admin"),
            ("repo:transfer_ownership", "admin"),
            ("repo:transfer--ownership", "admin"),
            ("ownership_transfer", "write"),
            ("undeleted_items", "write"),
            ("undelete", "write"),
            ("deleted_items:list", "read"),
            ("administrate", "write"),
            ("budget", "write"),
            ("widgets", "write"),
            ("payments:create", "write"),
            ("payments", "write"),
            ("x:frobnicate", "write"),
            ("getaway", "write"),
            ("v2getall", "write"),
        ] {
            assert_eq!(of(name), class, "{name}");
        }
    }

    #[test]
    fn every_class_but_the_highest_has_one_above_it() {
        let raised = EffectClass::ALL.map(|class| class.raised().as_str());
        assert_eq!(raised, ["write", "destructive", "admin", "admin"]);
    }

    #[test]
    fn methods_only_raise() {
        let of = |name: &str, method| EffectClass::of(&ActionName::parse(name).unwrap(), Some(method)).as_str();
        assert_eq!(of("web:search", "GET"), "read");
        assert_eq!(of("web:search", "POST"), "read");
        assert_eq!(of("web:search", "PATCH"), "write");
        assert_eq!(of("web:search", "DELETE"), "destructive");
        assert_eq!(of("files:delete", "GET"), "destructive");
        assert_eq!(of("keys:revoke", "DELETE"), "admin");
    }
}
