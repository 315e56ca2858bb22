//! WebAssembly modules that are loaded over a network: as small as they can be made.

mod glue;
mod order;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::Checkout;
use crate::process::Task;
use crate::reproducible;
use crate::setup::wasm_target::{self, Toolchain};

/// A panic is a trap and nothing else. Its message would bring along the formatting of everything that a message can
/// hold, a sixth of the module, for a text that no caller is shown: what stands around the module (`worker/entry.mjs`,
/// `pkg/ts/wasm.ts`) gives up whatever was in flight, and the stack names the place. For the same reason `{:?}` writes
/// nothing in these builds, and the standard library is compiled here, the same way and for size.
const TRAPPING: [&str; 4] =
    ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zfmt-debug=none", "-Zlocation-detail=none"];

/// SHA-256 and SHA-512 as loops. Unrolled they take 16 KB more, to make a digest faster; a signature, which takes most of
/// a decision's time, hashes too little to show it.
const COMPACT_HASHES: &str = "--cfg=sha2_backend_soft=\"compact\"";

/// AES as loops too: what is encrypted are single values, and agreeing on a key for each takes most of the time.
const COMPACT_CIPHER: &str = "--cfg=aes_backend_soft=\"compact\"";

/// The passes of the optimiser. The linker puts the stack below the data, so nothing has an address below 1024: an
/// offset that was added to an address moves into the instruction that reads there. Functions of one caller stay by
/// themselves unless they are tiny: in a function of thousands of locals each number of a local takes two bytes.
pub(crate) const PASSES: &str = "--low-memory-unused --optimize-added-constants-propagate -O \
    --one-caller-inline-max-function-size=20 --reorder-functions-by-name";

/// What the Rust compiler's module may use, and what the glue's catching of exceptions adds: `wasm-opt` is not to bring in
/// encodings that the runtime may not know.
const WASM_FEATURES: &[&str] = &[
    "bulk-memory",
    "exception-handling",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
];

/// The id of sections that mean nothing to a runtime.
const CUSTOM_SECTION: u8 = 0;

/// Functions count for more when it is weighed whether to copy them into their callers. Modules with many callers of the
/// same small functions become smaller by it, and those with few a little larger.
pub(crate) const COPY_LESS: &str = "-Cllvm-args=-inline-instr-cost=12";

/// `task`, which calls cargo, with the compiler's settings for such a module and `further` ones.
///
/// # Errors
/// Nothing says where cargo or the standard library have their sources.
pub(crate) fn compiling(checkout: &Checkout, task: Task, further: &[&str]) -> Result<Task> {
    let toolchain = wasm_target::toolchain(&checkout.root)?;
    let task = task
        .env("CARGO_ENCODED_RUSTFLAGS", &compiler_flags(checkout, toolchain, further)?)
        .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort")
        .env("CARGO_UNSTABLE_BUILD_STD_FEATURES", "optimize_for_size")
        // A stable compiler and cargo take the flags of TRAPPING and the two settings above only so. Nothing else may use
        // it: the crates build without.
        .env("RUSTC_BOOTSTRAP", "1");
    Ok(match toolchain {
        Toolchain::Current => task,
        Toolchain::Debian => task.env("RUSTUP_TOOLCHAIN", "debian"),
    })
}

/// With cargo's separator between them, so that paths may contain spaces.
fn compiler_flags(checkout: &Checkout, toolchain: Toolchain, further: &[&str]) -> Result<String> {
    let own = TRAPPING.iter().chain([&COMPACT_HASHES, &COMPACT_CIPHER]).chain(further).map(|flag| (*flag).to_owned());
    let flags = own.chain(reproducible::flags(checkout, toolchain)?);
    Ok(flags.collect::<Vec<_>>().join("\u{1f}"))
}

/// Runs `passes` of the optimiser.
///
/// # Errors
/// It fails or is missing.
pub(crate) fn wasm_opt(checkout: &Checkout, passes: &str, from: &Path, to: &Path) -> Result<()> {
    let task = Task::new(checkout.npm_tool("wasm-opt"), passes, &checkout.root).arg(from).args("-o").arg(to);
    let task = WASM_FEATURES.iter().fold(task, |task, feature| task.arg(format!("--enable-{feature}")));
    checkout.with_node(task.remedy("If it is missing: cargo xtask setup")).run()
}

