//! Taking back the newest commits: the marker that says so, and which commits it leaves.
//!
//! Pure. A copy that followed a writer who lost its majority holds commits that never became
//! history. They stay in the log, because the log is only appended to, and a marker takes them
//! back: its header says which commit is the last again, its payload which was. One record, so a
//! crash shows all of the old commits or none of those taken back.

use crate::base::codec::{Cursor, Malformed};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result, Seq, Term};

use super::draft::{Payload, Spot};
use super::format::{Kind, Layout, RecordFault, RecordHeader, length_field};
use super::scan::Position;

/// The table of the page, for the test that compares it.
pub(super) const LAYOUT: Layout =
    ("TruncateAfter payload", &[("lsn", 0, 8), ("term", 8, 8), ("chain", 16, 8)]);

/// The last commit that a truncation takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenBack {
    /// Its number.
    pub lsn: Lsn,
    /// Its term.
    pub term: Term,
    /// The chain after it.
    pub chain: u64,
}

impl TakenBack {
    const fn at(position: &Position) -> Self {
        let Position { lsn, term, chain, .. } = *position;
        Self { lsn, term, chain }
    }

    /// The payload of a `TruncateAfter`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [self.lsn.0, self.term.0, self.chain].map(u64::to_le_bytes).concat()
    }

    /// Reads the payload of a `TruncateAfter`; `None` if it is not one.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let mut read = || -> Result<Self, Malformed> {
            let (lsn, term) = (Lsn(cursor.u64()?), Term(cursor.u64()?));
            Ok(Self { lsn, term, chain: cursor.u64()? })
        };
        let taken_back = read().ok()?;
        cursor.finish().ok().map(|()| taken_back)
    }
}

/// The commit that becomes the last again; all of it is 0 where none is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) at: Position,
    pub(super) leader: u32,
}

impl Last {
    /// No commit is left.
    pub(super) const NONE: Self = Self { at: Position::ORIGIN, leader: 0 };

    /// The commit with `header`.
    pub(super) const fn of(header: &RecordHeader) -> Self {
        Self { at: Position::resume_after(header), leader: header.leader }
    }
}

/// The position after the truncation with `header`, whose number and claim were checked.
pub(super) fn follows(position: &Position, header: &RecordHeader) -> Result<Position, RecordFault> {
    let fault = |what| Err(RecordFault::Invalid(what));
    if header.lsn >= position.lsn {
        return fault("a truncation takes nothing back");
    }
    if header.term > position.term || header.time > position.time {
        return fault("a truncation names a commit that is later than what it takes back");
    }
    let after = Position::resume_after(header);
    let emptied = Position { seq: header.seq, ..Position::ORIGIN };
    if header.lsn == Lsn::ZERO && after != emptied {
        return fault("a truncation that leaves no commit names one");
    }
    Ok(after)
}

/// Whether `payload` says what the truncation at `position` takes back.
pub(super) fn check(payload: &[u8], position: &Position) -> Result<(), RecordFault> {
    if TakenBack::decode(payload) == Some(TakenBack::at(position)) {
        return Ok(());
    }
    Err(RecordFault::Invalid("a truncation takes back other commits than those before it"))
}

/// The payload of a truncation at `position`.
pub(super) fn payload(position: &Position) -> Payload {
    Payload::new(TakenBack::at(position).encode())
}

impl Position {
    /// Appends the marker that makes `last` the last commit again, and moves there.
    ///
    /// # Panics
    /// If `last` is not before this position.
    pub(super) fn draft_truncation(
        &mut self,
        last: &Last,
        spot: Spot,
        out: &mut Vec<u8>,
    ) -> RecordHeader {
        let payload = payload(self);
        let header = RecordHeader {
            length: length_field(payload.bytes()),
            seq: self.seq.next(),
            lsn: last.at.lsn,
            term: last.at.term,
            leader: last.leader,
            kind: Kind::TruncateAfter,
            time: last.at.time,
            chain: last.at.chain,
            payload_hash: payload.hash(),
            claim: Seq::ZERO,
        };
        self.put(&header, payload.bytes(), spot, out);
        header
    }
}

/// The truncations of a log: which of its commits are still in the history. A fold over the
/// records in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncations {
    /// Marker and last commit; both grow, because a truncation that goes as far back as an
    /// earlier one says all that the earlier one did.
    markers: Vec<(Seq, Lsn)>,
}

impl Truncations {
    /// Learns what the record with `header` takes back, if anything; what was known before it is
    /// read again changes nothing.
    pub fn note(&mut self, header: &RecordHeader) {
        let known = self.markers.last().is_some_and(|(seq, _)| *seq >= header.seq);
        if header.kind != Kind::TruncateAfter || known {
            return;
        }
        while self.markers.last().is_some_and(|(_, lsn)| *lsn >= header.lsn) {
            self.markers.pop();
        }
        self.markers.push((header.seq, header.lsn));
    }

