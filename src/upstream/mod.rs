//! The side we call: connections, the clocks, and what is worth a retry.

mod budget;
mod connect;
mod deadlines;
mod destination;
mod retry;
mod roots;

pub use budget::Budget;
pub use connect::{ConnectError, Line};
pub use deadlines::{AgentLimit, Deadlines};
pub use destination::{Again, AttemptClocks, Attempted, Destination, Destinations, Failure};
pub use retry::{Advice, Backoff, advice, retryable_status, stated_wait};
