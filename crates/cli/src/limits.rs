//! The limits of a passport: as flags, in words, and as JSON.

use std::collections::BTreeMap;

use passgate_core::money::{AmountError, MicroUsd};
use passgate_passport::constraints::{Constraints, RateCaps, SpendCaps};
use passgate_passport::passport::MAX_PASSPORT_BYTES;
use serde_json::{Map, Value, json};

use crate::exit::{Exit, Failure};
use crate::input;

/// Above these flags in a help text.
const HEADING: &str = "Limits (what is absent is not limited, or inherited)";

/// Limits as flags. Each stands in one place: a flag and the file must not state the same limit.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct LimitArgs {
    /// Limits as JSON, in the form of the `constraints` claim, or - for stdin; the flags below add to them
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    constraints: Option<String>,
    /// What one request may spend, in USD
    #[arg(long, value_name = "USD", value_parser = usd, help_heading = HEADING)]
    spend_per_transaction: Option<MicroUsd>,
    /// What may be spent in a day, in USD
    #[arg(long, value_name = "USD", value_parser = usd, help_heading = HEADING)]
    spend_daily: Option<MicroUsd>,
    /// What may be spent in a month, in USD
    #[arg(long, value_name = "USD", value_parser = usd, help_heading = HEADING)]
    spend_monthly: Option<MicroUsd>,
    /// What may be spent as long as the passport lives, in USD
    #[arg(long, value_name = "USD", value_parser = usd, help_heading = HEADING)]
    spend_total: Option<MicroUsd>,
    /// Requests in a minute
    #[arg(long, value_name = "N", help_heading = HEADING)]
    rate_per_minute: Option<u64>,
    /// Requests in an hour
    #[arg(long, value_name = "N", help_heading = HEADING)]
    rate_per_hour: Option<u64>,
    /// Requests in a day
    #[arg(long, value_name = "N", help_heading = HEADING)]
    rate_per_day: Option<u64>,
    /// A host that may be reached, such as api.example.com or *.example.com; may be given several times
    #[arg(long = "domain", value_name = "HOST", help_heading = HEADING)]
    domains: Vec<String>,
    /// What may be touched, such as customers/42 or customers/*; may be given several times
    #[arg(long = "resource", value_name = "PATTERN", help_heading = HEADING)]
    resources: Vec<String>,
    /// A value that requests have to carry under a name; given several times for one name, one of the values
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = pair, help_heading = HEADING)]
    context: Vec<(String, String)>,
    /// Records that one request may return
    #[arg(long, value_name = "N", help_heading = HEADING)]
    max_records: Option<u64>,
    /// What the work is for
    #[arg(long, value_name = "TEXT", help_heading = HEADING)]
    purpose: Option<String>,
    /// The task that the work belongs to, by a name of your own
    #[arg(long, value_name = "ID", help_heading = HEADING)]
    task: Option<String>,
    /// What the holder has been in touch with; may be given several times
    #[arg(long = "label", value_name = "LABEL", help_heading = HEADING)]
    labels: Vec<String>,
}

/// The limits that a grant of actions can hold, as flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct GrantLimitArgs {
    /// What the granted requests may spend together, in USD
    #[arg(long, alias = "spend-total", value_name = "USD", value_parser = usd, requires = "grant", help_heading = GRANT_HEADING)]
    total: Option<MicroUsd>,
    /// What one granted request may spend, in USD
    #[arg(long, alias = "spend-per-transaction", value_name = "USD", value_parser = usd, requires = "grant", help_heading = GRANT_HEADING)]
    per_transaction: Option<MicroUsd>,
    /// A host that they may reach, such as api.example.com or *.example.com; may be given several times
    #[arg(long = "domain", value_name = "HOST", requires = "grant", help_heading = GRANT_HEADING)]
    domains: Vec<String>,
    /// What they may touch, such as customers/42 or customers/*; may be given several times
    #[arg(long = "resource", value_name = "PATTERN", requires = "grant", help_heading = GRANT_HEADING)]
    resources: Vec<String>,
    /// A value that they have to carry under a name; given several times for one name, one of the values
    #[arg(long = "context", value_name = "NAME=VALUE", value_parser = pair, requires = "grant", help_heading = GRANT_HEADING)]
    context: Vec<(String, String)>,
    /// Records that each of them may return
    #[arg(long, value_name = "N", requires = "grant", help_heading = GRANT_HEADING)]
    max_records: Option<u64>,
    /// The task that they have to belong to
    #[arg(long, value_name = "ID", requires = "grant", help_heading = GRANT_HEADING)]
    task: Option<String>,
}

/// Above the flags of a grant in a help text.
pub(crate) const GRANT_HEADING: &str = "A grant";

