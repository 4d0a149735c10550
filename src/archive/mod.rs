//! Copies of a store that outlive it, and the way back in time.
//!
//! [`backup`] reads the log as any follower does, beside a writer or not, and adds what is new to
//! a directory of ranges: canonical records, never file bytes. [`restore`] reads the ranges, checks
//! every record against the chain, and appends those up to the asked commit to a new store at the
//! same LSNs, through the same decoder as crash replay. The bytes are in `docs/format/copy.md`.
//!
//! - **A1** A range is written once and only with durable records.
//! - **A2** What was restored at LSN n equals what the source was at LSN n, for every n.
//! - **A3** A restored store shares no future with its source: new identity, higher term.

mod backup;
mod copy;
pub mod format;
mod restore;

pub use backup::{BackupReport, backup};
pub use restore::{Reached, RestoreReport, RestoreRequest, Target, restore};
