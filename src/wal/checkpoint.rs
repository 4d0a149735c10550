//! What a checkpoint needs of the log: a place to stand, a mark, and to be begun behind.
//!
//! The log does not know what a checkpoint wrote. It gives a position between two appends, later
//! keeps durably which edit of the manifest holds everything up to there, and at the next open
//! replay may begin in that position's segment. That this is the same history is seen where the
//! position is passed: its chain must be the log's.

use crate::base::codec::Cursor;
use crate::base::{Error, ErrorKind, Lsn, Result, SegmentNumber};

use super::draft::Payload;
use super::format::{Kind, Layout, RecordFault, RecordHeader};
use super::log::Wal;
use super::room::Asks;
use super::scan::Position;

/// The table of the page, for the test that compares it.
pub(super) const LAYOUT: Layout =
    ("Checkpoint payload", &[("lsn", 0, 8), ("edit", 8, 8), ("edit_hash", 16, 8)]);

/// Says which edit of the manifest makes a part of the log unneeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointMark {
    /// Every commit up to here is in tables.
    pub lsn: Lsn,
    /// The number of the manifest's edit that says so.
    pub edit: u64,
    /// The hash of the manifest up to that edit.
    pub edit_hash: u64,
}

impl CheckpointMark {
    /// The payload of a `Checkpoint`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.lsn.0, self.edit, self.edit_hash].map(u64::to_le_bytes).concat()
    }

    /// Reads the payload of a `Checkpoint`; `None` if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let (lsn, edit) = (Lsn(cursor.u64().ok()?), cursor.u64().ok()?);
        let mark = Self { lsn, edit, edit_hash: cursor.u64().ok()? };
        cursor.finish().ok().map(|()| mark)
    }
}

/// Whether `payload` is what a `Checkpoint` with `header` carries.
pub(super) fn check(payload: &[u8], header: &RecordHeader) -> Result<(), RecordFault> {
    let mark = CheckpointMark::decode(payload).filter(|mark| mark.lsn <= header.lsn);
    let what = RecordFault::Invalid("the checkpoint's mark names a commit that is not there");
    mark.map_or(Err(what), |_| Ok(()))
}

/// A place between two records of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standpoint {
    /// The last record before it, with the last commit.
    pub position: Position,
    /// The segment that was written when it was the end of the log.
    pub segment: SegmentNumber,
}

impl Standpoint {
    /// What is wrong with a log that is at `lsn` with this chain.
    pub(super) fn compare(&self, lsn: Lsn, chain: u64) -> Result<()> {
        if lsn == self.position.lsn && chain != self.position.chain {
            let what = "the log and the manifest are of different histories: the log has another \
                        commit where the manifest's checkpoint is; restore a copy";
            return Err(Error::new(ErrorKind::Corrupt, what).at_lsn(lsn));
        }
        Ok(())
    }

    /// What is wrong with a log that begins behind `first` and ends with `last`.
    pub(super) fn refuse_outside(&self, first: Lsn, last: Lsn) -> Result<()> {
        let lsn = self.position.lsn;
        let what = if lsn < first {
            format!("the log begins after commit {first}, and the manifest's checkpoint is before")
        } else if lsn > last {
            format!("the log ends with commit {last}, and the manifest's checkpoint is behind it")
        } else {
            return Ok(());
        };
        let what = format!("{what}: commits between them are lost; restore a copy");
        Err(Error::new(ErrorKind::Corrupt, what).at_lsn(lsn))
    }
}

impl Wal {
    /// Calls `take` between two appends, with the place where it is.
    ///
    /// # Errors
    /// `Closed`, `Poisoned`.
    ///
    /// # Concurrency
    /// Holds the append lock meanwhile: `take` must be short and must not call the log.
    pub fn between_appends<T>(&self, take: impl FnOnce(&Standpoint) -> T) -> Result<T> {
        let state = self.shared.lock();
        state.refuse_if_stopped()?;
        let standpoint = Standpoint { position: state.position, segment: state.active.number };
        Ok(take(&standpoint))
    }

