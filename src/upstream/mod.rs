//! The side we call: connections, the clocks, and what is worth a retry.

mod attempt;
mod budget;
mod connect;
mod deadlines;
mod destination;
mod dial;
mod failure;
mod http2;
mod line;
mod preface;
mod rate_limits;
mod retry;
mod roots;
mod socket;
mod tls;
mod tunnel;
mod usage;

pub use attempt::AttemptClocks;
pub use budget::Budget;
pub use connect::ConnectError;
pub use deadlines::{AgentLimit, Deadlines};
pub use destination::{Attempted, Destination, Destinations};
pub use failure::{Again, Failure};
pub use line::{Line, Use};
pub use rate_limits::rate_limits;
pub use retry::{Advice, Backoff, advice, retryable_status, stated_wait};
