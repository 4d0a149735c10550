//! Letting go of the log's oldest segments, once nobody needs what is in them.
//!
//! ```text
//! 1  the first segment that is kept    below: only commits that nobody needs; itself: sealed,
//!                                      and synced twice since
//! 2  FIRST names it, durably
//! !                                    a crash here: the log begins there, and files lie below
//! 3  the files below go to the pool    in any order, without a sync
//! ```
//!
//! Nothing of it is on the way of a commit: it happens in the thread that asks for it.

use crate::base::codec::to_u64;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, Result, SegmentNumber};
use crate::vfs::sync::atomic::Ordering;
use crate::vfs::sync::{Mutex, MutexGuard};

use super::commit::Shared;
use super::first::First;
use super::group::State;
use super::log::Wal;
use super::pins::Pins;
use super::pool::Pool;
use super::segment::SegmentDir;
use super::stats::LogStats;

/// What of the log is kept, for whom, and the files of what is not.
#[derive(Debug)]
pub(super) struct Retention {
    /// Held during a release. Never taken with the append lock held.
    beginning: Mutex<Beginning>,
    pub(super) pins: Pins,
    pub(super) pool: Pool,
}

#[derive(Debug)]
struct Beginning {
    first: First,
    /// Files below it may still be there under the names of segments.
    leftovers: bool,
    /// What the last release left for readers.
    held_bytes: u64,
}

impl Retention {
    /// Of a log that begins with `first`; readers may hold `held_bytes_max` back, and `pool_max`
    /// files wait to be used again at most.
    pub(super) fn new(first: First, held_bytes_max: u64, pool_max: usize) -> Self {
        // Nothing is looked for where nothing was ever released.
        let beginning =
            Mutex::new(Beginning { first, leftovers: first != First::ORIGIN, held_bytes: 0 });
        let pins = Pins::new(held_bytes_max);
        Self { beginning, pins, pool: Pool::new(pool_max) }
    }

    /// The oldest commit that is in the log, or comes next.
    pub(super) fn oldest(&self) -> Lsn {
        self.beginning.lock().first.oldest()
    }

    /// Fills in what it knows.
    pub(super) fn tell(&self, stats: &mut LogStats) {
        let beginning = self.beginning.lock();
        (stats.oldest, stats.held_bytes) = (beginning.first.oldest(), beginning.held_bytes);
        stats.pins = to_u64(self.pins.len());
        stats.free_segments = to_u64(self.pool.len());
        stats.recycled_segments = self.pool.recycled.load(Ordering::Relaxed);
        stats.filled_segments = self.pool.filled.load(Ordering::Relaxed);
        stats.zeroed_bytes = self.pool.zeroed_bytes.load(Ordering::Relaxed);
    }

    /// Takes the files over that earlier lives, or a release that failed, left behind.
    pub(super) fn adopt(&self, dir: &SegmentDir) -> Result<()> {
        self.adopt_leftovers(dir, &mut self.beginning.lock())
    }

    fn adopt_leftovers(
        &self,
        dir: &SegmentDir,
        beginning: &mut MutexGuard<'_, Beginning>,
    ) -> Result<()> {
        if beginning.leftovers {
            self.pool.adopt(dir, &beginning.first)?;
            beginning.leftovers = false;
        }
        Ok(())
    }
}

/// What a release left.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// The oldest commit that is still in the log.
    pub oldest: Lsn,
    /// Segments that were released by this call.
    pub segments: u64,
    /// Bytes of segments that nobody needs but readers who have not come so far.
    pub held_bytes: u64,
}

impl State {
    /// The oldest segment that may still change, or whose last sync was not confirmed.
    fn unsettled(&self) -> SegmentNumber {
        let filling = self.filling.pieces.first().map(|piece| piece.segment.number);
        let dirty = self.unsynced.oldest();
        [filling, dirty].into_iter().flatten().fold(self.active.number, SegmentNumber::min)
    }
}