    /// Makes sure that the log does not end with a clean close, so that the next open looks at
    /// everything again: before anything beside the log is changed.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// As [`Wal::time_mark`].
    ///
    /// # Cost
    /// Two syncs, the first time after a clean open without commits; else none.
    pub fn begin_work(&self) -> Result<()> {
        let is_clean = self.shared.lock().clean;
        if is_clean { self.time_mark().map(|_time| ()) } else { Ok(()) }
    }

    /// Makes everything durable that was appended up to a standpoint, also records that are no
    /// commits: a checkpoint counts them.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// As [`Wal::sync`].
    ///
    /// # Cost
    /// One sync, shared with whoever commits at the same time; none if it was durable.
    pub fn sync_behind(&self, standpoint: &Standpoint) -> Result<()> {
        let mut state = self.shared.lock();
        state.refuse_if_stopped()?;
        // What is not durable is in the group that fills, or in one that ends before it.
        let is_durable = state.durable.seq >= standpoint.position.seq;
        if is_durable { Ok(()) } else { self.shared.sync_filling(&mut state) }
    }

    /// Lets no close of this life be a clean one, because something beside the log is in doubt.
    pub fn distrust(&self) {
        self.shared.lock().distrusted = true;
    }

    /// Bytes of the log up to here, counted from its first segment.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        let state = self.shared.lock();
        let before = state.active.number.0.saturating_sub(1);
        before.saturating_mul(self.shared.segments.segment_bytes).saturating_add(state.offset)
    }

    /// Remembers that everything up to a commit is in tables.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// As [`Wal::sync`], and `Full`, `Io` when the record finds no room.
    ///
    /// # Cost
    /// One sync, shared with whoever commits at the same time.
    pub fn save_checkpoint(&self, mark: &CheckpointMark) -> Result<()> {
        self.start_keeper();
        let payload = Payload::new(mark.encode());
        let mut state = self.shared.lock();
        self.shared.make_room(&mut state, payload.record_len(), Asks::Upkeep)?;
        state.put(Kind::Checkpoint, &payload);
        self.shared.sync_filling(&mut state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seq, Term, Timestamp};

    #[test]
    fn a_mark_comes_back_and_one_of_commits_to_come_is_refused() {
        let mark = CheckpointMark { lsn: Lsn(7), edit: 3, edit_hash: 99 };
        let bytes = mark.encode();
        assert_eq!(CheckpointMark::decode(&bytes), Some(mark));
        for len in (0..bytes.len()).chain([25]) {
            let mut other = bytes.clone();
            other.resize(len, 0);
            assert_eq!(CheckpointMark::decode(&other), None, "{len} bytes");
        }
        let header = |lsn| RecordHeader {
            length: 24,
            seq: Seq(9),
            lsn: Lsn(lsn),
            term: Term(1),
            leader: 0,
            kind: Kind::Checkpoint,
            time: Timestamp(1),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        };
        assert_eq!(check(&bytes, &header(7)), Ok(()));
        assert!(check(&bytes, &header(6)).is_err());
        assert!(check(&[], &header(7)).is_err());
    }

    #[test]
    fn a_standpoint_is_where_its_history_passes() {
        let position = Position { lsn: Lsn(5), chain: 50, ..Position::ORIGIN };
        let standpoint = Standpoint { position, segment: SegmentNumber(2) };
        assert!(standpoint.compare(Lsn(5), 50).is_ok());
        assert!(standpoint.compare(Lsn(6), 51).is_ok());
        assert_eq!(standpoint.compare(Lsn(5), 51).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(standpoint.refuse_outside(Lsn(5), Lsn(5)).is_ok());
        for (first, last) in [(6, 9), (0, 4)] {
            let told = standpoint.refuse_outside(Lsn(first), Lsn(last)).unwrap_err();
            assert_eq!((told.kind(), told.place().lsn), (ErrorKind::Corrupt, Some(Lsn(5))));
        }
    }
}
