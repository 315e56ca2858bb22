//! The limit of open files. A gate that runs out of them refuses connections long before its own limit is reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides connections: the store, sockets, log.
const OTHERS: u64 = 64;

/// Makes room for `connections` callers and as many connections to the upstream, as far as the hard limit goes.
///
/// # Errors
///
/// A sentence for the operator when there is not enough room.
pub fn make_room(connections: u64) -> Result<(), String> {
    let needed = connections.saturating_mul(2).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let reachable = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum });
    if raised.is_ok() && reachable >= needed {
        return Ok(());
    }
    Err(format!(
        "{connections} connections need {needed} open files, and {reachable} are allowed: \
         raise the limit (ulimit -Hn) or lower server.max_connections"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_up_to_the_hard_limit_and_no_further() {
        make_room(1).unwrap();
        if getrlimit(Resource::Nofile).maximum.is_some() {
            assert!(make_room(u64::MAX).unwrap_err().contains("max_connections"));
        }
    }
}
