//! Promise: the real binary starts clearly or not at all, stops gracefully, and lets nothing around it stop the traffic.

mod around;
mod draining;
mod start;
mod strain;
