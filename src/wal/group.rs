//! Commit groups: the bytes that one leader writes, and the state that decides what is in them.
//!
//! In memory only; `commit.rs` does the I/O. Invariants:
//!
//! - **G1** Groups complete in the order of their ids, so everything before a completed group is
//!   complete.
//! - **G2** A group's bytes begin with the partial page before it, so whole pages are written.
//! - **G3** A claim is stamped when a group is taken, and only with what a sync has returned for.
//! - **G4** After a failure nothing completes any more.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, Result, Seq, Timestamp};

use super::callback::Callbacks;
use super::demand::Demand;
use super::draft::{Draft, Payload, Spot, Writer, end_payload, start_payload};
use super::format::{
    Kind, RECORD_HEADER, RECORDS_START, RecordHeader, SEGMENT_START_LEN, page_floor, stamp_claim,
};
use super::linger::Linger;
use super::mend::Mended;
use super::piece::Piece;
use super::scan::Position;
use super::segment::Segment;
use super::standing::Standing;
use super::stats::Tally;
use super::turn::Failure;
use super::unsynced::Unsynced;

/// More than the mark that fills a page takes.
pub(super) const PADDING_MAX: u64 = to_u64(PAGE + RECORD_HEADER);

/// Memory that is kept for the next group, at most.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// What the members of a group wait for; a group gives all of them the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wants {
    Nothing,
    Write,
    Sync,
}

/// Records that one leader writes and one sync makes durable.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: u64,
    pub(super) pieces: Vec<Piece>,
    /// Where the first record's header is in the first piece; `None` without records.
    pub(super) first: Option<usize>,
    pub(super) wants: Wants,
    /// Somebody wants it who will not lead it, so the keeper does if nobody else.
    pub(super) unattended: bool,
    /// Where the log stands after the group.
    pub(super) end: Position,
    /// Segments to sync, oldest first, when `wants` is `Sync`.
    pub(super) to_sync: Vec<Segment>,
    /// Everything before it was synced, and the sync after that would have told of a failure.
    pub(super) follows_synced: bool,
}

