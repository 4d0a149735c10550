//! What can be done to documents and keys, and what comes of it.

use serde_json::Value;

use crate::base::{Lsn, Timestamp};
use crate::store::Origin;
use crate::wal::Durability;

use super::canonical::Sha256;

/// What a write requires of the document it replaces.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    None,
    /// That there is no document.
    Absent,
    /// That the document is at this revision.
    Revision(u64),
}

/// One change of one document or key.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Stores a document as its next revision.
    Put {
        /// The collection.
        collection: String,
        /// The id; `None` has one generated, ordered by time.
        id: Option<String>,
        /// The document.
        doc: Value,
        /// What must hold.
        condition: Condition,
    },
    /// Changes a document by RFC 7396 merge patch.
    Patch {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// The patch.
        patch: Value,
        /// What must hold.
        condition: Condition,
    },
    /// Deletes a document.
    Delete {
        /// The collection.
        collection: String,
        /// The id.
        id: String,
        /// What must hold.
        condition: Condition,
    },
    /// Gives a key of a keyspace a value.
    KeyPut {
        /// The keyspace.
        keyspace: String,
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Takes the value of a key of a keyspace away.
    KeyDelete {
        /// The keyspace.
        keyspace: String,
        /// The key.
        key: Vec<u8>,
    },
}

/// How a batch of operations is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// How durable it is when the call returns.
    pub durability: Durability,
    /// Who writes, and why.
    pub origin: Origin,
    /// An id that makes the batch safe to repeat.
    pub request: Option<String>,
}

/// What an operation did.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A document: its revision now, or for a delete the one that was deleted.
    Document {
        /// The collection.
        collection: String,
        /// The id, given or generated.
        id: String,
        /// The revision.
        rev: u64,
        /// The hash of its content.
        sha256: Sha256,
    },
    /// A key of a keyspace.
    Key {
        /// The keyspace.
        keyspace: String,
        /// The key.
        key: Vec<u8>,
    },
}

/// A batch that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its commit.
    pub lsn: Lsn,
    /// When.
    pub at: Timestamp,
    /// Whether it was on stable storage when the call returned.
    pub durable: bool,
    /// What each operation did, in order.
    pub outcomes: Vec<Outcome>,
}

/// A document that was written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The id, given or generated.
    pub id: String,
    /// The revision written, or deleted.
    pub rev: u64,
    /// The commit.
    pub lsn: Lsn,
    /// When.
    pub at: Timestamp,
    /// The hash of the content written, or deleted.
    pub sha256: Sha256,
}
