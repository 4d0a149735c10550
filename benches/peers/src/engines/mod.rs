//! The engines, one file each, with the options they run with.
//!
//! Versions are pinned in `Cargo.toml`. Where a file does not set an option, the engine's default
//! holds. What must be the same for all is set in each: no compression, a cache of 512 MiB, and
//! for opening again, no checkpoint before the end, so that there is a whole log to open.

pub mod fjall;
pub mod jidoka;
pub mod lmdb;
pub mod okaywal;
pub mod raft_engine;
pub mod raw;
pub mod raw_group;
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
pub mod sqlite;
pub mod surrealkv;
