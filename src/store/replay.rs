//! Replay: the tree is built at open by sorting what the log says, not by inserting it.
//!
//! To insert keys one by one, in the order in which they were once written, is to miss the cache
//! at every level of the tree for each of them. So the entries are collected as they come, sorted
//! by keyspace and key, and the tree is built from them in one go. Sorting is stable: of the
//! entries of a key the last is the newest, and it alone is kept.
//!
//! What comes out is what inserting would have given once deleted keys were forgotten (L5). With
//! the feature `sim` every small log is replayed both ways and the results are compared.

use std::cmp::Ordering;

use crate::base::plant::{Plant, is_planted};
use crate::base::{KeyspaceId, Lsn, Result, Version};
use crate::wal::format::{Kind, RecordHeader};
use crate::wal::scan::Record;
use crate::wal::{CheckpointMark, Truncations};

use super::directory::Directory;
use super::format::{Change, decode};
use super::insert::{Insert, keep_answer, undecodable};
use super::key::Key;
use super::memtable::{Memtable, value_len};
use super::requests::Requests;

/// Bytes of entries collected before older versions are looked for at all; few in tests, so that
/// their small logs come there, too.
const COLLECTED_BYTES_MIN: usize =
    if cfg!(any(test, feature = "sim")) { 4 << 10 } else { 64 << 20 };

/// The last thing that happened to a key, as far as the log was read.
#[derive(Debug)]
struct Entry {
    keyspace: KeyspaceId,
    key: Key,
    version: Version,
}

/// What the log has said so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Everything up to this commit is in tables.
    behind: Lsn,
    /// What the newest checkpoint's mark said.
    mark: Option<CheckpointMark>,
    entries: Vec<Entry>,
    /// Bytes of `entries`, with what their keys and values take.
    bytes: usize,
    /// So many of them were left when older versions were last let go of.
    bytes_kept: usize,
    requests: Requests,
    /// The truncations that were known from the start, and those that the log told.
    truncations: Truncations,
    met: Truncations,
    #[cfg(any(test, feature = "sim"))]
    inserted: super::inserted::Inserted,
}

impl Replay {
    /// On top of tables that hold everything up to `behind`.
    pub(super) fn behind(behind: Lsn) -> Self {
        Self {
            behind,
            #[cfg(any(test, feature = "sim"))]
            inserted: super::inserted::Inserted::new(behind > Lsn::ZERO),
            ..Self::default()
        }
    }

    /// The mark of the newest checkpoint that the log told of.
    pub(super) const fn mark(&self) -> Option<CheckpointMark> {
        self.mark
    }

    /// Takes the next record of the log; keyspaces go into `directory` at once.
    ///
    /// # Errors
    /// `Corrupt` and `Unsupported`, when a commit cannot be decoded.
    ///
    /// # Cost
    /// Memory: at most twice the newest version of every key, and 64 MiB.
    pub(super) fn take(&mut self, record: &Record<'_>, directory: &Directory) -> Result<()> {
        self.met.note(&record.header);
        if record.header.kind == Kind::Checkpoint {
            self.mark = CheckpointMark::decode(record.payload);
        }
        let is_commit = record.header.kind == Kind::Commit && record.header.lsn > self.behind;
        if !is_commit || self.passes_over(&record.header) {
            return Ok(());
        }
        let (lsn, time) = (record.header.lsn, record.header.time);
        let mut decoded = decode(record.payload).map_err(|fault| undecodable(fault, lsn))?;
        if is_planted(Plant::DeletionNotReplayed) {
            decoded.entries.retain(|entry| matches!(entry.change, Change::Put(_)));
        }
        if is_planted(Plant::RequestsNotReplayed) {
            decoded.request = None;
        }
        for insert in decoded.entries.iter().copied().map(Insert::from) {
            let keyspace = insert.keyspace;
            let (key, version) = insert.version((lsn, time), directory);
            self.bytes += size_of::<Entry>() + key.len() + value_len(&version);
            self.entries.push(Entry { keyspace, key, version });
        }
        if let Some(request) = decoded.request {
            keep_answer(request, (lsn, time), &mut self.requests);
        }
        #[cfg(any(test, feature = "sim"))]
        self.inserted.take(&decoded, (lsn, time));
        if self.bytes > COLLECTED_BYTES_MIN.max(2 * self.bytes_kept) {
            self.forget_older();
        }
        Ok(())
    }

