//! The engines, one file each, with the options they run with.
//!
//! Versions are pinned in `Cargo.toml`. Where a file does not set an option, the engine's default
//! holds. What must be the same for all is set in each: no compression, a cache of 512 MiB, and
//! for opening again, no checkpoint before the end, so that there is a whole log to open.

#[cfg(feature = "peers")]
pub mod fjall;
pub mod jidoka;
#[cfg(feature = "peers")]
pub mod lmdb;
#[cfg(feature = "peers")]
pub mod okaywal;
#[cfg(feature = "peers")]
pub mod raft_engine;
pub mod raw;
pub mod raw_group;
#[cfg(feature = "peers")]
pub mod redb;
#[cfg(feature = "rocksdb")]
pub mod rocksdb;
#[cfg(feature = "peers")]
pub mod sqlite;
#[cfg(feature = "peers")]
pub mod surrealkv;
