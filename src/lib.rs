//! **jidoka** is an embedded write-ahead-log document store that stops the line at the first
//! defect: `Ok` means durable, a torn write is cut, a rotten byte is refused, and every commit can
//! be gone back to.
//!
//! ```
//! # fn main() -> jidoka::base::Result<()> {
//! # let dir = tempfile::tempdir().expect("a temporary directory");
//! # let path = dir.path().join("store");
//! use jidoka::store::{Batch, Keyspace, Store};
//!
//! let store = Store::open(&path)?;
//! let stock = Keyspace::new("stock")?;
//! let mut batch = Batch::new();
//! batch.put(&stock, b"bell", b"12").put(&stock, b"spring", b"40");
//! let commit = store.commit(batch)?; // both are on stable storage now
//! let before = store.snapshot();
//! let mut batch = Batch::new();
//! batch.delete(&stock, b"bell");
//! store.commit(batch)?;
//! assert_eq!(before.lsn(), commit.lsn);
//! assert_eq!(before.range(&stock, ..).count(), 2);
//! assert_eq!(store.range(&stock, ..).count(), 1);
//! store.close()?;
//! # Ok(())
//! # }
//! ```
//!
//! # The main types
//!
//! - [`doc::Documents`]: JSON documents with ids, revisions and hashes, in
//!   collections; queries, patches, a change feed. Feature `docs`, on by default.
//! - [`store::Store`]: keyspaces of ordered keys; atomic
//!   [`Batch`](crate::store::Batch)es, snapshots, iteration both ways. It may be larger than
//!   memory: [`checkpoint`](store::Store::checkpoint)s write it into tables.
//! - [`archive::backup()`] and
//!   [`archive::restore()`]: a copy that grows by what is new, and the
//!   store as it was at any commit.
//! - [`ops::verify()`]: everything checked, without opening the store.
//! - [`wal::Wal`]: the log alone.
//! - [`base::Error`]: what the caller can do, and where a person can look.
//!
//! # What this is not
//!
//! Not a server, not replicated, not encrypted. One process writes at a time. The log is kept, for
//! copies and feeds from the first commit on, unless
//! [`log_kept`](store::StoreBuilder::log_kept) says otherwise.
//!
//! # Features
//!
//! - `docs` (default): documents, import and export, copies and point-in-time recovery.
//! - `cli`: the `jidoka` command line.
//! - `sim`: the crashable in-memory disk, for tests of programs that embed the store.

// The floors, from the ground up: a module names only modules declared above it.
pub mod base;
pub mod vfs;
pub mod wal;
pub mod table;
pub mod manifest;
pub mod checkpoint;
pub mod store;
#[cfg(feature = "docs")]
pub mod doc;
#[cfg(feature = "docs")]
pub mod tcps;
#[cfg(feature = "docs")]
pub mod archive;
#[cfg(feature = "docs")]
pub mod ops;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "sim")]
pub mod sim;

/// The README's example is compiled.
#[cfg(all(doctest, feature = "docs"))]
#[doc = include_str!("../README.md")]
pub struct ReadmeDoctests;
