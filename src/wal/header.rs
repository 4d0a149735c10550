//! The header page of a segment: `docs/format/wal.md` in code, and nothing else.
//!
//! Pure. Changing anything here? Also the page, its version table and the golden files.

use crate::base::checksum::crc32c;
use crate::base::codec::{Cursor, Malformed, is_zero};
use crate::base::limits::PAGE;
use crate::base::{SegmentNumber, StoreId};

use super::format::{Layout, Salt, VERSION};
use super::version::{check, check_features};

pub(crate) const MAGIC: &[u8; 8] = b"JIDOKWAL";

/// Bytes of the header that hold fields, the smallest unit a disk writes whole; the rest of its
/// page is zero.
const FIELDS: usize = 512;
const CHECKSUM: usize = 508;

/// The table of the page, for the test that compares it.
pub const LAYOUTS: &[Layout] = &[(
    "Segment header",
    &[
        ("magic", 0, 8),
        ("version", 8, 4),
        ("compatible", 12, 4),
        ("read_compatible", 16, 4),
        ("incompatible", 20, 4),
        ("store_id", 24, 16),
        ("segment", 40, 8),
        ("segment_bytes", 48, 8),
        ("salt", 56, 8),
        ("former", 64, 8),
        ("reserved", 72, 436),
        ("checksum", CHECKSUM, 4),
    ],
)];

/// What the header page of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store the segment belongs to.
    pub store_id: StoreId,
    /// Its number.
    pub segment: SegmentNumber,
    /// Its full size.
    pub segment_bytes: u64,
    /// Its salt.
    pub salt: Salt,
    /// The segment this file was before; 0 when it was made full of zeroes.
    pub former: SegmentNumber,
    /// Features that a writer must know, and a reader need not. This build knows none: it writes 0,
    /// and appends only where it finds 0.
    pub read_compatible: u32,
}

