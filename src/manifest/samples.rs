//! Tables and checkpoints for the tests of this floor.

use std::sync::Arc;

use super::change::{Change, Checkpoint, Key, ListedTable};
use crate::base::{KeyspaceId, Lsn, SegmentNumber, Seq, Term, Timestamp};
use crate::wal::scan::Position;

fn key(bytes: &str) -> Key {
    Key { keyspace: KeyspaceId(1), bytes: bytes.as_bytes().to_vec() }
}

/// A table whose newest version is 3.
pub(super) fn table(number: u64, level: u8, keys: (&str, &str)) -> ListedTable {
    ListedTable {
        number,
        level,
        file_bytes: 4096,
        file_hash: !number,
        entries: 5,
        tombstones: 1,
        data_bytes: 100,
        lsns: (Lsn(1), Lsn(3)),
        times: (Timestamp(1), Timestamp(3)),
        smallest: key(keys.0),
        largest: key(keys.1),
    }
}

/// The change that adds a table.
pub(super) fn add(number: u64, level: u8, keys: (&str, &str)) -> Change {
    Change::AddTable(Arc::new(table(number, level, keys)))
}

/// A checkpoint at a commit.
pub(super) fn checkpoint(lsn: u64) -> Change {
    let position = Position {
        seq: Seq(2 * lsn),
        lsn: Lsn(lsn),
        term: Term(1),
        chain: lsn * 7,
        time: Timestamp(lsn * 10),
    };
    Change::Checkpoint(Checkpoint { position, segment: SegmentNumber(lsn) })
}
