//! Measuring what the store costs beside the disk's own calls.
//!
//! A figure alone says little on a machine that others use too. So each measurement is made in
//! turns with its counterpart, raw writes and syncs of as many pages on a file that is prepared
//! as a segment is, and the ratio of the two is what can be compared.
//!
//! - `commit`: one committer, one sync for each commit.
//! - `group`: many committers, who share syncs.
//! - `async`: one committer who waits for none of its commits (`outstanding`).
//! - `ingest`: one committer of large batches; of the log alone also with files used again.
//! - `recover`: the time to open what a killed writer left.
//! - `calibrate`: which way of syncing this disk likes.
//!
//! Everything happens in a [`place`] that goes away afterwards. Time and space are bounded by
//! what the request says, and by limits of each measurement. [`numbers`] is pure: what is
//! reported, and the little arithmetic it takes.

mod calibrate;
mod commit;
mod group;
mod ingest;
pub mod numbers;
mod outstanding;
pub mod place;
mod raw;
mod recover;
mod session;
mod writer;

pub use numbers::{Ingested, Measurement, Raw, Recovered};
pub use session::{BenchKind, BenchRequest, Event, bench};
