//! What an edit says: its changes, and their bytes.
//!
//! Pure. Changing anything here? Also `docs/format/manifest.md` and its version table.

use std::sync::Arc;

use crate::base::codec::{Cursor, Malformed, narrow, widen};
use crate::base::{KeyspaceId, Lsn, SegmentNumber, Seq, Term, Timestamp};
use crate::wal::format::Layout;
use crate::wal::scan::Position;

/// Most changes of one record, so that forged bytes do not become many times their size.
pub(super) const CHANGES_MAX: usize = 1 << 18;
/// Bytes before the body of a change.
const HEADER: usize = 8;
/// Bytes of an `AddTable` body before its keys.
const KEYS: usize = 100;

pub(super) const HEADER_LAYOUT: Layout =
    ("Change", &[("change", 0, 1), ("reserved", 1, 3), ("length", 4, 4)]);
pub(super) const ADD_TABLE_LAYOUT: Layout = (
    "AddTable body",
    &[
        ("number", 0, 8),
        ("file_bytes", 8, 8),
        ("file_hash", 16, 8),
        ("entries", 24, 8),
        ("tombstones", 32, 8),
        ("data_bytes", 40, 8),
        ("first_lsn", 48, 8),
        ("last_lsn", 56, 8),
        ("first_time", 64, 8),
        ("last_time", 72, 8),
        ("level", 80, 1),
        ("reserved", 81, 3),
        ("smallest_keyspace", 84, 4),
        ("smallest_length", 88, 4),
        ("largest_keyspace", 92, 4),
        ("largest_length", KEYS - 4, 4),
    ],
);
pub(super) const REMOVE_TABLE_LAYOUT: Layout = ("RemoveTable body", &[("number", 0, 8)]);
pub(super) const CHECKPOINT_LAYOUT: Layout = (
    "Checkpoint body",
    &[
        ("lsn", 0, 8),
        ("seq", 8, 8),
        ("term", 16, 8),
        ("time", 24, 8),
        ("chain", 32, 8),
        ("segment", 40, 8),
    ],
);
pub(super) const DROP_KEYSPACE_LAYOUT: Layout =
    ("DropKeyspace body", &[("lsn", 0, 8), ("keyspace", 8, 4), ("reserved", 12, 4)]);
pub(super) const FORGET_KEYSPACE_LAYOUT: Layout =
    ("ForgetKeyspace body", &[("keyspace", 0, 4), ("reserved", 4, 4)]);
pub(super) const NEXT_TABLE_LAYOUT: Layout = ("NextTable body", &[("number", 0, 8)]);

/// A place in the order of the whole store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The key in it.
    pub bytes: Vec<u8>,
}

/// A table, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTable {
    /// Its number, never used for another.
    pub number: u64,
    /// Its level; ranges of keys may overlap in level 0 only.
    pub level: u8,
    /// Size of its file.
    pub file_bytes: u64,
    /// Hash of its whole file.
    pub file_hash: u64,
    /// Versions in it.
    pub entries: u64,
    /// Those of them that delete.
    pub tombstones: u64,
    /// Bytes of all keys and values.
    pub data_bytes: u64,
    /// Its oldest and its newest version.
    pub lsns: (Lsn, Lsn),
    /// Their commit times.
    pub times: (Timestamp, Timestamp),
    /// Its smallest key.
    pub smallest: Key,
    /// Its largest key.
    pub largest: Key,
}

/// Up to where tables hold everything: replay of the log starts behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the log stood.
    pub position: Position,
    /// The segment that was written there: replay may start with it.
    pub segment: SegmentNumber,
}

impl Checkpoint {
    /// Of a store whose log is replayed from its beginning.
    pub const ORIGIN: Self = Self { position: Position::ORIGIN, segment: SegmentNumber(1) };
}

/// One change of the list of tables.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The table is part of the store.
    AddTable(Arc<ListedTable>),
    /// The table with this number is not any more.
    RemoveTable(u64),
    /// Tables hold everything up to here.
    Checkpoint(Checkpoint),
    /// Versions of the keyspace up to this LSN are gone, though tables may still hold them.
    DropKeyspace(KeyspaceId, Lsn),
    /// No table holds them any more.
    ForgetKeyspace(KeyspaceId),
    /// Table numbers below this are used up.
    NextTable(u64),
}

/// Why a payload is not a list of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangeFault {
    /// Nobody writes that.
    Malformed(&'static str),
    /// A change this build does not know.
    Newer,
}

impl From<Malformed> for ChangeFault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.what)
    }
}

impl Change {
    const fn number(&self) -> u8 {
        match self {
            Self::AddTable(_) => 1,
            Self::RemoveTable(_) => 2,
            Self::Checkpoint(_) => 3,
            Self::DropKeyspace(..) => 4,
            Self::ForgetKeyspace(_) => 5,
            Self::NextTable(_) => 6,
        }
    }