/// Why a header page is not one of ours to read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Not what was written.
    Damaged(&'static str),
    /// Intact, but of a version this build does not read, or with a feature it lacks; one of the
    /// sentences of [`version`](super::version).
    Unsupported(&'static str),
}

impl SegmentHeader {
    /// The header page.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut page = Vec::with_capacity(PAGE);
        page.extend_from_slice(MAGIC);
        page.extend_from_slice(&VERSION.to_le_bytes());
        page.extend_from_slice(&[0; 4]); // nothing that anyone may ignore yet
        page.extend_from_slice(&self.read_compatible.to_le_bytes());
        page.extend_from_slice(&[0; 4]); // nor that every reader must know
        page.extend_from_slice(&self.store_id.0);
        page.extend_from_slice(&self.segment.0.to_le_bytes());
        page.extend_from_slice(&self.segment_bytes.to_le_bytes());
        page.extend_from_slice(&self.salt.0.to_le_bytes());
        page.extend_from_slice(&self.former.0.to_le_bytes());
        page.resize(CHECKSUM, 0);
        page.extend_from_slice(&crc32c(&page).to_le_bytes());
        page.resize(PAGE, 0);
        page
    }

    /// Reads a header page.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(page: &[u8]) -> Result<Self, HeaderFault> {
        const SHORT: HeaderFault = HeaderFault::Damaged("the header page is cut short");
        let (fields, rest) = page.split_at_checked(FIELDS).ok_or(SHORT)?;
        if rest.len() != PAGE - FIELDS {
            return Err(SHORT);
        }
        let mut cursor = Cursor::new(fields);
        let mut read = || -> Result<_, Malformed> {
            let magic = cursor.array::<8>()?;
            let version = cursor.u32()?;
            let (_compatible, read_compatible) = (cursor.u32()?, cursor.u32()?);
            let incompatible = cursor.u32()?;
            let header = Self {
                store_id: StoreId(cursor.array()?),
                segment: SegmentNumber(cursor.u64()?),
                segment_bytes: cursor.u64()?,
                salt: Salt(cursor.u64()?),
                former: SegmentNumber(cursor.u64()?),
                read_compatible,
            };
            let reserved = cursor.bytes(CHECKSUM - 72)?;
            Ok((magic, (version, incompatible), header, reserved, cursor.u32()?))
        };
        let (magic, needs, header, reserved, checksum) = read().map_err(|_| SHORT)?;
        if &magic != MAGIC {
            return Err(HeaderFault::Damaged("the header page does not begin with JIDOKWAL"));
        }
        if crc32c(fields.get(..CHECKSUM).unwrap_or_default()) != checksum {
            return Err(HeaderFault::Damaged("the header checksum does not match"));
        }
        // Only an intact header can be trusted when it says that it is newer.
        check(needs.0, VERSION)?;
        check_features(needs.1)?;
        if !is_zero(reserved) || !is_zero(rest) || header.salt == Salt(0) {
            return Err(HeaderFault::Damaged("a reserved byte of the header page is not zero"));
        }
        if header.former >= header.segment && header.former != SegmentNumber(0) {
            return Err(HeaderFault::Damaged("the segment's file was a later segment before"));
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::super::version::{NEWER, UNRELEASED};
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_segment_header_page_is_noticed() {
        let header = SegmentHeader {
            store_id: StoreId([7; 16]),
            segment: SegmentNumber(3),
            segment_bytes: 8192,
            salt: Salt(99),
            former: SegmentNumber(2),
            read_compatible: 0,
        };
        let mut page = header.encode();
        assert_eq!(SegmentHeader::decode(&page), Ok(header));
        for bit in 0..PAGE * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&page).is_err(), "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn an_intact_header_of_another_version_is_told_apart_from_damage() {
        let header = SegmentHeader {
            store_id: StoreId([7; 16]),
            segment: SegmentNumber(3),
            segment_bytes: 8192,
            salt: Salt(99),
            former: SegmentNumber(2),
            read_compatible: 0,
        };
        for (version, what) in [(0, UNRELEASED), (2, NEWER)] {
            let mut page = header.encode();
            page[8] = version;
            assert!(matches!(SegmentHeader::decode(&page), Err(HeaderFault::Damaged(_))));
            let checksum = crc32c(&page[..CHECKSUM]).to_le_bytes();
            page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum);
            assert_eq!(SegmentHeader::decode(&page), Err(HeaderFault::Unsupported(what)));
        }
    }

    #[test]
    fn a_feature_that_must_be_understood_is_newer_and_one_that_need_not_be_is_read() {
        let header = SegmentHeader {
            store_id: StoreId([7; 16]),
            segment: SegmentNumber(3),
            segment_bytes: 8192,
            salt: Salt(99),
            former: SegmentNumber(2),
            read_compatible: 0,
        };
        let changed = |at: usize, salt| {
            let mut page = SegmentHeader { salt, ..header }.encode();
            page[at] ^= 1;
            let checksum = crc32c(&page[..CHECKSUM]).to_le_bytes();
            page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum);
            SegmentHeader::decode(&page)
        };
        assert_eq!(changed(12, Salt(99)), Ok(header), "compatible");
        let for_readers = SegmentHeader { read_compatible: 1, ..header };
        assert_eq!(changed(16, Salt(99)), Ok(for_readers), "read_compatible");
        let refused = Err(HeaderFault::Unsupported(NEWER));
        assert_eq!(changed(20, Salt(99)), refused, "incompatible");
        assert!(matches!(changed(64, Salt(99)), Err(HeaderFault::Damaged(_))), "former");
        assert!(matches!(changed(72, Salt(99)), Err(HeaderFault::Damaged(_))), "reserved");
        assert!(matches!(changed(507, Salt(99)), Err(HeaderFault::Damaged(_))), "reserved");
        assert!(matches!(changed(12, Salt(0)), Err(HeaderFault::Damaged(_))), "no salt");
        let page = header.encode();
        for len in [0, FIELDS - 1, FIELDS, PAGE - 1] {
            assert!(SegmentHeader::decode(&page[..len]).is_err(), "{len} bytes");
        }
        assert!(SegmentHeader::decode(&[&page[..], &[0]].concat()).is_err(), "a byte too many");
    }
}
