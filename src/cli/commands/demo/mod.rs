//! `demo`: the tour. It does what it tells: every number it prints was measured just now.
//!
//! `tour` is the order of events and their words; `crash` starts a writer, kills it in mid-work
//! and checks what it had promised; `latency` times lone commits beside the disk's own writes.

mod crash;
mod latency;
mod tour;

pub(in crate::cli) use tour::{DemoArgs, run};
