//! Arguments that name a token or a file, with `-` for stdin.

use std::io::{self, Read as _};
use std::path::Path;

use passgate_passport::delegation::SEPARATOR;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// The longest input read whole, in bytes: far above any token, key set or request file.
pub(crate) const MAX_INPUT_BYTES: usize = 8 * 1024 * 1024;

/// The argument that means stdin.
pub(crate) const STDIN: &str = "-";

/// Reads the file `name`, or stdin for `-`.
pub(crate) fn read(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if name == STDIN {
        return read_bounded(io::stdin().lock(), "stdin");
    }
    let file = std::fs::File::open(name).map_err(|error| Failure::io("open", Path::new(name), &error))?;
    read_bounded(file, name)
}

fn read_bounded(reader: impl io::Read, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = MAX_INPUT_BYTES as u64 + 1;
    reader
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::new(Exit::Unexpected, "io", format_args!("cannot read {name}: {error}")))?;
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(Failure::usage(format_args!("{name} is longer than {MAX_INPUT_BYTES} bytes")));
    }
    Ok(bytes)
}

/// A file that carries a passport beside other things.
#[derive(Deserialize)]
struct PassportFile {
    passport: String,
}

/// The passport or chain an argument stands for: as text, a file with one, a credentials file, or stdin with either.
///
/// What comes back is not checked in any way.
pub(crate) fn passport(argument: &str) -> Result<String, Failure> {
    if is_token(argument) {
        return Ok(argument.to_owned());
    }
    const HINT: &str = "give a compact JWS or a chain of them, a file with one, or `-` for stdin";
    if is_token_like(argument) && !Path::new(argument).exists() {
        // The text itself is not shown: it may be most of a passport.
        let message = "the argument is neither a passport (a compact JWS) nor the name of a file";
        return Err(Failure::new(Exit::Invalid, "passport_malformed", message).hint(HINT));
    }
    let bytes = read(argument).map_err(|failure| failure.hint(HINT))?;
    if let Ok(file) = serde_json::from_slice::<PassportFile>(&bytes) {
        return Ok(file.passport);
    }
    // What is no text is no token either: the verifier then says so with its own code.
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// A compact JWS, or several joined to a chain. A path of that form has to be written `./a.b.c`.
fn is_token(text: &str) -> bool {
    text.split(SEPARATOR).all(is_jws)
}

/// Three parts of the base64url alphabet.
fn is_jws(text: &str) -> bool {
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|part| plain(part))
        && parts.first().is_some_and(|header| header.starts_with("ey"))
}

/// What somebody may mean as a token, cut off or mistyped: it starts like one, or has three parts and is no path.
fn is_token_like(text: &str) -> bool {
    text.starts_with("eyJ") || text.contains("~eyJ") || (text.split('.').count() == 3 && !text.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_paths_are_told_apart() {
        for token in ["eyJhbGciOiJFZERTQSJ9.e30.c2ln", "eyJ9..", "ey.a.b", "ey.a.b~ey.c.d"] {
            assert!(is_token(token), "{token}");
        }
        for path in
            ["-", "", "agents/a.json", "ey.json", "./ey.a.b", "a.b.c", "ey.a.b.c", "ey.a/.b", "ey.a.b~", "ey.a.b~c.d.e"]
        {
            assert!(!is_token(path), "{path}");
        }
        for mistyped in
            ["eyJhbGci", "eyJhbGci.e30", "eyJhbGci.e30.c2l+/w==", "eyJh.b.c.d", "~eyJh.b.c", "a.b.c", "x..", "a b.c.d"]
        {
            assert!(is_token_like(mistyped), "{mistyped}");
        }
        for path in ["-", "", "agents/a.json", "../a.json", "./a.b", "pass_1", "a.json", "a.b.c.d"] {
            assert!(!is_token_like(path), "{path}");
        }
    }
}
