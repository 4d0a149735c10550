//! **jidoka** is an embedded write-ahead-log document store.

// The floors, from the ground up: a module names only modules declared above it.
pub mod base;
pub mod vfs;
pub mod wal;
pub mod store;
#[cfg(feature = "docs")]
pub mod doc;
#[cfg(feature = "docs")]
pub mod tcps;
#[cfg(feature = "docs")]
pub mod archive;
#[cfg(feature = "docs")]
pub mod ops;
