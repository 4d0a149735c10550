//! The identity file: who the store is. `docs/format/identity.md` in code.

use crate::base::checksum::crc32c;
use crate::base::codec::{Cursor, Malformed, narrow};
use crate::base::limits::{PAGE, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
use crate::base::{Lsn, StoreId, Term, Timestamp};

use super::format::Layout;
use super::header::HeaderFault;
use super::version::{check, check_features};

/// Name of the file in the store's directory.
pub const FILE_NAME: &str = "IDENTITY";
/// More ancestors than anyone restores, so that a forged count allocates little.
pub const ANCESTORS_MAX: u32 = 4096;
/// No identity file is longer.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

pub(crate) const MAGIC: &[u8; 8] = b"JIDOKAID";
/// Version this build writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// The tables of `docs/format/identity.md`, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    (
        "Identity",
        &[
            ("magic", 0, 8),
            ("version", 8, 4),
            ("incompatible", 12, 4),
            ("store_id", 16, 16),
            ("segment_bytes", 32, 8),
            ("term", 40, 8),
            ("created", 48, 8),
            ("ancestor_count", 56, 4),
        ],
    ),
    ("Ancestor", &[("store_id", 0, 16), ("up_to_lsn", 16, 8)]),
];

/// A store this one was restored from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The other store.
    pub store_id: StoreId,
    /// The last commit both share.
    pub up_to: Lsn,
}

/// Who a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its own id.
    pub store_id: StoreId,
    /// Size of its log segments.
    pub segment_bytes: u64,
    /// The era it writes in.
    pub term: Term,
    /// When it was made.
    pub created: Timestamp,
    /// Where its history comes from, oldest first.
    pub ancestors: Vec<Ancestor>,
}

/// Whether `bytes` is a legal segment size.
#[must_use]
pub const fn segment_bytes_are_legal(bytes: u64) -> bool {
    bytes >= SEGMENT_BYTES_MIN
        && bytes <= SEGMENT_BYTES_MAX
        && bytes.is_multiple_of(crate::base::codec::to_u64(PAGE))
}

impl Identity {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]); // no features yet
        bytes.extend_from_slice(&self.store_id.0);
        bytes.extend_from_slice(&self.segment_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.term.0.to_le_bytes());
        bytes.extend_from_slice(&self.created.0.to_le_bytes());
        bytes.extend_from_slice(&narrow(self.ancestors.len()).to_le_bytes());
        for ancestor in &self.ancestors {
            bytes.extend_from_slice(&ancestor.store_id.0);
            bytes.extend_from_slice(&ancestor.up_to.0.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        const CUT: HeaderFault = HeaderFault::Damaged("the identity file is cut short");
        let split = bytes.len().checked_sub(4).ok_or(CUT)?;
        let (body, checksum) = bytes.split_at_checked(split).ok_or(CUT)?;
        if !body.starts_with(MAGIC) {
            return Err(HeaderFault::Damaged("the identity file does not begin with JIDOKAID"));
        }
        if crc32c(body).to_le_bytes() != checksum {
            return Err(HeaderFault::Damaged("the identity file's checksum does not match"));
        }
        let mut cursor = Cursor::new(body);
        let (version, features) = Self::decode_version(&mut cursor).map_err(|_| CUT)?;
        check(version, VERSION)?;
        check_features(features)?;
        let identity = Self::decode_fields(&mut cursor)
            .map_err(|_| HeaderFault::Damaged("the identity file has a wrong length"))?;
        let term = identity.term.0;
        if !segment_bytes_are_legal(identity.segment_bytes) || term == 0 || term == u64::MAX {
            return Err(HeaderFault::Damaged("the identity file holds impossible values"));
        }
        Ok(identity)
    }

    fn decode_version(cursor: &mut Cursor<'_>) -> Result<(u32, u32), Malformed> {
        cursor.bytes(MAGIC.len())?;
        Ok((cursor.u32()?, cursor.u32()?))
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let mut identity = Self {
            store_id: StoreId(cursor.array()?),
            segment_bytes: cursor.u64()?,
            term: Term(cursor.u64()?),
            created: Timestamp(cursor.u64()?),
            ancestors: Vec::new(),
        };
        let count = cursor.u32()?;
        if count > ANCESTORS_MAX {
            return Err(cursor.malformed("too many ancestors"));
        }
        for _ in 0..count {
            let store_id = StoreId(cursor.array()?);
            identity.ancestors.push(Ancestor { store_id, up_to: Lsn(cursor.u64()?) });
        }
        cursor.finish()?;
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::super::version::{NEWER, UNRELEASED};
    use super::*;

    fn identity() -> Identity {
        Identity {
            store_id: StoreId([1; 16]),
            segment_bytes: 8192,
            term: Term(2),
            created: Timestamp(5),
            ancestors: vec![Ancestor { store_id: StoreId([2; 16]), up_to: Lsn(41) }],
        }
    }

    #[test]
    fn an_identity_is_read_back_and_every_flipped_bit_is_noticed() {
        let mut bytes = identity().encode();
        assert_eq!(Identity::decode(&bytes), Ok(identity()));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Identity::decode(&bytes).is_err(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn every_shortened_identity_is_refused() {
        let bytes = identity().encode();
        for len in 0..bytes.len() {
            assert!(Identity::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn a_segment_size_is_a_number_of_pages_between_the_limits() {
        let page = crate::base::codec::to_u64(PAGE);
        for bytes in [SEGMENT_BYTES_MIN, SEGMENT_BYTES_MIN + page, SEGMENT_BYTES_MAX] {
            assert!(segment_bytes_are_legal(bytes), "{bytes}");
        }
        for bytes in [
            0,
            SEGMENT_BYTES_MIN - page,
            SEGMENT_BYTES_MIN + 1,
            SEGMENT_BYTES_MAX - 1,
            SEGMENT_BYTES_MAX + page,
        ] {
            assert!(!segment_bytes_are_legal(bytes), "{bytes}");
        }
    }

    #[test]
    fn an_intact_identity_of_another_version_is_told_apart_from_an_impossible_one() {
        for (at, value, what) in [(8, 2, NEWER), (12, 1, NEWER), (8, 0, UNRELEASED)] {
            let mut bytes = identity().encode();
            bytes[at] = value;
            assert!(matches!(Identity::decode(&bytes), Err(HeaderFault::Damaged(_))));
            let body = bytes.len() - 4;
            let checksum = crc32c(&bytes[..body]).to_le_bytes();
            bytes[body..].copy_from_slice(&checksum);
            let told = Identity::decode(&bytes);
            assert_eq!(told, Err(HeaderFault::Unsupported(what)), "byte {at} is {value}");
        }
        for impossible in [
            Identity { segment_bytes: 8193, ..identity() },
            Identity { term: Term(0), ..identity() },
            Identity { term: Term(u64::MAX), ..identity() },
        ] {
            let decoded = Identity::decode(&impossible.encode());
            assert!(matches!(decoded, Err(HeaderFault::Damaged(_))), "{impossible:?}");
        }
    }

    #[test]
    fn the_most_ancestors_are_read_and_one_more_is_refused() {
        let ancestor = identity().ancestors[0];
        let of = |count: u32| Identity {
            ancestors: vec![ancestor; crate::base::codec::widen(count)],
            ..identity()
        };
        for count in [0, ANCESTORS_MAX] {
            assert_eq!(Identity::decode(&of(count).encode()), Ok(of(count)));
        }
        for count in [ANCESTORS_MAX + 1, ANCESTORS_MAX + 2] {
            assert!(Identity::decode(&of(count).encode()).is_err(), "{count}");
        }
    }
}
