//! Whether who leads waits a moment for committers who are on their way back.
//!
//! Those whom one group wakes miss the next, which is in the kernel when they return, so that
//! groups fall into two halves that take turns, and each sync serves half of those it could. A
//! leader who was one of several therefore waits until about as many wait as did around the last
//! sync, at most for a part of what a sync takes. Where that is in vain it is left out, for longer
//! each time. Who commits alone never waits; nor does anybody as long as committers came until the
//! end of the last sync, because then the processor is what they wait for, and two halves that
//! take turns keep both it and the disk busy.
//!
//! In memory only: who lingers waits in `waiting.rs`.

use std::time::Duration;

/// A leader waits at most for this part of what a sync takes.
const PART_OF_SYNC: u32 = 2;
/// A sync that nobody came during for more than this part of it has left the processor idle.
const IDLE_PART: u32 = 4;
/// What is left out after lingering in vain doubles up to this many times.
const DOUBLINGS_MAX: u32 = 6;

/// Who comes back after each sync, and what it is worth to wait for them.
#[derive(Debug, Default)]
pub(super) struct Linger {
    /// Those who stand waiting for the filling group.
    waiting: u32,
    /// Those who stood waiting for the group in the kernel.
    leading: u32,
    /// Those who stood waiting when the last sync ended, served by it or not.
    crowd: u32,
    /// What a write and its sync take, smoothed.
    sync: Duration,
    /// When the last commit was appended.
    appended: Duration,
    /// The last sync went on for long after nobody came any more.
    idle: bool,
    /// Somebody leads the filling group after waiting for more of its members.
    pub(super) active: bool,
    /// The filling group was waited for.
    over: bool,
    /// How often in a row nobody came.
    in_vain: u32,
    /// Groups that are not waited for.
    left_out: u32,
}

impl Linger {
    /// Somebody stands waiting for the filling group; true when whoever lingers has waited enough.
    pub(super) fn joined(&mut self) -> bool {
        self.waiting = self.waiting.saturating_add(1);
        self.active && self.is_complete()
    }

    /// The filling group goes to the kernel.
    pub(super) fn taken(&mut self) {
        self.leading = std::mem::take(&mut self.waiting);
        self.over = false;
    }

    /// Whether it matters how long the next sync takes.
    pub(super) const fn is_crowded(&self) -> bool {
        self.crowd > 1 || self.leading > 1
    }

    /// A commit was appended at `now`.
    pub(super) const fn appended(&mut self, now: Duration) {
        self.appended = now;
    }

    /// The group in the kernel is on the disk at `now`, and went there at `began` if that was
    /// looked at.
    pub(super) fn synced(&mut self, began: Option<Duration>, now: Duration) {
        self.crowd = self.leading.saturating_add(self.waiting);
        let Some(took) = began.map(|began| now.saturating_sub(began)) else { return };
        self.sync = if self.sync.is_zero() { took } else { (self.sync * 7 + took) / 8 };
        self.idle = now.saturating_sub(self.appended) > took / IDLE_PART;
    }

    /// Nearly all are back: some of a crowd always do something else.
    const fn is_complete(&self) -> bool {
        self.waiting >= self.crowd.saturating_sub(self.crowd / 8)
    }

    /// For how long to wait before leading the filling group; `None` to lead at once.
    pub(super) fn begin(&mut self) -> Option<Duration> {
        if self.over || self.crowd < 2 || !self.idle || self.is_complete() {
            return None;
        }
        self.over = true;
        if self.left_out > 0 {
            self.left_out -= 1;
            return None;
        }
        let time = self.sync / PART_OF_SYNC;
        self.active = !time.is_zero();
        self.active.then_some(time)
    }

    /// Who lingered looks again; `before` waited when it began.
    pub(super) fn end(&mut self, before: u32) {
        self.active = false;
        if self.waiting > before {
            self.in_vain = 0;
        } else {
            self.in_vain = (self.in_vain + 1).min(DOUBLINGS_MAX);
            self.left_out = 1 << self.in_vain;
        }
    }

    /// Those who stand waiting for the filling group.
    pub(super) const fn waiting(&self) -> u32 {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(100);

    /// One sync of `served`, while `behind` came.
    fn after(served: u32, behind: u32) -> Linger {
        let mut linger = Linger::default();
        (0..served).for_each(|_| assert!(!linger.joined()));
        linger.taken();
        (0..behind).for_each(|_| assert!(!linger.joined()));
        linger.synced(Some(Duration::ZERO), SYNC);
        linger
    }

    #[test]
    fn who_commits_alone_never_waits() {
        let mut linger = after(1, 0);
        assert!(!linger.joined());
        assert_eq!(linger.begin(), None);
    }

    #[test]
    fn a_leader_waits_once_until_nearly_all_are_back() {
        let mut linger = after(8, 8);
        assert_eq!(linger.begin(), Some(SYNC / PART_OF_SYNC));
        assert!(linger.active);
        let told: Vec<bool> = (0..6).map(|_| linger.joined()).collect();
        assert_eq!(told, [false, false, false, false, false, true], "14 of 16 are enough");
        linger.end(8);
        assert_eq!((linger.active, linger.begin()), (false, None), "only once for a group");
    }

    #[test]
    fn nobody_waits_while_the_processor_is_busy_with_the_others() {
        let mut linger = after(8, 8);
        linger.taken();
        linger.appended(SYNC * 2 - SYNC / 8);
        linger.synced(Some(SYNC), SYNC * 2);
        assert_eq!(linger.begin(), None);
    }

    #[test]
    fn waiting_in_vain_is_left_out_for_longer_each_time() {
        let mut linger = after(1, 1);
        let mut waited = Vec::new();
        for _ in 0..16 {
            let time = linger.begin();
            waited.push(time.is_some());
            if time.is_some() {
                linger.end(linger.waiting());
            }
            linger.taken();
            linger.joined();
            linger.synced(Some(Duration::ZERO), SYNC);
        }
        let expected: Vec<bool> = (0..16).map(|group| [0, 3, 8].contains(&group)).collect();
        assert_eq!(waited, expected);
    }
}
