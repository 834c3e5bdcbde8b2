//! Programs at work as the memory sees them.

mod bounds;
mod callers;
mod conversations;
mod replay;
mod tools;
mod world;
