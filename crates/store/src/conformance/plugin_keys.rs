//! Cases about the keys that operators write and plugins read.

use futures_util::future::join_all;
use passgate_core::attest::{Kind, Link};
use passgate_core::state::{MAX_PLUGIN_KEY_BYTES, MAX_PLUGIN_VALUE_BYTES, PluginKeyError};

use super::{Kit, read_all};
use crate::{Filter, Ledger, State, StoreError};

async fn started(store: &impl State) -> Kit {
    let kit = Kit::new("gate");
    kit.start(store).await.expect("a chain starts");
    kit
}

async fn read(store: &impl State, plugin: &str, key: &str) -> Option<Vec<u8>> {
    store.plugin_key(plugin, key).await.expect("readable")
}

pub(super) async fn plugins_read_what_was_written(store: &impl State) {
    let kit = started(store).await;
    let (long_name, long_key) = ("n".repeat(64), "k".repeat(MAX_PLUGIN_KEY_BYTES));
    let all_bytes: Vec<u8> = (0..=u8::MAX).collect();
    let longest = vec![0xff; MAX_PLUGIN_VALUE_BYTES];
    let values: [(&str, &str, &[u8]); 6] = [
        ("shops", "list", b"one"),
        ("shops", "list:more", b"two"),
        ("shop", "s:list", b""),
        ("other", "list", &all_bytes),
        ("other", "\u{e4}/% '\"", b"three"),
        (&long_name, &long_key, &longest),
    ];
    for (plugin, key, value) in values {
        assert_eq!(read(store, plugin, key).await, None, "{plugin} {key}");
        kit.set_plugin_key(store, plugin, key, Some(b"earlier")).await.expect("written");
        kit.set_plugin_key(store, plugin, key, Some(value)).await.expect("written again");
    }
    assert_eq!(store.sweep(kit.later(86_400 * 365).now(), 100).await.expect("sweeps"), 0, "keys never expire");
    for (plugin, key, value) in values {
        assert!(read(store, plugin, key).await.as_deref() == Some(value), "{plugin} {key}");
    }
    for (deleted, (plugin, key, _)) in values.into_iter().enumerate() {
        kit.set_plugin_key(store, plugin, key, None).await.expect("deleted");
        for (number, (plugin, key, value)) in values.into_iter().enumerate() {
            let expected = (number > deleted).then_some(value);
            assert!(read(store, plugin, key).await.as_deref() == expected, "{plugin} {key} after {deleted}");
        }
    }
}

pub(super) async fn every_change_is_recorded(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    for value in [Some(&b"one"[..]), Some(b"one"), None, None] {
        let entry = kit.set_plugin_key(store, "shops", "list", value).await.expect("written");
        let stored = store.record(&entry.index.attestation_id).await.expect("readable").expect("there");
        assert_eq!((stored.jws, stored.index), (entry.jws, entry.index));
    }
    let kinds = read_all(store, &Filter::default(), 10).await.into_iter().map(|record| record.index.kind);
    assert_eq!(kinds.filter(|kind| *kind == Kind::PluginKey).count(), 4);
    let writes = (0..50_u8).map(|value| {
        let kit = &kit;
        async move { kit.set_plugin_key(store, "shops", "list", Some(&[value])).await }
    });
    let entries: Vec<_> = join_all(writes).await.into_iter().collect::<Result<_, _>>().expect("all are written");
    let last = entries.iter().zip(0..).max_by_key(|(entry, _)| entry.index.seq).map(|(_, value)| vec![value]);
    assert_eq!(read(store, "shops", "list").await, last, "the last one recorded is the one in force");
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 55);
}

pub(super) async fn what_is_outside_the_limits_is_refused(store: &(impl State + Ledger)) {
    let kit = started(store).await;
    let too_long = vec![0; MAX_PLUGIN_VALUE_BYTES + 1];
    let long_key = "k".repeat(MAX_PLUGIN_KEY_BYTES + 1);
    for (plugin, key, value, expected) in [
        ("Shops", "list", Some(&b"v"[..]), PluginKeyError::Plugin),
        ("", "list", None, PluginKeyError::Plugin),
        ("a:b", "list", Some(b"v"), PluginKeyError::Plugin),
        ("shops", "", Some(b"v"), PluginKeyError::Key),
        ("shops", "a\nb", None, PluginKeyError::Key),
        ("shops", &long_key, Some(b"v"), PluginKeyError::Key),
        ("shops", "list", Some(&too_long), PluginKeyError::Value),
    ] {
        let refused = kit.set_plugin_key(store, plugin, key, value).await;
        assert!(matches!(refused, Err(StoreError::PluginKey(error)) if error == expected), "{refused:?}");
        if expected != PluginKeyError::Value {
            let refused = store.plugin_key(plugin, key).await;
            assert!(matches!(refused, Err(StoreError::PluginKey(error)) if error == expected), "{refused:?}");
        }
    }
    assert_eq!(read(store, "shops", "list").await, None);
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 1);
}

pub(super) async fn without_its_record_nothing_changes(store: &(impl State + Ledger)) {
    let other = Kit::new("gate");
    let refused = other.set_plugin_key(store, "shops", "list", Some(b"new")).await;
    assert!(matches!(refused, Err(StoreError::ChainState(_))), "its chain is not started: {refused:?}");
    assert_eq!(read(store, "shops", "list").await, None);
    let kit = started(store).await;
    kit.set_plugin_key(store, "shops", "list", Some(b"old")).await.expect("written");
    for value in [Some(b"new".to_vec()), None] {
        let mut sealed = kit.seal_record(passgate_core::attest::Body::Restart);
        let elsewhere = Box::new(move |link: &Link| sealed(&Link { seq: link.seq + 1, prev: link.prev }));
        let refused = store.set_plugin_key(kit.chain_uid(), "shops", "list", value, elsewhere).await;
        assert!(matches!(refused, Err(StoreError::ChainState(_))), "{refused:?}");
        assert_eq!(read(store, "shops", "list").await.as_deref(), Some(&b"old"[..]));
    }
    assert_eq!(kit.verify_ledger(store).await.expect("the ledger verifies").head.records, 2);
}
