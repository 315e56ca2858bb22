//! The order of a module's functions: like ones side by side.
//!
//! gzip finds again what it has seen within the last 32 KB and nothing older. Much of a module's code was made from the
//! same few patterns, so a function is best followed by the one that has most in common with what stands before it. Only
//! the places and the numbers of functions change, and with the numbers the length of calls; what instructions do does not.
//!
//! Nor does it when they no longer say how the addresses are aligned that they read and write. That is a hint which runtimes
//! pass over, and the same access comes with several of them.

use std::collections::VecDeque;

use anyhow::{Context as _, Result};
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, MemArg, Module, NameMap, NameSection};
use wasmparser::{CodeSectionReader, FunctionSectionReader, Name, NameSectionReader, Parser, Payload, TypeRef};

/// Bytes of code that count as one thing to have in common: gzip gains little by repeating less.
const PIECE: usize = 6;

/// What is in more functions than this tells nothing about which of them go together.
const COMMON: usize = 64;

/// Bytes of code to compare with: what gzip remembers.
const WINDOW: usize = 30_000;

/// Added to a function's length before its score is divided by it, so that the tiniest do not go first.
const SMALLEST: usize = 20;

/// `module` with its functions in an order that gzip packs well.
///
/// # Errors
/// It is no module.
pub(super) fn by_likeness(module: &[u8]) -> Result<Vec<u8>> {
    let (imported, bodies) = functions(module).context("cannot read the module's functions")?;
    let as_it_is = (0..bodies.len()).collect();
    let module = Renumbering::new(imported, as_it_is).write(module)?;
    let (_, bodies) = functions(&module).context("cannot read the module's functions")?;
    Renumbering::new(imported, order(&bodies)).write(&module)
}

/// How many functions are imported, and the code of the others.
fn functions(module: &[u8]) -> Result<(usize, Vec<&[u8]>)> {
    let (mut imported, mut bodies) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += usize::from(matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes()),
            _ => {}
        }
    }
    Ok((imported, bodies))
}

/// The places of `bodies`, each followed by the one that is most like what precedes it.
fn order(bodies: &[&[u8]]) -> Vec<usize> {
    let mut window = Window::new(bodies);
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let mut order = Vec::new();
    while let Some(next) = best(&window, &left) {
        let function = left.remove(next);
        order.push(function);
        window.push(function);
    }
    order
}

/// Where in `left` the function stands that goes next: among equals the first, so that the same module is always ordered
/// the same way.
fn best(window: &Window, left: &[usize]) -> Option<usize> {
    let scores = left.iter().map(|function| window.score(*function)).enumerate();
    scores.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(place, _)| place)
}

/// The functions that were placed last, and what the others have in common with them.
struct Window {
    lengths: Vec<usize>,
    /// What the score of each function is divided by.
    divisors: Vec<u64>,
    /// Of each function, the pieces that others have too.
    pieces: Vec<Vec<usize>>,
    /// Of each piece, who has it.
    holders: Vec<Vec<usize>>,
    /// Of each piece, how many of `placed` have it.
    seen: Vec<usize>,
    /// Of each function, how many of its pieces are in `placed`.
    shared: Vec<u64>,
    placed: VecDeque<usize>,
    length: usize,
}

#[expect(clippy::indexing_slicing, reason = "functions and pieces are numbered here, by their places in these lists")]
impl Window {
    fn new(bodies: &[&[u8]]) -> Self {
        let numbered = bodies.iter().enumerate();
        let mut found: Vec<_> =
            numbered.flat_map(|(function, body)| body.windows(PIECE).map(move |piece| (piece, function))).collect();
        found.sort_unstable();
        found.dedup();
        let holders = found.chunk_by(|a, b| a.0 == b.0).filter(|holders| (2..=COMMON).contains(&holders.len()));
        let holders: Vec<Vec<usize>> = holders.map(|chunk| chunk.iter().map(|(_, holder)| *holder).collect()).collect();
        let mut pieces = vec![Vec::new(); bodies.len()];
        for (piece, functions) in holders.iter().enumerate() {
            functions.iter().for_each(|function| pieces[*function].push(piece));
        }
        Self {
            lengths: bodies.iter().map(|body| body.len()).collect(),
            divisors: bodies.iter().map(|body| divisor(body.len())).collect(),
            pieces,
            seen: vec![0; holders.len()],
            holders,
            shared: vec![0; bodies.len()],
            placed: VecDeque::new(),
            length: 0,
        }
    }

    /// How much of `function` was there before.
    fn score(&self, function: usize) -> u64 {
        (self.shared[function] << 32) / self.divisors[function]
    }

