//! The order in which a text, its layers and what is encoded in it are looked at.

use alloc::vec::Vec;
use core::cell::Cell;

use super::bytes::{ANCHOR, DIGIT, ESCAPE, FOLD, HEX, LETTER, SPACE, at, is, kind, part};
use super::findings::Findings;
use super::number::Run;
use super::view::{Slice, View};
use super::{Class, Classes, Found, card, context, email, encoded, iban, ip, number, passport, phone, secret};

/// How many layers of escapes are removed.
const ESCAPE_LAYERS: usize = 3;
/// How many layers of base64 or hexadecimal digits are decoded.
const ENCODING_LAYERS: usize = 2;
/// How often a text is looked at again with what was found replaced.
const ROUNDS: usize = 4;
/// What a found range counts as when the text is looked at again.
const MASK: &[u8] = b"[redacted]";

pub(super) fn find(text: &str, hint: &str, classes: Classes) -> Vec<Found> {
    let mut findings = Findings::default();
    let first_class = Class::ALL.into_iter().find(|class| classes.contains(*class));
    let (Some(class), false) = (first_class, text.is_empty()) else { return findings.0 };
    if u32::try_from(text.len()).is_err() {
        findings.add(Found { class, start: 0, end: text.len() });
        return findings.0;
    }
    let order = Order { hint, classes, words: Cell::new(None) };
    look_at(Slice::as_given(text.as_bytes()), &order, &mut findings);
    for _ in 1..ROUNDS {
        if findings.0.is_empty() {
            break;
        }
        let masked = mask(text.as_bytes(), &findings);
        let mut more = Findings::default();
        look_at(masked.slice(), &order, &mut more);
        if more.0.is_empty() {
            break;
        }
        findings.join(&more);
    }
    findings.0
}

/// What the caller asked for.
struct Order<'a> {
    hint: &'a str,
    classes: Classes,
    /// What the hint says, once that was asked.
    words: Cell<Option<u16>>,
}

impl Order<'_> {
    fn wants(&self, class: Class) -> bool {
        self.classes.contains(class)
    }

    fn words(&self) -> u16 {
        self.words.get().unwrap_or_else(|| {
            let words = context::words_of_hint(self.hint);
            self.words.set(Some(words));
            words
        })
    }
}

fn look_at(text: Slice<'_>, order: &Order<'_>, findings: &mut Findings) {
    let named = order.wants(Class::Secret) && context::names_secret(order.hint.as_bytes());
    if named && secret::is_hinted(text.bytes) {
        findings.add(Found { class: Class::Secret, start: 0, end: text.source(text.bytes.len()) });
    }
    look_through(text, order, 0, findings);
}

/// The text with every finding replaced.
fn mask(bytes: &[u8], findings: &Findings) -> View {
    let mut masked = View::with_capacity(bytes.len());
    let mut end = 0;
    for found in &findings.0 {
        copy(bytes, end, found.start, &mut masked);
        for &byte in MASK {
            masked.push_byte(byte, found.start);
        }
        end = found.end;
    }
    copy(bytes, end, bytes.len(), &mut masked);
    masked.close(bytes.len())
}

fn copy(bytes: &[u8], start: usize, end: usize, into: &mut View) {
    for index in start..end {
        into.push_byte(at(bytes, index), index);
    }
}

/// Looks at a text and at each layer below its disguises. `depth` counts the encodings that were removed before.
fn look_through(text: Slice<'_>, order: &Order<'_>, depth: usize, findings: &mut Findings) {
    let folded;
    let mut current = text;
    if kinds_of(text) & FOLD != 0 {
        if text.bytes.windows(3).any(|bytes| matches!(bytes, [0xf3, 0xa0, 0x80 | 0x81])) {
            Scan::new(text.fold(true).slice(), order).run(0, depth, findings);
        }
        folded = text.fold(false);
        current = folded.slice();
    }
    Scan::new(current, order).run(0, depth, findings);
    let mut below;
    for layer in 1..=ESCAPE_LAYERS {
        let Some(unescaped) =
            Some(current).filter(|&view| kinds_of(view) & ESCAPE != 0).and_then(|view| view.unescape())
        else {
            break;
        };
        below = unescaped;
        current = below.slice();
        Scan::new(current, order).run(layer, depth, findings);
    }
}

fn kinds_of(view: Slice<'_>) -> u32 {
    view.bytes.iter().fold(0, |kinds, &byte| kinds | kind(byte))
}

/// One look at one view.
struct Scan<'a> {
    view: Slice<'a>,
    bytes: &'a [u8],
    order: &'a Order<'a>,
    findings: Findings,
    /// What the words in front of an offset say, for the offset that was asked for last.
    words: Cell<(usize, u16)>,
}

impl<'a> Scan<'a> {
    fn new(view: Slice<'a>, order: &'a Order<'a>) -> Self {
        let words = Cell::new((usize::MAX, 0));
        Self { view, bytes: view.bytes, order, findings: Findings::default(), words }
    }

