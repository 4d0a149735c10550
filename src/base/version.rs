//! One version of a key, as the tree and the tables hold it.

use super::bytes::Bytes;
use super::lsn::Lsn;
use super::time::Timestamp;

/// A value, cheap to clone.
pub type Value = Bytes;

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The commit that wrote it.
    pub lsn: Lsn,
    /// When.
    pub time: Timestamp,
    /// `None`: deleted.
    pub value: Option<Value>,
}
