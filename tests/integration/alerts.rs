//! Promise: every alert fires when it should and is silent when it should be, names only what exists, and says what to do.
