//! The admin port: health for whoever asks, all else for whom it knows.

use std::net::{Ipv4Addr, SocketAddr};

use crate::support::{Agent, Call, Reply, call, model, proxy, run, verb};

async fn ask(admin: SocketAddr, call: &Call) -> Reply {
    Agent::stranger(admin).await.ask(call).await
}

#[tokio::test]
async fn health_readiness_and_metrics_are_there() {
    let proxy = proxy().run();
    for (path, text) in [("/healthz", "alive\n"), ("/readyz", "ready\n")] {
        let reply = ask(proxy.admin(), &call("GET", path)).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, text));
    }
    let metrics = ask(proxy.admin(), &call("GET", "/metrics")).await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4"));
    assert!(metrics.text().contains("# TYPE pillion_connections gauge"), "{}", metrics.text());
    assert_eq!(ask(proxy.admin(), &call("GET", "/nothing")).await.status, 404);
}

#[tokio::test]
async fn the_admin_port_only_answers_questions() {
    let proxy = proxy().run();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let reply = ask(proxy.admin(), &call(method, "/metrics")).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_eq!(ask(proxy.admin(), &call("HEAD", "/metrics")).await.status, 200);
}

#[tokio::test]
async fn a_foreign_host_learns_nothing_but_health() {
    let proxy = proxy().run();
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 421), ("/", 421)] {
        let mut agent = Agent::stranger(proxy.admin()).await;
        agent.write(format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        assert_eq!(agent.reply().await.status, status, "{path}");
    }
    let page = call("GET", "/metrics").header("Origin", "https://evil.example");
    assert!([403, 421].contains(&ask(proxy.admin(), &page).await.status));
}

#[tokio::test]
async fn beyond_loopback_the_admin_port_wants_its_token_but_for_health() {
    let model = model("").await;
    let start = verb("run").arguments(["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]).upstream(&model);
    let binary = start.config("server: {admin_token: open-sesame-42}").ready().await;
    let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, binary.admin.port()));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(admin, &call("GET", path)).await.status, 200, "{path}");
    }
    for wrong in ["", "Bearer ", "Bearer open-sesame-43", "Bearer open-sesame-42x", "Basic open-sesame-42", "open-sesame-42"] {
        let reply = ask(admin, &call("GET", "/metrics").header("Authorization", wrong)).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer")), "{wrong:?}");
    }
    assert_eq!(ask(admin, &call("GET", "/metrics").header("Authorization", "Bearer open-sesame-42")).await.status, 200);
    assert!(binary.said().iter().any(|line| line.contains("beyond loopback")), "{:#?}", binary.said());
    assert!(!binary.said().concat().contains("open-sesame"));
}

#[tokio::test]
async fn an_admin_port_beyond_loopback_without_a_token_is_a_config_error() {
    let ended = verb("run").arguments(["--listen", "127.0.0.1:0", "--admin", "0.0.0.0:0"]).ended().await;
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("server.admin_token"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_admin_port_answers_when_all_connections_of_agents_are_taken() {
    let binary = run().config("server: {max_connections: 1}").ready().await;
    let _taken = Agent::stranger(binary.traffic).await;
    let _waits = Agent::stranger(binary.traffic).await;
    assert_eq!(ask(binary.admin, &call("GET", "/metrics")).await.status, 200);
}