    /// Adds what the view holds.
    fn run(mut self, layer: usize, depth: usize, findings: &mut Findings) {
        // Nothing but digits and anchors starts a value, except one word behind another.
        if kinds_of(self.view) & (DIGIT | ANCHOR | SPACE) != 0 {
            self.detect();
        }
        findings.join(&self.findings);
        self.findings.0.clear();
        if depth < ENCODING_LAYERS {
            self.decode(layer, depth);
            findings.join(&self.findings);
        }
    }

    fn detect(&mut self) {
        let mut index = 0;
        let mut previous = 0_u32;
        while index < self.bytes.len() {
            let byte = at(self.bytes, index);
            let this = kind(byte);
            let next = match this & (DIGIT | LETTER | ANCHOR) {
                DIGIT if previous & DIGIT == 0 => self.number(index, previous & LETTER != 0),
                ANCHOR => self.anchor(byte, index),
                0 | DIGIT => index + 1,
                _ if previous & (DIGIT | LETTER) == 0 => self.word(index),
                _ => index + 1,
            };
            previous = this;
            index = next;
        }
    }

    fn number(&mut self, start: usize, is_glued: bool) -> usize {
        let bytes = self.bytes;
        let mut found = None;
        Run::read(bytes, start, &mut |run, group| {
            let words = || self.words(start);
            if self.order.wants(Class::Card) && card::is_card(bytes, run, group, &words) {
                found = Some((Class::Card, group.end));
            } else if !is_glued && let Some(class) = number::nine_digits(bytes, run, group, &words) {
                found = Some((class, group.end));
            }
        });
        if let Some((class, end)) = found {
            self.add(class, start, Some(end));
        }
        if is_glued {
            return start + 1;
        }
        if self.order.wants(Class::Phone) {
            self.add(Class::Phone, start, phone::find(bytes, start, &|| self.words(start)));
        }
        self.named(start);
        start + 1
    }

    fn word(&mut self, start: usize) -> usize {
        if self.order.wants(Class::Secret)
            && let Some((first, end)) = secret::token(self.bytes, start)
        {
            self.add(Class::Secret, first, Some(end));
        }
        if self.order.wants(Class::Iban) {
            self.add(Class::Iban, start, iban::find(self.bytes, start));
        }
        self.named(start);
        start + 1
    }

    /// What can start with a letter as well as with a digit.
    fn named(&mut self, start: usize) {
        if self.order.wants(Class::PassportNumber) {
            self.add(Class::PassportNumber, start, passport::find(self.bytes, start, &|| self.words(start)));
        }
        if self.order.wants(Class::Ip) && is(self.bytes, start, HEX) {
            self.add(Class::Ip, start, ip::find(self.bytes, start, &|| self.words(start)));
        }
    }

    fn anchor(&mut self, byte: u8, index: usize) -> usize {
        let bytes = self.bytes;
        let wants = |class| self.order.wants(class);
        match byte {
            b'@' if wants(Class::Email) => {
                if let Some((start, end)) = email::find(bytes, index) {
                    self.add(Class::Email, start, Some(end));
                }
            }
            b'+' | b'(' if wants(Class::Phone) => {
                self.add(Class::Phone, index, phone::find(bytes, index, &|| self.words(index)));
            }
            b'-' if wants(Class::Secret) => {
                if let Some(end) = secret::private_key(bytes, index) {
                    self.add(Class::Secret, index, Some(end));
                    return end;
                }
            }
            b':' | b'=' => {
                if byte == b':' && at(bytes, index + 1) == b':' && wants(Class::Ip) {
                    self.add(Class::Ip, index, ip::find(bytes, index, &|| self.words(index)));
                }
                if self.order.wants(Class::Secret)
                    && let Some((start, end)) = secret::assigned(bytes, index)
                {
                    self.add(Class::Secret, start, Some(end));
                }
            }
            _ => {}
        }
        index + 1
    }

    /// Looks into the runs of base64 and hexadecimal digits.
    fn decode(&mut self, layer: usize, depth: usize) {
        let mut index = 0;
        while let Some((start, end)) = encoded::next_run(self.bytes, index) {
            index = end;
            // What stands just like this in the text as given was decoded in the first view.
            if layer > 0 && self.view.is_verbatim(start.saturating_sub(1), end + 1) {
                continue;
            }
            let Some(text) = encoded::text(part(self.bytes, start, end)) else { continue };
            let mut inner = Findings::default();
            look_through(Slice::as_given(&text), self.order, depth + 1, &mut inner);
            if let Some(class) = inner.0.iter().map(|found| found.class).min() {
                self.add(class, start, Some(end));
            }
        }
    }

    fn words(&self, start: usize) -> u16 {
        let (known, mut words) = self.words.get();
        if known != start {
            words = context::words_before(self.bytes, start) | self.order.words();
            self.words.set((start, words));
        }
        words
    }

    fn add(&mut self, class: Class, start: usize, end: Option<usize>) {
        let Some(end) = end.filter(|_| self.order.wants(class)) else { return };
        let (start, end) = (self.view.source(start), self.view.source(end));
        self.findings.add(Found { class, start, end });
    }
}
