//! Blocks and the footer of a table: `docs/format/table.md` in code.
//!
//! Pure. Changing anything here? Also the page, its version table and the golden files.

use crate::base::checksum::{crc32c, hash64_seeded};
use crate::base::codec::{Cursor, Malformed, is_zero, narrow, to_u64, widen};
use crate::base::{Lsn, StoreId, Timestamp};
use crate::wal::format::Layout;
use crate::wal::header::HeaderFault;
use crate::wal::version::{check, check_features};

/// Bytes before a block's payload.
pub const BLOCK_HEADER: usize = 16;
/// Bytes of the footer.
pub const FOOTER: usize = 256;

/// First bytes of the footer.
pub const MAGIC: &[u8; 8] = b"JIDOKTBL";
const VERSION: u32 = 1;
const CHECKSUM: usize = 252;
const CODEC_NONE: u8 = 0;

/// The tables of the page, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    (
        "Block",
        &[("hash", 0, 8), ("length", 8, 4), ("kind", 12, 1), ("codec", 13, 1), ("reserved", 14, 2)],
    ),
    ("Entry", &[("lsn", 0, 8), ("time", 8, 8)]),
    (
        "Index payload",
        &[("offset", 0, 8), ("length", 8, 4), ("keyspace", 12, 4), ("key_length", 16, 4)],
    ),
    (
        "Footer",
        &[
            ("magic", 0, 8),
            ("version", 8, 4),
            ("compatible", 12, 4),
            ("read_compatible", 16, 4),
            ("incompatible", 20, 4),
            ("store_id", 24, 16),
            ("table", 40, 8),
            ("entries", 48, 8),
            ("keys", 56, 8),
            ("deletions", 64, 8),
            ("key_bytes", 72, 8),
            ("value_bytes", 80, 8),
            ("first_lsn", 88, 8),
            ("last_lsn", 96, 8),
            ("first_time", 104, 8),
            ("last_time", 112, 8),
            ("filter_offset", 120, 8),
            ("index_offset", 128, 8),
            ("filter_length", 136, 4),
            ("index_length", 140, 4),
            ("reserved", 144, 108),
            ("checksum", CHECKSUM, 4),
        ],
    ),
];

/// What a block holds.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Versions of keys.
    Data,
    /// Which keys are not in the table.
    Filter,
    /// Where the data blocks are.
    Index,
}

impl BlockKind {
    const fn number(self) -> u8 {
        match self {
            Self::Data => 1,
            Self::Filter => 2,
            Self::Index => 3,
        }
    }
}

/// Where a block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockPlace {
    /// The table's number.
    pub table: u64,
    /// Offset in its file.
    pub offset: u64,
}

impl BlockPlace {
    const fn seed(self) -> u64 {
        self.table.rotate_left(40) ^ self.offset
    }
}

/// Appends the block with this payload.
///
/// # Panics
/// If the payload is 4 GiB or longer; it is a value, or ends soon after the block size.
pub fn put_block(out: &mut Vec<u8>, place: BlockPlace, kind: BlockKind, payload: &[u8]) {
    let mut rest = [0; 8];
    let [length @ .., block_kind, codec, _, _] = &mut rest;
    *length = narrow(payload.len()).to_le_bytes();
    (*block_kind, *codec) = (kind.number(), CODEC_NONE);
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&rest);
    out.extend_from_slice(payload);
    let block = out.get_mut(start..).unwrap_or_default();
    if let Some((hash, rest)) = block.split_first_chunk_mut() {
        *hash = hash64_seeded(place.seed(), rest).to_le_bytes();
    }
}

