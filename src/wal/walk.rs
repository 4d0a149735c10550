//! Walking the log on disk from its first segment to its end, and looking at what lies there.
//!
//! Reads only. What is found is turned into an [`Observation`] for the decision table; `open.rs`
//! acts on the decision.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result, SegmentNumber, Seq};
use crate::vfs::OpenMode;

use super::first::First;
use super::format::{Kind, RECORDS_START, RecordFault, Salt};
use super::header::{HeaderFault, SegmentHeader};
use super::recovery::{ChainSeen, LastSeen, RestSeen};
use super::rest::torn_bytes;
use super::saved::SavedTail;
use super::scan::{Found, Neighbours, Position, Record, find_claim, read_record};
use super::segment::{Segment, SegmentDir, parse_file_name, shown_path};

/// A segment is made whole before it is named, and given back only after its end is.
pub(super) const TAIL_SHORT: &str = "the log ends in a segment that is shorter than it was made";

/// Sees every record of the log in order.
pub type Replay<'a> = dyn FnMut(&Record<'_>) -> Result<()> + 'a;

/// A segment whose bytes may have to be written again.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) segment: Segment,
    pub(super) bytes: Vec<u8>,
    /// The end of its last valid record.
    pub(super) end: u64,
}

/// Damage, told as what and where.
#[derive(Debug)]
pub(super) struct Damage {
    pub(super) what: String,
    pub(super) path: PathBuf,
    pub(super) offset: u64,
}

/// What the walk found.
#[derive(Debug)]
pub(super) struct Walked {
    /// Segments from the first that is not proven to the tail.
    pub(super) kept: VecDeque<Kept>,
    /// Offset of the first record, in the first kept segment, that two claims do not prove.
    pub(super) unproven_from: u64,
    pub(super) position: Position,
    pub(super) chain: ChainSeen,
    pub(super) last: LastSeen,
    pub(super) rest: RestSeen,
    pub(super) claimed: bool,
    pub(super) damage: Option<Damage>,
    pub(super) torn_bytes: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// The segment before the tail.
    pub(super) predecessor: Option<Segment>,
    /// What an interrupted recovery was writing again.
    saved: SavedTail,
    /// Where the log begins.
    pub(super) first: First,
}

impl Walked {
    fn new(first: First) -> Self {
        Self {
            first,
            kept: VecDeque::new(),
            unproven_from: RECORDS_START,
            position: first.position,
            chain: ChainSeen::Whole,
            last: LastSeen::Other,
            rest: RestSeen::Zeroes,
            claimed: false,
            damage: None,
            torn_bytes: 0,
            records: 0,
            bytes: 0,
            predecessor: None,
            saved: SavedTail::default(),
        }
    }

    fn damaged(&mut self, chain: ChainSeen, what: impl Into<String>, path: PathBuf, offset: u64) {
        self.chain = chain;
        self.damage = Some(Damage { what: what.into(), path, offset });
    }
}

/// Which records no two claims prove yet; a pure fold over the records.
///
/// One claim is not enough: where a file system reports a failed sync one call late, the claim
/// that followed the "successful" call is wrong, and the report came with the next sync.
#[derive(Debug, Default)]
struct Proof {
    claim: Seq,
    claim_before: Seq,
    /// Start of each record after `claim_before`: (its seq, its segment, its offset).
    starts: VecDeque<(Seq, SegmentNumber, u64)>,
}

