//! A document as the store holds it: `docs/format/commit.md`, section "Document", in code.

use crate::base::codec::Cursor;
use crate::base::{Error, ErrorKind, Lsn, Result, Timestamp};
use crate::store::{KeyValue, Value};
use crate::wal::format::Layout;

use super::canonical::{Canonical, Sha256};
use super::json;

/// The table of `docs/format/commit.md`, for the test that compares it.
pub const LAYOUT: Layout =
    ("Document", &[("version", 0, 1), ("revision", 1, 8), ("sha256", 9, 32)]);

/// Version of a document's value that this build writes, and the only one it reads.
pub const VERSION: u8 = 1;
/// Bytes before the canonical JSON; alone, the note of a deleted document.
const HEAD: usize = 41;

/// A revision of a document: which one, and the hash of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// 1 for a new document, then 2, 3 …
    pub rev: u64,
    /// SHA-256 of its canonical bytes.
    pub sha256: Sha256,
}

impl Revision {
    /// The head of the stored value, which is also the note of a delete.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD);
        head.push(VERSION);
        head.extend_from_slice(&self.rev.to_le_bytes());
        head.extend_from_slice(&self.sha256.0);
        head
    }

    /// Reads the head of a stored value; `None` if it is not one.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(stored);
        let version = cursor.u8().ok()?;
        let rev = cursor.u64().ok()?;
        let sha256 = Sha256(cursor.array().ok()?);
        (version == VERSION && rev > 0).then_some(Self { rev, sha256 })
    }
}

/// The stored value of revision `rev` with this content.
#[must_use]
pub(super) fn encode_document(rev: u64, canonical: &Canonical) -> Vec<u8> {
    let mut stored = Revision { rev, sha256: canonical.sha256 }.encode();
    stored.extend_from_slice(&canonical.bytes);
    stored
}

/// A document as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// Its revision.
    pub rev: u64,
    /// The commit that wrote the revision.
    pub lsn: Lsn,
    /// When.
    pub at: Timestamp,
    /// SHA-256 of its canonical bytes.
    pub sha256: Sha256,
    stored: Value,
}

impl Document {
    /// Reads a stored document.
    ///
    /// # Errors
    /// `Corrupt` when the value is not a document.
    pub fn from_stored(found: &KeyValue) -> Result<Self> {
        let bad = |what| Error::new(ErrorKind::Corrupt, what).at_lsn(found.lsn);
        let head = Revision::decode(&found.value);
        let Revision { rev, sha256 } = head.ok_or_else(|| bad("a stored document has no head"))?;
        let id = std::str::from_utf8(&found.key).map_err(|_| bad("a stored id is not UTF-8"))?;
        let (id, stored) = (id.to_owned(), found.value.clone());
        Ok(Self { id, rev, lsn: found.lsn, at: found.time, sha256, stored })
    }

    /// Its RFC 8785 bytes.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        self.stored.get(HEAD..).unwrap_or_default()
    }

    /// Its value.
    ///
    /// # Errors
    /// `Corrupt` when the stored bytes are not JSON.
    pub fn value(&self) -> Result<serde_json::Value> {
        json::parse(self.canonical()).map_err(|error| {
            error.as_kind(ErrorKind::Corrupt).within("a stored document").at_lsn(self.lsn)
        })
    }

    /// Whether the hash is that of the content.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        Sha256::of(self.canonical()) == self.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stored_document_is_read_back_and_a_changed_byte_is_noticed() {
        let canonical = Canonical::of(&json!({"b": 1, "a": [true, null]})).unwrap();
        let mut stored = encode_document(3, &canonical);
        let found = |stored: &[u8]| KeyValue {
            key: b"id".as_slice().into(),
            value: stored.into(),
            lsn: Lsn(9),
            time: Timestamp(4),
        };
        let document = Document::from_stored(&found(&stored)).unwrap();
        assert_eq!((document.rev, document.canonical()), (3, &b"{\"a\":[true,null],\"b\":1}"[..]));
        assert!(document.is_intact());
        *stored.last_mut().unwrap() ^= 1;
        assert!(!Document::from_stored(&found(&stored)).unwrap().is_intact());
        assert_eq!(
            Document::from_stored(&found(&stored[..40])).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}
