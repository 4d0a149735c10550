//! Tables: versions of keys in sorted files that never change.
//!
//! Life cycle: a [`TableWriter`] takes versions in their order and leaves one complete, synced
//! file; a [`Table`] answers for single keys ([`Table::newest`]), for ranges ([`Table::scan`]) and
//! gives everything once ([`Cursor`]). [`Levels`] are
//! all tables of a store, asked as one. What was read and checked is kept in a [`Cache`].
//!
//! The bytes are in [`format`](mod@format), [`block`], [`filter`] and [`index`], whose page is
//! `docs/format/table.md`; these are pure. Which tables make up a store, and when one may go, is
//! not known here.
//!
//! Invariants, cited where they rule:
//!
//! - **T1** A table is complete and synced before anybody reads it, and never changes.
//! - **T2** Every byte that is returned was checked against a hash that also says which table and
//!   which offset it belongs to.
//! - **T3** What is kept in memory stays within the cache's limit.
//!
//! A table must never know: the log, visibility, documents. A value is bytes.

pub mod block;
mod cache;
mod chunk;
mod cursor;
pub mod filter;
pub mod format;
pub mod index;
mod levels;
mod reader;
#[cfg(test)]
mod sample;
mod scan;
mod writer;

pub use cache::{Cache, CacheStats, Cached};
pub use chunk::{Chunk, join};
pub use cursor::Cursor;
pub use levels::{Levels, Placed, Run};
pub use reader::Table;
pub use writer::{TableFacts, TableKey, TableWriter, file_name};
