//! Promise: the Helm chart, rendered by the real helm 3 and 4, is what Kubernetes takes and Pillion starts with, in each mode and with a table of
//! values; what would not work is refused in words that say what would.

mod cases;
mod cluster;
mod container;
mod contents;
mod helm;
mod pods;
mod refusals;
mod schema;
mod sidecar;
mod sound;
