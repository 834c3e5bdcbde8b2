//! What comes out, to be read.