impl Proof {
    fn record(&mut self, segment: SegmentNumber, record: &Record<'_>) {
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

/// Walks the whole log of `dir`, giving each record to `replay`.
///
/// # Errors
/// `Io` when something cannot be read, `Unsupported` for a newer format, and what `replay` says.
/// Damage is not an error here but an observation.
pub(super) fn walk(dir: &SegmentDir, writable: bool, replay: &mut Replay<'_>) -> Result<Walked> {
    let present = segments_present(dir)?;
    let mut walked = Walked::new(First::load(dir)?);
    walked.saved = SavedTail::load(dir)?;
    let mut proof = Proof::default();
    let mut wanted = (walked.first.segment, walked.first.salt);
    if !present.contains(&wanted.0) {
        let path = shown_path(wanted.0);
        walked.damaged(ChainSeen::FirstMissing, "the first segment is missing", path, 0);
        return Ok(walked);
    }
    loop {
        let Some(kept) = open_segment(dir, wanted, writable, &mut walked)? else {
            return Ok(walked);
        };
        let (number, segment) = (kept.segment.number, kept.segment.clone());
        walked.kept.push_back(kept);
        let successor = walk_segment(dir, &mut walked, &mut proof, replay)?;
        forget_proven(&mut walked, &proof);
        let Some((next, next_salt)) = successor else { break };
        if is_planted(Plant::ReplayStopsAtSegment) {
            return Ok(walked);
        }
        if !present.contains(&next) {
            let what = format!("segment {} names it as its successor, but it is missing", number.0);
            walked.damaged(ChainSeen::SuccessorMissing, what, shown_path(next), 0);
            return Ok(walked);
        }
        walked.predecessor = Some(segment);
        wanted = (next, Some(next_salt));
    }
    look_beyond(dir, &present, &mut walked)?;
    Ok(walked)
}

/// The segments whose files are there, in order.
pub(super) fn segments_present(dir: &SegmentDir) -> Result<Vec<SegmentNumber>> {
    let listed = dir.runtime.vfs.list(&dir.path);
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io("list", std::path::Path::new("wal"), error)),
    };
    Ok(entries.iter().filter_map(|entry| parse_file_name(&entry.name)).collect())
}

/// Opens and reads a segment; `None` when its header is damaged or its file too long.
fn open_segment(
    dir: &SegmentDir,
    (number, salt): (SegmentNumber, Option<Salt>),
    writable: bool,
    walked: &mut Walked,
) -> Result<Option<Kept>> {
    let fail = |error| Error::io("read", &shown_path(number), error);
    let mode = if writable { OpenMode::ReadWrite } else { OpenMode::Read };
    let file = dir.runtime.vfs.open(&dir.file_path(number), mode).map_err(fail)?;
    let (mut bytes, is_longer) = dir.read(file.as_ref()).map_err(fail)?;
    walked.saved.lay_over_segment(number, &mut bytes);
    walked.bytes += to_u64(bytes.len());
    if is_longer {
        let what = "the segment is longer than it was made";
        walked.damaged(ChainSeen::HeaderDamaged, what, shown_path(number), dir.segment_bytes);
        return Ok(None);
    }
    let wrong = match SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(&bytes)) {
        Ok(header) => header_mismatch(dir, number, salt, &header),
        Err(HeaderFault::Damaged(what)) => Some(what),
        Err(HeaderFault::Newer) => return Err(newer(number, 0)),
    };
    if let Some(what) = wrong {
        walked.damaged(ChainSeen::HeaderDamaged, what, shown_path(number), 0);
        return Ok(None);
    }
    let header = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or_default());
    let salt = header.map_or(Salt(0), |header| header.salt);
    Ok(Some(Kept { segment: Segment { number, salt, file }, bytes, end: RECORDS_START }))
}

fn header_mismatch(
    dir: &SegmentDir,
    number: SegmentNumber,
    salt: Option<Salt>,
    header: &SegmentHeader,
) -> Option<&'static str> {
    if header.store_id != dir.store_id {
        Some("the segment belongs to another store")
    } else if header.segment != number {
        Some("the segment's number is not its file's name")
    } else if header.segment_bytes != dir.segment_bytes {
        Some("the segment's size is not the store's")
    } else if salt.is_some_and(|salt| salt != header.salt) {
        Some("the segment is not the one its predecessor names")
    } else {
        None
    }
}

fn newer(number: SegmentNumber, offset: u64) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the log was written by a newer version of jidoka; upgrade to open it",
    )
    .at_path(shown_path(number))
    .at_offset(offset)
}

