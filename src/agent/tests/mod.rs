//! Programs at work as the memory sees them.

mod bounds;
mod callers;
mod conversations;
mod tools;
mod world;
