//! The verify page.

use passgate_host::gateway::has_verify_page;

use crate::support::{Call, patiently, usual};

#[tokio::test]
async fn people_get_the_page_and_agents_a_decision() {
    let (site, gate, _origin, agent) = usual().await;
    let authority = site.address.to_string();
    let page = site.send(&Call::bare(&authority, "GET", "/verify")).await;
    if has_verify_page() {
        assert_eq!((page.status, page.field("content-type")), (200, "text/html; charset=utf-8"));
        assert_eq!(page.field("content-security-policy"), "frame-ancestors 'none'");
        assert!(page.body.to_lowercase().starts_with("<!doctype html>"));
        let known = Call::bare(&authority, "GET", "/verify").with("if-none-match", page.field("etag"));
        let again = site.send(&known).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
    } else {
        // Built without it: a request without a passport, as every other.
        assert_eq!(page.status, 401);
    }
    let agents = site.send(&agent.get("/verify")).await;
    assert_eq!(agents.field("passgate-decision"), "deny", "the path is not routed");
    for (method, path) in [("POST", "/verify"), ("GET", "/verify/"), ("GET", "/verify2")] {
        assert_eq!(site.send(&Call::bare(&authority, method, path)).await.status, 401, "{method} {path}");
    }
    patiently(gate.shutdown()).await;
}