    /// Whether the commit is no history, or is taken again by whoever knows that.
    fn passes_over(&self, header: &RecordHeader) -> bool {
        let unknown = self.truncations.is_empty() && !self.met.is_empty();
        unknown || self.truncations.take_back(header)
    }

    /// What must take the whole log once more, because it told of truncations that this did not
    /// know: what it had let go of by then cannot be brought back.
    pub(super) fn again(&self) -> Option<Self> {
        let truncations = self.met.clone();
        (truncations != self.truncations).then(|| Self {
            truncations,
            mark: self.mark,
            ..Self::behind(self.behind)
        })
    }

    /// The tree after the last record, and the answers that are still kept.
    pub(super) fn finish(mut self) -> (Memtable, Requests) {
        self.forget_older();
        let sorted = self.entries.into_iter();
        let above = self.behind > Lsn::ZERO;
        let empty = if above { Memtable::above_others() } else { Memtable::default() };
        let memtable =
            empty.with_sorted(sorted.map(|entry| (entry.keyspace, entry.key, entry.version)));
        #[cfg(any(test, feature = "sim"))]
        self.inserted.assert_same(&memtable);
        (memtable, self.requests)
    }

    /// Sorts, and keeps of each key its newest version if that has a value, or hides one.
    ///
    /// What is sorted already stays so and is only merged with what came since.
    fn forget_older(&mut self) {
        self.entries.sort_by(compare);
        self.entries.dedup_by(|later, kept| {
            let same = compare(later, kept) == Ordering::Equal;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        let above = self.behind > Lsn::ZERO;
        self.entries.retain(|entry| above || entry.version.value.is_some());
        let bytes =
            |entry: &Entry| size_of::<Entry>() + entry.key.len() + value_len(&entry.version);
        self.bytes = self.entries.iter().map(bytes).sum();
        self.bytes_kept = self.bytes;
    }
}

fn compare(a: &Entry, b: &Entry) -> Ordering {
    (a.keyspace, &a.key).cmp(&(b.keyspace, &b.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seq, Term, Timestamp};
    use crate::store::format::{self, Origin};

    /// Replays a commit of one change of a key, with the number `lsn`.
    fn take(replay: &mut Replay, lsn: u64, key: &[u8], change: Change<'_>) {
        let entry = format::Entry { keyspace: KeyspaceId(1), key, change };
        let payload = format::encode(&Origin::default(), None, [entry].into_iter());
        let header = RecordHeader {
            length: u32::try_from(payload.len()).unwrap(),
            seq: Seq(lsn),
            lsn: Lsn(lsn),
            term: Term(1),
            leader: 0,
            kind: Kind::Commit,
            time: Timestamp(lsn),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        };
        let record = Record { header, payload: &payload, offset: 4096 };
        replay.take(&record, &Directory::default()).unwrap();
    }

    #[test]
    fn the_last_change_of_a_key_is_what_is_left_of_it() {
        let mut replay = Replay::default();
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"abcdefgh", b"abcdefghi", b"b"];
        for lsn in 1..600 {
            // Every key is put and deleted many times, and no two have the same last change.
            let key = keys[usize::try_from(lsn * lsn % 7 % 6).unwrap()];
            let value = [7; 40];
            let change = if lsn % 5 == 0 { Change::Delete(b"") } else { Change::Put(&value) };
            take(&mut replay, lsn, key, change);
        }
        // The comparison with what inserting gives is made here.
        let (memtable, _) = replay.finish();
        let newest = |key: &[u8]| memtable.get(KeyspaceId(1), key, Lsn::MAX).map(|one| one.lsn);
        let left: Vec<_> = keys.iter().map(|key| newest(key)).collect();
        // The first was deleted in the end, two were never written.
        let lsns = [None, Some(596), Some(599), None, Some(597), None];
        assert_eq!(left, lsns.map(|lsn| lsn.map(Lsn)));
    }

    #[test]
    fn what_is_collected_is_bounded_by_what_is_left() {
        let mut replay = Replay::default();
        for lsn in 1..2000 {
            take(&mut replay, lsn, &[u8::try_from(lsn % 4).unwrap()], Change::Put(&[1; 500]));
            assert!(replay.bytes < COLLECTED_BYTES_MIN + 600, "{} bytes at {lsn}", replay.bytes);
        }
        let (memtable, _) = replay.finish();
        assert_eq!(memtable.bytes(), 4 * 501);
    }
}
