//! `demo`: the tour. It does what it tells: every number it prints was measured just now.
//!
//! `tour` is the order of events and their words; `crash` starts a writer, kills it in mid-work
//! and checks what it had promised; `past` goes back to before that from a copy; `latency` times
//! lone commits beside the disk's own writes.

mod crash;
mod latency;
mod past;
mod tour;

pub(in crate::cli) use tour::{DemoArgs, run};