impl Group {
    /// Follows `offset` of `segment`; `page` is what is before it in its page, and `pieces` is
    /// memory for the pieces.
    fn new(
        id: u64,
        (segment, offset, end): (Segment, u64, Position),
        (page, mut pieces): (Vec<u8>, Vec<Piece>),
    ) -> Self {
        assert_eq!(page_floor(offset) + to_u64(page.len()), offset, "G2");
        pieces.push(Piece::new(segment, page_floor(offset), page));
        let (wants, unattended, to_sync) = (Wants::Nothing, false, Vec::new());
        let follows_synced = false;
        Self { id, pieces, first: None, wants, unattended, end, to_sync, follows_synced }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Bytes waiting to be written.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// Everything under the append lock.
#[derive(Debug)]
pub(super) struct State {
    /// After the last appended record.
    pub(super) position: Position,
    pub(super) active: Segment,
    /// The end of the last appended record in the active segment.
    pub(super) offset: u64,
    /// The predecessor, while the active segment has no records.
    pub(super) start_after: Option<Option<Segment>>,
    pub(super) filling: Group,
    /// The group whose leader is in the kernel.
    pub(super) leading: Option<u64>,
    /// That group, for who reads what is not in the files yet.
    pub(super) in_kernel: Option<Arc<Group>>,
    /// Who is to be called back.
    pub(super) callbacks: Callbacks,
    /// The last commit that its sync, or an earlier one, covers.
    pub(super) syncing: Lsn,
    /// How often followers were sent to look again who leads them.
    pub(super) shakes: u64,
    /// The last group whose members were sent to the gate.
    pub(super) followed: u64,
    /// Every group up to here is complete (G1).
    pub(super) completed: u64,
    /// The group whose leader-to-be waits to be woken. By group, because the one who was woken may
    /// find that a newcomer led its group, before it comes to take its name off.
    pub(super) next_leader: Option<u64>,
    pub(super) failure: Option<Failure>,
    /// Everything up to here is on stable storage.
    pub(super) durable: Position,
    /// The last claim stamped.
    pub(super) claimed: Seq,
    /// The last promise, or what recovery proved: a claim should cover it.
    pub(super) last_commit: Seq,
    pub(super) unsynced: Unsynced,
    /// Prepared ahead; see `room`.
    pub(super) spares: VecDeque<Segment>,
    pub(super) demand: Demand,
    /// A spare is being made, or removed.
    pub(super) preparing: bool,
    pub(super) closed: bool,
    /// A close has begun: nothing is appended any more but what it appends itself.
    pub(super) closing: bool,
    /// The keeper sleeps until it is told; otherwise it looks again by itself.
    pub(super) keeper_parked: bool,
    /// The last appended record is a `CleanClose`.
    pub(super) clean: bool,
    /// Something beside the log is in doubt: no close is a clean one.
    pub(super) distrusted: bool,
    /// Each group ends at the end of a page.
    padded_tails: bool,
    /// A record is being appended: true for who takes the lock only after a panic.
    pub(super) appending: bool,
    pub(super) standing: Standing,
    pub(super) tally: Tally,
    pub(super) linger: Linger,
    /// Memory for the next group; both empty.
    buffer: Vec<u8>,
    pieces: Vec<Piece>,
    /// So much of the page that the filling group begins with was written in this life.
    carried: usize,
}

impl State {
    pub(super) fn new(tail: Mended, padded_tails: bool) -> Self {
        let Mended { segment, offset, page, position, start_after, clean } = tail;
        // The sync behind a CleanClose was the last of its life, so its failure may never have
        // been told: no claim covers what it wrote before the next group has written it again.
        let alone = offset == RECORDS_START + to_u64(SEGMENT_START_LEN + RECORD_HEADER);
        let claims_close = !clean || is_planted(Plant::CloseClaimedEarly);
        let unproven = if claims_close { 0 } else { 1 + u64::from(alone) };
        let proven = Seq(position.seq.0 - unproven);
        Self {
            position,
            active: segment.clone(),
            offset,
            start_after,
            filling: Group::new(1, (segment, offset, position), (page, Vec::new())),
            leading: None,
            in_kernel: None,
            callbacks: Callbacks::default(),
            syncing: Lsn::ZERO,
            shakes: 0,
            followed: 0,
            completed: 0,
            next_leader: None,
            failure: None,
            durable: Position { seq: proven, ..position },
            // After a clean close everything is claimed. After a cut nothing after the last
            // claim is, until the next group or the keeper says that it was synced.
            claimed: Seq::ZERO,
            last_commit: if clean { Seq::ZERO } else { position.seq },
            unsynced: Unsynced::default(),
            spares: VecDeque::new(),
            demand: Demand::new(1),
            preparing: false,
            closed: false,
            closing: false,
            keeper_parked: false,
            clean,
            distrusted: false,
            padded_tails,
            appending: false,
            standing: Standing::default(),
            tally: Tally::default(),
            linger: Linger::default(),
            buffer: Vec::new(),
            pieces: Vec::new(),
            carried: 0,
        }
    }

    /// Whether the active segment has no record yet, not even its start.
    pub(super) const fn has_no_start(&self) -> bool {
        self.start_after.is_some()
    }

    /// Room that a record leaves for what may follow it in its group.
    pub(super) const fn padding_max(&self) -> u64 {
        if self.padded_tails { PADDING_MAX } else { 0 }
    }

    /// Ends the active segment and goes on in `next`, which is durable under its name.
    pub(super) fn rotate(&mut self, next: Segment) {
        if !self.filling.is_empty() {
            hit(Mark::RotationInGroup);
        }
        self.put(Kind::SegmentEnd, &end_payload(&next));
        let before = std::mem::replace(&mut self.active, next.clone());
        self.offset = RECORDS_START;
        self.start_after = Some(Some(before));
        self.filling.pieces.push(Piece::new(next, RECORDS_START, Vec::new()));
    }

    /// Appends a bookkeeping record.
    pub(super) fn put(&mut self, kind: Kind, payload: &Payload) {
        let writer = Writer { term: self.position.term, leader: 0 };
        self.append(&Draft { kind, writer, time: self.position.time, payload });
    }

    /// Appends a bookkeeping record that says when.
    pub(super) fn put_at(&mut self, kind: Kind, time: Timestamp) {
        let writer = Writer { term: self.position.term, leader: 0 };
        self.append(&Draft { kind, writer, time, payload: &Payload::new(Vec::new()) });
    }

    /// Appends a record, after the segment's start if that is missing. The caller made room.
    pub(super) fn append(&mut self, draft: &Draft<'_>) {
        self.append_by(|position, spot, out| position.draft(draft, spot, out));
    }

    /// Appends the record that `draft` drafts.
    pub(super) fn append_by(
        &mut self,
        draft: impl FnOnce(&mut Position, Spot, &mut Vec<u8>) -> RecordHeader,
    ) {
        let within = std::mem::replace(&mut self.appending, true);
        if let Some(before) = self.start_after.take() {
            self.put(Kind::SegmentStart, &start_payload(before.as_ref()));
        }
        let spot = Spot { salt: self.active.salt, offset: self.offset };
        let Some(piece) = self.filling.pieces.last_mut() else { return };
        assert_eq!(piece.start + to_u64(piece.bytes.len()), self.offset, "G2");
        if self.filling.first.is_none() {
            self.filling.first = Some(piece.bytes.len());
        }
        let start = piece.bytes.len();
        let header = draft(&mut self.position, spot, &mut piece.bytes);
        self.offset += header.record_len();
        self.filling.end = self.position;
        if header.kind.is_promise() {
            self.last_commit = header.seq;
        }
        self.standing.learn(&header, piece.bytes.get(start..).unwrap_or_default());
        self.clean = header.kind == Kind::CleanClose;
        self.appending = within;
    }

    /// Takes the filling group for its leader and starts the next one.
    pub(super) fn take_group(&mut self) -> Group {
        assert!(self.leading.is_none() && self.failure.is_none(), "one leader at a time, G4");
        // A CleanClose stays the last record; the next life writes its page again, which holds
        // nothing else.
        if self.padded_tails
            && !self.filling.is_empty()
            && !self.clean
            && !is_planted(Plant::TailNotPadded)
        {
            self.fill(to_u64(PAGE));
        }
        let too_early = is_planted(Plant::PageCopiedEarly).then(|| self.partial_page());
        self.stamp_claim();
        // After the stamp: the next group writes these bytes again, and they must be the same.
        let page = too_early.unwrap_or_else(|| self.partial_page());
        if !page.is_empty() {
            hit(Mark::PageCarried);
        }
        let carried = page.len();
        let place = (self.active.clone(), self.offset, self.position);
        let memory = (page, std::mem::take(&mut self.pieces));
        let next = Group::new(self.filling.id + 1, place, memory);
        let mut group = std::mem::replace(&mut self.filling, next);
        self.leading = Some(group.id);
        self.tally.taken();
        self.linger.taken();
        if group.wants == Wants::Sync {
            self.syncing = group.end.lsn;
        }
        group.follows_synced = self.unsynced.group(group.wants == Wants::Sync, group.is_empty());
        if !group.is_empty() {
            group.pieces.iter().for_each(|piece| self.unsynced.written(&piece.segment));
        }
        let mut pieces = group.pieces.iter_mut();
        if group.wants != Wants::Sync
            && self.carried > 0
            && let Some(first) = pieces.next()
        {
            first.leave_out(self.carried);
        }
        pieces.for_each(Piece::fill_page);
        if group.wants == Wants::Sync {
            group.to_sync = self.unsynced.to_sync();
        }
        if !group.is_empty() {
            self.carried = carried;
        }
        group
    }

    /// Stamps what syncs have returned for into the filling group's first record (G3).
    fn stamp_claim(&mut self) {
        let Some(first) = self.filling.first else { return };
        let Some(piece) = self.filling.pieces.first_mut() else { return };
        let (salt, offset) = (piece.segment.salt, piece.start + to_u64(first));
        if let Some(header) = piece.bytes.get_mut(first..) {
            let mut claim = self.durable.seq;
            if is_planted(Plant::ClaimTooEarly)
                && let Ok(first) = RecordHeader::decode(header, salt, offset)
            {
                claim = Seq(first.seq.0 - 1);
            }
            stamp_claim(header, salt, offset, claim);
            self.claimed = claim;
        }
    }

    fn partial_page(&mut self) -> Vec<u8> {
        let mut page = std::mem::take(&mut self.buffer);
        let Some(piece) = self.filling.pieces.last() else { return page };
        let whole = piece.bytes.len() - piece.bytes.len() % PAGE;
        page.extend_from_slice(piece.bytes.get(whole..).unwrap_or_default());
        if is_planted(Plant::PageNotCarried) {
            page.fill(0);
        }
        page
    }

    /// Records what became of `group`.
    pub(super) fn finish_group(&mut self, group: &Group, outcome: Result<()>) {
        self.leading = None;
        if let Err(error) = outcome {
            self.failure = Some(Failure { group: group.id, error });
            return;
        }
        assert_eq!(self.completed + 1, group.id, "G1");
        self.completed = group.id;
        if group.wants == Wants::Sync {
            self.durable = group.end;
            let last = group.pieces.last().map(|piece| piece.segment.number);
            self.unsynced.settle(&group.to_sync, last);
        }
    }

    /// Keeps the memory of a group that is done for the group after the next.
    pub(super) fn reuse(&mut self, group: Group) {
        let mut pieces = group.pieces;
        let Some(Piece { bytes: mut buffer, .. }) = pieces.pop() else { return };
        pieces.clear();
        self.pieces = pieces;
        if buffer.capacity() <= BUFFER_BYTES_MAX {
            buffer.clear();
            self.buffer = buffer;
        }
    }

    /// Makes the next group sync the active segment even if nothing new is in it.
    pub(super) fn confirm_active(&mut self) {
        self.unsynced.confirm(self.active.clone());
        self.filling.wants = Wants::Sync;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::codec::to_usize;
    use crate::base::{ErrorKind, SegmentNumber, Term};
    use crate::vfs::memory::MemoryVfs;
    use crate::vfs::{OpenMode, Vfs};
    use crate::wal::filler::{FILLER_BYTES_MAX, SECTOR};
    use crate::wal::format::{SEGMENT_END_LEN, Salt};
    use crate::wal::turn::Turn;

    fn segment(number: u64) -> Segment {
        let disk = MemoryVfs::new();
        let file = disk.open(std::path::Path::new("/file"), OpenMode::CreateNew).unwrap();
        Segment { number: SegmentNumber(number), salt: Salt(number), file }
    }

    /// A log whose last record ended at `offset` of segment 1.
    fn state(offset: u64) -> State {
        let page = vec![1; to_usize(offset - page_floor(offset))];
        let position = Position { seq: Seq(9), term: Term(1), ..Position::ORIGIN };
        let segment = segment(1);
        let mended = Mended { segment, offset, page, position, start_after: None, clean: false };
        State::new(mended, false)
    }

    fn numbers(group: &Group) -> Vec<u64> {
        group.to_sync.iter().map(|segment| segment.number.0).collect()
    }

    /// Takes the group, syncs it, and gives the segments that were synced.
    fn synced(state: &mut State) -> Vec<u64> {
        state.filling.wants = Wants::Sync;
        let group = state.take_group();
        state.finish_group(&group, Ok(()));
        numbers(&group)
    }

    #[test]
    fn a_filler_ends_at_the_next_sector_that_a_record_can_reach() {
        for filled in (0..SECTOR).step_by(8) {
            let mut state = state(RECORDS_START + 4 * SECTOR + filled);
            let before = state.offset;
            state.put_filler();
            let len = state.offset - before;
            // A gap that holds no header takes the sector after it too.
            let sectors = if SECTOR - filled < to_u64(RECORD_HEADER) { 2 } else { 1 };
            let expected = if filled == 0 { 0 } else { sectors * SECTOR - filled };
            assert_eq!(len, expected, "{filled} bytes of the sector were filled");
            assert!(len < FILLER_BYTES_MAX);
        }
        let mut fresh = state(RECORDS_START);
        fresh.rotate(segment(2));
        let before = fresh.offset;
        fresh.put_filler();
        assert_eq!(fresh.offset, before, "a segment without records has nothing to fill");
    }

    #[test]
    fn a_sealed_segment_is_synced_twice_and_the_active_one_with_every_group() {
        let mut state = state(RECORDS_START + 88);
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(synced(&mut state), [1]);
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        state.rotate(segment(2));
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        state.rotate(segment(3));
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(synced(&mut state), [1, 2, 3]);
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(synced(&mut state), [1, 2, 3], "the second sync confirms the first");
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(synced(&mut state), [3]);
        // Nothing new: the active segment is synced once more when that is asked for.
        state.confirm_active();
        assert_eq!(synced(&mut state), [3]);
        assert_eq!(synced(&mut state), [0_u64; 0]);
    }

    #[test]
    fn a_group_follows_synced_ones_after_two_syncs_in_a_row() {
        let mut state = state(RECORDS_START + 88);
        let mut follows = |wants| {
            state.put(Kind::TimeMark, &Payload::new(Vec::new()));
            state.filling.wants = wants;
            let group = state.take_group();
            state.finish_group(&group, Ok(()));
            group.follows_synced
        };
        let before = [Wants::Sync, Wants::Sync, Wants::Sync, Wants::Write].map(&mut follows);
        assert_eq!(before, [false, false, true, true]);
        // The first syncs what was only written, the second would tell that this had failed.
        let after = [Wants::Sync, Wants::Sync, Wants::Sync].map(&mut follows);
        assert_eq!(after, [false, false, true]);
    }

    #[test]
    fn a_group_that_syncs_nothing_counts_as_no_sync() {
        let mut state = state(RECORDS_START + 88);
        let mut take = |wants, empty: bool| {
            if !empty {
                state.put(Kind::TimeMark, &Payload::new(Vec::new()));
            }
            state.filling.wants = wants;
            let group = state.take_group();
            state.finish_group(&group, Ok(()));
            (group.to_sync.len(), group.follows_synced)
        };
        take(Wants::Write, false);
        assert_eq!(take(Wants::Sync, false), (1, false));
        assert_eq!(take(Wants::Sync, true), (0, false));
        assert_eq!(take(Wants::Sync, false), (1, false), "only one sync came before it");
        assert_eq!(take(Wants::Sync, false), (1, true));
    }

    #[test]
    fn a_record_fits_when_its_segments_start_and_end_fit_with_it() {
        let mut state = state(RECORDS_START + 1000);
        let room = 8192 - (RECORDS_START + 1000) - to_u64(SEGMENT_END_LEN);
        assert!(state.has_room(room, 8192));
        assert!(!state.has_room(room + 1, 8192));
        state.rotate(segment(2));
        let room = 8192 - RECORDS_START - to_u64(SEGMENT_START_LEN + SEGMENT_END_LEN);
        assert!(state.has_room(room, 8192));
        assert!(!state.has_room(room + 1, 8192));
    }

    #[test]
    fn a_panic_leaves_the_group_in_the_kernel_unknown_and_refuses_what_came_after() {
        let mut state = state(RECORDS_START + 88);
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        let group = state.take_group();
        state.appending = true;
        let mut kind = |group| match state.turn(group) {
            Turn::Failed(error) => error.kind(),
            turn => panic!("{turn:?}"),
        };
        assert_eq!(kind(group.id), ErrorKind::OutcomeUnknown);
        assert_eq!(kind(group.id + 1), ErrorKind::Poisoned);
        state.finish_group(&group, Ok(()));
        assert!(matches!(state.turn(group.id), Turn::Done));
    }

    #[test]
    fn a_group_counts_the_bytes_of_all_its_segments() {
        let mut state = state(RECORDS_START + 88);
        assert_eq!(state.filling.len(), 88);
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(state.filling.len(), 88 + 72);
        state.rotate(segment(2));
        state.put(Kind::TimeMark, &Payload::new(Vec::new()));
        assert_eq!(state.filling.len(), 88 + 72 + 88 + 88 + 72);
        drop(state.take_group());
        assert_eq!(state.filling.len(), 88 + 72, "the page goes with the next group");
    }
}
