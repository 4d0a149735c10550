//! Saying in words what one file is, by itself: no store is opened and nothing is written.
//!
//! `file` finds out what it is, by its first bytes and else by its name, and reads no more of it
//! than a header whose checksum matches asks for. The others are pure: bytes in, a [`report`] out,
//! whatever the bytes are. `segment` walks records through the log's own decoder and tells a torn
//! write from damage as recovery does, as far as one file can show it: a claim in a later segment,
//! or a saved tail beside it, is not seen here. `verify` sees the whole.

mod copied;
mod file;
mod listed;
mod report;
mod segment;
mod small;
mod table;

pub use file::inspect;
pub use report::Inspected;
