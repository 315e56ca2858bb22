//! What a component is, before anything of it is compiled: what it imports and exports, and how large its parts are.

use wasmparser::{CanonicalFunction, ComponentExternName, Parser, Payload};

use super::bindings::VERSION;
use crate::config::PluginGrant;
use crate::logging::inert;

/// Of the largest language runtimes that run as components, a JavaScript engine has about 20,000 functions and one of
/// Python about 40,000.
const MAX_FUNCTIONS: u64 = 100_000;
/// The most code in one function, in bytes. Compilers take more than linear time for a function.
const MAX_FUNCTION_BYTES: u64 = 1024 * 1024;
/// The most code altogether, in bytes.
const MAX_CODE_BYTES: u64 = 32 * 1024 * 1024;
/// The most core modules and nested components.
const MAX_MODULES: u64 = 64;
/// The most instances, of modules and of components.
const MAX_INSTANCES: u64 = 256;
/// The most types, of functions and else. Code is made for each type of a function too.
const MAX_TYPES: u64 = 20_000;
/// The most functions that cross the border of a component.
const MAX_CROSSINGS: u64 = 1_000;
/// How many names of offending imports an error gives.
const MAX_NAMED: usize = 4;

/// The package of the world.
const PACKAGE: &str = "passgate:policy/";
/// The interface that a plugin exports.
const PLUGIN: &str = "plugin";
/// The interface that has types alone.
const TYPES: &str = "types";

