//! The salvage plan: what a salvage that has begun keeps of the log. Pure.

use crate::base::checksum::crc32c;
use crate::base::codec::{Cursor, Malformed};
use crate::base::{Lsn, SegmentNumber, StoreId, Term};
use crate::wal::format::Layout;
use crate::wal::header::HeaderFault;
use crate::wal::version::check;

/// Name of the file, in the log's directory.
pub const FILE_NAME: &str = "SALVAGE";
/// First bytes of the file.
pub const MAGIC: &[u8; 8] = b"JIDOSALV";
/// Version this build writes, and the newest it reads.
pub const VERSION: u32 = 1;
/// Bytes of the file.
pub(super) const FILE_BYTES: usize = 108;

/// The table of `docs/format/wal.md`, for the test that compares it.
pub const LAYOUTS: &[Layout] = &[(
    "Salvage plan",
    &[
        ("magic", 0, 8),
        ("version", 8, 4),
        ("reserved", 12, 4),
        ("store_id", 16, 16),
        ("quarantine", 32, 8),
        ("segment", 40, 8),
        ("keep_bytes", 48, 8),
        ("behind", 56, 8),
        ("term", 64, 8),
        ("kept", 72, 8),
        ("lost", 80, 8),
        ("lost_commits", 88, 8),
        ("lost_bytes", 96, 8),
        ("checksum", 104, 4),
    ],
)];

/// What is kept of the log, and what is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose log it is.
    pub store_id: StoreId,
    /// Number of the directory in quarantine.
    pub quarantine: u64,
    /// The segment of the cut; 0 when no segment is kept.
    pub segment: SegmentNumber,
    /// Bytes of it that are kept.
    pub keep_bytes: u64,
    /// Whether the segments behind it are kept too.
    pub keeps_behind: bool,
    /// The era that is written in from then on.
    pub term: Term,
    /// The last commit that is kept.
    pub kept: Lsn,
    /// The last commit known to be lost; that one if none is.
    pub lost: Lsn,
    /// Commits that are lost although their records are intact.
    pub lost_commits: u64,
    /// Bytes that are lost.
    pub lost_bytes: u64,
}

impl Plan {
    /// The file's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.store_id.0);
        let numbers = [
            self.quarantine,
            self.segment.0,
            self.keep_bytes,
            u64::from(self.keeps_behind),
            self.term.0,
            self.kept.0,
            self.lost.0,
            self.lost_commits,
            self.lost_bytes,
        ];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the file's bytes.
    ///
    /// # Errors
    /// [`HeaderFault`]; never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        const WRONG: HeaderFault = HeaderFault::Damaged("it is no plan that a salvage wrote");
        let (body, rest) = bytes.split_at_checked(FILE_BYTES - 4).ok_or(WRONG)?;
        if !body.starts_with(MAGIC) || !rest.starts_with(&crc32c(body).to_le_bytes()) {
            return Err(WRONG);
        }
        let mut cursor = Cursor::new(body);
        let version = Self::decode_version(&mut cursor).map_err(|_| WRONG)?;
        check(version, VERSION)?;
        let plan = Self::decode_fields(&mut cursor).ok().flatten();
        plan.filter(|_| bytes.len() == FILE_BYTES).ok_or(WRONG)
    }

    fn decode_version(cursor: &mut Cursor<'_>) -> Result<u32, Malformed> {
        cursor.bytes(MAGIC.len())?;
        cursor.u32()
    }

    fn decode_fields(cursor: &mut Cursor<'_>) -> Result<Option<Self>, Malformed> {
        let reserved = cursor.u32()?;
        let plan = Self {
            store_id: StoreId(cursor.array()?),
            quarantine: cursor.u64()?,
            segment: SegmentNumber(cursor.u64()?),
            keep_bytes: cursor.u64()?,
            keeps_behind: match cursor.u64()? {
                0 => false,
                1 => true,
                _ => return Ok(None),
            },
            term: Term(cursor.u64()?),
            kept: Lsn(cursor.u64()?),
            lost: Lsn(cursor.u64()?),
            lost_commits: cursor.u64()?,
            lost_bytes: cursor.u64()?,
        };
        Ok((reserved == 0).then_some(plan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::version::{NEWER, UNRELEASED};

    fn plan() -> Plan {
        Plan {
            store_id: StoreId([7; 16]),
            quarantine: 3,
            segment: SegmentNumber(4),
            keep_bytes: 5000,
            keeps_behind: true,
            term: Term(2),
            kept: Lsn(9),
            lost: Lsn(11),
            lost_commits: 1,
            lost_bytes: 99,
        }
    }

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for keeps_behind in [false, true] {
            let plan = Plan { keeps_behind, ..plan() };
            assert_eq!(plan.encode().len(), FILE_BYTES);
            assert_eq!(Plan::decode(&plan.encode()), Ok(plan));
        }
    }

    #[test]
    fn no_changed_bit_no_cut_and_no_other_version_is_taken_for_a_plan() {
        let is_damage = |told| matches!(told, Err(HeaderFault::Damaged(_)));
        let bytes = plan().encode();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(is_damage(Plan::decode(&changed)), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(is_damage(Plan::decode(&bytes[..len])), "{len} bytes");
        }
        assert!(is_damage(Plan::decode(&[&bytes[..], &[0]].concat())));
        let forged = |at: usize, value| {
            let mut forged = bytes[..FILE_BYTES - 4].to_vec();
            forged[at] = value;
            forged.extend_from_slice(&crc32c(&forged).to_le_bytes());
            forged
        };
        for (at, value) in [(12, 1), (56, 2)] {
            assert!(is_damage(Plan::decode(&forged(at, value))), "byte {at}");
        }
        for (version, what) in [(0, UNRELEASED), (2, NEWER)] {
            let told = Plan::decode(&[forged(8, version), vec![7; 9]].concat());
            assert_eq!(told, Err(HeaderFault::Unsupported(what)), "{version}");
        }
    }
}
