//! Runs of base64 (RFC 4648 sections 4 and 5) and of hexadecimal digits (section 8) that hold text.

use alloc::vec;
use alloc::vec::Vec;

use super::bytes::{BASE64, EQUALS, HEX, LINE_BREAK, UPPER, at, follows, has, part, skip};
use super::escape::nibble;
use super::view;

/// The shortest run that is decoded. Nine bytes are the least that a value has.
const MIN_RUN: usize = 12;
/// The shortest hexadecimal run: twelve bytes, a short e-mail address.
const MIN_HEX_RUN: usize = 24;

/// The next run from an index on that is long enough, line breaks and padding included.
pub(super) fn next_run(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    const RUN: u32 = BASE64 | LINE_BREAK;
    let mut start = from;
    loop {
        let least = start + MIN_RUN;
        if least > bytes.len() {
            return None;
        }
        // The last byte that is no part of a run rules out every start up to it.
        let mut first = least;
        while first > start && follows(bytes, first, RUN) {
            first -= 1;
        }
        if first == start {
            let end = skip(bytes, least, bytes.len(), RUN);
            return Some((start, skip(bytes, end, 2, EQUALS)));
        }
        start = first;
    }
}

/// The text that a run holds.
///
/// Base64 of text has a capital letter sooner or later, which keeps most words, paths and identifiers out. Since other
/// characters of the alphabet may stand in front, all four alignments are tried.
pub(super) fn text(run: &[u8]) -> Option<Vec<u8>> {
    if skip(run, 0, run.len(), HEX) == run.len() {
        return hexadecimal(run);
    }
    if !has(run, UPPER) {
        return None;
    }
    (0..4).filter_map(|shift| run.get(shift..)).find_map(|run| {
        let mut sample = [0; 18];
        let length = decode(run, &mut sample);
        if !is_text(part(&sample, 0, length)) {
            return None;
        }
        let mut decoded = vec![0; run.len()];
        let length = decode(run, &mut decoded);
        decoded.truncate(length);
        Some(decoded).filter(|decoded| is_text(decoded))
    })
}

fn hexadecimal(run: &[u8]) -> Option<Vec<u8>> {
    let bytes = run.chunks_exact(2).map(|pair| (nibble(at(pair, 0)) << 4 | nibble(at(pair, 1))) as u8);
    let is_text = run.len() >= MIN_HEX_RUN && bytes.clone().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    is_text.then(|| bytes.collect())
}

/// Decodes as many bytes as fit, skipping line breaks; how many.
pub(super) fn decode(encoded: &[u8], decoded: &mut [u8]) -> usize {
    let mut bits = 0_u32;
    let mut pending = 0;
    let mut length = 0;
    for &byte in encoded {
        let Some(value) = sextet(byte) else { continue };
        bits = bits << 6 | u32::from(value);
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            let Some(place) = decoded.get_mut(length) else { break };
            *place = (bits >> pending) as u8;
            length += 1;
        }
    }
    length
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Whether at most one byte in six is something else than UTF-8 text. A cut last character of a sample is no more.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let mut others = 0;
    let mut index = 0;
    while index < bytes.len() {
        let (character, length) = view::decode(bytes, index);
        others += usize::from(!view::is_text(character));
        index += length;
        if others * 6 > bytes.len() {
            return false;
        }
    }
    !bytes.is_empty()
}
