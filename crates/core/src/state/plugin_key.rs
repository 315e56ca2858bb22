//! The keys that operators write for a plugin, and that the plugin reads.

use alloc::string::String;

use passgate_passport::plugin_signature::is_name;

use super::Write;

/// The longest key of a plugin, in bytes.
pub const MAX_PLUGIN_KEY_BYTES: usize = 128;
/// The longest value of a plugin's key, in bytes.
pub const MAX_PLUGIN_VALUE_BYTES: usize = 64 * 1024;

/// A plugin's key or its value is outside the limits. The caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PluginKeyError {
    /// The plugin's name.
    #[error("the name of a plugin is 1 to 64 lower-case letters, digits and `-`")]
    Plugin,
    /// The key.
    #[error("the key of a plugin is 1 to {MAX_PLUGIN_KEY_BYTES} bytes of text without control characters")]
    Key,
    /// The value.
    #[error("the value of a plugin's key has at most {MAX_PLUGIN_VALUE_BYTES} bytes: split it over several keys")]
    Value,
}

/// The key of the row that holds the value of `key` of `plugin`. A name has no colon, so no two keys share a row.
///
/// # Errors
///
/// [`PluginKeyError`] when `plugin` or `key` is outside its limits.
pub fn plugin_row_key(plugin: &str, key: &str) -> Result<String, PluginKeyError> {
    if !is_name(plugin) {
        return Err(PluginKeyError::Plugin);
    }
    if !(1..=MAX_PLUGIN_KEY_BYTES).contains(&key.len()) || key.chars().any(char::is_control) {
        return Err(PluginKeyError::Key);
    }
    Ok(["k:", plugin, ":", key].concat())
}

/// The write that gives `key` of `plugin` a value, which may be empty. It never expires.
///
/// # Errors
///
/// [`PluginKeyError`] when something is outside its limits.
pub fn plugin_key_write(plugin: &str, key: &str, value: &[u8]) -> Result<Write, PluginKeyError> {
    let row_key = plugin_row_key(plugin, key)?;
    if value.len() > MAX_PLUGIN_VALUE_BYTES {
        return Err(PluginKeyError::Value);
    }
    Ok(Write { key: row_key, value: value.to_vec(), expires_at: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_keys_share_a_row() {
        let write = plugin_key_write("shops", "list:1", b"a").unwrap();
        assert_eq!((write.key.as_str(), write.expires_at), ("k:shops:list:1", None));
        let keys = [("a", "b"), ("a", "b:c"), ("a", ":b"), ("a-b", "c"), ("a", "ä"), ("a", " ")];
        let rows: alloc::collections::BTreeSet<_> =
            keys.iter().map(|(plugin, key)| plugin_row_key(plugin, key).unwrap()).collect();
        assert_eq!(rows.len(), keys.len());
        assert_eq!(plugin_row_key("a:b", "c"), Err(PluginKeyError::Plugin), "it would be `b:c` of `a`");
    }

    #[test]
    fn the_limits_are_exact() {
        assert!(plugin_row_key(&"p".repeat(64), &"k".repeat(MAX_PLUGIN_KEY_BYTES)).is_ok());
        assert!(plugin_key_write("p", "k", &[0; MAX_PLUGIN_VALUE_BYTES]).is_ok());
        assert!(plugin_key_write("p", "k", &[]).is_ok());
        for plugin in ["", "P", "a_b", "a.b", "a b", "ä", "a\0", &"p".repeat(65)] {
            assert_eq!(plugin_row_key(plugin, "k"), Err(PluginKeyError::Plugin), "{plugin:?}");
        }
        for key in ["", "a\0", "a\n", "\u{1b}[m", "\u{85}", &"k".repeat(129), &"ä".repeat(65)] {
            assert_eq!(plugin_row_key("p", key), Err(PluginKeyError::Key), "{key:?}");
        }
        let long = plugin_key_write("p", "k", &[0; MAX_PLUGIN_VALUE_BYTES + 1]);
        assert_eq!(long, Err(PluginKeyError::Value));
    }
}
