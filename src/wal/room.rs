//! Room for the next record: the spare segments, and what is kept for a full disk.
//!
//! ```text
//!  active segment               spares, numbered on from it
//!  |records      ¦  reserve |   |        |  |        |
//!          ^ half of it: the keeper prepares a spare if there is none
//! ```
//!
//! A commit goes on into a spare at once. Only without one it makes a segment itself, and then it
//! has to *before* it reaches the last quarter of the active one: that is the reserve, where what
//! takes away, and what the log writes for itself, still finds room when the disk is full
//! (`docs/decisions/0023`). No file is held back for it.
//!
//! - **P1** Spares are numbered without a gap from the active segment on; one is made at a time.

use crate::base::Result;
use crate::base::SegmentNumber;
use crate::base::codec::to_u64;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::vfs::sync::MutexGuard;

use super::commit::{Shared, count};
use super::filler::FILLER_BYTES_MAX;
use super::format::{SEGMENT_END_LEN, SEGMENT_START_LEN};
use super::group::State;

/// Who asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// A commit that may add to what is stored.
    Commit,
    /// A commit that only takes away, or the log's own bookkeeping: may use the reserve.
    Upkeep,
    /// As `Upkeep`, by the one whom every other waits for.
    Truncation,
}

impl State {
    /// The number of the next segment to prepare (P1).
    fn next_number(&self) -> SegmentNumber {
        SegmentNumber(self.active.number.0 + to_u64(self.spares.len()) + 1)
    }

    /// Whether to prepare a segment now. The first is wanted from the middle of the active one
    /// on, so that a short session does not pay for a segment that it never uses.
    pub(super) fn wants_spare(&self, segment_bytes: u64) -> bool {
        let wanted = self.demand.wanted();
        let near = wanted > 1 || self.offset > segment_bytes / 2;
        !self.preparing && near && self.spares.len() < wanted
    }

    /// Whether more is prepared than was needed lately.
    pub(super) fn has_too_many_spares(&self) -> bool {
        !self.preparing && self.spares.len() > self.demand.wanted()
    }

    /// Whether a record of `record_len` bytes fits, its segment's start and end included.
    pub(super) fn has_room(&self, record_len: u64, segment_bytes: u64) -> bool {
        let start = if self.has_no_start() { SEGMENT_START_LEN } else { 0 };
        let end_len = if is_planted(Plant::NoRoomForEnd) { 0 } else { SEGMENT_END_LEN };
        let end = self.offset + to_u64(start + end_len) + record_len + self.padding_max();
        end <= segment_bytes
    }

    /// Whether a commit of `record_len` bytes leaves the reserve alone, or need not care, because
    /// another segment is prepared.
    pub(super) fn leaves_reserve(&self, record_len: u64, segment_bytes: u64) -> bool {
        // Where segments are tiny: a commit's own padding, a delete with its own, and a close.
        let least = 2 * FILLER_BYTES_MAX + 3 * self.padding_max();
        let reserve = (segment_bytes / 4).max(least);
        let start = if self.has_no_start() { to_u64(SEGMENT_START_LEN) } else { 0 };
        !self.spares.is_empty() || self.offset + start + record_len + reserve <= segment_bytes
    }
}

impl Shared {
    /// Makes sure that a record of `record_len` bytes fits, rotating if needed.
    ///
    /// # Errors
    /// `Closed`, `Poisoned`; `Full` or `Io` when no segment can be prepared, before anything is
    /// numbered.
    pub(super) fn make_room(
        &self,
        state: &mut MutexGuard<'_, State>,
        record_len: u64,
        who: Asks,
    ) -> Result<()> {
        let segment_bytes = self.segments.segment_bytes;
        let mut at_once = true;
        loop {
            state.refuse_if_stopped()?;
            if state.standing.truncating && who != Asks::Truncation {
                self.prepared.wait(state);
                continue;
            }
            let leaves_reserve = state.leaves_reserve(record_len, segment_bytes);
            if state.has_room(record_len, segment_bytes) && (leaves_reserve || who != Asks::Commit)
            {
                if !leaves_reserve {
                    hit(Mark::ReserveUsed);
                }
                return Ok(());
            }
            if let Some(spare) = state.spares.pop_front() {
                count(&self.counts.pool_hits, u64::from(at_once));
                state.demand.rotated(self.runtime.clock.monotonic());
                state.rotate(spare);
                continue;
            }
            at_once = false;
            self.wait_for_spare(state)?;
        }
    }

    /// Prepares a segment, or waits for whoever does.
    fn wait_for_spare(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        state.demand.missed();
        let counts = &self.counts;
        let began = self.runtime.clock.monotonic();
        let prepared = if state.preparing {
            count(&counts.pool_waits, 1);
            self.prepared.wait(state);
            Ok(())
        } else {
            hit(Mark::PoolMiss);
            count(&counts.pool_misses, 1);
            self.prepare_spare(state)
        };
        let delay = self.runtime.clock.monotonic().saturating_sub(began).as_micros();
        let delay = u64::try_from(delay).unwrap_or(u64::MAX);
        count(&counts.pool_delay_micros, delay);
        prepared
    }

    /// Prepares the next segment with the append lock released.
    pub(super) fn prepare_spare(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        let number = state.next_number();
        let spare =
            self.while_preparing(state, || self.retention.pool.prepare(&self.segments, number))?;
        assert_eq!(spare.number, state.next_number(), "P1");
        if !state.spares.is_empty() {
            hit(Mark::SpareBehindSpare);
        }
        state.spares.push_back(spare);
        Ok(())
    }

    /// Removes the last spare. Nothing names it, so a crash that brings it back changes nothing.
    ///
    /// # Errors
    /// `Io`; the file is then outside the log, and is replaced when its number comes.
    pub(super) fn drop_spare(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        let Some(spare) = state.spares.pop_back() else { return Ok(()) };
        hit(Mark::SpareDropped);
        // Nobody may make a segment of that name meanwhile.
        self.while_preparing(state, || self.segments.remove(spare.number))
    }

    /// Runs `body` with the append lock released, and nobody else preparing.
    fn while_preparing<T>(
        &self,
        state: &mut MutexGuard<'_, State>,
        body: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        state.preparing = true;
        let outcome = MutexGuard::unlocked(state, body);
        state.preparing = false;
        if outcome.is_ok() || !is_planted(Plant::FailedPreparationNotTold) {
            self.prepared.notify_all();
        }
        outcome
    }

    /// Removes all spares but the first, at the end of a life: the next one cannot use them. What
    /// cannot be removed is outside the log, and replaced when its number comes.
    pub(super) fn drop_spares(&self, state: &mut MutexGuard<'_, State>) {
        while state.spares.len() > 1 && !state.preparing {
            if self.drop_spare(state).is_err() {
                return;
            }
        }
    }
}