impl Wal {
    /// Says that nobody needs the commits below `before`, and gives back what can be.
    ///
    /// Whole segments go, so that some of those commits stay; so does what a [`Follower`] has
    /// still to read, up to [`OpenSettings::held_bytes_max`], beyond which it gets `Expired`. What
    /// stays goes with a later call. The files are used again for the next segments.
    ///
    /// # Durability
    /// What stays is not touched; what goes may come back after a power cut only as files that
    /// the log does not begin with.
    ///
    /// # Errors
    /// `Closed`, `Full`, `Io`: the log is whole, and the call can be repeated. `Poisoned` and
    /// `OutcomeUnknown` when a sync of the log failed.
    ///
    /// # Concurrency
    /// One release at a time; committers do not wait for it.
    ///
    /// # Cost
    /// Three syncs if something goes, a rename and two reads for each segment; up to two syncs
    /// of the log when the last segments were filled just now, and one when it holds a vote or a
    /// committed mark, which are written again so as to stay.
    ///
    /// [`Follower`]: super::Follower
    /// [`OpenSettings::held_bytes_max`]: super::OpenSettings::held_bytes_max
    pub fn release(&self, before: Lsn) -> Result<Released> {
        self.repeat_standing()?;
        self.shared.release(before)
    }

    /// The oldest commit that is in the log, or comes next in one without commits.
    #[must_use]
    pub fn oldest(&self) -> Lsn {
        self.shared.retention.oldest()
    }
}

impl Shared {
    /// Syncs what is sealed once more, where that is still due; gives what may still change.
    fn settle(&self) -> Result<SegmentNumber> {
        let mut state = self.lock();
        state.refuse_if_stopped()?;
        // The first sync may be the one that a sealed segment has had not at all.
        for _ in 0..2 {
            if state.unsettled() < state.active.number {
                state.confirm_active();
                let group = state.filling.id;
                self.wait_for_group(&mut state, group)?;
            }
        }
        Ok(state.unsettled())
    }

    fn release(&self, before: Lsn) -> Result<Released> {
        let Retention { beginning, pins, pool } = &self.retention;
        let dir = &self.segments;
        let mut beginning = beginning.lock();
        let unsettled = self.settle()?;
        self.retention.adopt_leftovers(dir, &mut beginning)?;
        let first = beginning.first;
        let needed = first_needed(dir, first, before, unsettled)?;
        let (floor, held_bytes) = pins.hold_back(needed.segment, dir.segment_bytes);
        beginning.held_bytes = held_bytes;
        let kept = if floor < needed.segment {
            First::of_segment(dir, floor.max(first.segment))?.unwrap_or(first)
        } else {
            needed
        };
        if kept.segment > first.segment {
            let early = is_planted(Plant::ReleasedBeforeDurable);
            if !early {
                kept.save(dir)?;
            }
            (beginning.first, beginning.leftovers) = (kept, true);
            for number in (first.segment.0..kept.segment.0).map(SegmentNumber) {
                pool.take_in(dir, number)?;
            }
            beginning.leftovers = false;
            if early {
                kept.save(dir)?;
            }
        }
        let segments = kept.segment.0 - first.segment.0;
        Ok(Released { oldest: kept.oldest(), segments, held_bytes })
    }
}

/// The first segment that is kept for the commits from `before` on. It is one that has its end
/// and is settled, so that where the log begins can be read whatever a crash takes.
fn first_needed(
    dir: &SegmentDir,
    first: First,
    before: Lsn,
    unsettled: SegmentNumber,
) -> Result<First> {
    let mut kept = first;
    while kept.segment.next().next() <= unsettled {
        let next = First::of_segment(dir, kept.segment.next())?;
        match next.filter(|next| next.oldest() <= before) {
            Some(next) => kept = next,
            None => break,
        }
    }
    Ok(kept)
}
