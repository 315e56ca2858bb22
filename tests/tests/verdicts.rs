//! Published test vectors, natively and in WebAssembly: both have to say of each what it expects, and the same of all.
//!
//! They are read from the folder in `PASSGATE_VECTORS`: with the variable set a missing file fails the test, without it
//! the test says that it skipped.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

use passgate_tests::program::{client, edge_node, output, verdicts_module};
use serde_json::Value;

/// The lines of every set, as this machine makes them.
fn native(folder: &Path) -> String {
    let sets: Value = serde_json::from_str(&passgate_verdicts::vector_sets()).unwrap();
    let mut lines = String::new();
    for set in sets.as_array().unwrap() {
        let read = |file: &Value| {
            let path = folder.join(file.as_str().unwrap());
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let name = set["name"].as_str().unwrap();
        let files = set["files"].as_array().unwrap().iter().map(read).collect();
        let made = passgate_verdicts::verdicts(name, files).unwrap();
        assert_eq!(Some(made.lines().count() as u64), set["count"].as_u64(), "vectors of {name}");
        lines.push_str(&made);
    }
    lines
}

#[test]
fn every_published_vector_has_its_verdict_and_the_same_in_webassembly() {
    let Some(folder) = std::env::var_os("PASSGATE_VECTORS") else {
        println!("skipped: PASSGATE_VECTORS is not set, no vector was read");
        return;
    };
    let native = native(Path::new(&folder));
    let unexpected: Vec<&str> = native
        .lines()
        .filter(|line| {
            let mut columns = line.split('\t').skip(1);
            columns.next() != columns.next()
        })
        .collect();
    assert!(unexpected.is_empty(), "{} vectors went another way:\n{}", unexpected.len(), unexpected.join("\n"));
    let mut node = Command::new(edge_node().unwrap());
    let wasm = output(node.arg(client("verdicts.mjs")).arg(verdicts_module().unwrap()).arg(&folder), "").unwrap();
    for (number, (here, there)) in native.lines().zip(wasm.lines()).enumerate() {
        assert_eq!(here, there, "line {number}: native, then WebAssembly");
    }
    assert_eq!(native.lines().count(), wasm.lines().count());
}
