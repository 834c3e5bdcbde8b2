//! `demo` where its ports are told: a Prometheus can be pointed at it.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Metrics, free, verb, within};

#[tokio::test]
async fn it_listens_where_it_is_told_to() {
    let (listen, admin) = (free().to_string(), free().to_string());
    let mut demo = verb("demo").arguments(["--listen", &listen, "--admin", &admin]).spawned();
    let scraped = within("traffic of the demo", async {
        loop {
            if tokio::net::TcpStream::connect(&admin).await.is_ok() {
                let metrics = Metrics::scrape(admin.parse().unwrap()).await;
                if metrics.count("pillion_exchanges_total", &[]) > 0 {
                    return metrics;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(scraped.await.count("pillion_build_info", &[]) == 1);
    demo.signal(Signal::TERM);
    assert_eq!(demo.exit(Duration::from_secs(15)).await.0, Some(0));
}

#[tokio::test]
async fn beyond_loopback_it_needs_a_token_as_run_does() {
    let demo = || verb("demo").arguments(["--for", "0s", "--listen", "0.0.0.0:0", "--admin", "0.0.0.0:0"]);
    let refused = demo().ended().await;
    assert_eq!((refused.code, refused.stderr.contains("server.admin_token")), (Some(2), true), "{}", refused.stderr);
    let served = demo().variable("PILLION_SERVER__ADMIN_TOKEN", "t").ended().await;
    assert_eq!((served.code, served.stdout.contains("0.0.0.0:")), (Some(0), true), "{}", served.stderr);
}
