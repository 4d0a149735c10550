//! What the intact records behind the damage say about the commits before it. Pure.
//!
//! A truncation may be what is damaged, or behind it: then commits that were taken back stand
//! before the cut with nothing that says so, and the next open would show them again. But whoever
//! was written later says which commit was the last then, by number and by chain; what stands
//! beyond that in the part that is kept was taken back, and is cut off too.

use crate::base::{Lsn, Seq};
use crate::wal::format::{Kind, RecordHeader, next_chain};
use crate::wal::scan::Position;

/// A fold over the intact records of a log, in order.
#[derive(Debug)]
pub(super) struct Behind {
    /// The last record before the damage.
    kept: Seq,
    /// Records behind it so far.
    seen: u64,
    /// The commit that was the last when `witness` was written: the lowest of all.
    floor: Lsn,
    /// The last record that says so, and how many of those before it are lost.
    witness: Option<(RecordHeader, u64)>,
    /// Intact commits that are still history, first and last of each row of them.
    intact: Vec<(Lsn, Lsn)>,
    /// The last commit of the history, as the last record has it.
    last: Lsn,
}

impl Behind {
    /// Of a log that is whole up to `kept`.
    pub(super) const fn new(kept: &Position) -> Self {
        Self {
            kept: kept.seq,
            seen: 0,
            floor: kept.lsn,
            witness: None,
            intact: Vec::new(),
            last: kept.lsn,
        }
    }

    /// Takes the next intact record of the whole log.
    pub(super) fn take(&mut self, header: &RecordHeader) {
        if header.seq <= self.kept {
            return;
        }
        let takes = header.kind.takes_lsn();
        let before = if takes { Lsn(header.lsn.0.saturating_sub(1)) } else { header.lsn };
        if before <= self.floor {
            let lost = (header.seq.0 - self.kept.0 - 1).saturating_sub(self.seen);
            (self.floor, self.witness) = (before, Some((*header, lost)));
        }
        self.seen += 1;
        self.last = header.lsn;
        while let Some(row) = self.intact.last_mut().filter(|row| row.1 > before) {
            row.1 = before;
            if row.0 <= row.1 {
                break;
            }
            self.intact.pop();
        }
        if header.kind == Kind::Commit {
            match self.intact.last_mut() {
                Some(row) if row.1.next() == header.lsn => row.1 = header.lsn,
                _ => self.intact.push((header.lsn, header.lsn)),
            }
        }
    }

    /// No commit beyond this one, of those before the damage, is history.
    pub(super) const fn floor(&self) -> Lsn {
        self.floor
    }

    /// Where `kept`, the last commit before the cut, is not the one that was there at last: the
    /// last commit of which that can be believed.
    pub(super) fn contradicts(&self, kept: &Position) -> Option<Lsn> {
        let (header, lost) = self.witness.filter(|_| kept.lsn == self.floor)?;
        let chain =
            if header.kind.takes_lsn() { next_chain(kept.chain, &header) } else { kept.chain };
        // A truncation and what was committed again since are among the records that are lost, so
        // it went back no further than there are such.
        let furthest = Lsn((kept.lsn.0 + 1).saturating_sub(lost));
        let before = Lsn(kept.lsn.0.saturating_sub(1));
        (chain != header.chain).then_some(furthest.min(before))
    }

    /// The last commit of the history; that one of `kept` if none behind it is.
    pub(super) fn last(&self, kept: Lsn) -> Lsn {
        self.last.max(kept)
    }

    /// How many intact commits after `kept` are history.
    pub(super) fn commits_after(&self, kept: Lsn) -> u64 {
        let count =
            |(first, last): &(Lsn, Lsn)| (last.0 + 1).saturating_sub(first.0.max(kept.0 + 1));
        self.intact.iter().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::to_u64;
    use crate::base::{Term, Timestamp};

    /// A log of these records, where commits are told by their number and markers by a minus.
    fn log(records: &[i64]) -> (Vec<RecordHeader>, Vec<Position>) {
        let (mut position, mut headers, mut at) = (Position::ORIGIN, Vec::new(), vec![]);
        let mut history = vec![Position::ORIGIN];
        for record in records {
            let kind = if *record > 0 { Kind::Commit } else { Kind::TruncateAfter };
            let mut header = RecordHeader {
                length: 0,
                seq: position.seq.next(),
                lsn: Lsn(record.unsigned_abs()),
                term: Term(1),
                leader: 0,
                kind,
                // No two commits are the same.
                time: Timestamp(to_u64(headers.len()) + 1),
                chain: 0,
                payload_hash: 0,
                claim: Seq::ZERO,
            };
            if kind == Kind::Commit {
                assert_eq!(header.lsn, position.lsn.next());
                header.chain = next_chain(position.chain, &header);
            } else {
                history.truncate(usize::try_from(header.lsn.0).unwrap() + 1);
                header.chain = history.last().unwrap().chain;
            }
            position = Position::resume_after(&header);
            if kind == Kind::Commit {
                history.push(position);
            }
            headers.push(header);
            at.push(position);
        }
        (headers, at)
    }

    /// What is told of a log of which these records, by their index, are lost.
    fn told(records: &[i64], lost: std::ops::Range<usize>) -> (Lsn, Option<Lsn>, Lsn, u64) {
        let (headers, positions) = log(records);
        let kept = lost.start.checked_sub(1).map_or(Position::ORIGIN, |at| positions[at]);
        let mut behind = Behind::new(&kept);
        let all = headers.iter().enumerate().filter(|(at, _)| !lost.contains(at));
        all.for_each(|(_, header)| behind.take(header));
        let at_floor = positions[..lost.start].iter().rfind(|one| one.lsn <= behind.floor());
        let contradicted = at_floor.and_then(|kept| behind.contradicts(kept));
        let kept = contradicted.unwrap_or(behind.floor());
        (behind.floor(), contradicted, behind.last(kept), behind.commits_after(kept))
    }

    #[test]
    fn what_was_taken_back_is_told_by_whatever_was_written_later() {
        let lsn = Lsn;
        // Nothing was taken back.
        assert_eq!(told(&[1, 2, 3, 4], 2..3), (lsn(2), None, lsn(4), 1));
        assert_eq!(told(&[1, 2, 3, 4], 0..1), (lsn(0), None, lsn(4), 3));
        let log = [1, 2, 3, 4, 5, 6, -3, 4, 5];
        // The marker is lost, with what came after it, or with what came before.
        assert_eq!(told(&log, 6..7), (lsn(3), None, lsn(5), 2));
        assert_eq!(told(&log, 6..8), (lsn(4), Some(lsn(3)), lsn(5), 1));
        assert_eq!(told(&log, 5..7), (lsn(3), None, lsn(5), 2));
        // It is intact, and commits are lost before it and behind it.
        assert_eq!(told(&log, 4..5), (lsn(3), None, lsn(5), 2));
        assert_eq!(told(&log, 1..2), (lsn(1), None, lsn(5), 3));
        assert_eq!(told(&log, 7..8), (lsn(3), None, lsn(5), 1));
        // All that says so is lost: the log ends with the damage.
        assert_eq!(told(&log, 6..9), (lsn(6), None, lsn(6), 0));
        // Two truncations, of which the later goes back less far.
        let log = [1, 2, 3, 4, 5, -1, 2, 3, 4, -2, 3];
        assert_eq!(told(&log, 5..6), (lsn(1), None, lsn(3), 2));
        assert_eq!(told(&log, 9..10), (lsn(2), None, lsn(3), 1));
        assert_eq!(told(&log, 5..7), (lsn(2), Some(lsn(1)), lsn(3), 1));
    }
}
