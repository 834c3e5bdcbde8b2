//! Programs at work as the memory sees them.

mod beginnings;
mod bounds;
mod callers;
mod conversations;
mod tools;
mod world;
