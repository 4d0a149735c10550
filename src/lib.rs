//! **jidoka** is an embedded write-ahead-log document store.

pub mod base;
#[cfg(feature = "docs")]
pub mod doc;
#[cfg(feature = "docs")]
pub mod tcps;
pub mod vfs;
pub mod wal;
