//! Checks in an order, and what became of each.

use serde::Serialize;

/// What became of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckResult {
    Passed,
    Failed,
    NotChecked,
}

/// One check of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) result: CheckResult,
    pub(crate) detail: Option<String>,
}

/// The checks `names` of which `failed` failed with this detail: those before it passed, those after it were not made.
pub(crate) fn failed_at(names: &[&'static str], failed: &str, detail: &str) -> Vec<Check> {
    let mut result = CheckResult::Passed;
    let check = |name: &&'static str| {
        if *name == failed {
            result = CheckResult::NotChecked;
            return Check { name, result: CheckResult::Failed, detail: Some(detail.to_owned()) };
        }
        Check { name, result, detail: None }
    };
    names.iter().map(check).collect()
}

/// The checks `names`, all passed.
pub(crate) fn passed(names: &[&'static str]) -> Vec<Check> {
    names.iter().map(|name| Check { name, result: CheckResult::Passed, detail: None }).collect()
}

/// Marks the check `name` as not made, and says why.
pub(crate) fn not_checked(checks: &mut [Check], name: &str, why: &str) {
    for check in checks.iter_mut().filter(|check| check.name == name) {
        (check.result, check.detail) = (CheckResult::NotChecked, Some(why.to_owned()));
    }
}

/// JSON of a value that always has one.
pub(crate) fn to_json(value: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_failed_check_none_is_made() {
        let checks = failed_at(&["a", "b", "c"], "b", "why");
        let results: Vec<_> = checks.iter().map(|check| (check.result, check.detail.as_deref())).collect();
        let expected =
            [(CheckResult::Passed, None), (CheckResult::Failed, Some("why")), (CheckResult::NotChecked, None)];
        assert_eq!(results, expected);
    }
}
