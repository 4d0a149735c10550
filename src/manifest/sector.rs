//! `CURRENT` and the header of a manifest: one sector each, which say the same.
//!
//! Pure. Changing anything here? Also `docs/format/manifest.md` and its version table.

use crate::base::StoreId;
use crate::base::checksum::crc32c;
use crate::base::codec::{Cursor, Malformed, is_zero, to_u64};
use crate::base::limits::{MANIFEST_PAYLOAD_BYTES_MAX, PAGE};
use crate::wal::format::Salt;
use crate::wal::header::HeaderFault;
use crate::wal::version::{check, check_features};

use super::format::record_bytes;

/// Version this build writes, and the newest it reads.
const VERSION: u32 = 1;
/// The smallest unit a disk writes whole.
pub(super) const SECTOR: usize = 512;
const CHECKSUM: usize = 508;
const FIELDS: usize = 64;

/// No manifest is shorter: a header page, a snapshot, and room for an edit.
pub(super) const FILE_BYTES_MIN: u64 = 3 * to_u64(PAGE);
/// No manifest is longer: a header page, the longest snapshot, and the longest edit.
pub(super) const FILE_BYTES_MAX: u64 = to_u64(PAGE) + 2 * record_bytes(MANIFEST_PAYLOAD_BYTES_MAX);

/// The fields of both tables of the page.
pub(super) const SECTOR_FIELDS: &[(&str, usize, usize)] = &[
    ("magic", 0, 8),
    ("version", 8, 4),
    ("compatible", 12, 4),
    ("read_compatible", 16, 4),
    ("incompatible", 20, 4),
    ("store_id", 24, 16),
    ("manifest", 40, 8),
    ("salt", 48, 8),
    ("file_bytes", 56, 8),
    ("reserved", FIELDS, CHECKSUM - FIELDS),
    ("checksum", CHECKSUM, 4),
];

/// Whose sector it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `CURRENT`.
    Current,
    /// The header of a manifest.
    Header,
}

impl Role {
    pub(super) const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Current => b"JIDOCURR",
            Self::Header => b"JIDOMANI",
        }
    }
}

/// Which manifest a sector tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sector {
    /// The store it belongs to.
    pub(super) store_id: StoreId,
    /// Its number.
    pub(super) manifest: u64,
    /// Its salt.
    pub(super) salt: Salt,
    /// Size of its file.
    pub(super) file_bytes: u64,
}

impl Sector {
    pub(super) fn encode(&self, role: Role) -> Vec<u8> {
        let mut sector = Vec::with_capacity(SECTOR);
        sector.extend_from_slice(role.magic());
        sector.extend_from_slice(&VERSION.to_le_bytes());
        sector.extend_from_slice(&[0; 12]); // no features yet
        sector.extend_from_slice(&self.store_id.0);
        for field in [self.manifest, self.salt.0, self.file_bytes] {
            sector.extend_from_slice(&field.to_le_bytes());
        }
        sector.resize(CHECKSUM, 0);
        sector.extend_from_slice(&crc32c(&sector).to_le_bytes());
        sector
    }

    /// Reads a sector.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub(super) fn decode(bytes: &[u8], role: Role) -> Result<Self, HeaderFault> {
        const SHORT: HeaderFault = HeaderFault::Damaged("it is not one sector long");
        if bytes.len() != SECTOR {
            return Err(SHORT);
        }
        let mut cursor = Cursor::new(bytes);
        let mut read = || -> Result<_, Malformed> {
            let (magic, version) = (cursor.array::<8>()?, cursor.u32()?);
            let (_compatible, others) = (cursor.u32()?, [cursor.u32()?, cursor.u32()?]);
            let sector = Self {
                store_id: StoreId(cursor.array()?),
                manifest: cursor.u64()?,
                salt: Salt(cursor.u64()?),
                file_bytes: cursor.u64()?,
            };
            let reserved = cursor.bytes(CHECKSUM - FIELDS)?;
            Ok((magic, (version, others), sector, reserved, cursor.u32()?))
        };
        let (magic, (version, [read_compatible, incompatible]), sector, reserved, checksum) =
            read().map_err(|_| SHORT)?;
        if &magic != role.magic() {
            return Err(HeaderFault::Damaged("it does not begin with its magic number"));
        }
        if crc32c(bytes.get(..CHECKSUM).unwrap_or_default()) != checksum {
            return Err(HeaderFault::Damaged("its checksum does not match"));
        }
        // Only an intact sector can be trusted when it says that it is newer.
        check(version, VERSION)?;
        check_features(read_compatible | incompatible)?;
        let size_is_legal = (FILE_BYTES_MIN..=FILE_BYTES_MAX).contains(&sector.file_bytes)
            && sector.file_bytes.is_multiple_of(to_u64(PAGE));
        let numbers = ![0, u64::MAX].contains(&sector.manifest) && sector.salt != Salt(0);
        if !is_zero(reserved) || !size_is_legal || !numbers {
            return Err(HeaderFault::Damaged("it holds impossible values"));
        }
        Ok(sector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::version::{NEWER, UNRELEASED};

    fn sector() -> Sector {
        let store_id = StoreId([7; 16]);
        Sector { store_id, manifest: 3, salt: Salt(99), file_bytes: FILE_BYTES_MIN }
    }

    #[test]
    fn a_sector_is_read_back_and_any_flipped_bit_or_missing_byte_is_noticed() {
        for (role, other) in [(Role::Current, Role::Header), (Role::Header, Role::Current)] {
            let bytes = sector().encode(role);
            assert_eq!(Sector::decode(&bytes, role), Ok(sector()));
            assert!(Sector::decode(&bytes, other).is_err());
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let decoded = Sector::decode(&flipped, role);
                assert!(matches!(decoded, Err(HeaderFault::Damaged(_))), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(Sector::decode(&bytes[..len], role).is_err(), "cut at {len}");
            }
            assert!(Sector::decode(&[&bytes[..], &[0]].concat(), role).is_err());
        }
    }

    #[test]
    fn what_is_newer_is_told_apart_from_what_is_impossible() {
        let changed = |at: usize, value: u64| {
            let mut bytes = sector().encode(Role::Current);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let checksum = crc32c(&bytes[..CHECKSUM]).to_le_bytes();
            bytes[CHECKSUM..].copy_from_slice(&checksum);
            Sector::decode(&bytes, Role::Current)
        };
        let version = u64::from(VERSION);
        assert_eq!(changed(8, version | 1 << 32), Ok(sector()), "compatible");
        assert_eq!(changed(8, version + 1), Err(HeaderFault::Unsupported(NEWER)));
        assert_eq!(changed(8, 0), Err(HeaderFault::Unsupported(UNRELEASED)));
        assert_eq!(changed(16, 1), Err(HeaderFault::Unsupported(NEWER)), "read_compatible");
        assert_eq!(changed(16, 1 << 32), Err(HeaderFault::Unsupported(NEWER)), "incompatible");
        for (at, value) in [
            (40, 0),
            (40, u64::MAX),
            (48, 0),
            (56, FILE_BYTES_MIN - 4096),
            (56, FILE_BYTES_MIN + 1),
            (56, FILE_BYTES_MAX + 4096),
            (64, 1),
        ] {
            assert!(matches!(changed(at, value), Err(HeaderFault::Damaged(_))), "{at}: {value}");
        }
        assert!(changed(56, FILE_BYTES_MAX).is_ok());
    }
}
