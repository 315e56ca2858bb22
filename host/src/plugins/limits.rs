//! What one call may take, and what of it is left.

use std::ops::Range;
use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::config::PluginLimitsDoc;

/// The most memory that a configuration can give a call, in bytes; the engine's slots have this size.
pub(super) const MAX_MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// The most elements of tables that a configuration can give a call; the engine's slots have this size.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The ranges of the limits: name, value, least, most.
pub(super) fn ranges(limits: &PluginLimitsDoc) -> [(&'static str, u64, u64, u64); 9] {
    const MIB: u64 = 1024 * 1024;
    [
        ("deadline_ms", limits.deadline_ms.into(), 1, 10_000),
        ("fuel", limits.fuel, 10_000, 1_000_000_000_000),
        ("memory_bytes", limits.memory_bytes, 64 * 1024, MAX_MEMORY_BYTES as u64),
        ("table_elements", limits.table_elements.into(), 1, MAX_TABLE_ELEMENTS as u64),
        ("host_calls", limits.host_calls.into(), 0, 10_000),
        ("log_bytes", limits.log_bytes.into(), 0, MIB),
        ("answer_bytes", limits.answer_bytes.into(), 1024, MIB),
        ("component_bytes", limits.component_bytes, 1024, 128 * MIB),
        ("compile_timeout_ms", limits.compile_timeout_ms.into(), 1, 600_000),
    ]
}

/// How long a call may take.
pub(super) fn deadline(limits: &PluginLimitsDoc) -> Duration {
    Duration::from_millis(limits.deadline_ms.into())
}

/// Why the host ends a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The plugin wanted more than it may have.
    #[error("more than its limit of {0}")]
    Limit(&'static str),
    /// The store could not answer.
    #[error("its keys cannot be read: {0}")]
    Keys(String),
    /// The host has no room for an instance.
    #[error("no instance of it can be made: {0}")]
    Instance(String),
}

/// What is left to one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Budget {
    memory_bytes: usize,
    table_elements: usize,
    host_calls: u32,
    log_bytes: usize,
}

impl Budget {
    pub(super) fn new(limits: &PluginLimitsDoc) -> Self {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            memory_bytes: size(limits.memory_bytes),
            table_elements: size(limits.table_elements.into()),
            host_calls: limits.host_calls,
            log_bytes: size(limits.log_bytes.into()),
        }
    }

    /// Takes one call of the host.
    pub(super) fn take_host_call(&mut self) -> Result<(), Ended> {
        self.host_calls = self.host_calls.checked_sub(1).ok_or(Ended::Limit("host_calls"))?;
        Ok(())
    }

    /// Takes a line of the log.
    pub(super) fn take_log(&mut self, bytes: usize) -> Result<(), Ended> {
        self.log_bytes = self.log_bytes.checked_sub(bytes).ok_or(Ended::Limit("log_bytes"))?;
        Ok(())
    }
}

/// Counts all memories and tables of a component together. Going beyond ends the call: a plugin that goes on without
/// what it wanted could fail in ways that say nothing of the reason.
impl ResourceLimiter for Budget {
    fn memory_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.memory_bytes, current..desired, most, "memory_bytes")
    }

    fn table_growing(&mut self, current: usize, desired: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        take(&mut self.table_elements, current..desired, most, "table_elements")
    }
}

fn take(left: &mut usize, growth: Range<usize>, most: Option<usize>, limit: &'static str) -> wasmtime::Result<bool> {
    let after = left.checked_sub(growth.len()).ok_or(Ended::Limit(limit))?;
    // Beyond its own maximum nothing grows, so nothing is taken.
    let grows = most.is_none_or(|most| growth.end <= most);
    if grows {
        *left = after;
    }
    Ok(grows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_in_its_range() {
        for (name, value, least, most) in ranges(&PluginLimitsDoc::default()) {
            assert!((least..=most).contains(&value), "{name}");
        }
    }

    #[test]
    fn memories_are_counted_together() {
        let limits = PluginLimitsDoc { memory_bytes: 100, table_elements: 10, ..PluginLimitsDoc::default() };
        let mut budget = Budget::new(&limits);
        assert!(budget.memory_growing(0, 60, None).unwrap());
        assert!(budget.memory_growing(0, 30, None).unwrap(), "a second one");
        assert!(!budget.memory_growing(60, 70, Some(69)).unwrap(), "its own maximum");
        assert!(budget.memory_growing(60, 70, Some(70)).unwrap());
        let beyond = budget.memory_growing(70, 71, None).unwrap_err();
        assert_eq!(beyond.downcast_ref(), Some(&Ended::Limit("memory_bytes")));
        let beyond = budget.table_growing(0, usize::MAX, None).unwrap_err();
        assert_eq!(beyond.downcast_ref(), Some(&Ended::Limit("table_elements")));
        assert!(budget.table_growing(0, 10, None).unwrap());
    }

    #[test]
    fn calls_and_lines_are_counted_down() {
        let limits = PluginLimitsDoc { host_calls: 1, log_bytes: 5, ..PluginLimitsDoc::default() };
        let mut budget = Budget::new(&limits);
        assert_eq!((budget.take_host_call(), budget.take_host_call()), (Ok(()), Err(Ended::Limit("host_calls"))));
        assert_eq!((budget.take_log(5), budget.take_log(1)), (Ok(()), Err(Ended::Limit("log_bytes"))));
    }
}
