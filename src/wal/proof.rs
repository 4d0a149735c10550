//! Which records of the log are proven to be on stable storage, by the claims behind them.

use std::collections::VecDeque;

use crate::base::plant::{Plant, is_planted};
use crate::base::{SegmentNumber, Seq};

use super::scan::Record;

/// Which records no two claims prove yet; a pure fold over the records.
///
/// One claim is not enough: where a file system reports a failed sync one call late, the claim
/// that followed the "successful" call is wrong, and the report came with the next sync.
#[derive(Debug, Default)]
pub(super) struct Proof {
    claim: Seq,
    claim_before: Seq,
    /// Start of each record after `claim_before`: (its seq, its segment, its offset).
    pub(super) starts: VecDeque<(Seq, SegmentNumber, u64)>,
}

impl Proof {
    pub(super) fn record(&mut self, segment: SegmentNumber, record: &Record<'_>) {
        let header = &record.header;
        self.starts.push_back((header.seq, segment, record.offset));
        if header.claim > self.claim {
            self.claim_before = self.claim;
            self.claim = header.claim;
            if is_planted(Plant::OneClaimTrusted) {
                self.claim_before = self.claim;
            }
            while self.starts.front().is_some_and(|(seq, ..)| *seq <= self.claim_before) {
                self.starts.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Lsn, Term, Timestamp};
    use crate::wal::format::{Kind, RecordHeader};

    /// The first record that is not proven after records of these claims, each in a segment of
    /// its own number.
    fn unproven_after(claims: &[u64]) -> Option<u64> {
        let mut proof = Proof::default();
        for (seq, claim) in (1..).zip(claims) {
            let header = RecordHeader {
                length: 0,
                seq: Seq(seq),
                lsn: Lsn::ZERO,
                term: Term(1),
                leader: 0,
                kind: Kind::TimeMark,
                time: Timestamp(1),
                chain: 0,
                payload_hash: 0,
                claim: Seq(*claim),
            };
            let record = Record { header, payload: &[], offset: 4096 + 8 * seq };
            proof.record(SegmentNumber(seq), &record);
        }
        proof.starts.front().map(|(seq, segment, offset)| {
            assert_eq!((segment.0, *offset), (seq.0, 4096 + 8 * seq.0));
            seq.0
        })
    }

    #[test]
    fn a_record_is_proven_by_two_claims_and_not_by_the_same_claim_twice() {
        assert_eq!(unproven_after(&[]), None);
        assert_eq!(unproven_after(&[0, 0, 0]), Some(1));
        assert_eq!(unproven_after(&[0, 1, 0]), Some(1));
        assert_eq!(unproven_after(&[0, 1, 2]), Some(2));
        assert_eq!(unproven_after(&[0, 0, 2, 0, 4]), Some(3));
        assert_eq!(unproven_after(&[0, 0, 2, 2, 2]), Some(1));
        // A claim that says less than one before says nothing.
        assert_eq!(unproven_after(&[0, 0, 2, 1, 0]), Some(1));
        assert_eq!(unproven_after(&[0, 0, 2, 1, 4]), Some(3));
    }
}
