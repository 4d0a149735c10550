//! How many segments are prepared ahead: as many as the log has needed lately.
//!
//! Pure. One spare is enough while the keeper prepares the next before it is needed. A burst of
//! commits that finds none shows that the keeper is behind, and there is one more from then on, up
//! to a bound. A log without a rotation for a while needs fewer, one by one, because what is
//! prepared takes space.
//!
//! Rejected: to grow also when the last spare is taken. A log that is filled as fast as the disk
//! takes it then always has all the spares there may be, gains nothing from them, and lost a tenth
//! of its speed: what was zeroed 64 MiB ago is no longer in the processor's cache.

use std::time::Duration;

use crate::base::codec::to_usize;

/// Without a rotation for so long, one spare fewer is kept.
const QUIET: Duration = Duration::from_secs(10);
/// What is kept beside the log unless told otherwise, if that is two segments or more.
const POOL_BYTES: u64 = 64 << 20;
/// However small the segments are: each spare is an open file.
const SEGMENTS_MAX: u64 = 64;

/// The bound for segments of this size when none was set.
pub(super) fn default_max(segment_bytes: u64) -> usize {
    to_usize((POOL_BYTES / segment_bytes.max(1)).clamp(2, SEGMENTS_MAX))
}

/// What the last rotations say about the next.
#[derive(Debug)]
pub(super) struct Demand {
    wanted: usize,
    max: usize,
    /// Since the last rotation somebody needed a segment that was not there.
    missed: bool,
    /// When a rotation, or a step down, came last.
    since: Duration,
}

impl Demand {
    /// Of a log that has just been opened: one, and never more than `max`.
    pub(super) const fn new(max: usize) -> Self {
        Self { wanted: 1, max, missed: false, since: Duration::ZERO }
    }

    /// How many spares there should be.
    pub(super) const fn wanted(&self) -> usize {
        self.wanted
    }

    /// Somebody needs a segment, and none is prepared.
    pub(super) fn missed(&mut self) {
        if !self.missed {
            self.wanted = (self.wanted + 1).min(self.max).max(1);
        }
        self.missed = true;
    }

    /// The log went on in a spare.
    pub(super) const fn rotated(&mut self, now: Duration) {
        (self.missed, self.since) = (false, now);
    }

    /// How long until one fewer is enough; `None` while there is one to keep at most.
    pub(super) fn quiet_in(&self, now: Duration) -> Option<Duration> {
        let due = (self.since + QUIET).saturating_sub(now);
        (self.wanted > 1).then_some(due)
    }

    /// One fewer is enough.
    pub(super) fn shrink(&mut self, now: Duration) {
        self.wanted = (self.wanted - 1).max(1);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn the_bound_follows_the_size_of_segments() {
        let bounds = [8192, 1 << 20, 16 << 20, 64 << 20, 1 << 30].map(default_max);
        assert_eq!(bounds, [64, 64, 4, 2, 2]);
    }

    #[test]
    fn a_log_whose_spare_is_always_there_keeps_one() {
        let mut demand = Demand::new(4);
        for _ in 0..100 {
            demand.rotated(NOW);
        }
        assert_eq!(demand.wanted(), 1);
        assert_eq!(demand.quiet_in(NOW), None);
    }

    #[test]
    fn bursts_that_find_none_make_it_grow_to_its_bound() {
        let mut demand = Demand::new(4);
        for expected in [2, 3, 4, 4] {
            // Many who wait for the same segment are one need.
            (0..9).for_each(|_| demand.missed());
            assert_eq!(demand.wanted(), expected);
            demand.rotated(NOW);
            demand.rotated(NOW);
            assert_eq!(demand.wanted(), expected, "the next was there");
        }
    }

    #[test]
    fn a_quiet_log_steps_down_one_by_one() {
        let mut demand = Demand::new(3);
        demand.missed();
        demand.rotated(NOW);
        demand.missed();
        demand.rotated(NOW);
        assert_eq!((demand.wanted(), demand.quiet_in(NOW)), (3, Some(QUIET)));
        assert_eq!(demand.quiet_in(NOW + QUIET / 2), Some(QUIET / 2));
        demand.shrink(NOW + QUIET);
        assert_eq!((demand.wanted(), demand.quiet_in(NOW + QUIET)), (2, Some(QUIET)));
        demand.shrink(NOW + 2 * QUIET);
        assert_eq!((demand.wanted(), demand.quiet_in(NOW + 2 * QUIET)), (1, None));
    }

    #[test]
    fn one_spare_is_wanted_whatever_the_bound() {
        let mut demand = Demand::new(0);
        demand.missed();
        assert_eq!(demand.wanted(), 1);
    }
}
