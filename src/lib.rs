//! **jidoka** is an embedded write-ahead-log document store.

pub mod base;
pub mod vfs;
pub mod wal;
