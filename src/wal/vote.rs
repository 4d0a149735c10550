//! What a member of a cluster must remember: whom it voted for, and what a majority holds.
//!
//! Pure. Both are records of the log and not files of their own, so that a vote is never durable
//! before the commits that its voter had when it voted, and costs one sync like a commit.

use crate::base::codec::{Cursor, Malformed, is_zero};
use crate::base::{Lsn, Term};

use super::format::{Kind, Layout, RecordFault, RecordHeader};

/// The table of the page for votes, for the test that compares it.
pub(super) const VOTE_LAYOUT: Layout = (
    "Vote payload",
    &[("term", 0, 8), ("leader", 8, 4), ("committed", 12, 1), ("reserved", 13, 3)],
);

/// The table of the page for committed marks, for the test that compares it.
pub(super) const COMMITTED_LAYOUT: Layout = ("Committed payload", &[("lsn", 0, 8), ("term", 8, 8)]);

/// Whom this copy votes for. Ordered: a later vote is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// The era it is for.
    pub term: Term,
    /// For whom.
    pub leader: u32,
    /// Whether a majority voted the same.
    pub committed: bool,
}

impl Vote {
    /// The payload of a `Vote`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = self.term.0.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.leader.to_le_bytes());
        payload.extend_from_slice(&[u8::from(self.committed), 0, 0, 0]);
        payload
    }

    /// Reads the payload of a `Vote`; `None` if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let mut read = || -> Result<_, Malformed> {
            let (term, leader) = (Term(cursor.u64()?), cursor.u32()?);
            Ok((term, leader, cursor.u8()?, cursor.array::<3>()?))
        };
        let (term, leader, committed, reserved) = read().ok()?;
        cursor.finish().ok()?;
        let legal = term != Term(0) && committed <= 1 && is_zero(&reserved);
        legal.then_some(Self { term, leader, committed: committed == 1 })
    }
}

/// The last commit that a majority holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its number.
    pub lsn: Lsn,
    /// Its term.
    pub term: Term,
}

impl Committed {
    /// The payload of a `Committed`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.lsn.0, self.term.0].map(u64::to_le_bytes).concat()
    }

    /// Reads the payload of a `Committed`; `None` if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let (lsn, term) = (Lsn(cursor.u64().ok()?), Term(cursor.u64().ok()?));
        cursor.finish().ok().map(|()| Self { lsn, term })
    }
}

/// Whether `payload` is what a record with `header` carries.
pub(super) fn check(payload: &[u8], header: &RecordHeader) -> Result<(), RecordFault> {
    match header.kind {
        Kind::Vote if Vote::decode(payload).is_none() => {
            Err(RecordFault::Invalid("the vote is not one"))
        }
        Kind::Committed
            if Committed::decode(payload)
                .is_none_or(|mark| mark.lsn > header.lsn || mark.term > header.term) =>
        {
            Err(RecordFault::Invalid("the committed mark names a commit that is not there"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seq, Timestamp};

    fn header(kind: Kind) -> RecordHeader {
        RecordHeader {
            length: 16,
            seq: Seq(9),
            lsn: Lsn(7),
            term: Term(3),
            leader: 0,
            kind,
            time: Timestamp(1),
            chain: 0,
            payload_hash: 0,
            claim: Seq::ZERO,
        }
    }

    #[test]
    fn a_vote_is_read_back_and_whatever_no_writer_writes_is_not_one() {
        let vote = Vote { term: Term(4), leader: 7, committed: true };
        let bytes = vote.encode();
        assert_eq!(Vote::decode(&bytes), Some(vote));
        assert_eq!(check(&bytes, &header(Kind::Vote)), Ok(()));
        let other = Vote { committed: false, ..vote };
        assert_eq!(Vote::decode(&other.encode()), Some(other));
        let nobody = Vote { term: Term(0), ..vote }.encode();
        let changed = |at: usize| {
            let mut bytes = bytes.clone();
            bytes[at] = 2;
            bytes
        };
        let bad =
            [nobody, changed(12), changed(13), changed(15), bytes[..15].to_vec(), vec![0; 17]];
        for payload in bad {
            assert_eq!(Vote::decode(&payload), None, "{payload:?}");
            assert!(check(&payload, &header(Kind::Vote)).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn a_later_vote_is_greater() {
        let votes = [(1, 9, true), (2, 1, false), (2, 1, true), (2, 2, false)];
        let votes =
            votes.map(|(term, leader, committed)| Vote { term: Term(term), leader, committed });
        assert!(votes.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_committed_mark_is_read_back_and_names_a_commit_that_is_there() {
        let mark = |lsn, term| Committed { lsn: Lsn(lsn), term: Term(term) };
        assert_eq!(Committed::decode(&mark(7, 3).encode()), Some(mark(7, 3)));
        assert_eq!(Committed::decode(&[0; 15]), None);
        for (lsn, term, fits) in [(7, 3, true), (0, 0, true), (8, 3, false), (7, 4, false)] {
            let told = check(&mark(lsn, term).encode(), &header(Kind::Committed));
            assert_eq!(told.is_ok(), fits, "{lsn} of {term}");
        }
        assert!(check(&[0; 17], &header(Kind::Committed)).is_err());
    }
}
