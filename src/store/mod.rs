//! The embedded store: keyspaces of ordered keys, changed by atomic batches, read at snapshots.
//!
//! Life cycle: [`Store::open`] replays the log into the tree; [`Store::commit`] appends a
//! [`Batch`] to the log and puts the same entries, decoded from the same bytes, into the tree;
//! readers look at the tree up to the visible LSN; [`Store::close`] ends. What cannot be opened, or
//! must not be written, is looked at as a [`ReadOnlyStore`].
//!
//! What was committed last is in a memtable. A checkpoint freezes it and writes it into tables
//! (`checkpointer`, `frozen`), `jobs` says who does that and when, and `tree` looks into all of
//! them, the newest first. An open replays the log from the checkpoint on. Nothing above this
//! floor knows where a version is.
//!
//! Invariants:
//!
//! - **S1** The log holds only unconditional changes: conditions are decided in the section that
//!   gives the LSN, against everything appended before.
//! - **S2** Live commits and replay put the same decoded entries into the tree (L5).
//! - **S3** A reader sees a prefix of the log, and never what is not visible (C2 of the log).
//! - **S4** A keyspace comes into being in the batch that first puts something into it.
//!
//! The store must never know: documents, revisions, JSON.

mod asynchronous;
mod batch;
mod builder;
mod checkpointer;
mod copy;
mod directory;
pub mod format;
mod frozen;
mod handle;
mod insert;
#[cfg(any(test, feature = "sim"))]
mod inserted;
mod iter;
mod jobs;
mod key;
mod memtable;
mod read_only;
mod rebuild;
mod replay;
mod requests;
mod snapshot;
mod staged;
mod tree;
mod write;

pub use crate::base::{Value, Version};
pub use asynchronous::Handle;
pub use batch::{Batch, Expect, Keyspace, Namespace};
pub use builder::StoreBuilder;
pub use checkpointer::{LogKept, TableStats};
pub use copy::Copied;
pub use directory::{DIRECTORY, directory_key, parse_directory_entry};
pub use format::Origin;
pub use handle::{Commit, Store};
pub use iter::Iter;
pub use memtable::KeyValue;
pub use read_only::ReadOnlyStore;
pub use requests::REQUESTS;
pub use snapshot::Snapshot;
