//! The commands: each file holds the arguments of one, and the function that runs it.

pub(super) mod apply;
pub(super) mod backup;
pub(super) mod bench;
pub(super) mod changes;
pub(super) mod checkpoint;
pub(super) mod delete;
pub(super) mod demo;
pub(super) mod dump;
pub(super) mod export;
pub(super) mod get;
pub(super) mod import;
pub(super) mod inspect;
mod lines;
pub(super) mod list;
pub(super) mod log_dump;
pub(super) mod log_list;
pub(super) mod log_salvage;
pub(super) mod log_tail;
pub(super) mod patch;
pub(super) mod put;
pub(super) mod query;
mod records;
pub(super) mod restore;
#[cfg(feature = "sim")]
pub(super) mod simulate;
pub(super) mod stats;
pub(super) mod verify;
