//! Checking everything a store holds, without opening it and without writing.
//!
//! Reads what the engine relies on by the engine's own decoders, and goes on where opening stops:
//! every damage is listed, not the first. Three parts say the same thing twice, and are held
//! against each other:
//!
//! 1. `manifest` reads which tables there should be, and compares it with what the log names;
//! 2. `table` reads one table from its first byte to its last, one block at a time, and counts what
//!    its footer and the manifest say of it; `tables` reads all of them side by side, so that each
//!    key comes once with all its versions, and the order of the runs is seen;
//! 3. `commits` folds the log. Where it passes the checkpoint, the documents that it has made must
//!    be those in the tables; a log that begins later takes them from there.
//!
//! `compare` holds the two against each other, and `content` says what a document, a name and an
//! answer must look like, wherever they are; both are pure. `orphans` finds files that nothing
//! names. `told` keeps what was found.

mod all;
mod commits;
mod compare;
mod content;
mod manifest;
mod orphans;
mod table;
mod tables;
mod told;

pub use all::verify;
pub use told::VerifyReport;