impl GrantLimitArgs {
    /// What the flags limit.
    pub(crate) fn constraints(&self) -> Result<Constraints, Failure> {
        let Self { total, per_transaction, domains, resources, context, max_records, task } = self.clone();
        let spend = LimitArgs { spend_total: total, spend_per_transaction: per_transaction, ..LimitArgs::default() };
        LimitArgs { domains, resources, context, max_records, task, ..spend }.constraints()
    }
}

fn usd(text: &str) -> Result<MicroUsd, AmountError> {
    MicroUsd::parse_usd_cap(text)
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl LimitArgs {
    /// What the flags and the file they name limit.
    pub(crate) fn constraints(&self) -> Result<Constraints, Failure> {
        let flags = self.as_claim();
        let of_flags = if flags.is_empty() {
            Constraints::default()
        } else {
            read(Value::Object(flags).to_string().as_bytes(), "the limits")?
        };
        match &self.constraints {
            Some(name) => both(read(&input::read(name)?, name)?, of_flags),
            None => Ok(of_flags),
        }
    }

    /// The flags in the form of the claim, whose reader then says what is wrong with them.
    fn as_claim(&self) -> Map<String, Value> {
        let micro = |usd: Option<MicroUsd>| usd.map(|usd| usd.0);
        let mut context: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, value) in &self.context {
            context.entry(name).or_default().push(value);
        }
        let list = |entries: &[String]| (!entries.is_empty()).then(|| json!(entries));
        let members = [
            (
                "spend",
                caps([
                    ("per_transaction_micro_usd", micro(self.spend_per_transaction)),
                    ("daily_micro_usd", micro(self.spend_daily)),
                    ("monthly_micro_usd", micro(self.spend_monthly)),
                    ("total_micro_usd", micro(self.spend_total)),
                ]),
            ),
            (
                "rate",
                caps([
                    ("requests_per_minute", self.rate_per_minute),
                    ("requests_per_hour", self.rate_per_hour),
                    ("requests_per_day", self.rate_per_day),
                ]),
            ),
            ("domains", list(&self.domains)),
            ("resources", list(&self.resources)),
            ("context", (!context.is_empty()).then(|| json!(context))),
            ("max_records", self.max_records.map(Value::from)),
            ("purpose", self.purpose.as_deref().map(Value::from)),
            ("task", self.task.as_deref().map(Value::from)),
            ("labels", list(&self.labels)),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

fn caps<const N: usize>(caps: [(&str, Option<u64>); N]) -> Option<Value> {
    let stated: Map<String, Value> =
        caps.into_iter().filter_map(|(name, cap)| Some((name.to_owned(), cap?.into()))).collect();
    (!stated.is_empty()).then_some(Value::Object(stated))
}

fn read(json: &[u8], name: &str) -> Result<Constraints, Failure> {
    Constraints::from_json(json, MAX_PASSPORT_BYTES).map_err(|error| {
        Failure::new(Exit::Unexpected, "constraints_invalid", format_args!("{name}: {error}"))
            .hint("docs/spec/delegation.md lists the limits and their forms")
    })
}

/// The limits of both. One that both state is refused: which of them was meant is not known.
fn both(file: Constraints, flags: Constraints) -> Result<Constraints, Failure> {
    let SpendCaps { per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd } = file.spend;
    let RateCaps { requests_per_minute, requests_per_hour, requests_per_day } = file.rate;
    let mut context = file.context;
    for (name, values) in flags.context {
        if context.insert(name, values).is_some() {
            return Err(stated_twice("context"));
        }
    }
    Ok(Constraints {
        spend: SpendCaps {
            per_transaction_micro_usd: one(
                per_transaction_micro_usd,
                flags.spend.per_transaction_micro_usd,
                "spend-per-transaction",
            )?,
            daily_micro_usd: one(daily_micro_usd, flags.spend.daily_micro_usd, "spend-daily")?,
            monthly_micro_usd: one(monthly_micro_usd, flags.spend.monthly_micro_usd, "spend-monthly")?,
            total_micro_usd: one(total_micro_usd, flags.spend.total_micro_usd, "spend-total")?,
        },
        rate: RateCaps {
            requests_per_minute: one(requests_per_minute, flags.rate.requests_per_minute, "rate-per-minute")?,
            requests_per_hour: one(requests_per_hour, flags.rate.requests_per_hour, "rate-per-hour")?,
            requests_per_day: one(requests_per_day, flags.rate.requests_per_day, "rate-per-day")?,
        },
        domains: one(file.domains, flags.domains, "domain")?,
        resources: one(file.resources, flags.resources, "resource")?,
        context,
        max_records: one(file.max_records, flags.max_records, "max-records")?,
        purpose: one(file.purpose, flags.purpose, "purpose")?,
        task: one(file.task, flags.task, "task")?,
        labels: one(file.labels, flags.labels, "label")?,
    })
}

fn one<T>(file: Option<T>, flag: Option<T>, name: &str) -> Result<Option<T>, Failure> {
    if file.is_some() && flag.is_some() { Err(stated_twice(name)) } else { Ok(file.or(flag)) }
}

fn stated_twice(flag: &str) -> Failure {
    Failure::usage(format_args!("--{flag} and the file of --constraints state the same limit")).hint("state it once")
}

/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    /// The member of the claim.
    pub(crate) member: &'static str,
    /// The name in the member, where it has names.
    pub(crate) name: Option<String>,
    /// What is limited.
    pub(crate) title: String,
    /// To what.
    pub(crate) words: String,
    /// The limit as it stands in the claim.
    pub(crate) json: Value,
}

impl Limit {
    /// Where it stands in a passport: `constraints.spend.daily_micro_usd`.
    pub(crate) fn path(&self) -> String {
        let name = self.name.as_deref().map(|name| format!(".{name}")).unwrap_or_default();
        format!("constraints.{}{name}", self.member)
    }

    fn of_list<'a>(member: &'static str, entries: impl IntoIterator<Item = &'a str>) -> Self {
        let entries: Vec<&str> = entries.into_iter().collect();
        let json = json!(entries);
        Self { member, name: None, title: member.to_owned(), words: listed(&entries), json }
    }
}

/// Every limit there is, in the order of the claim.
pub(crate) fn all(constraints: &Constraints) -> Vec<Limit> {
    let named = |member, name: &str, title: &str, words: String, json: Value| Limit {
        member,
        name: Some(name.to_owned()),
        title: title.to_owned(),
        words,
        json,
    };
    let SpendCaps { per_transaction_micro_usd, daily_micro_usd, monthly_micro_usd, total_micro_usd } =
        constraints.spend;
    let RateCaps { requests_per_minute, requests_per_hour, requests_per_day } = constraints.rate;
    let spend = [
        ("per_transaction_micro_usd", "spend per request", per_transaction_micro_usd),
        ("daily_micro_usd", "spend per day", daily_micro_usd),
        ("monthly_micro_usd", "spend per month", monthly_micro_usd),
        ("total_micro_usd", "spend in all", total_micro_usd),
    ];
    let rate = [
        ("requests_per_minute", "requests per minute", requests_per_minute),
        ("requests_per_hour", "requests per hour", requests_per_hour),
        ("requests_per_day", "requests per day", requests_per_day),
    ];
    let mut limits = Vec::new();
    limits.extend(spend.into_iter().filter_map(|(name, title, cap)| {
        let words = format!("at most {} USD", MicroUsd(cap?));
        Some(named("spend", name, title, words, cap?.into()))
    }));
    limits.extend(
        rate.into_iter().filter_map(|(name, title, cap)| {
            Some(named("rate", name, title, format!("at most {}", cap?), cap?.into()))
        }),
    );
    let domains = constraints.domains.as_ref();
    limits.extend(domains.map(|list| Limit::of_list("domains", list.iter().map(|entry| entry.as_str()))));
    let resources = constraints.resources.as_ref();
    limits.extend(resources.map(|list| Limit::of_list("resources", list.iter().map(|entry| entry.as_str()))));
    limits.extend(constraints.context.iter().map(|(name, values)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        named("context", name, &format!("context {name}"), listed(&values), json!(values))
    }));
    let whole = |member, title: &str, words: String, json: Value| Limit {
        member,
        name: None,
        title: title.to_owned(),
        words,
        json,
    };
    let records = constraints.max_records;
    limits.extend(records.map(|most| whole("max_records", "records", format!("at most {most}"), most.into())));
    let purpose = constraints.purpose.as_ref();
    limits.extend(purpose.map(|text| whole("purpose", "purpose", text.clone(), text.as_str().into())));
    let task = constraints.task.as_ref();
    limits.extend(task.map(|text| whole("task", "task", text.clone(), text.as_str().into())));
    let labels = constraints.labels.as_ref();
    limits.extend(labels.map(|list| Limit::of_list("labels", list.iter().map(String::as_str))));
    limits
}

