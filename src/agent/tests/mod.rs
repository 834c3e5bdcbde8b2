//! Programs at work as the memory sees them.

mod replay;
mod world;