    /// Bytes of an `AddTable` of `table`.
    pub(super) const fn table_bytes(table: &ListedTable) -> usize {
        HEADER + KEYS + table.smallest.bytes.len() + table.largest.bytes.len()
    }

    /// Bytes of a `DropKeyspace`.
    pub(super) const DROP_BYTES: usize = HEADER + 16;
    /// Bytes of a checkpoint and a `NextTable`: what a snapshot has at least.
    pub(super) const FIXED_BYTES: usize = HEADER + 48 + HEADER + 8;

    /// Appends the change.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[self.number(), 0, 0, 0, 0, 0, 0, 0]);
        match self {
            Self::AddTable(table) => encode_table(table, out),
            Self::RemoveTable(number) | Self::NextTable(number) => put(out, &[*number]),
            Self::Checkpoint(Checkpoint { position, segment }) => {
                let Position { seq, lsn, term, chain, time } = position;
                put(out, &[lsn.0, seq.0, term.0, time.0, *chain, segment.0]);
            }
            Self::DropKeyspace(keyspace, lsn) => put(out, &[lsn.0, u64::from(keyspace.0)]),
            Self::ForgetKeyspace(keyspace) => put(out, &[u64::from(keyspace.0)]),
        }
        let length = narrow(out.len() - start - HEADER).to_le_bytes();
        if let Some(field) = out.get_mut(start + 4..start + HEADER) {
            field.copy_from_slice(&length);
        }
    }

    /// The change that the cursor stands at.
    fn decode(cursor: &mut Cursor<'_>) -> Result<Self, ChangeFault> {
        let [change, reserved @ ..] = cursor.array::<4>()?;
        let body = cursor.sized()?;
        if reserved != [0; 3] {
            return Err(ChangeFault::Malformed("a reserved byte of a change is not zero"));
        }
        let mut body = Cursor::new(body);
        let change = match change {
            1 => Self::AddTable(Arc::new(decode_table(&mut body)?)),
            2 => Self::RemoveTable(body.u64()?),
            3 => Self::Checkpoint(decode_checkpoint(&mut body)?),
            4 => {
                let lsn = Lsn(body.u64()?);
                Self::DropKeyspace(decode_keyspace(&mut body)?, lsn)
            }
            5 => Self::ForgetKeyspace(decode_keyspace(&mut body)?),
            6 => Self::NextTable(body.u64()?),
            0 => return Err(ChangeFault::Malformed("a change is of no kind")),
            _ => return Err(ChangeFault::Newer),
        };
        body.finish()?;
        Ok(change)
    }
}

/// All changes of a payload, in their order.
///
/// # Errors
/// [`ChangeFault`]; never panics, and allocates no more than a few times the payload.
pub(super) fn decode_changes(payload: &[u8]) -> Result<Vec<Change>, ChangeFault> {
    let mut cursor = Cursor::new(payload);
    let mut changes = Vec::new();
    while cursor.remaining() > 0 {
        if changes.len() == CHANGES_MAX {
            return Err(ChangeFault::Malformed("there are too many changes"));
        }
        changes.push(Change::decode(&mut cursor)?);
    }
    Ok(changes)
}

fn put(out: &mut Vec<u8>, fields: &[u64]) {
    fields.iter().for_each(|field| out.extend_from_slice(&field.to_le_bytes()));
}

fn encode_table(table: &ListedTable, out: &mut Vec<u8>) {
    put(out, &[table.number, table.file_bytes, table.file_hash]);
    put(out, &[table.entries, table.tombstones, table.data_bytes]);
    put(out, &[table.lsns.0.0, table.lsns.1.0, table.times.0.0, table.times.1.0]);
    out.extend_from_slice(&[table.level, 0, 0, 0]);
    for key in [&table.smallest, &table.largest] {
        out.extend_from_slice(&key.keyspace.0.to_le_bytes());
        out.extend_from_slice(&narrow(key.bytes.len()).to_le_bytes());
    }
    out.extend_from_slice(&table.smallest.bytes);
    out.extend_from_slice(&table.largest.bytes);
}

fn decode_table(body: &mut Cursor<'_>) -> Result<ListedTable, Malformed> {
    let (number, file_bytes, file_hash) = (body.u64()?, body.u64()?, body.u64()?);
    let (entries, tombstones, data_bytes) = (body.u64()?, body.u64()?, body.u64()?);
    let lsns = (Lsn(body.u64()?), Lsn(body.u64()?));
    let times = (Timestamp(body.u64()?), Timestamp(body.u64()?));
    let [level, reserved @ ..] = body.array::<4>()?;
    if reserved != [0; 3] {
        return Err(body.malformed("a reserved byte of a table is not zero"));
    }
    let (smallest, smallest_length) = (KeyspaceId(body.u32()?), body.u32()?);
    let (largest, largest_length) = (KeyspaceId(body.u32()?), body.u32()?);
    let mut key = |keyspace, length| -> Result<_, Malformed> {
        Ok(Key { keyspace, bytes: body.bytes(widen(length))?.to_vec() })
    };
    let smallest = key(smallest, smallest_length)?;
    let largest = key(largest, largest_length)?;
    Ok(ListedTable {
        number,
        level,
        file_bytes,
        file_hash,
        entries,
        tombstones,
        data_bytes,
        lsns,
        times,
        smallest,
        largest,
    })
}

