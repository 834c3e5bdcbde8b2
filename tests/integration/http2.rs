//! Promise: an agent that speaks HTTP/2 gets what one on HTTP/1.1 gets, stream by stream, on the same port.

mod attacks;
mod ends;
mod frames;
mod streams;
