//! Requests that have more than one reading, or none.

use anyhow::Result;

use super::policy::{ask, plain, search};
use super::{Draft, Recipe};
use crate::case::Request;

pub(super) fn recipes() -> Result<Vec<Recipe>> {
    let good = search()?.sign()?;
    let host = |host: &str| Request { host: host.to_owned(), ..good.clone() };
    let hosts = Draft::new("A request is meant for this gate's host and port.", plain()?)
        .wire(host("tools.evil.example"), Some("host_mismatch"))?
        .wire(host("tools.example:8080"), Some("host_mismatch"))?
        .wire(host("tools.example."), Some("host_mismatch"))?
        .wire(host("www.tools.example"), Some("host_mismatch"))?;
    let mut paths = Draft::new("A target that proxies and origins read differently is refused.", plain()?);
    for target in [
        "/a/../search",
        "/./search",
        "//search",
        "/search/%2e%2e/x",
        "/search%2fx",
        "/search%2Fx",
        "/search%5Cx",
        "/search;jsessionid=1",
        "/search/..;/x",
        "/se%61rch",
        "/search%00",
        "/search%",
        "/search%zz",
        "/search/%C0%AF",
        "/search%252e",
    ] {
        paths = paths.wire(Request { target: target.to_owned(), ..good.clone() }, Some("path_not_canonical"))?;
    }
    let form = "application/x-www-form-urlencoded";
    let overrides = Draft::new("A request may not name another method inside.", plain()?)
        .send(ask("GET", "/search?q=bread&_method=DELETE")?, Some("method_override"))?
        .send(ask("GET", "/search?%5Fmethod=DELETE")?, Some("method_override"))?
        .send(
            ask("POST", "/files/a")?.header("content-type", form).body("a=1&_method=DELETE"),
            Some("method_override"),
        )?
        .send(
            ask("POST", "/files/a")?.header("content-type", form).body("a=1&%5Fmethod=DELETE"),
            Some("method_override"),
        )?;
    let form = Draft::new("Other forms pass.", plain()?)
        .send(ask("POST", "/files/a")?.header("content-type", form).body("a=1&method=DELETE"), None)?;
    let encoded = Draft::new("Escapes that have one reading pass as they are.", plain()?)
        .send(ask("GET", "/files/caf%C3%A9")?, None)?
        .send(ask("GET", "/search?q=%2F%3F&empty=&flag")?, None)?
        .send(ask("GET", "/search?")?, None)?;
    Ok(vec![
        ("host_mismatch_deny", hosts),
        ("path_not_canonical_deny", paths),
        ("method_override_deny", overrides),
        ("form_body", form),
        ("path_escapes", encoded),
    ])
}
