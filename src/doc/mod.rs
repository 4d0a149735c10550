//! Documents: JSON values with an identity and a revision, in collections over the store.
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
//! [`Documents`] is the public face. Most files here are functions from bytes or values to bytes
//! or values and know no file, thread or clock; `documents`, `write` and `feed` join them to the
//! store and its log. None knows what a document is about: the caller passes in whatever
//! recognises a kind of document.
//!
//! - **D1** The stored hash is over exactly the stored bytes.
//! - **D2** The revisions of a document are 1, 2, 3 … from its creation to its deletion: each is
//!   computed on the latest appended version, and committed only if that is still the latest.

mod canonical;
mod documents;
pub mod dump;
pub mod export;
mod feed;
mod field;
mod filter;
pub mod id;
pub mod import;
pub mod json;
mod line;
mod operation;
mod order;
pub mod patch;
mod query;
pub mod stored;
mod view;
mod write;

pub use canonical::{Canonical, INTEGER_MAX, Sha256, check_value};
pub use documents::Documents;
pub use feed::{Change, ChangeKind, Changes};
pub use field::Field;
pub use filter::{Filter, Op};
pub use line::Line;
pub use operation::{Applied, Condition, Operation, Outcome, WriteOptions, Written};
pub use order::{Sort, compare};
pub use query::{Query, Row};
pub use stored::{Document, Revision};
pub use view::{DocumentsAt, Listed, Listing, ParsedDocument};