/// The limits in the form of the claim; an empty object limits nothing.
pub(crate) fn to_json(constraints: &Constraints) -> Value {
    let mut claim = Map::new();
    for Limit { member, name, json, .. } in all(constraints) {
        match name {
            None => {
                claim.insert(member.to_owned(), json);
            }
            Some(name) => {
                let members = claim.entry(member).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(members) = members {
                    members.insert(name, json);
                }
            }
        }
    }
    Value::Object(claim)
}

/// Entries in words; long lists are cut with the number left out.
pub(crate) fn listed(entries: &[&str]) -> String {
    const SHOWN: usize = 8;
    match entries.len() {
        0 => "none".to_owned(),
        count if count > SHOWN => {
            let first: Vec<&str> = entries.iter().take(SHOWN).copied().collect();
            format!("{} and {} more", first.join(", "), count - SHOWN)
        }
        _ => entries.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn parsed(arguments: &[&str]) -> LimitArgs {
        Line::try_parse_from([&["x"], arguments].concat()).unwrap().limits
    }

    const EVERY: &[&str] = &[
        "--spend-per-transaction=1.5",
        "--spend-daily=20",
        "--spend-monthly=0",
        "--spend-total=300",
        "--rate-per-minute=6",
        "--rate-per-hour=60",
        "--rate-per-day=600",
        "--domain=api.example.com",
        "--domain=*.example.org",
        "--resource=customers/*",
        "--context=env=prod",
        "--context=env=test",
        "--context=team.a=x=y",
        "--max-records=100",
        "--purpose=refunds",
        "--task=T-1",
        "--label=pii",
    ];

    #[test]
    fn every_flag_is_the_limit_it_names() {
        let claim = json!({
            "spend": {"per_transaction_micro_usd": 1_500_000, "daily_micro_usd": 20_000_000, "monthly_micro_usd": 0,
                "total_micro_usd": 300_000_000},
            "rate": {"requests_per_minute": 6, "requests_per_hour": 60, "requests_per_day": 600},
            "domains": ["api.example.com", "*.example.org"],
            "resources": ["customers/*"],
            "context": {"env": ["prod", "test"], "team.a": ["x=y"]},
            "max_records": 100,
            "purpose": "refunds",
            "task": "T-1",
            "labels": ["pii"],
        });
        let constraints = parsed(EVERY).constraints().unwrap();
        assert_eq!(to_json(&constraints), claim);
        assert_eq!(constraints, read(claim.to_string().as_bytes(), "x").unwrap());
        assert_eq!(parsed(&[]).constraints().unwrap(), Constraints::default());
        let paths: Vec<String> = all(&constraints).iter().map(Limit::path).collect();
        assert_eq!(paths[1], "constraints.spend.daily_micro_usd");
        assert_eq!(paths[10], "constraints.context.team.a");
        assert_eq!((all(&constraints)[1].words.as_str(), paths.len()), ("at most 20.00 USD", 15));
    }

    #[test]
    fn the_flags_of_a_grant_are_those_of_a_passport() {
        #[derive(clap::Parser)]
        struct Granting {
            #[arg(long)]
            grant: bool,
            #[command(flatten)]
            limits: GrantLimitArgs,
        }
        let flags = [
            "--total=300",
            "--per-transaction=1.5",
            "--domain=api.example.com",
            "--resource=customers/*",
            "--context=env=prod",
            "--max-records=100",
            "--task=T-1",
        ];
        let granted = Granting::try_parse_from([&["x", "--grant"], &flags[..]].concat()).unwrap();
        let same = |flag: &&str| flag.replace("total", "spend-total").replace("per-tr", "spend-per-tr");
        let same: Vec<String> = flags.iter().map(same).collect();
        let same: Vec<&str> = same.iter().map(String::as_str).collect();
        assert!(granted.grant);
        assert_eq!(granted.limits.constraints().unwrap(), parsed(&same).constraints().unwrap());
        for flag in flags {
            assert!(Granting::try_parse_from(["x", flag]).is_err(), "{flag} without a grant");
        }
    }

    #[test]
    fn what_a_passport_cannot_say_is_refused() {
        for flag in ["--domain=API.example.com", "--resource=a//b", "--context=E=x", "--purpose=", "--label=a b"] {
            assert_eq!(parsed(&[flag]).constraints().unwrap_err().code, "constraints_invalid", "{flag}");
        }
        for flag in ["--spend-daily=-1", "--spend-daily=1e3", "--rate-per-minute=1.5", "--context=env"] {
            assert!(Line::try_parse_from(["x", flag]).is_err(), "{flag}");
        }
    }

    #[test]
    fn a_limit_stands_in_one_place() {
        let every = parsed(EVERY).constraints().unwrap();
        assert_eq!(both(every.clone(), Constraints::default()).unwrap(), every);
        assert_eq!(both(Constraints::default(), every.clone()).unwrap(), every);
        for flag in EVERY {
            let flags = parsed(&[flag]).constraints().unwrap();
            assert_eq!(both(every.clone(), flags).unwrap_err().code, "usage", "{flag}");
        }
    }

    #[test]
    fn long_lists_are_cut_with_their_count() {
        let entries: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        assert_eq!(listed(&entries), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
        assert_eq!((listed(&entries[..2]).as_str(), listed(&[]).as_str()), ("0, 1", "none"));
    }
}