/// Why a component is no plugin here, and what to do.
pub(super) type Refused = (String, &'static str);

/// What a component imports and exports, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Shape {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

impl Shape {
    /// Reads a component. It is not validated: the compiler does that.
    ///
    /// # Errors
    ///
    /// When it is no component, or one of its parts is too large.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Refused> {
        if Parser::is_core_wasm(bytes) {
            let problem = "it is a core module, not a component".to_owned();
            return Err((problem, "make a component of it, as with `wasm-tools component new`"));
        }
        if !Parser::is_component(bytes) {
            return Err(("it is no WebAssembly component".to_owned(), "build it for the world in wit/plugin.wit"));
        }
        let malformed = |error: wasmparser::BinaryReaderError| {
            (format!("it is malformed: {}", inert(error.message())), "build it again")
        };
        let (mut shape, mut size, mut depth) = (Self::default(), Size::default(), 0_usize);
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(malformed)?;
            size.add(&payload).map_err(malformed)?;
            size.check()?;
            match payload {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        shape.imports.push(full_name(&import.map_err(malformed)?.name));
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        shape.exports.push(full_name(&export.map_err(malformed)?.name));
                    }
                }
                Payload::ComponentCanonicalSection(section) => {
                    for function in section {
                        check_crossing(&function.map_err(malformed)?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// Whether it is a plugin that needs nothing beyond `grants`.
    ///
    /// # Errors
    ///
    /// When it was made for another world, or imports what is not granted.
    pub(super) fn check(&self, grants: &[PluginGrant]) -> Result<(), Refused> {
        let names = self.exports.iter().chain(&self.imports);
        let other = names.filter_map(|name| name.strip_prefix(PACKAGE)?.rsplit_once('@')).find(|(_, v)| *v != VERSION);
        if let Some((_, version)) = other {
            let problem = format!("it was made for passgate:policy@{}, and this gate has {VERSION}", inert(version));
            return Err((problem, "build it with the wit/plugin.wit of this gate"));
        }
        if !self.exports.iter().any(|name| is_interface(name, PLUGIN)) {
            let problem = format!("it does not export {PACKAGE}{PLUGIN}@{VERSION}");
            return Err((problem, "build it for the world in wit/plugin.wit"));
        }
        let needed = self.grants();
        let ungranted: Vec<_> = needed.iter().filter(|grant| !grants.contains(grant)).map(|g| interface(*g)).collect();
        if !ungranted.is_empty() {
            let problem = format!("it imports what is not granted: {}", ungranted.join(", "));
            return Err((problem, "add it to the plugin's `grants`, or build it without"));
        }
        self.check_imports()
    }

    /// The grants that its imports need.
    pub(super) fn grants(&self) -> Vec<PluginGrant> {
        let imported = |grant: &PluginGrant| self.imports.iter().any(|name| is_interface(name, interface(*grant)));
        [PluginGrant::Log, PluginGrant::Keys].into_iter().filter(imported).collect()
    }

    fn check_imports(&self) -> Result<(), Refused> {
        let known = [TYPES, interface(PluginGrant::Log), interface(PluginGrant::Keys)];
        let is_foreign = |name: &&String| !known.iter().any(|interface| is_interface(name, interface));
        let mut foreign = self.imports.iter().filter(is_foreign);
        let named: Vec<_> = foreign.by_ref().take(MAX_NAMED).map(|name| inert(name)).collect();
        if named.is_empty() {
            return Ok(());
        }
        let more = match foreign.count() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let problem = format!("it imports what no plugin has: {}{more}", named.join(", "));
        Err((problem, "build it without clocks, randomness, files and sockets"))
    }
}

/// The name of the interface that a grant opens.
fn interface(grant: PluginGrant) -> &'static str {
    match grant {
        PluginGrant::Log => "log",
        PluginGrant::Keys => "keys",
    }
}

fn is_interface(name: &str, interface: &str) -> bool {
    let rest = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix(interface));
    rest.and_then(|rest| rest.strip_prefix('@')) == Some(VERSION)
}

/// A name with what newer encodings keep beside it, so that none of it goes unseen.
fn full_name(name: &ComponentExternName<'_>) -> String {
    let parts = [Some(name.name), name.version_suffix, name.implements];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// There are no resources in the world, so handles would only take memory of the gate. What works on handles alone
/// stays without effect.
fn check_crossing(function: &CanonicalFunction) -> Result<(), Refused> {
    use CanonicalFunction::{Lift, Lower, ResourceDrop, ResourceRep};
    if matches!(function, Lift { .. } | Lower { .. } | ResourceDrop { .. } | ResourceRep { .. }) {
        return Ok(());
    }
    let name: String = format!("{function:?}").chars().take_while(char::is_ascii_alphanumeric).collect();
    Err((format!("it uses {name} of the component model"), "build it without resources, tasks and streams"))
}

/// How large the parts of a component are.
#[derive(Default)]
struct Size {
    functions: u64,
    function_bytes: u64,
    code_bytes: u64,
    modules: u64,
    instances: u64,
    types: u64,
    crossings: u64,
}

impl Size {
    fn add(&mut self, payload: &Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::CodeSectionStart { count, .. } => self.functions += u64::from(*count),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len() as u64;
                self.function_bytes = self.function_bytes.max(bytes);
                self.code_bytes += bytes;
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => self.modules += 1,
            Payload::InstanceSection(section) => self.instances += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => self.instances += u64::from(section.count()),
            Payload::CoreTypeSection(section) => self.types += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => self.types += u64::from(section.count()),
            Payload::ComponentCanonicalSection(section) => self.crossings += u64::from(section.count()),
            Payload::TypeSection(section) => {
                // One entry can hold many types.
                for group in section.clone() {
                    self.types += group?.types().len() as u64;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refused> {
        let rows = [
            ("functions", self.functions, MAX_FUNCTIONS),
            ("bytes of code in one function", self.function_bytes, MAX_FUNCTION_BYTES),
            ("bytes of code", self.code_bytes, MAX_CODE_BYTES),
            ("modules and components", self.modules, MAX_MODULES),
            ("instances", self.instances, MAX_INSTANCES),
            ("types", self.types, MAX_TYPES),
            ("functions at its borders", self.crossings, MAX_CROSSINGS),
        ];
        match rows.into_iter().find(|(_, count, most)| count > most) {
            Some((what, count, most)) => {
                Err((format!("it has {count} {what}, and at most {most} are compiled"), "make it smaller"))
            }
            None => Ok(()),
        }
    }
}