/// Puts the functions of `module` into an order that gzip packs well.
///
/// # Errors
/// It is no module.
pub(crate) fn reorder(module: &Path) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let ordered = order::by_likeness(&bytes).with_context(|| format!("cannot reorder {}", module.display()))?;
    fs::write(module, ordered).with_context(|| format!("cannot write {}", module.display()))
}

/// Gives what `module` and its `script` call each other short names, and leaves out of the module what it exports for
/// `unmade` classes: those of libraries that neither side makes an object of.
///
/// # Errors
/// One of the files cannot be read or written, or is not what it should be.
pub(crate) fn shorten(module: &Path, script: &Path, unmade: &[&str]) -> Result<()> {
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let text = fs::read_to_string(script).with_context(|| format!("cannot read {}", script.display()))?;
    let is_dead = |name: &str| unmade.iter().any(|class| name.split('_').any(|part| part == *class));
    let (renamed, text) =
        glue::shorten(&bytes, &text, is_dead).with_context(|| format!("cannot shorten {}", module.display()))?;
    fs::write(module, renamed).with_context(|| format!("cannot write {}", module.display()))?;
    fs::write(script, text).with_context(|| format!("cannot write {}", script.display()))
}

/// Leaves out what no runtime needs: the custom sections, with the names of functions. The code stays as it is, byte by
/// byte, so that an offset into it is found in the module with names; `wasm-opt` would read it and write it anew, longer.
///
/// # Errors
/// It is no module.
pub(crate) fn strip(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let bare = without_custom_sections(&bytes).with_context(|| format!("{} is no module", from.display()))?;
    fs::write(to, bare).with_context(|| format!("cannot write {}", to.display()))
}

/// `None` when it is cut off somewhere.
fn without_custom_sections(module: &[u8]) -> Option<Vec<u8>> {
    let (header, mut rest) = module.split_at_checked(8)?;
    let mut bare = header.to_vec();
    while let Some((&id, after)) = rest.split_first() {
        let (length, body) = leb128(after)?;
        let end = rest.len() - body.len() + length;
        let (section, next) = rest.split_at_checked(end)?;
        if id != CUSTOM_SECTION {
            bare.extend_from_slice(section);
        }
        rest = next;
    }
    Some(bare)
}

/// A number of at most 32 bits, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let last = bytes.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let (digits, rest) = bytes.split_at_checked(last + 1)?;
    let number = digits.iter().rev().fold(0, |number, digit| number << 7 | usize::from(digit & 0x7f));
    Some((number, rest))
}

/// Bytes of a file.
pub(crate) struct Size {
    pub(crate) raw: u64,
    pub(crate) gzip: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes, {} after gzip -9", self.raw, self.gzip)
    }
}

/// How large `file` is, and how large after `gzip -9`.
///
/// # Errors
/// It is not there, or gzip is not.
pub(crate) fn size(checkout: &Checkout, file: &Path) -> Result<Size> {
    let packed = checkout.root.join("target").join("packed.gz");
    Task::new("sh", "-c", &checkout.root)
        .arg("gzip -9 --no-name --stdout \"$0\" > \"$1\"")
        .arg(file)
        .arg(&packed)
        .remedy("Install gzip, and build first: cargo xtask worker build, cargo xtask web build")
        .run()?;
    let bytes = |path: &Path| fs::metadata(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(Size { raw: bytes(file)?.len(), gzip: bytes(&packed)?.len() })
}

#[cfg(test)]
mod tests {
    use super::without_custom_sections;

    const HEADER: &[u8] = b"\0asm\x01\0\0\0";

    fn module(sections: &[&[u8]]) -> Vec<u8> {
        [HEADER].iter().chain(sections).flat_map(|bytes| bytes.iter().copied()).collect()
    }

    #[test]
    fn custom_sections_are_left_out_and_the_others_stay() {
        let names = [&[0, 0x80, 1][..], &[7; 128]].concat();
        let with = module(&[b"\x01\x02ab", &names, b"\x0a\x81\0c", b"\0\0"]);
        assert_eq!(without_custom_sections(&with), Some(module(&[b"\x01\x02ab", b"\x0a\x81\0c"])));
    }

    #[test]
    fn a_module_that_is_cut_off_is_none() {
        for sections in [&b"\x01"[..], b"\x01\x03ab", b"\x01\x80"] {
            assert_eq!(without_custom_sections(&module(&[sections])), None, "{sections:?}");
        }
        assert_eq!(without_custom_sections(b"\0asm"), None);
    }
}
