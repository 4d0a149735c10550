//! What the log has done: counts for whoever looks after it, and nothing that decides anything.

use std::time::Duration;

use crate::base::{Histogram, Lsn, Timestamp};

/// What the log has done since it was opened, and where it stands.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// The last commit appended.
    pub appended: Lsn,
    /// The last commit on stable storage.
    pub durable: Lsn,
    /// The era of the last commit.
    pub term: u64,
    /// The latest commit time or mark.
    pub time: Timestamp,
    /// Commits appended.
    pub commits: u64,
    /// Groups written.
    pub groups: u64,
    /// Sync calls of the commit path.
    pub syncs: u64,
    /// Bytes written by the commit path.
    pub written_bytes: u64,
    /// Rotations that found the next segment prepared.
    pub pool_hits: u64,
    /// Commits that had to prepare a segment themselves.
    pub pool_misses: u64,
    /// Commits that waited for a segment that another thread was preparing.
    pub pool_waits: u64,
    /// Time that commits were delayed by either.
    pub pool_delay_micros: u64,
    /// Of each commit that waited for a sync, the time from its place in the log to that sync.
    pub commit_micros: Histogram,
    /// Of each synced group, the commits in it that waited for it.
    pub group_commits: Histogram,
    /// Segments made of the file of a released one.
    pub recycled_segments: u64,
    /// Segments filled with zeroes because there was no such file.
    pub filled_segments: u64,
    /// Bytes of zeroes written for that: what the disk took beside `written_bytes`.
    pub zeroed_bytes: u64,
    /// Segments that are prepared for the next rotations.
    pub spare_segments: u64,
    /// Files of released segments that wait to be used again.
    pub free_segments: u64,
    /// The oldest commit that is in the log, or comes next in one without commits.
    pub oldest: Lsn,
    /// Readers that keep segments from being released.
    pub pins: u64,
    /// Bytes of segments that the last release left for those readers alone.
    pub held_bytes: u64,
    /// Number of the segment written to.
    pub active_segment: u64,
    /// The machine's clock leapt ahead and is not believed until the store is reopened.
    pub clock_suspect: bool,
}

/// The histograms of synced commits; under the append lock.
///
/// A commit's beginning is the clock reading that it takes for its own time anyway, and its end
/// is one reading for the whole group, so that a commit costs no reading more.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) commit_micros: Histogram,
    pub(super) group_commits: Histogram,
    /// When those in the filling group began to wait, and those in the group in the kernel.
    filling: Vec<Duration>,
    leading: Vec<Duration>,
}

impl Tally {
    /// A commit waits for the filling group since `now`.
    pub(super) fn joined(&mut self, now: Duration) {
        self.filling.push(now);
    }

    /// The filling group goes to its leader.
    pub(super) fn taken(&mut self) {
        self.leading.clear();
        std::mem::swap(&mut self.filling, &mut self.leading);
    }

    /// The group in the kernel was synced at `now`.
    pub(super) fn synced(&mut self, now: Duration) {
        if self.leading.is_empty() {
            return;
        }
        self.group_commits.add(crate::base::codec::to_u64(self.leading.len()));
        for began in self.leading.drain(..) {
            let micros = now.saturating_sub(began).as_micros();
            self.commit_micros.add(u64::try_from(micros).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_counted_with_its_own_group_and_never_with_the_next() {
        let mut tally = Tally::default();
        let micros = Duration::from_micros;
        tally.joined(micros(10));
        tally.joined(micros(15));
        tally.taken();
        tally.joined(micros(20));
        tally.synced(micros(30));
        assert_eq!((tally.group_commits.count(), tally.group_commits.max()), (1, 2));
        assert_eq!((tally.commit_micros.count(), tally.commit_micros.max()), (2, 20));
        tally.taken();
        // This group was written without a sync, and the one after it is not charged for it.
        tally.taken();
        tally.synced(micros(99));
        assert_eq!((tally.group_commits.count(), tally.commit_micros.count()), (1, 2));
    }
}