/// Checks that `block` is the whole block of this kind at this place; its payload stands behind
/// the header.
///
/// # Errors
/// What is wrong with it.
pub fn check_block(block: &[u8], place: BlockPlace, kind: BlockKind) -> Result<(), &'static str> {
    const SHORT: &str = "the block is cut short";
    let (hash, rest) = block.split_first_chunk::<8>().ok_or(SHORT)?;
    let (fields, payload) = rest.split_first_chunk::<8>().ok_or(SHORT)?;
    if hash64_seeded(place.seed(), rest).to_le_bytes() != *hash {
        return Err("the block's hash does not match");
    }
    let [length @ .., found, codec, 0, 0] = *fields else {
        return Err("a reserved byte of the block is not zero");
    };
    if widen(u32::from_le_bytes(length)) != payload.len() {
        return Err("the block has another length than the index says");
    }
    if found != kind.number() {
        return Err("the block is of another kind than the index says");
    }
    if codec != CODEC_NONE {
        return Err("the block is compressed in a way this version does not know; upgrade");
    }
    Ok(())
}

/// What is in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Versions.
    pub entries: u64,
    /// Different keys.
    pub keys: u64,
    /// Versions that are deletions.
    pub deletions: u64,
    /// Bytes of the keys of all versions.
    pub key_bytes: u64,
    /// Bytes of the values of all versions.
    pub value_bytes: u64,
    /// The lowest and the highest LSN.
    pub lsns: (Lsn, Lsn),
    /// The lowest and the highest time.
    pub times: (Timestamp, Timestamp),
}

/// The last bytes of a table: what it is, and where its parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// The store that made it.
    pub store_id: StoreId,
    /// Its number.
    pub table: u64,
    /// What is in it.
    pub contents: Contents,
    /// Where the filter block begins; the data ends there.
    pub filter_offset: u64,
    /// Where the index block begins.
    pub index_offset: u64,
    /// Bytes of the filter's payload.
    pub filter_length: u32,
    /// Bytes of the index's payload.
    pub index_length: u32,
}