    /// Whether nothing was ever taken back.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.markers.is_empty()
    }

    /// Whether the record with `header` is a commit that a later marker takes back.
    ///
    /// # Cost
    /// A search among the markers that still say something.
    #[must_use]
    pub fn take_back(&self, header: &RecordHeader) -> bool {
        header.kind.takes_lsn() && self.go_back_before(header)
    }

    /// Whether the record with `header`, of whatever kind, was written when the last commit was
    /// one that a later marker takes back.
    fn go_back_before(&self, header: &RecordHeader) -> bool {
        let later = self.markers.partition_point(|(seq, _)| *seq <= header.seq);
        // The first of the later ones goes back furthest.
        let last = self.markers.get(later).map(|(_, lsn)| *lsn);
        last.is_some_and(|last| header.lsn > last)
    }
}

/// What a reader that gives out commits has read and given, so that nobody takes for history what
/// was taken back.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    truncations: Truncations,
    last: Lsn,
    /// Whoever asks had the commits up to this one when the log stood at this record.
    resumed: Option<(Seq, Lsn)>,
    /// Whoever asks wants to see what was taken back.
    pub(super) with_taken_back: bool,
}

impl Shown {
    /// Knows from the start what will be taken back.
    pub(super) fn knowing(truncations: Truncations) -> Self {
        Self { truncations, ..Self::default() }
    }

    /// The same for who had the commits up to `lsn` of the log that ended with the record `seq`.
    pub(super) const fn resumed(mut self, seq: Seq, lsn: Lsn) -> Self {
        self.resumed = Some((seq, lsn));
        self
    }

    /// Learns that the record with `header` was read.
    pub(super) fn read(&mut self, header: &RecordHeader) {
        self.truncations.note(header);
    }

    /// Whether the record with `header`, which was not given yet, never will be.
    pub(super) fn drops(&self, header: &RecordHeader) -> bool {
        !self.with_taken_back && self.truncations.take_back(header)
    }

    /// Whether the record with `header` waits for nothing, since its LSN is that of another
    /// commit by now, or of none.
    pub(super) fn is_behind(&self, header: &RecordHeader) -> bool {
        self.truncations.go_back_before(header)
    }

