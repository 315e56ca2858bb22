//! Components of the world, written as text around a few instructions.

/// Where [`Guest::text`] stands in the memory of a guest.
pub(crate) const TEXT: u32 = 1024;
/// Where a guest writes its verdict.
const VERDICT: u32 = 16;

/// A plugin. What is not set is as a harmless one has it.
#[derive(Clone)]
pub(crate) struct Guest {
    /// The instructions of `evaluate`: local 0 points to its arguments, and a pointer to the verdict is left on the
    /// stack. There are locals `$a` and `$b`.
    pub(crate) evaluate: String,
    /// The instructions that `describe` begins with.
    pub(crate) describe: String,
    /// Its version.
    pub(crate) version: String,
    /// The text at [`TEXT`].
    pub(crate) text: String,
    /// More fields of the module, such as functions and tables.
    pub(crate) fields: String,
    /// What is imported beyond the types: `log`, `keys`.
    pub(crate) imports: Vec<&'static str>,
    /// More imports of the component, as text.
    pub(crate) foreign: String,
    /// The version of the world.
    pub(crate) world: &'static str,
}

impl Guest {
    /// A plugin with these instructions.
    pub(crate) fn new(evaluate: &str) -> Self {
        Self {
            evaluate: evaluate.to_owned(),
            describe: String::new(),
            version: "1.0.0".to_owned(),
            text: String::new(),
            fields: String::new(),
            imports: Vec::new(),
            foreign: String::new(),
            world: "0.1.0",
        }
    }

    /// A plugin that has nothing against anything.
    pub(crate) fn good() -> Self {
        Self::new(&verdict(0, "i32.const 0", "i32.const 0"))
    }

    /// A plugin that denies with `text`.
    pub(crate) fn deny(text: &str) -> Self {
        let length = format!("i32.const {}", text.len());
        Self::new(&verdict(1, &format!("i32.const {TEXT}"), &length)).with_text(text)
    }

    pub(crate) fn with_text(self, text: &str) -> Self {
        let text = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        Self { text, ..self }
    }

    pub(crate) fn with_fields(self, fields: &str) -> Self {
        Self { fields: fields.to_owned(), ..self }
    }

    pub(crate) fn with_imports(self, imports: &[&'static str]) -> Self {
        Self { imports: imports.to_vec(), ..self }
    }

    pub(crate) fn component(&self) -> Vec<u8> {
        wat::parse_str(self.wat()).expect("the text of a guest")
    }

    /// Its module alone, which is no component.
    pub(crate) fn module(&self) -> Vec<u8> {
        wat::parse_str(format!("(module {})", self.main())).expect("the text of a module")
    }

    fn wat(&self) -> String {
        let Self { foreign, world, .. } = self;
        let (mut imports, mut lowered, mut given) = (String::new(), String::new(), String::new());
        for name in &self.imports {
            let (interface, lower) = match *name {
                "log" => (LOG, LOWER_LOG),
                _ => (KEYS, LOWER_KEYS),
            };
            imports.push_str(&interface.replace("WORLD", world));
            lowered.push_str(lower);
            given.push_str(&format!(r#"(with "{name}" (instance (export "call" (func ${name}'))))"#));
        }
        let types = TYPES.replace("WORLD", world);
        format!(
            r#"(component {types} {imports} {foreign}
            (core module $libc {LIBC}) (core instance $libc (instantiate $libc))
            (alias core export $libc "memory" (core memory $memory))
            (alias core export $libc "realloc" (core func $realloc))
            {lowered}
            (core module $main {main})
            (core instance $main (instantiate $main (with "libc" (instance $libc)) {given}))
            (func $describe (result $description)
              (canon lift (core func $main "describe") (memory $memory) (realloc (func $realloc))))
            (func $evaluate (param "request" $request) (param "facts" $facts) (result $verdict)
              (canon lift (core func $main "evaluate") (memory $memory) (realloc (func $realloc))))
            (instance $plugin (export "describe" (func $describe)) (export "evaluate" (func $evaluate)))
            (export "passgate:policy/plugin@{world}" (instance $plugin)))"#,
            main = self.main(),
        )
    }

    fn main(&self) -> String {
        let Self { evaluate, describe, version, text, fields, .. } = self;
        let mut imports = String::new();
        for name in &self.imports {
            // A level and a text, or a key and where the answer goes.
            imports.push_str(&format!(r#"(import "{name}" "call" (func ${name} (param i32 i32 i32)))"#));
        }
        format!(
            r#"(import "libc" "memory" (memory 1)) {imports}
            (data (i32.const 256) "guest{version}{summary}")
            (data (i32.const {TEXT}) "{text}")
            {fields}
            (func (export "describe") (result i32)
              {describe}
              (i32.store (i32.const 64) (i32.const 256)) (i32.store (i32.const 68) (i32.const 5))
              (i32.store (i32.const 72) (i32.const 261)) (i32.store (i32.const 76) (i32.const {version_length}))
              (i32.store (i32.const 80) (i32.const {summary_at})) (i32.store (i32.const 84) (i32.const {summary_length}))
              (i32.const 64))
            (func (export "evaluate") (param i32) (result i32) (local $a i32) (local $b i32) {evaluate})"#,
            summary = SUMMARY,
            version_length = version.len(),
            summary_at = 261 + version.len(),
            summary_length = SUMMARY.len(),
        )
    }
}

/// What every guest says of itself.
pub(crate) const SUMMARY: &str = "Made for a test";

/// Instructions that answer with the case `discriminant` of a verdict and two words.
pub(crate) fn verdict(discriminant: u8, first: &str, second: &str) -> String {
    format!(
        "(i32.store8 (i32.const {VERDICT}) (i32.const {discriminant}))
         (i32.store (i32.const {}) ({first})) (i32.store (i32.const {}) ({second}))
         (i32.const {VERDICT})",
        VERDICT + 4,
        VERDICT + 8,
    )
}

/// Instructions that deny with the string at `offset` of the arguments.
pub(crate) fn deny_with_argument(offset: u32) -> String {
    let word = |at: u32| format!("i32.load offset={at} (local.get 0)");
    verdict(1, &word(offset), &word(offset + 4))
}

/// A memory, and an allocator that never frees.
const LIBC: &str = r#"(memory (export "memory") 1) (global $next (mut i32) (i32.const 8192))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))) (then
        (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1))))))
      (local.get $at))"#;