impl Footer {
    /// The footer's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Contents { entries, keys, deletions, key_bytes, value_bytes, lsns, times } =
            self.contents;
        let mut bytes = Vec::with_capacity(FOOTER);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 12]); // no features yet
        bytes.extend_from_slice(&self.store_id.0);
        let counts = [self.table, entries, keys, deletions, key_bytes, value_bytes];
        let ranges = [lsns.0.0, lsns.1.0, times.0.0, times.1.0];
        let places = [self.filter_offset, self.index_offset];
        for number in counts.iter().chain(&ranges).chain(&places) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.filter_length.to_le_bytes());
        bytes.extend_from_slice(&self.index_length.to_le_bytes());
        bytes.resize(CHECKSUM, 0);
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the footer of a file of `file_bytes` bytes.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, HeaderFault> {
        const SHORT: HeaderFault = HeaderFault::Damaged("the table's footer is cut short");
        let mut cursor = Cursor::new(bytes);
        let (magic, version, features) = Self::decode_version(&mut cursor).map_err(|_| SHORT)?;
        let footer = Self::decode_fields(&mut cursor).map_err(|_| SHORT)?;
        let reserved = cursor.bytes(CHECKSUM - 144).map_err(|_| SHORT)?;
        let checksum = cursor.u32().map_err(|_| SHORT)?;
        cursor.finish().map_err(|_| HeaderFault::Damaged("the table's footer is too long"))?;
        if &magic != MAGIC {
            return Err(HeaderFault::Damaged("the table's footer does not begin with JIDOKTBL"));
        }
        if crc32c(bytes.get(..CHECKSUM).unwrap_or_default()) != checksum {
            return Err(HeaderFault::Damaged("the checksum of the table's footer does not match"));
        }
        // Only an intact footer can be trusted when it says that it is newer.
        let [_compatible, read_compatible, incompatible] = features;
        check(version, VERSION)?;
        check_features(read_compatible | incompatible)?;
        if !is_zero(reserved) || !footer.fits(file_bytes) {
            return Err(HeaderFault::Damaged("the table's footer holds impossible values"));
        }
        Ok(footer)
    }

    fn decode_version(cursor: &mut Cursor<'_>) -> Result<([u8; 8], u32, [u32; 3]), Malformed> {
        let (magic, version) = (cursor.array()?, cursor.u32()?);
        Ok((magic, version, [cursor.u32()?, cursor.u32()?, cursor.u32()?]))
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let (store_id, table) = (StoreId(cursor.array()?), cursor.u64()?);
        let contents = Contents {
            entries: cursor.u64()?,
            keys: cursor.u64()?,
            deletions: cursor.u64()?,
            key_bytes: cursor.u64()?,
            value_bytes: cursor.u64()?,
            lsns: (Lsn(cursor.u64()?), Lsn(cursor.u64()?)),
            times: (Timestamp(cursor.u64()?), Timestamp(cursor.u64()?)),
        };
        let (filter_offset, index_offset) = (cursor.u64()?, cursor.u64()?);
        let (filter_length, index_length) = (cursor.u32()?, cursor.u32()?);
        Ok(Self {
            store_id,
            table,
            contents,
            filter_offset,
            index_offset,
            filter_length,
            index_length,
        })
    }

    /// Whether the parts follow each other up to the footer, and the ranges are ranges.
    fn fits(&self, file_bytes: u64) -> bool {
        let block = |length: u32| to_u64(BLOCK_HEADER) + u64::from(length);
        let filter_end = self.filter_offset.checked_add(block(self.filter_length));
        let index_end = self.index_offset.checked_add(block(self.index_length));
        let Contents { entries, keys, deletions, lsns, times, .. } = self.contents;
        filter_end == Some(self.index_offset)
            && index_end.and_then(|end| end.checked_add(to_u64(FOOTER))) == Some(file_bytes)
            && (keys <= entries && deletions <= entries && keys > 0)
            && (lsns.0 <= lsns.1 && times.0 <= times.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::version::NEWER;

    fn footer() -> Footer {
        let contents = Contents {
            entries: 5,
            keys: 4,
            deletions: 1,
            key_bytes: 50,
            value_bytes: 500,
            lsns: (Lsn(3), Lsn(9)),
            times: (Timestamp(30), Timestamp(90)),
        };
        Footer {
            store_id: StoreId([7; 16]),
            table: 3,
            contents,
            filter_offset: 1000,
            index_offset: 1048,
            filter_length: 32,
            index_length: 40,
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_of_a_footer_is_noticed() {
        let (bytes, file_bytes) = (footer().encode(), 1048 + 56 + 256);
        assert_eq!(Footer::decode(&bytes, file_bytes), Ok(footer()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Footer::decode(&flipped, file_bytes).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Footer::decode(&bytes[..len], file_bytes).is_err(), "{len} bytes");
        }
        assert!(Footer::decode(&bytes, file_bytes + 1).is_err());
    }

    #[test]
    fn a_newer_footer_is_told_as_newer_only_when_it_is_intact() {
        let mut bytes = footer().encode();
        bytes[8] = 2;
        assert!(matches!(Footer::decode(&bytes, 1360), Err(HeaderFault::Damaged(_))));
        let checksum = crc32c(&bytes[..CHECKSUM]);
        bytes[CHECKSUM..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Footer::decode(&bytes, 1360), Err(HeaderFault::Unsupported(NEWER)));
    }

    #[test]
    fn a_block_verifies_only_whole_and_where_it_belongs() {
        let place = BlockPlace { table: 3, offset: 4096 };
        let mut block = Vec::new();
        put_block(&mut block, place, BlockKind::Data, b"payload");
        assert_eq!(check_block(&block, place, BlockKind::Data), Ok(()));
        for bit in 0..block.len() * 8 {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(check_block(&flipped, place, BlockKind::Data).is_err(), "bit {bit}");
        }
        for len in 0..block.len() {
            assert!(check_block(&block[..len], place, BlockKind::Data).is_err(), "{len} bytes");
        }
        let elsewhere =
            [BlockPlace { table: 4, offset: 4096 }, BlockPlace { table: 3, offset: 8192 }];
        for place in elsewhere {
            assert!(check_block(&block, place, BlockKind::Data).is_err());
        }
        assert!(check_block(&block, place, BlockKind::Index).is_err());
    }
}
