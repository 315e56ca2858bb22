//! The request as proofs see it: borrowed, already normalised by whoever received it.
//!
//! Nothing here parses HTTP. The gate (or the signing client) fills in [`HttpRequest`] from what it will judge and
//! forward; signing and verifying then work on exactly these bytes.

use alloc::string::String;
use core::fmt;

/// One field line of a request.
///
/// Several lines with the same name stand as several `Header` values, in the order received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Field name in lower case. A name with an upper-case letter makes every proof check fail.
    pub name: &'a str,
    /// Field value as received, without the line end.
    pub value: &'a [u8],
}

impl fmt::Debug for Header<'_> {
    /// Prints the name and the size of the value: values can be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: [{} bytes]", self.name, self.value.len())
    }
}

/// One request, as signed by an agent and as judged by a gate.
///
/// Both sides must agree on these parts, so they are defined precisely here; `scheme` and `authority` come from the
/// gate's own configuration, never from the network.
#[derive(Clone, Copy)]
pub struct HttpRequest<'a> {
    /// Method, case kept (RFC 9110 section 9.1 makes it case-sensitive).
    pub method: &'a str,
    /// `http` or `https`, lower case.
    pub scheme: &'a str,
    /// Host and optional port, lower case, without the scheme's default port.
    pub authority: &'a str,
    /// Path as sent: never decoded, `/` when the request had none.
    pub path: &'a str,
    /// Query as sent, without the question mark. `Some("")` is a question mark with nothing behind it.
    pub query: Option<&'a str>,
    /// All field lines, in the order received.
    pub headers: &'a [Header<'a>],
    /// The content-coded body, whole. Empty when there is none.
    pub body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// The values of all lines of one field, in order. `name` is lower case.
    pub fn lines<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let headers: &'a [Header<'a>] = self.headers;
        headers.iter().filter(move |header| header.name == name).map(|header| header.value)
    }

    /// The target URI (RFC 9110 section 7.1): scheme, authority, path and query, joined and otherwise untouched.
    #[must_use]
    pub fn target_uri(&self) -> String {
        let mut uri = String::with_capacity(self.scheme.len() + 3 + self.authority.len() + self.path.len() + 16);
        uri.push_str(self.scheme);
        uri.push_str("://");
        uri.push_str(self.authority);
        self.push_request_target(&mut uri);
        uri
    }

    /// Appends path and query in origin form (RFC 9112 section 3.2.1).
    pub(crate) fn push_request_target(&self, out: &mut String) {
        out.push_str(self.path);
        if let Some(query) = self.query {
            out.push('?');
            out.push_str(query);
        }
    }
}

impl fmt::Debug for HttpRequest<'_> {
    /// Prints no field value and no body byte: both can be credentials or personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
