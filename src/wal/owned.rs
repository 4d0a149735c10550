//! A record of the log apart from the bytes it was read from.

use crate::base::SegmentNumber;

use super::format::RecordHeader;
use super::scan::Record;

/// A record that a reader gives out, with its payload copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The header.
    pub header: RecordHeader,
    /// The payload.
    pub payload: Vec<u8>,
    /// The segment it is in.
    pub segment: SegmentNumber,
    /// Its offset there.
    pub offset: u64,
}

impl OwnedRecord {
    /// The record as a borrowed one.
    #[must_use]
    pub fn borrowed(&self) -> Record<'_> {
        Record { header: self.header, payload: &self.payload, offset: self.offset }
    }
}