const TYPES: &str = r#"(import "passgate:policy/types@WORLD" (instance $types
    (type $header' (record (field "name" string) (field "value" string)))
    (export "header" (type $header (eq $header')))
    (type $request' (record (field "method" string) (field "scheme" string) (field "authority" string)
      (field "path" string) (field "query" (option string)) (field "headers" (list $header)) (field "body" (list u8))))
    (export "request" (type (eq $request')))
    (type $agent' (record (field "id" string) (field "issuer" string) (field "tier" string) (field "passport-id" string)
      (field "key-thumbprint" string) (field "permissions" (list string)) (field "delegated-by" (list string))
      (field "labels" (list string)) (field "purpose" (option string))))
    (export "agent" (type $agent (eq $agent')))
    (type $facts' (record (field "now-ms" u64) (field "gate-id" string) (field "action" string)
      (field "amount-micro-usd" (option u64)) (field "target-domain" (option string)) (field "agent" $agent)
      (field "config" string)))
    (export "facts" (type (eq $facts')))
    (type $description' (record (field "name" string) (field "version" string) (field "summary" string)))
    (export "description" (type (eq $description')))
    (type $obligation' (record (field "roles" (list string)) (field "reason" string)))
    (export "obligation" (type $obligation (eq $obligation')))
    (type $verdict' (variant (case "abstain") (case "deny" string) (case "step-up" $obligation)
      (case "redact" (list string))))
    (export "verdict" (type (eq $verdict')))))
  (alias export $types "request" (type $request)) (alias export $types "facts" (type $facts))
  (alias export $types "description" (type $description)) (alias export $types "verdict" (type $verdict))"#;

const LOG: &str = r#"(import "passgate:policy/log@WORLD" (instance $log
    (type $level' (enum "debug" "info" "warn" "error")) (export "level" (type $level (eq $level')))
    (export "write" (func (param "level" $level) (param "message" string)))))"#;

const LOWER_LOG: &str = r#"(core func $log' (canon lower (func $log "write") (memory $memory)))"#;

const KEYS: &str = r#"(import "passgate:policy/keys@WORLD" (instance $keys
    (export "get" (func (param "key" string) (result (option (list u8)))))))"#;

const LOWER_KEYS: &str =
    r#"(core func $keys' (canon lower (func $keys "get") (memory $memory) (realloc (func $realloc))))"#;