    /// Notes that the record with `header` is given out next.
    ///
    /// # Errors
    /// `Diverged` when it takes back what was given out before, with the LSN to go on from.
    pub(super) fn give(&mut self, header: &RecordHeader) -> Result<()> {
        let resumed = self.resumed.as_mut().filter(|(seq, _)| header.seq > *seq);
        let resumed = resumed.filter(|_| !is_planted(Plant::ResumedNotTold));
        let had = resumed.as_ref().map_or(Lsn::ZERO, |(_, lsn)| *lsn).max(self.last);
        let takes_back = header.kind == Kind::TruncateAfter && header.lsn < had;
        if takes_back && let Some((_, lsn)) = resumed {
            *lsn = (*lsn).min(header.lsn);
        }
        if takes_back || header.kind.takes_lsn() {
            self.last = header.lsn;
        }
        if !takes_back || self.with_taken_back {
            return Ok(());
        }
        let from = header.lsn.next();
        let what = format!(
            "commits that were read before were taken back by a truncation; drop what came of \
             commit {from} and later ones, and go on from there"
        );
        Err(Error::new(ErrorKind::Diverged, what).at_lsn(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::base::codec::to_u64;
    use crate::wal::format::Salt;
    use crate::wal::scan::{Found, read_record};

    const SALT: Salt = Salt(3);

    fn position() -> Position {
        Position { seq: Seq(9), lsn: Lsn(7), term: Term(3), chain: 70, time: Timestamp(90) }
    }

    fn last(lsn: u64) -> Last {
        let (term, chain, time) = (Term(2), lsn * 10, Timestamp(lsn * 10));
        Last { at: Position { seq: Seq(lsn + 1), lsn: Lsn(lsn), term, chain, time }, leader: 4 }
    }

    fn marker(last: &Last) -> (RecordHeader, Vec<u8>) {
        let mut bytes = Vec::new();
        let spot = Spot { salt: SALT, offset: 4096 };
        let header = position().draft_truncation(last, spot, &mut bytes);
        (header, bytes)
    }

    #[test]
    fn a_truncation_moves_back_to_its_commit_and_the_numbering_of_records_goes_on() {
        for (name, last) in [("the middle", last(5)), ("nothing", Last::NONE)] {
            let (header, bytes) = marker(&last);
            let expected = Position { seq: Seq(10), ..last.at };
            let found = read_record(&bytes, 4096, 8192, SALT, &position());
            let Found::Record(record, after) = found else { panic!("{name}: {found:?}") };
            assert_eq!((after, record.header, header.leader), (expected, header, last.leader));
            let taken_back = TakenBack { lsn: Lsn(7), term: Term(3), chain: 70 };
            assert_eq!(TakenBack::decode(record.payload), Some(taken_back));
        }
    }

    #[test]
    fn a_truncation_is_refused_where_one_of_its_numbers_does_not_follow() {
        let (header, _) = marker(&last(5));
        assert!(position().after(&header).is_ok());
        let refused = [
            ("seq again", RecordHeader { seq: Seq(9), ..header }),
            ("claims itself", RecordHeader { claim: Seq(10), ..header }),
            ("takes nothing back", RecordHeader { lsn: Lsn(7), ..header }),
            ("goes forward", RecordHeader { lsn: Lsn(8), ..header }),
            ("a later term", RecordHeader { term: Term(4), ..header }),
            ("a later time", RecordHeader { time: Timestamp(91), ..header }),
            ("nothing, of a chain", RecordHeader { lsn: Lsn::ZERO, ..header }),
        ];
        for (name, header) in refused {
            assert!(position().after(&header).is_err(), "{name}");
        }
    }

    #[test]
    fn a_truncation_of_another_history_is_no_record() {
        let (_, bytes) = marker(&last(5));
        let others = [
            Position { lsn: Lsn(8), ..position() },
            Position { term: Term(4), ..position() },
            Position { chain: 71, ..position() },
        ];
        for other in others {
            let found = read_record(&bytes, 4096, 8192, SALT, &other);
            assert!(matches!(found, Found::Fault(RecordFault::Invalid(_))), "{other:?}");
        }
        assert_eq!(TakenBack::decode(&[0; 23]), None);
        assert_eq!(TakenBack::decode(&[0; 25]), None);
    }

    fn record(kind: Kind, seq: u64, lsn: u64) -> RecordHeader {
        let (header, _) = marker(&last(5));
        RecordHeader { kind, seq: Seq(seq), lsn: Lsn(lsn), ..header }
    }

    #[test]
    fn a_commit_stays_unless_a_later_marker_goes_back_before_it() {
        // Every history of nine steps: a commit, or a truncation by one or two.
        for history in 0..3_u32.pow(9) {
            let (mut lsn, mut records) = (0_u64, Vec::new());
            let mut truncations = Truncations::default();
            for step in 0..9 {
                let back = u64::from(history / 3_u32.pow(step) % 3);
                let kind = if back == 0 { Kind::Commit } else { Kind::TruncateAfter };
                if back > lsn {
                    continue;
                }
                lsn = if back == 0 { lsn + 1 } else { lsn - back };
                let header = record(kind, to_u64(records.len()) + 1, lsn);
                truncations.note(&header);
                records.push(header);
            }
            for (index, header) in records.iter().enumerate() {
                let mut later = records.iter().skip(index + 1);
                let gone = header.kind == Kind::Commit
                    && later.any(|l| l.kind == Kind::TruncateAfter && l.lsn < header.lsn);
                assert_eq!(truncations.take_back(header), gone, "{records:?}");
            }
        }
    }

    #[test]
    fn who_gave_out_what_is_taken_back_is_told_once_from_where_to_go_on() {
        let records = [
            record(Kind::Commit, 1, 1),
            record(Kind::Commit, 2, 2),
            record(Kind::TruncateAfter, 5, 2),
            record(Kind::TruncateAfter, 6, 1),
            record(Kind::TruncateAfter, 7, 1),
            record(Kind::Commit, 8, 2),
        ];
        let told = |mut shown: Shown| {
            let place = |error: Error| (error.kind(), error.place().lsn);
            records.map(|header| shown.give(&header).err().map(place))
        };
        let diverged = Some((ErrorKind::Diverged, Some(Lsn(2))));
        assert_eq!(told(Shown::default()), [None, None, None, diverged, None, None]);
        let everything = Shown { with_taken_back: true, ..Shown::default() };
        assert_eq!(told(everything), [None; 6]);
    }

    #[test]
    fn who_knows_the_truncations_from_the_start_gives_only_what_they_leave() {
        // The second marker goes back less far, and is not forgotten when the first is read.
        let records = [
            record(Kind::Commit, 1, 1),
            record(Kind::Commit, 2, 2),
            record(Kind::TruncateAfter, 3, 1),
            record(Kind::Commit, 4, 2),
            record(Kind::Commit, 5, 3),
            record(Kind::TruncateAfter, 6, 2),
            record(Kind::Commit, 7, 3),
        ];
        let mut known = Truncations::default();
        records.iter().for_each(|header| known.note(header));
        let mut shown = Shown::knowing(known);
        let mut given = Vec::new();
        for header in &records {
            shown.read(header);
            if !shown.drops(header) {
                shown.give(header).unwrap();
                given.push(header.seq.0);
            }
        }
        assert_eq!(given, [1, 3, 4, 6, 7]);
    }
}
