//! Vocabulary: the words, numbers, errors and byte rules that every other floor speaks.
//!
//! Pure: no files, no threads, no clock. A type lives here when two floors must mean the same
//! thing by it. `docs/glossary.md` says what each word means.

mod bytes;
pub mod checksum;
pub mod codec;
mod error;
mod histogram;
mod ids;
pub mod limits;
mod lsn;
pub mod mark;
pub mod plant;
pub mod range;
mod time;
mod version;

pub use bytes::Bytes;
pub use error::{Error, ErrorKind, Place, Result};
pub use histogram::Histogram;
pub use ids::{KeyspaceId, SegmentNumber, StoreId, Term};
pub use lsn::{Lsn, Seq};
pub use time::Timestamp;
pub use version::{Value, Version};
