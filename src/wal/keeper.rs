//! The log's background work: asynchronous commits, the next segment before it is needed, a claim
//! for an idle log, and a sync for commits that did not ask for one.
//!
//! On a thread when the runtime has threads, else one [`Shared::step`] at a time. The keeper
//! leads only when no committer does.

use std::sync::Arc;
use std::time::Duration;

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, Result};
use crate::vfs::sync::MutexGuard;

use super::commit::Shared;
use super::draft::Payload;
use super::filler::FILLER_BYTES_MAX;
use super::group::{State, Wants};
use super::room::Asks;

/// Within twice this a commit that asked for no sync is synced, and an idle log is claimed.
const IDLE_CHECK: Duration = Duration::from_millis(45);
/// After background work that failed.
const REST: Duration = Duration::from_secs(1);

/// What the keeper would do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Leads for those who wait without leading.
    Lead,
    Prepare,
    Sync,
    Claim,
    /// Removes a spare that the log needed no more for a while.
    DropSpare,
}

impl State {
    /// What to do now, if `before` is what was seen at the last look.
    pub(super) fn task(&self, segment_bytes: u64, before: Option<Seen>) -> Option<Task> {
        if self.failure.is_some() || self.closed || self.closing {
            None
        } else if self.wants_keeper() {
            // Before a segment is prepared: that may fail, and nobody else leads.
            Some(Task::Lead)
        } else if self.wants_spare(segment_bytes) {
            Some(Task::Prepare)
        } else if before.is_some_and(|before| self.durable.lsn < before.last) {
            Some(Task::Sync)
        } else if before == Some(self.seen())
            && self.leading.is_none()
            && self.has_unclaimed_commits()
        {
            Some(Task::Claim)
        } else if self.has_too_many_spares() {
            Some(Task::DropSpare)
        } else {
            None
        }
    }

    /// [`State::task`] for the keeper's thread: commits that have waited long enough are synced
    /// before another segment is prepared.
    fn kept(&self, segment_bytes: u64, before: Option<Seen>) -> Option<Task> {
        let task = self.task(segment_bytes, before);
        let waited = before.is_some_and(|before| self.durable.lsn < before.last);
        if waited && task == Some(Task::Prepare) { Some(Task::Sync) } else { task }
    }

    /// Commits that were answered, or will be, without a sync.
    pub(super) fn has_unsynced_commits(&self) -> bool {
        self.durable.lsn < self.position.lsn
    }

    /// A synced commit that no claim covers yet.
    pub(super) fn has_unclaimed_commits(&self) -> bool {
        self.last_commit > self.claimed
            && !self.has_unsynced_commits()
            && !is_planted(Plant::IdleNeverClaimed)
    }

    pub(super) const fn seen(&self) -> Seen {
        Seen { group: self.filling.id, last: self.position.lsn }
    }
}

/// What the keeper saw when it last looked: a log that shows the same is idle, and a commit that
/// was there and is not synced yet has waited long enough, however busy the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    group: u64,
    last: Lsn,
}

impl Shared {
    /// Wakes the keeper if it would not notice by itself; a commit pays a system call for it
    /// only when the log was idle before, when a segment is wanted, or when the keeper is to lead.
    pub(super) fn tell_keeper(&self, state: &State) {
        let wanted = state.wants_spare(self.segments.segment_bytes) || state.wants_keeper();
        if state.keeper_parked || wanted {
            self.keeper.notify_one();
        }
    }

    /// Does one piece of background work; gives false when there is none.
    ///
    /// # Errors
    /// `Full`, `Io` from preparing a segment, which the next commit that needs one tries again.
    pub(super) fn step(&self) -> Result<bool> {
        let mut state = self.lock();
        self.tell_handles(&mut state);
        // Whoever steps says when time has passed: the log counts as quiet, as it does as idle.
        let mut task = state.task(self.segments.segment_bytes, Some(state.seen()));
        if task.is_none() && self.quiet_in(&state).is_some() {
            state.demand.shrink(self.runtime.clock.monotonic());
            task = state.task(self.segments.segment_bytes, Some(state.seen()));
        }
        task.map_or(Ok(false), |task| self.perform(&mut state, task).map(|()| true))
    }

    fn perform(&self, state: &mut MutexGuard<'_, State>, task: Task) -> Result<()> {
        match task {
            Task::Lead => self.lead(state),
            Task::Prepare => return self.prepare_spare(state),
            Task::Sync => {
                hit(Mark::SyncByKeeper);
                state.filling.wants = Wants::Sync;
                // Beside a leader it is enough to have asked: the next one syncs for all.
                if state.leading.is_none() {
                    self.lead(state);
                }
            }
            Task::DropSpare => return self.drop_spare(state),
            Task::Claim => {
                let payload = Payload::new(Vec::new());
                let room = payload.record_len() + FILLER_BYTES_MAX;
                self.make_room(state, room, Asks::Upkeep)?;
                if state.leading.is_none() && state.has_unclaimed_commits() {
                    hit(Mark::ClaimByKeeper);
                    self.put_time_mark(state);
                    self.lead(state);
                }
            }
        }
        Ok(())
    }

    /// How long until the log needs one spare fewer; `None` when it keeps one, or goes on no more.
    fn quiet_in(&self, state: &State) -> Option<Duration> {
        let goes_on = state.failure.is_none() && !state.closed && !state.closing;
        let now = self.runtime.clock.monotonic();
        state.demand.quiet_in(now).filter(|_| goes_on)
    }

    /// Appends a mark: the next commit will be later than now.
    pub(super) fn put_time_mark(&self, state: &mut State) {
        let time = self.next_time(state);
        state.put_claiming_mark(time);
    }

    /// The keeper's thread, until the log is closed.
    pub(super) fn keep(self: &Arc<Self>) {
        let mut state = self.lock();
        let mut before = None;
        while !state.closed {
            state.stop_after_panic();
            if self.tell_handles(&mut state) {
                // The lock was let go of: look again, also whether the log was closed.
                continue;
            }
            let due = before.take();
            if let Some(task) = state.kept(self.segments.segment_bytes, due) {
                // Beside a writer who never pauses there is always a segment to prepare, and what
                // is there before it has waited long enough when it is done.
                before = (task == Task::Prepare).then(|| state.seen());
                // The log may have been closed meanwhile, and whoever closes waits for this thread.
                if self.perform(&mut state, task).is_err() && !state.closed {
                    // A full disk is not asked again at once; the commit that needs the segment
                    // reports it.
                    let _timed_out = self.keeper.wait_for(&mut state, REST);
                }
            } else if state.failure.is_none()
                && (state.has_unsynced_commits() || state.has_unclaimed_commits())
            {
                // Not told of every commit: look again, and see what has moved.
                before = Some(state.seen());
                let _timed_out = self.keeper.wait_for(&mut state, IDLE_CHECK);
            } else {
                state.keeper_parked = true;
                if let Some(left) = self.quiet_in(&state) {
                    let _timed_out = self.keeper.wait_for(&mut state, left);
                    if self.quiet_in(&state) == Some(Duration::ZERO) {
                        state.demand.shrink(self.runtime.clock.monotonic());
                    }
                } else {
                    self.keeper.wait(&mut state);
                }
                state.keeper_parked = false;
            }
        }
    }
}
