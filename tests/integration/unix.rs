//! Promise: Pillion can listen on a Unix socket, which containers of one pod share by a volume.

use std::{fs, os::unix::fs::PermissionsExt as _};

use rustix::process::Signal;
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Metrics, ask_over, chat, model, proxy, streams_over, verb};

/// A folder for a socket, and the address in it.
fn place() -> (tempfile::TempDir, String, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pillion.sock");
    let address = format!("unix:{}", path.display());
    (folder, address, path)
}

#[tokio::test]
async fn both_protocols_are_carried_over_a_socket_by_any_name_and_its_file_goes_at_the_end() {
    let (_folder, address, path) = place();
    let model = model("").await;
    let proxy = proxy().to(model.url()).listen(&address).run();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let call = chat(true).named("anything.example");
    let reply = ask_over(&proxy, UnixStream::connect(&path).await.unwrap(), &call).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("[DONE]"), "{reply}");
    let many = streams_over(&proxy, UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(many.ask(&call).await.status, 200);
    drop(many);
    proxy.settle_as("ok").await;
    proxy.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let (_folder, address, path) = place();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let model = model("").await;
    let proxy = proxy().to(model.url()).listen(&address).run();
    let reply = ask_over(&proxy, UnixStream::connect(&path).await.unwrap(), &chat(false)).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    proxy.settle_as("ok").await;
}

#[tokio::test]
async fn what_is_anothers_is_left_alone_and_said() {
    let (_folder, address, path) = place();
    let start = || verb("run").arguments(["--listen", &address, "--admin", "127.0.0.1:0"]);
    let _living = UnixListener::bind(&path).unwrap();
    let ended = start().ended().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("server.listen") && ended.stderr.contains("somebody listens there"), "{}", ended.stderr);
    assert!(UnixStream::connect(&path).await.is_ok());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    let ended = start().ended().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("no socket"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
}

#[tokio::test]
async fn the_program_says_where_it_is_and_removes_the_file_on_sigterm() {
    let (_folder, address, path) = place();
    let mut binary = verb("run").arguments(["--listen", &address, "--admin", "127.0.0.1:0"]).spawned();
    assert!(binary.says("agents connect to ").await.contains(&address));
    UnixStream::connect(&path).await.unwrap();
    binary.signal(Signal::TERM);
    assert_eq!(binary.exit(std::time::Duration::from_secs(5)).await.0, Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn the_admin_port_can_be_a_socket_too() {
    let (_folder, address, path) = place();
    let mut binary = verb("run").arguments(["--listen", "127.0.0.1:0", "--admin", &address]).spawned();
    binary.says("agents connect to ").await;
    let text = crate::support::admin_over(UnixStream::connect(&path).await.unwrap()).await;
    assert_eq!(Metrics::read(&text).count("pillion_exchanges_total", &[]), 0);
    assert!(text.contains("pillion_build_info"), "{text}");
}

#[tokio::test]
async fn a_program_cannot_be_run_around_a_socket() {
    let (_folder, address, _) = place();
    let ended = verb("run").arguments(["--listen", &address, "--", "true"]).ended().await;
    assert!(ended.code == Some(1) && ended.stderr.contains("server.listen"), "{}", ended.stderr);
}