fn decode_checkpoint(body: &mut Cursor<'_>) -> Result<Checkpoint, Malformed> {
    let (lsn, seq, term) = (Lsn(body.u64()?), Seq(body.u64()?), Term(body.u64()?));
    let (time, chain) = (Timestamp(body.u64()?), body.u64()?);
    let segment = SegmentNumber(body.u64()?);
    if segment == SegmentNumber(0) {
        return Err(body.malformed("a checkpoint is in no segment"));
    }
    Ok(Checkpoint { position: Position { seq, lsn, term, chain, time }, segment })
}

fn decode_keyspace(body: &mut Cursor<'_>) -> Result<KeyspaceId, Malformed> {
    let (keyspace, reserved) = (KeyspaceId(body.u32()?), body.u32()?);
    if reserved == 0 {
        Ok(keyspace)
    } else {
        Err(body.malformed("a reserved byte of a keyspace is not zero"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let key = |bytes: &[u8]| Key { keyspace: KeyspaceId(3), bytes: bytes.to_vec() };
        let position = Position {
            seq: Seq(5),
            lsn: Lsn(4),
            term: Term(2),
            chain: u64::MAX - 9,
            time: Timestamp(88),
        };
        vec![
            Change::Checkpoint(Checkpoint { position, segment: SegmentNumber(6) }),
            Change::AddTable(Arc::new(ListedTable {
                number: 7,
                level: 1,
                file_bytes: 4096,
                file_hash: 0x0102_0304,
                entries: 10,
                tombstones: 2,
                data_bytes: 900,
                lsns: (Lsn(1), Lsn(4)),
                times: (Timestamp(10), Timestamp(20)),
                smallest: key(b""),
                largest: key(b"zz"),
            })),
            Change::RemoveTable(3),
            Change::DropKeyspace(KeyspaceId(9), Lsn(4)),
            Change::ForgetKeyspace(KeyspaceId(8)),
            Change::NextTable(20),
        ]
    }

    fn encoded(changes: &[Change]) -> Vec<u8> {
        let mut bytes = Vec::new();
        changes.iter().for_each(|change| change.encode(&mut bytes));
        bytes
    }

    #[test]
    fn changes_are_read_back_and_take_the_bytes_they_count() {
        assert_eq!(decode_changes(&encoded(&changes())), Ok(changes()));
        let [checkpoint, add, _, drop, _, next] = &changes()[..] else { unreachable!() };
        let Change::AddTable(table) = add else { unreachable!() };
        let len = |change: &Change| encoded(std::slice::from_ref(change)).len();
        assert_eq!(len(add), Change::table_bytes(table));
        assert_eq!(len(drop), Change::DROP_BYTES);
        assert_eq!(len(checkpoint) + len(next), Change::FIXED_BYTES);
    }

    #[test]
    fn whatever_the_bytes_are_they_are_read_or_refused_and_never_two_ways() {
        let bytes = encoded(&changes());
        let mut ends = vec![0];
        for change in changes() {
            ends.push(ends.last().unwrap() + encoded(&[change]).len());
        }
        for len in 0..bytes.len() {
            assert_eq!(decode_changes(&bytes[..len]).is_ok(), ends.contains(&len), "cut at {len}");
        }
        for (at, value) in (0..bytes.len()).flat_map(|at| [0, 1, 9, 0x80, 0xff].map(|to| (at, to)))
        {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(read) = decode_changes(&changed) {
                assert_eq!(encoded(&read), changed, "byte {at} is {value}");
            }
        }
    }

    #[test]
    fn a_change_that_is_not_known_is_newer_and_a_long_list_is_refused() {
        let mut bytes = encoded(&[Change::RemoveTable(3)]);
        bytes[0] = 7;
        assert_eq!(decode_changes(&bytes), Err(ChangeFault::Newer));
        bytes[0] = 0;
        assert!(matches!(decode_changes(&bytes), Err(ChangeFault::Malformed(_))));
        bytes[0] = 5;
        let many = |count: usize| {
            let mut bytes = Vec::new();
            (0..count).for_each(|_| Change::ForgetKeyspace(KeyspaceId(1)).encode(&mut bytes));
            decode_changes(&bytes)
        };
        assert!(many(CHANGES_MAX).is_ok());
        let what = "there are too many changes";
        assert_eq!(many(CHANGES_MAX + 1), Err(ChangeFault::Malformed(what)));
    }
}
