//! What a user of Pillion can rely on, held over real sockets: the proxy in this process, an agent that writes and reads exact bytes, and a
//! simulated or scripted upstream. A module is a promise; every test ends by asking whether the books balance ([`support::Proxy::settle`]).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

mod alerts;
mod api;
mod architecture;
mod attribution;
mod captures;
mod carry;
mod chart;
mod compressed;
mod connections;
mod contents;
mod crowds;
mod dashboards;
mod deadlines;
mod demo;
mod docs;
mod fitting;
mod framing;
mod growth;
mod hangups;
mod headers;
mod hops;
mod http2;
mod http2_upstreams;
mod identity;
mod life;
mod names;
mod oddities;
mod outlines;
mod packages;
mod prompts;
mod reading;
mod readme;
mod retries;
mod routes;
mod rules;
mod schemas;
mod sizes;
mod streams;
mod tls;
mod tls_faults;
mod trailers;
mod unix;
mod usage;
mod websockets;
