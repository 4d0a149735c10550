//! What the log's own records say beside the commits: votes, committed marks, terms, truncations.
//!
//! A pure fold over every record, at open and live alike.

use crate::base::codec::widen;
use crate::base::{Lsn, Term};

use super::format::{Kind, RECORD_HEADER, RecordHeader};
use super::truncation::Truncations;
use super::vote::{Committed, Vote};

/// Where the log stands, apart from its position.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<Committed>,
    pub(super) truncations: Truncations,
    /// Each term, with its first commit; both grow.
    terms: Vec<(Lsn, Term)>,
    /// A truncation is under way: nothing is appended meanwhile.
    pub(super) truncating: bool,
}

impl Standing {
    /// Learns what the next record says.
    pub(super) fn note(&mut self, header: &RecordHeader, payload: &[u8]) {
        match header.kind {
            Kind::Vote => self.vote = Vote::decode(payload).or(self.vote),
            Kind::Committed => self.committed = Committed::decode(payload).or(self.committed),
            Kind::TruncateAfter => {
                self.truncations.note(header);
                while self.terms.last().is_some_and(|(first, _)| *first > header.lsn) {
                    self.terms.pop();
                }
            }
            _ => {}
        }
        // Opened by this record, or before the first record that is still there.
        if header.term > self.terms.last().map_or(Term(0), |(_, term)| *term) {
            self.terms.push((header.lsn, header.term));
        }
    }

    /// Learns from a record that was just drafted.
    pub(super) fn learn(&mut self, header: &RecordHeader, record: &[u8]) {
        if header.kind != Kind::Commit {
            let end = RECORD_HEADER + widen(header.length);
            self.note(header, record.get(RECORD_HEADER..end).unwrap_or_default());
        }
    }

    /// The term of the commit `lsn`, which is there; `None` before the first that is known.
    pub(super) fn term_at(&self, lsn: Lsn) -> Option<Term> {
        let after = self.terms.partition_point(|(first, _)| *first <= lsn);
        self.terms.get(after.checked_sub(1)?).map(|(_, term)| *term)
    }

    /// The last commit that a majority holds.
    pub(super) fn committed_lsn(&self) -> Lsn {
        self.committed.map_or(Lsn::ZERO, |committed| committed.lsn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seq, Timestamp};

    fn note(standing: &mut Standing, kind: Kind, lsn: u64, term: u64, payload: &[u8]) {
        let header = RecordHeader {
            length: 0,
            seq: Seq(1),
            lsn: Lsn(lsn),
            term: Term(term),
            leader: 0,
            kind,
            time: Timestamp(1),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        };
        standing.note(&header, payload);
    }

    #[test]
    fn a_term_reaches_from_its_start_to_the_next_and_is_taken_back_with_it() {
        let mut standing = Standing::default();
        assert_eq!(standing.term_at(Lsn(1)), None);
        note(&mut standing, Kind::SegmentStart, 0, 0, &[]);
        note(&mut standing, Kind::TermStart, 1, 1, &[]);
        note(&mut standing, Kind::Commit, 2, 1, &[]);
        note(&mut standing, Kind::TermStart, 3, 4, &[]);
        note(&mut standing, Kind::Commit, 4, 4, &[]);
        let terms = |standing: &Standing| [0, 1, 2, 3, 4].map(|lsn| standing.term_at(Lsn(lsn)));
        let (one, four) = (Some(Term(1)), Some(Term(4)));
        assert_eq!(terms(&standing), [None, one, one, four, four]);
        note(&mut standing, Kind::TruncateAfter, 2, 1, &[]);
        assert_eq!(terms(&standing), [None, one, one, one, one]);
        note(&mut standing, Kind::TermStart, 3, 5, &[]);
        assert_eq!(terms(&standing), [None, one, one, Some(Term(5)), Some(Term(5))]);
    }

    #[test]
    fn a_log_whose_beginning_was_released_knows_its_term_from_the_first_record_on() {
        let mut standing = Standing::default();
        note(&mut standing, Kind::SegmentStart, 70, 3, &[]);
        note(&mut standing, Kind::Commit, 71, 3, &[]);
        let terms = [69, 70, 71].map(|lsn| standing.term_at(Lsn(lsn)));
        assert_eq!(terms, [None, Some(Term(3)), Some(Term(3))]);
    }

    #[test]
    fn the_newest_vote_and_the_newest_mark_count() {
        let mut standing = Standing::default();
        assert_eq!((standing.vote, standing.committed_lsn()), (None, Lsn::ZERO));
        for lsn in [3, 5] {
            let vote = Vote { term: Term(lsn), leader: 1, committed: false };
            note(&mut standing, Kind::Vote, lsn, 1, &vote.encode());
            let mark = Committed { lsn: Lsn(lsn), term: Term(1) };
            note(&mut standing, Kind::Committed, lsn, 1, &mark.encode());
            assert_eq!((standing.vote, standing.committed), (Some(vote), Some(mark)));
        }
    }
}
