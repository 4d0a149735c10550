//! Documents: JSON values with an identity, and everything about them that is only thinking.
//!
//! A document is any JSON value. It lives in a collection under an id, and its content is its
//! RFC 8785 canonical bytes: two texts that mean the same value are the same document, with the
//! same SHA-256. Three rules follow from that and are enforced wherever a value comes in
//! ([`json`] for text, [`check_value`] for values built in memory): no number beyond 2^53-1,
//! because the canonical form writes numbers as doubles and would change it silently; no member
//! given twice, because the two readings hash differently; and no nesting that a later read
//! would refuse.
//!
//! Read stored documents with [`json::parse`] too, not with `serde_json` alone: an embedder's
//! choice of `serde_json` features must not change what a document means.
//!
//! Everything here is a function from bytes or values to bytes or values. It knows no file, no
//! thread and no clock, and never what a document is about: the caller passes in whatever
//! recognises a kind of document.

mod canonical;
pub mod dump;
mod field;
mod filter;
pub mod id;
pub mod import;
pub mod json;
mod order;
pub mod patch;
mod query;

pub use canonical::{Canonical, INTEGER_MAX, Sha256, check_value};
pub use field::Field;
pub use filter::{Filter, Op};
pub use order::{Sort, compare};
pub use query::{Query, Row};
