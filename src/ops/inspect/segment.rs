//! A segment of the log, by itself.

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::{SegmentNumber, Seq};
use crate::wal::format::{
    ALIGN, Kind, RECORDS_START, RecordFault, RecordHeader, Salt, decode_neighbour,
};
use crate::wal::header::{HeaderFault, SegmentHeader};
use crate::wal::identity::segment_bytes_are_legal;
use crate::wal::rest::torn_bytes;
use crate::wal::scan::{Found, Neighbours, Position, Record, find_claim, find_record, read_record};
use crate::wal::version::NEWER;
use crate::wal::{Committed, Vote};

use super::report::Inspected;

/// What `bytes`, the beginning of a file of `size` bytes, say.
pub(super) fn inspect(
    bytes: &[u8],
    size: u64,
    name: Option<SegmentNumber>,
) -> Result<Inspected, HeaderFault> {
    let mut said = Inspected::new("segment of the log");
    let header = match SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(bytes)) {
        Ok(header) => header,
        Err(HeaderFault::Damaged(what)) => {
            said.damaged(0, None, what);
            return Ok(said);
        }
        Err(unsupported) => return Err(unsupported),
    };
    said.fact("store_id", header.store_id.to_string());
    said.fact("segment", header.segment.0);
    said.fact("segment_bytes", header.segment_bytes);
    said.fact("salt", format!("{:016x}", header.salt.0));
    said.fact("former", (header.former != SegmentNumber(0)).then_some(header.former.0));
    let number = header.segment.0;
    if !segment_bytes_are_legal(header.segment_bytes) || number == 0 || number == u64::MAX {
        said.damaged(0, None, "the header holds impossible values");
        return Ok(said);
    }
    if name.is_some_and(|name| name != header.segment) {
        said.damaged(0, None, "the segment's number is not its file's name");
    }
    if size > header.segment_bytes {
        said.damaged(header.segment_bytes, None, "the segment is longer than it was made");
    }
    let mut walk = Walk::new(bytes, &header);
    walk.go(&mut said)?;
    walk.tell(&mut said);
    // A segment that has its end may have given the rest back.
    if size < header.segment_bytes && walk.successor.is_none() {
        said.damaged(size, None, "the segment is shorter than it was made");
    }
    Ok(said)
}

struct Walk<'a> {
    bytes: &'a [u8],
    header: &'a SegmentHeader,
    offset: u64,
    /// After the last record; `None` before the first.
    position: Option<Position>,
    predecessor: Option<(SegmentNumber, Salt)>,
    successor: Option<(SegmentNumber, Salt)>,
    first: Option<RecordHeader>,
    last: Option<RecordHeader>,
    commits: Option<(RecordHeader, RecordHeader)>,
    records: u64,
    claim: Seq,
    truncations: u64,
    vote: Option<Vote>,
    committed: Option<Committed>,
}

impl<'a> Walk<'a> {
    const fn new(bytes: &'a [u8], header: &'a SegmentHeader) -> Self {
        Self {
            bytes,
            header,
            offset: RECORDS_START,
            position: None,
            predecessor: None,
            successor: None,
            first: None,
            last: None,
            commits: None,
            records: 0,
            claim: Seq::ZERO,
            truncations: 0,
            vote: None,
            committed: None,
        }
    }

