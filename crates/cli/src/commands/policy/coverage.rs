//! Which rules tests reach.

use std::collections::BTreeMap;

use passgate_core::policy::{Explained, Policy};

/// How often each rule matched, and how often it decided.
pub(super) struct Coverage {
    rules: BTreeMap<String, (usize, usize)>,
}

impl Coverage {
    pub(super) fn of(policy: Option<&Policy>) -> Self {
        let names = policy.iter().flat_map(|policy| policy.rules()).map(|rule| (rule.name.clone(), (0, 0)));
        Self { rules: names.collect() }
    }

    /// Counts what one test reached.
    pub(super) fn add(&mut self, explained: &[Explained<'_>], decisive: Option<&str>) {
        for rule in explained.iter().filter(|explained| explained.matches()) {
            if let Some((matched, decided)) = self.rules.get_mut(&rule.rule.name) {
                *matched += 1;
                *decided += usize::from(decisive == Some(rule.rule.name.as_str()));
            }
        }
    }

    /// The rules that decided no test, with how many they matched.
    pub(super) fn idle(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rules
            .iter()
            .filter(|(_, (_, decided))| *decided == 0)
            .map(|(name, (matched, _))| (name.as_str(), *matched))
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }
}
