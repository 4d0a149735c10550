//! The `jidoka` command line.
fn main() {}