    /// Reads every record, also after damage.
    fn go(&mut self, said: &mut Inspected) -> Result<(), HeaderFault> {
        while self.successor.is_none() {
            let what = match self.step() {
                Ok(()) => continue,
                Err(RecordFault::Newer) => return Err(HeaderFault::Unsupported(NEWER)),
                Err(RecordFault::Invalid(what)) => what,
            };
            if said.is_full() || !self.leap(what, said) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes the record at the offset, if it is the next one.
    fn step(&mut self) -> Result<(), RecordFault> {
        const CUT: RecordFault = RecordFault::Invalid("the file ends within a record");
        let window = self.window();
        let (salt, size) = (self.header.salt, self.header.segment_bytes);
        let position = match self.position {
            Some(position) => position,
            None => before(&RecordHeader::decode(window, salt, self.offset)?).ok_or(CUT)?,
        };
        let (record, after) = match read_record(window, self.offset, size, salt, &position) {
            Found::Record(record, after) => (record, after),
            Found::Fault(fault) => return Err(fault),
            _ => return Err(CUT),
        };
        let begins = self.offset == RECORDS_START;
        let named = decode_neighbour(record.payload).filter(|_| begins);
        // Only the segment's start names it; of the others nobody asks.
        let predecessor = self.predecessor.or(named).unwrap_or_default();
        if begins && predecessor.0.0.checked_add(1) != Some(self.header.segment.0) {
            return Err(RecordFault::Invalid("the segment's start names another predecessor"));
        }
        let neighbours = Neighbours { segment: self.header.segment, predecessor };
        self.successor = neighbours.check(&record)?;
        self.predecessor = self.predecessor.or(named);
        self.note(&record);
        self.take(&record.header, self.offset, after);
        Ok(())
    }

    /// Notes what a record of a cluster's bookkeeping says.
    fn note(&mut self, record: &Record<'_>) {
        match record.header.kind {
            Kind::TruncateAfter => self.truncations += 1,
            Kind::Vote => self.vote = Vote::decode(record.payload),
            Kind::Committed => self.committed = Committed::decode(record.payload),
            _ => {}
        }
    }

    /// Goes on behind a place that is no record, if a later one proves that it was; else this is
    /// the end.
    fn leap(&mut self, what: &str, said: &mut Inspected) -> bool {
        let (salt, from) = (self.header.salt, self.offset);
        let last = self.position.map_or(Seq::ZERO, |position| position.seq);
        let is_later = |header: &RecordHeader| header.seq > last;
        let Some((at, next)) = find_record(self.bytes, from + to_u64(ALIGN), salt, &is_later)
        else {
            return false;
        };
        // Where the segment's first record is lost, its number is too: then only what is right
        // before the next one is known to have been here.
        let hole = match self.position {
            Some(position) => position.seq.next(),
            None => Seq(next.seq.0.saturating_sub(1)),
        };
        let Some((proof, _)) = find_claim(self.bytes, from, salt, hole) else { return false };
        let lsn = self.position.map(|position| position.lsn.next());
        let what = format!("{what}, but a later record (offset {proof}) proves it was durable");
        said.damaged(from, lsn, what);
        let record = self.bytes.get(to_usize(at)..).unwrap_or_default();
        if next.kind == Kind::SegmentEnd {
            let payload = record.get(crate::wal::format::RECORD_HEADER..);
            let named = payload.and_then(|payload| payload.get(..16)).and_then(decode_neighbour);
            self.successor = named;
        }
        self.take(&next, at, Position::resume_after(&next));
        true
    }

    fn take(&mut self, header: &RecordHeader, offset: u64, after: Position) {
        self.first.get_or_insert(*header);
        self.last = Some(*header);
        if header.kind.takes_lsn() {
            self.commits = Some((self.commits.map_or(*header, |(first, _)| first), *header));
        }
        self.records += 1;
        self.claim = self.claim.max(header.claim);
        self.position = Some(after);
        self.offset = offset + header.record_len();
    }

    fn window(&self) -> &'a [u8] {
        self.bytes.get(to_usize(self.offset)..).unwrap_or_default()
    }

    fn tell(&self, said: &mut Inspected) {
        let rest = torn_bytes(self.bytes, self.offset);
        let state = match (self.successor, self.last) {
            (Some(_), _) => "sealed",
            (None, None) if rest == 0 => "prepared, without records",
            (None, Some(last)) if last.kind == Kind::CleanClose => "closed cleanly",
            (None, _) => "written to",
        };
        said.fact("state", state);
        said.fact("predecessor", self.predecessor.map(|(number, _)| number.0));
        said.fact("successor", self.successor.map(|(number, _)| number.0));
        said.fact("records", self.records);
        said.fact("first_seq", self.first.map(|header| header.seq.0));
        said.fact("last_seq", self.last.map(|header| header.seq.0));
        said.fact("first_lsn", self.commits.map(|(first, _)| first.lsn.0));
        said.fact("last_lsn", self.commits.map(|(_, last)| last.lsn.0));
        said.fact("first_at", self.commits.map(|(first, _)| first.time.to_string()));
        said.fact("last_at", self.commits.map(|(_, last)| last.time.to_string()));
        said.fact("term", self.last.map(|header| header.term.0));
        said.fact("claim", self.claim.0);
        said.fact("truncations", self.truncations);
        said.fact("committed_lsn", self.committed.map(|mark| mark.lsn.0));
        said.fact("vote_term", self.vote.map(|vote| vote.term.0));
        said.fact("vote_leader", self.vote.map(|vote| vote.leader));
        said.fact("record_bytes", self.offset - RECORDS_START);
        let name = if self.successor.is_some() { "bytes_after_end" } else { "torn_bytes" };
        said.fact(name, rest);
    }
}

/// The position that the segment's first record continues: it is bookkeeping and changes little.
fn before(header: &RecordHeader) -> Option<Position> {
    Some(Position { seq: Seq(header.seq.0.checked_sub(1)?), ..Position::resume_after(header) })
}