/// Walks the last kept segment; gives its successor, or `None` at the end of the log.
fn walk_segment(
    dir: &SegmentDir,
    walked: &mut Walked,
    proof: &mut Proof,
    replay: &mut Replay<'_>,
) -> Result<Option<(SegmentNumber, Salt)>> {
    let before = walked.predecessor.as_ref();
    let predecessor =
        before.map_or(walked.first.predecessor, |segment| (segment.number, segment.salt));
    let Some(kept) = walked.kept.back_mut() else { return Ok(None) };
    let number = kept.segment.number;
    let neighbours = Neighbours { segment: number, predecessor };
    loop {
        let window = kept.bytes.get(to_usize(kept.end)..).unwrap_or_default();
        let (salt, offset) = (kept.segment.salt, kept.end);
        let found = read_record(window, offset, dir.segment_bytes, salt, &walked.position);
        let (record, position) = match found {
            Found::Record(record, position) => (record, position),
            Found::Fault(RecordFault::Newer) => return Err(newer(number, offset)),
            Found::Fault(RecordFault::Invalid(what)) => {
                let path = shown_path(number);
                walked.damage = Some(Damage { what: what.to_owned(), path, offset });
                return Ok(None);
            }
            Found::NeedBytes(_) => return Ok(None),
        };
        let Ok(successor) = neighbours.check(&record) else {
            let what = "a segment's first or last record names the wrong neighbour".to_owned();
            walked.damage = Some(Damage { what, path: shown_path(number), offset });
            return Ok(None);
        };
        replay(&record).map_err(|error| error.at_path(shown_path(number)).at_offset(offset))?;
        proof.record(number, &record);
        walked.position = position;
        walked.records += 1;
        let clean = record.header.kind == Kind::CleanClose;
        walked.last = if clean { LastSeen::CleanClose } else { LastSeen::Other };
        kept.end += record.header.record_len();
        if successor.is_some() {
            return Ok(successor);
        }
    }
}

/// Lets go of segments whose every record two claims prove.
fn forget_proven(walked: &mut Walked, proof: &Proof) {
    let Some((_, segment, offset)) = proof.starts.front() else { return };
    walked.unproven_from = *offset;
    while walked.kept.front().is_some_and(|kept| kept.segment.number < *segment) {
        walked.kept.pop_front();
    }
}

/// Looks at what follows the last valid record: here, and in segments nobody names.
fn look_beyond(dir: &SegmentDir, present: &[SegmentNumber], walked: &mut Walked) -> Result<()> {
    let hole = walked.position.seq.next();
    let Some(tail) = walked.kept.back() else { return Ok(()) };
    let looks = !is_planted(Plant::RotCutAsTorn);
    let (end, salt, number) = (tail.end, tail.segment.salt, tail.segment.number);
    let len = to_u64(tail.bytes.len());
    if len < dir.segment_bytes {
        walked.damaged(ChainSeen::TailShort, TAIL_SHORT, shown_path(number), len);
        return Ok(());
    }
    let torn = torn_bytes(&tail.bytes, end);
    if torn > 0 {
        walked.rest = RestSeen::Debris;
        walked.torn_bytes = torn;
        walked.claimed = looks && find_claim(&tail.bytes, end, salt, hole).is_some();
    }
    for later in present.iter().filter(|later| looks && **later > number) {
        if walked.claimed {
            break;
        }
        let fail = |error| Error::io("read", &shown_path(*later), error);
        let file = dir.runtime.vfs.open(&dir.file_path(*later), OpenMode::Read).map_err(fail)?;
        let (mut bytes, _) = dir.read(file.as_ref()).map_err(fail)?;
        walked.saved.lay_over_segment(*later, &mut bytes);
        // A header that cannot be read belongs to a file that was never durable.
        let header = SegmentHeader::decode(bytes.get(..PAGE).unwrap_or(&bytes));
        if let Ok(header) = header
            && header.store_id == dir.store_id
            && header.segment == *later
        {
            walked.claimed = find_claim(&bytes, RECORDS_START, header.salt, hole).is_some();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Lsn, Term, Timestamp};
    use crate::wal::format::RecordHeader;

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
