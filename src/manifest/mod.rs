//! The manifest: which tables make up the store, kept as a log of edits.
//!
//! Life cycle: [`ManifestRead::open`] reads what is there and writes nothing; the log is replayed
//! from its [`State::checkpoint`]; [`ManifestRead::into_writable`] compares it with the edit that
//! the log names, and gives the [`Manifest`], whose [`append`](Manifest::append) adds one edit, and
//! makes it durable.
//!
//! The bytes are in [`sector`] (`CURRENT` and the header page), [`format`](mod@format) (records)
//! and [`change`] (what a record says), whose page is `docs/format/manifest.md`. What edits may
//! follow each other is decided in [`state`], by one fold for writers and readers alike (L5);
//! where the edits of a file end, in `scan`. `dir` and `log` are the shells.
//!
//! Invariants, cited where they rule:
//!
//! - **M1** Edit numbers are gapless and never used twice, whatever file they are in; each edit's
//!   hash covers all before it.
//! - **M2** A manifest is durable, whole and under its name before `CURRENT` names it, and is
//!   appended to only after `CURRENT` durably does.
//! - **M3** No byte that was synced is written again, and nothing is appended behind a torn end.
//! - **M4** What a recovery shows is in a new manifest, synced; only an orderly close is believed.
//! - **M5** A manifest that is no longer in force is removed only after the next durably is, and
//!   at an open only after the comparison with the log.
//! - **M6** After a failed write or sync nothing is written until the next open (L3).
//!
//! The manifest must never know: what is in a table, and whether its file is there.

pub mod change;
pub mod describe;
mod dir;
pub mod format;
mod log;
mod read;
#[cfg(test)]
mod samples;
mod scan;
pub mod sector;
pub mod state;

pub use change::{Change, Checkpoint, Key, ListedTable};
pub use dir::{CURRENT, DIR_NAME, parse_file_name};
pub use format::{EditId, LAYOUTS};
pub use log::Manifest;
pub use read::ManifestRead;
pub use state::State;
