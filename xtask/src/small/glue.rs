//! What a module and its JavaScript call each other: short names, and nothing that is never called.
//!
//! The names that `wasm-bindgen` gives end in digests, which no compression makes shorter.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{EntityType, ExportSection, ImportSection, Module};
use wasmparser::{Export, Imports, Parser, Payload};

/// What the names start with that `wasm-bindgen` makes up.
const MADE_UP: [&str; 2] = ["__wb", "wasm_bindgen_"];

/// `module` without what `is_dead` says of its exports, and both with short names for the rest.
///
/// # Errors
/// It is no module.
pub(super) fn shorten(module: &[u8], script: &str, is_dead: impl Fn(&str) -> bool) -> Result<(Vec<u8>, String)> {
    let names = names(module).context("cannot read what the module imports and exports")?;
    let mut renaming = Renaming { names, is_dead };
    let mut renamed = Module::new();
    renaming.parse_core_module(&mut renamed, Parser::new(0), module).context("cannot write the module anew")?;
    Ok((renamed.finish(), in_script(script, &renaming.names)))
}

/// A short name for each that is made up.
fn names(module: &[u8]) -> Result<BTreeMap<String, String>> {
    let mut names = BTreeMap::new();
    let mut name = |long: &str| {
        if MADE_UP.iter().any(|start| long.starts_with(start)) && !names.contains_key(long) {
            names.insert(long.to_owned(), format!("_{}", names.len()));
        }
    };
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    name(import?.name);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    name(export?.name);
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Every identifier of `script` that has a short name is replaced by it.
fn in_script(script: &str, names: &BTreeMap<String, String>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let pieces = script.split_inclusive(|c| !is_part(c));
    let renamed = pieces.map(|piece| {
        let identifier = piece.trim_end_matches(|c| !is_part(c));
        let rest = piece.strip_prefix(identifier).unwrap_or_default();
        format!("{}{rest}", names.get(identifier).map_or(identifier, String::as_str))
    });
    renamed.collect()
}

struct Renaming<F> {
    names: BTreeMap<String, String>,
    is_dead: F,
}

impl<F> Renaming<F> {
    fn name(&self, long: &str) -> String {
        self.names.get(long).map_or(long, String::as_str).to_owned()
    }
}

impl<F: Fn(&str) -> bool> Reencode for Renaming<F> {
    type Error = std::convert::Infallible;

    fn parse_imports(&mut self, section: &mut ImportSection, imports: Imports<'_>) -> Result<(), Error<Self::Error>> {
        let Imports::Single(_, import) = imports else { return utils::parse_imports(self, section, imports) };
        let kind: EntityType = self.entity_type(import.ty)?;
        section.import(import.module, &self.name(import.name), kind);
        Ok(())
    }

    fn parse_export(&mut self, section: &mut ExportSection, export: Export<'_>) -> Result<(), Error<Self::Error>> {
        if (self.is_dead)(export.name) {
            return Ok(());
        }
        let name = self.name(export.name);
        utils::parse_export(self, section, Export { name: &name, ..export })
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::shorten;

    /// The names of imports, then those of exports.
    fn names(module: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::ImportSection(imports) => {
                    names.extend(imports.into_imports().map(|import| import.unwrap().name.to_owned()));
                }
                Payload::ExportSection(exports) => {
                    names.extend(exports.into_iter().map(|export| export.unwrap().name.to_owned()));
                }
                _ => {}
            }
        }
        names
    }

    const MODULE: &str = r#"(module
        (import "./glue.js" "__wbg_get_0011223344556677" (func $get))
        (import "./glue.js" "own" (func $own))
        (func $set (call $get) (call $own))
        (func $unused)
        (export "__wbg_get_0011223344556677" (func $set))
        (export "unmade_new" (func $unused))
        (export "__wbindgen_free" (func $set))
        (export "fetch" (func $set)))"#;

    #[test]
    fn names_that_are_made_up_are_short_on_both_sides_and_what_is_dead_is_gone() {
        let script = "f({__wbg_get_0011223344556677:(a)=>a,own(){}});w.__wbindgen_free();w.fetch(x__wbindgen_free)";
        let module = wat::parse_str(MODULE).unwrap();
        let (module, script) = shorten(&module, script, |name| name.starts_with("unmade_")).unwrap();
        assert_eq!(names(&module), ["_0", "own", "_0", "_1", "fetch"]);
        assert_eq!(script, "f({_0:(a)=>a,own(){}});w._1();w.fetch(x__wbindgen_free)");
    }

    #[test]
    fn what_is_no_module_is_refused() {
        shorten(b"\0asm", "", |_| false).unwrap_err();
    }
}
