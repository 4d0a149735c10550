//! What lies behind the last valid record of a segment, which decides whether it is continued.
//!
//! Pure. In a file that was made full of zeroes, anything else is what a torn write left. A file
//! that was used before is full of what was there then, so there only a record header of this
//! life of the file counts: without one, nothing of this life can come back once the log has
//! grown up to it (trap 3). Half a header that stays behind is no header, and becomes the old one
//! only by bytes that say the same.

use crate::base::SegmentNumber;
use crate::base::codec::{len_without_zeroes, to_u64, to_usize};
use crate::base::limits::PAGE;

use super::format::{ALIGN, RECORD_HEADER, RecordFault, RecordHeader, Salt};
use super::header::SegmentHeader;
use super::scan::may_be_header;

/// How many bytes from `end` on a torn write of this life may have left in the segment `bytes`;
/// zero if none.
#[must_use]
pub fn torn_bytes(bytes: &[u8], end: u64) -> u64 {
    let rest = bytes.get(to_usize(end)..).unwrap_or_default();
    match SegmentHeader::decode(bytes.get(..PAGE).unwrap_or_default()) {
        Ok(header) if header.former != SegmentNumber(0) => after_last_header(rest, end, &header),
        _ => to_u64(len_without_zeroes(rest)),
    }
}

/// The end of the last record of this life that has its header, counted from `end`.
fn after_last_header(rest: &[u8], end: u64, header: &SegmentHeader) -> u64 {
    last_record_end(rest, end, header.salt).saturating_sub(end).min(to_u64(rest.len()))
}

/// Where the last record of the life `salt` ends whose header is in `bytes`, which begin at
/// `start` of their file; 0 if there is none.
pub(super) fn last_record_end(bytes: &[u8], start: u64, salt: Salt) -> u64 {
    let mut last = 0;
    let starts = bytes.windows(RECORD_HEADER).step_by(ALIGN);
    for (at, window) in (start..).step_by(ALIGN).zip(starts) {
        if !may_be_header(window) {
            continue;
        }
        let len = match RecordHeader::decode(window, salt, at) {
            Ok(header) => header.record_len(),
            // A record of this life, whatever it says.
            Err(RecordFault::Newer) => to_u64(RECORD_HEADER),
            Err(RecordFault::Invalid(_)) => continue,
        };
        last = last.max(at + len);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Lsn, Seq, StoreId, Term, Timestamp};
    use crate::wal::format::Kind;

    const END: u64 = 4096 + 80;

    /// A segment of 8 KiB that was segment `former` before.
    fn segment(former: u64) -> Vec<u8> {
        let header = SegmentHeader {
            store_id: StoreId([7; 16]),
            segment: SegmentNumber(9),
            segment_bytes: 8192,
            salt: Salt(90),
            former: SegmentNumber(former),
            read_compatible: 0,
        };
        let mut bytes = header.encode();
        bytes.resize(8192, 0);
        bytes
    }

    fn put(bytes: &mut [u8], at: u64, salt: u64) {
        let header = RecordHeader {
            length: 20,
            seq: Seq(3),
            lsn: Lsn(2),
            term: Term(1),
            leader: 0,
            kind: Kind::Commit,
            time: Timestamp(1),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        };
        let mut record = Vec::new();
        header.encode(Salt(salt), at, &mut record);
        bytes[to_usize(at)..to_usize(at) + RECORD_HEADER].copy_from_slice(&record);
    }

    #[test]
    fn in_a_fresh_file_every_byte_that_is_not_zero_is_torn() {
        let mut bytes = segment(0);
        assert_eq!(torn_bytes(&bytes, END), 0);
        bytes[5000] = 1;
        assert_eq!(torn_bytes(&bytes, END), 5001 - END);
        bytes[to_usize(END) - 1] = 1;
        assert_eq!(torn_bytes(&bytes, 5001), 0, "what is before the end does not count");
    }

    #[test]
    fn in_a_used_file_only_a_header_of_this_life_and_place_is_torn() {
        let mut bytes = segment(4);
        bytes[to_usize(END)..].fill(0xa5);
        put(&mut bytes, 4400, 91);
        assert_eq!(torn_bytes(&bytes, END), 0, "another life");
        put(&mut bytes, 4800, 90);
        assert_eq!(torn_bytes(&bytes, END), 4800 + 96 - END, "without its payload");
        put(&mut bytes, 8192 - 72, 90);
        assert_eq!(torn_bytes(&bytes, END), 8192 - END, "no further than the file");
        assert_eq!(torn_bytes(&bytes, 8192 - 64), 0);
    }
}
