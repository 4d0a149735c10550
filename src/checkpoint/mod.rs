//! Checkpoints and merges: how what is in memory becomes tables, and many tables few.
//!
//! A checkpoint takes versions in their order, writes them into tables, and has the manifest name
//! these ([`Tables::write_checkpoint`]); the log remembers the edit, and need not be replayed from
//! before it. A merge ([`Tables::merge`]) writes some runs of tables into one, without the versions
//! that nobody can ask for. Which versions stay is decided in `merge`, which runs are merged in
//! `plan`; both are pure. What a crash leaves is looked after in `sweep`. [`Tables::pin`] is
//! how another store gets the same tables (`copy`).
//!
//! Invariants, cited where they rule:
//!
//! - **C1** The order of the steps at [`Tables`]: a crash between any two of them loses nothing.
//! - **C2** A table holds only commits that were durable in the log before it was written.
//! - **C3** Runs are in the order of their age, and a merge takes neighbours.
//! - **C4** A file goes only after an edit that does not name it is durable.
//!
//! A checkpoint must never know: visibility, documents, who reads.

mod copy;
mod merge;
mod output;
mod plan;
mod removals;
mod run_cursor;
mod sweep;
mod tables;

pub use copy::{Pinned, TablesCopied, begin_copy};
pub use merge::{Keep, Source};
pub use plan::Extent;
pub use tables::{
    DIR_NAME, TableSettings, Tables, Unwanted, Wanted, Written, levels_of, open_tables, runs_of,
};
