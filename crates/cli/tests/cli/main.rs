//! The `passgate` program from outside: its exit codes, streams and files.

#[cfg(test)]
mod approvals;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod bundle;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod delegation;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod files;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod guardrails;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod passports;
#[cfg(test)]
mod pii;
#[cfg(test)]
mod plugin_keys;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod readme;
#[cfg(test)]
mod remote;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod rotation;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod status_lists;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod usage;
