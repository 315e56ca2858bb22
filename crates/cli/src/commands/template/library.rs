//! The templates that come with the program.

macro_rules! template {
    ($name:literal) => {
        (
            $name,
            include_str!(concat!("../../../templates/", $name, ".yml")),
            include_str!(concat!("../../../templates/", $name, "_test.yml")),
        )
    };
}

/// Name, policy file and tests of each, by name.
pub(super) const TEMPLATES: &[(&str, &str, &str)] = &[
    template!("budget-tracker"),
    template!("bug-triage-agent"),
    template!("calendar-manager"),
    template!("ci-cd-agent"),
    template!("code-review-agent"),
    template!("competitive-intelligence-agent"),
    template!("content-writer"),
    template!("contract-review-agent"),
    template!("crypto-trading-agent-strict"),
    template!("customer-support-agent"),
    template!("data-analyst"),
    template!("dependency-auditor"),
    template!("documentation-generator"),
    template!("expense-report-agent"),
    template!("file-organizer"),
    template!("financial-research-agent"),
    template!("hr-onboarding-agent"),
    template!("invoice-processor"),
    template!("market-research-agent"),
    template!("meeting-scheduler"),
    template!("note-taking-agent"),
    template!("payroll-assistant"),
    template!("personal-email-agent"),
    template!("personal-shopper"),
    template!("sales-development-agent"),
    template!("security-scanner"),
    template!("social-media-manager"),
    template!("subscription-manager"),
    template!("task-manager"),
    template!("web-research-agent"),
];
