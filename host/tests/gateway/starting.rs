//! Starting, and what keeps a gate from it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use passgate_host::env::Environment;
use passgate_host::gateway::{ErrorClass, ServeError, serve};
use tokio::sync::oneshot;

use crate::origin::{Origin, ok};
use crate::support::{Site, TestEnvironment, Wish, patiently};

async fn site() -> (Site, Origin) {
    let origin = Origin::start(|_| ok("ok")).await;
    (Site::new(Wish::before(&origin)).await, origin)
}

async fn refused(site: &mut Site) -> ServeError {
    site.start().await.err().expect("the gate started")
}

#[tokio::test]
async fn a_key_that_others_can_read_or_that_is_missing_is_refused() {
    let (mut site, _origin) = site().await;
    let key = site.folder.path().join("keys/attestation.jwk");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(&mut site).await;
    assert_eq!(error.class(), ErrorClass::Configuration);
    assert!(error.to_string().contains("chmod 600"), "{error}");
    fs::remove_file(&key).unwrap();
    assert_eq!(refused(&mut site).await.class(), ErrorClass::Configuration);
    assert!(!site.folder.path().join("state").exists(), "nothing is made before the key is read");
}

#[tokio::test]
async fn taken_addresses_sockets_and_stores_are_told_apart() {
    let (mut site, _origin) = site().await;
    let gate = site.start().await.unwrap();
    let socket = site.loaded().paths.socket;
    let loaded = |extra: &str| {
        let text = fs::read_to_string(&site.config).unwrap();
        let path = site.folder.path().join("other.yml");
        fs::write(&path, format!("{text}{extra}\n")).unwrap();
        passgate_host::config::Config::load(&path).unwrap()
    };
    let start = async |extra: &str, listen: bool| {
        let env: Arc<dyn Environment> = Arc::<TestEnvironment>::clone(&site.env);
        let mut gateway = passgate_host::gateway::Gateway::new(loaded(extra), env);
        if listen {
            gateway = gateway.listener(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        gateway.start().await.err().unwrap()
    };
    let store_in_use = start("control: {socket: other.sock}", true).await;
    assert!(matches!(store_in_use, ServeError::Store(_)), "{store_in_use}");
    let socket_in_use = start("store: {path: other.redb}", true).await;
    assert!(matches!(&socket_in_use, ServeError::Running { path } if *path == socket), "{socket_in_use}");
    let text = store_in_use.to_string();
    assert!(text.contains("stop it") && text.contains("control socket"), "{text}");
    for error in [store_in_use, socket_in_use] {
        assert_eq!(error.class(), ErrorClass::Unreachable);
    }
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (mut site, _origin) = site().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.listener = None;
    let text = fs::read_to_string(&site.config).unwrap();
    let listen = format!("server: {{listen: \"{}\", ", taken.local_addr().unwrap());
    fs::write(&site.config, text.replacen("server: {", &listen, 1)).unwrap();
    let error = refused(&mut site).await;
    assert_eq!(error.class(), ErrorClass::Unreachable);
    assert!(error.to_string().contains(&taken.local_addr().unwrap().to_string()), "{error}");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_another_file_is_not() {
    let (mut site, _origin) = site().await;
    let socket = site.loaded().paths.socket;
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let gate = site.start().await.unwrap();
    site.control().await.health().await.unwrap();
    patiently(gate.shutdown()).await;
    fs::write(&socket, "precious").unwrap();
    let error = site.start_elsewhere_result().await.err().unwrap();
    assert!(matches!(error, ServeError::Socket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn the_control_socket_is_the_owners_alone_wherever_it_lies() {
    let (mut site, _origin) = site().await;
    let socket = site.loaded().paths.socket;
    let folder = socket.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    for open in [0o777, 0o775, 0o702, 0o1777] {
        fs::set_permissions(folder, fs::Permissions::from_mode(open)).unwrap();
        let error = refused(&mut site).await;
        assert!(matches!(&error, ServeError::SocketFolder { mode, .. } if *mode == open), "{error}");
        assert_eq!(error.class(), ErrorClass::Configuration);
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        assert!(!socket.exists());
        site.listener = Some(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let gate = site.start().await.unwrap();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    patiently(gate.shutdown()).await;
}

#[tokio::test]
async fn the_table_says_what_is_served() {
    let origin = Origin::start(|_| ok("ok")).await;
    let guardrails = "rate_limits: {requests_per_minute: 5}
  spend_limits: {daily_usd: 20}
  allowed_domains: [api.example.com]
  approval_workflows: {require_approval_above_usd: 9.5}";
    let mut site = Site::new(Wish { guardrails: guardrails.to_owned(), ..Wish::before(&origin) }).await;
    site.listener = None;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = fs::read_to_string(&site.config).unwrap();
    fs::write(&site.config, text.replacen("server: {", &format!("server: {{listen: \"{free}\", "), 1)).unwrap();
    let env: Arc<dyn Environment> = Arc::<TestEnvironment>::clone(&site.env);
    let (stop, stopped) = oneshot::channel::<()>();
    let mut table = String::new();
    let on_ready = |info: &passgate_host::ready::ReadyInfo| {
        table = info.to_string();
        stop.send(()).unwrap();
    };
    let shutdown = async {
        stopped.await.unwrap();
    };
    patiently(serve(site.loaded(), env, on_ready, shutdown)).await.unwrap();
    let url = format!("http://{}", site.address);
    for row in [
        "gate         gate_test (L2)".to_owned(),
        format!("listen       {free}"),
        format!("upstream     {}", origin.url()),
        format!("public url   {url}"),
        "issuers      1: https://issuer.acme.example (L2)".to_owned(),
        "guardrails   5 requests/minute, daily 20.00 USD, 1 allowed domains, approval above 9.50 USD".to_owned(),
        "fail mode    closed".to_owned(),
    ] {
        assert!(table.lines().any(|line| line == row), "{row:?} is not in:\n{table}");
    }
    assert!(table.contains("passgate.redb (durable)"), "{table}");
    assert!(table.contains("ledger       chain chain_"), "{table}");
    assert_eq!(table.lines().last().unwrap(), format!("Ready on {url}"));
}