    fn push(&mut self, function: usize) {
        self.placed.push_back(function);
        self.length += self.lengths[function];
        for piece in &self.pieces[function] {
            self.seen[*piece] += 1;
            if self.seen[*piece] == 1 {
                self.holders[*piece].iter().for_each(|holder| self.shared[*holder] += 1);
            }
        }
        while self.length > WINDOW && self.placed.len() > 1 {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(function) = self.placed.pop_front() else { return };
        self.length -= self.lengths[function];
        for piece in &self.pieces[function] {
            self.seen[*piece] -= 1;
            if self.seen[*piece] == 0 {
                self.holders[*piece].iter().for_each(|holder| self.shared[*holder] -= 1);
            }
        }
    }
}

/// Of a length, the power 3/4, in sixteenths: a long function has more in common with anything, but divided by all of its
/// length it would come last, when little is left that is like it.
fn divisor(length: usize) -> u64 {
    let length = u64::try_from(length + SMALLEST).unwrap_or(u64::MAX).min(1 << 32);
    (256 * length * length.isqrt()).isqrt()
}

/// Writes a module with its functions in another order.
struct Renumbering {
    imported: usize,
    /// The old place at each new one, among the functions that are not imported.
    order: Vec<usize>,
    /// The new place of each old one.
    places: Vec<usize>,
}

impl Renumbering {
    fn new(imported: usize, order: Vec<usize>) -> Self {
        let mut moves: Vec<_> = order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        moves.sort_unstable();
        let places = moves.into_iter().map(|(_, new)| new).collect();
        Self { imported, order, places }
    }

    fn write(mut self, module: &[u8]) -> Result<Vec<u8>> {
        let mut written = Module::new();
        self.parse_core_module(&mut written, Parser::new(0), module).context("cannot write the module anew")?;
        Ok(written.finish())
    }
}

impl Reencode for Renumbering {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Self::Error>> {
        let Some(own) = usize::try_from(function).ok().and_then(|index| index.checked_sub(self.imported)) else {
            return Ok(function);
        };
        let place = self.places.get(own).and_then(|place| u32::try_from(self.imported + place).ok());
        place.ok_or(Error::InvalidCodeSectionSize)
    }

    fn mem_arg(&mut self, arg: wasmparser::MemArg) -> Result<MemArg, Error<Self::Error>> {
        Ok(MemArg { offset: arg.offset, align: 0, memory_index: self.memory_index(arg.memory)? })
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let types = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for old in &self.order {
            functions.function(*types.get(*old).ok_or(Error::InvalidCodeSectionSize)?);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let bodies = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for old in self.order.clone() {
            self.parse_function_body(code, bodies.get(old).ok_or(Error::InvalidCodeSectionSize)?.clone())?;
        }
        Ok(())
    }

    /// The names of functions and nothing else: a list of names has to be in the order of its numbers.
    fn custom_name_section(&mut self, section: NameSectionReader<'_>) -> Result<NameSection, Error<Self::Error>> {
        let mut names = NameSection::new();
        for subsection in section {
            let Name::Function(map) = subsection? else { continue };
            let mut functions = Vec::new();
            for naming in map {
                let naming = naming?;
                functions.push((self.function_index(naming.index)?, naming.name));
            }
            functions.sort_unstable();
            let mut map = NameMap::new();
            functions.iter().for_each(|(index, name)| map.append(*index, name));
            names.functions(&map);
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wasmparser::{KnownCustom, Name, Operator, Parser, Payload};

    use super::by_likeness;

    /// Calls of each function by name, and the names in the order of the code.
    fn calls(module: &[u8]) -> (Vec<String>, BTreeMap<String, Vec<String>>) {
        let (mut names, mut called) = (Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::CodeSectionEntry(body) => {
                    let operators = body.get_operators_reader().unwrap().into_iter().map(Result::unwrap);
                    let callee = |operator| match operator {
                        Operator::Call { function_index } => Some(function_index as usize),
                        _ => None,
                    };
                    called.push(operators.filter_map(callee).collect::<Vec<_>>());
                }
                Payload::CustomSection(section) => {
                    let KnownCustom::Name(sections) = section.as_known() else { continue };
                    for section in sections {
                        let Name::Function(map) = section.unwrap() else { continue };
                        names.extend(map.into_iter().map(|naming| naming.unwrap().name.to_owned()));
                    }
                }
                _ => {}
            }
        }
        let imported = names.len() - called.len();
        let by_name = |callees: &Vec<usize>| callees.iter().map(|callee| names[*callee].clone()).collect();
        let calls = names[imported..].iter().cloned().zip(called.iter().map(by_name)).collect();
        (names[imported..].to_vec(), calls)
    }

    const MODULE: &str = r#"(module
        (import "e" "imported" (func $imported))
        (func $first (call $third) (call $imported)
            (drop (i32.add (i32.const 100000) (i32.const 200000))) (drop (i64.const 77777777777)))
        (func $second (param i64 i64) (result i64) (i64.mul (local.get 0) (i64.rotl (local.get 1) (local.get 0))))
        (func $third (call $second (i64.const 1) (i64.const 2)) (drop)
            (drop (i32.add (i32.const 100000) (i32.const 200000))) (drop (i64.const 77777777777)))
        (export "third" (func $third))
        (start $first))"#;

    #[test]
    fn like_functions_go_side_by_side_and_call_the_same_ones() {
        let module = wat::parse_str(MODULE).unwrap();
        let ordered = by_likeness(&module).unwrap();
        let (before, after) = (calls(&module), calls(&ordered));
        assert_eq!(before.0, ["first", "second", "third"]);
        assert_eq!(after.0, ["first", "third", "second"]);
        assert_eq!(after.1, before.1);
        assert_eq!(after.1["third"], ["second"]);
    }
}
