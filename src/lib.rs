//! Pillion rides beside an agent process: the agent points its `base_url` here, and every byte goes on to the model and back as before.
//! On the way an exchange is kept inside deadlines, retried where that is safe, and reported.
//!
//! ```text
//!  agent ──▶ downstream ──▶ proxy::handle ─────────────────────────────────────────────▶ upstream ──▶ model
//!            accept, bound    route    1  which upstream, which dialect, who calls        connect, pool,
//!                             receive  2  the body, held where it may be sent again       clocks, budget
//!                             admit    3  what it asks, who asks, which conversation it belongs to
//!                             rewrite  4  the only place where a request changes: what would not fit the model is trimmed
//!                             send     5  attempt, and perhaps attempt again
//!  agent ◀────────────────    relay    6  the reply as it comes, observed        ◀──────────────────── model
//!                             refusal  ×  every way to say no
//!
//!                             `wire` says what the bytes mean; what is learnt goes into one `Record`,
//!                             and `telemetry` alone turns that into metrics, spans, a line of the log, and a row.
//! ```
//!
//! # Layers
//!
//! A module imports only from lines above its own; a test holds it to that.
//!
//! | | modules |
//! |---|---|
//! | 0 | [`wire`] [`body`] [`drain`] [`secret`] |
//! | 1 | [`config`] |
//! | 2 | [`agent`] [`context`] |
//! | 3 | [`telemetry`] |
//! | 4 | [`upstream`] [`dashboards`] |
//! | 5 | [`proxy`] |
//! | 6 | [`downstream`] [`admin`] |
//! | 7 | [`server`] |
//! | 8 | [`demo`] |
//! | 9 | [`cli`], `main` |
//!
//! # Invariants
//!
//! * **I1** `wire`, `context` and `agent` do no I/O and read no clock. (`architecture::pure_modules_touch_no_sockets_and_no_clock`)
//! * **I2** A reply's bytes are never changed, delayed or gathered beyond what a listed exception says. (`carry`, `streams`, `usage`)
//! * **I3** A request changes only in `rewrite`. (`headers`, `retries`, `usage`, `fitting`)
//! * **I4** Observing cannot bite: what cannot be read is counted and passed on. (`wire::reading`)
//! * **I5** Each exchange is reported exactly once, whatever ended it. (the accounting check that ends every test of a fault)
//! * **I6** Every buffer, table, queue and wait has a bound with a name.
//! * **I7** One exchange sees one config.
//! * **I8** Names of metrics and attributes stand in `telemetry::names` alone; label values are from closed sets, or capped.
//! * **I9** Secrets and prompts reach no log, span or metric; prompts and answers a span, where the config says so. (`secret`, `config`, `contents`)
//! * **I10** Imports point down. (`architecture::imports_point_down`)

pub mod admin;
pub mod agent;
pub mod body;
pub mod cli;
pub mod config;
pub mod context;
pub mod dashboards;
pub mod demo;
pub mod downstream;
pub mod drain;
pub mod proxy;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod upstream;
pub mod wire;
