//! Whose turn it is: who leads the next group, who waits, and whom the end of a group wakes.
//!
//! In memory only, as `group.rs`; `commit.rs` waits and wakes as it is told here, and
//! `rehearsal.rs` plays every order of it without a thread. Nobody may be left behind:
//!
//! - **T1** While nobody leads, somebody who waits is awake, and leads when it looks; where only
//!   asynchronous commits wait, that is the keeper.
//! - **T2** Who waits for a group that is done, or will never be, is awake.

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Result};

use super::commit::Durability;
use super::group::{State, Wants};

/// Memory commits wait for a write once this much is unwritten, so that memory stays bounded.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// Why nothing completes any more.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// The group whose write had begun: its outcome is unknown.
    pub(super) group: u64,
    pub(super) error: Error,
}

/// What one who waits for a group does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Returns: the group is complete.
    Done,
    /// Returns: the group will never be complete.
    Failed(Error),
    /// Leads the filling group now.
    Lead,
    /// Waits to be woken as the leader of the next group; then calls [`State::woken_to_lead`].
    WaitToLead,
    /// Waits for the end of its group.
    Follow,
}

/// Whom the end of a group wakes: first the next leader, so that the disk is busy while the
/// followers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wakes {
    /// One of those who wait to lead.
    pub(super) next_leader: bool,
    /// The followers of every group, and not only of the one that ended.
    pub(super) all: bool,
}

impl State {
    /// Notes what the commit that was just appended waits for; true when it has that already.
    pub(super) fn join(&mut self, durability: Durability) -> bool {
        let alone = self.leading.is_none() && self.filling.wants == Wants::Nothing;
        let fits = self.filling.len() < UNWRITTEN_BYTES_MAX;
        if durability == Durability::Memory && alone && fits {
            hit(Mark::AnsweredFromMemory);
            return true;
        }
        let synced = durability == Durability::Sync && !is_planted(Plant::AnsweredBeforeSync);
        let wants = if synced { Wants::Sync } else { Wants::Write };
        self.filling.wants = self.filling.wants.max(wants);
        false
    }

    /// Stops the log when a panic left a record half appended: nothing of it is ever written.
    pub(super) fn stop_after_panic(&mut self) {
        if self.appending && self.failure.is_none() {
            let what = "a thread panicked while it appended to the log";
            // No group of that number: what was appended and not written is refused, not unknown.
            self.failure = Some(Failure { group: 0, error: Error::new(ErrorKind::Bug, what) });
        }
    }

    /// What became of `group`; `None` while that is not decided.
    pub(super) fn fate(&mut self, group: u64) -> Option<Result<()>> {
        self.stop_after_panic();
        if group <= self.completed {
            return Some(Ok(()));
        }
        let failure = self.failure.clone()?;
        if is_planted(Plant::FailureForgotten) {
            (self.completed, self.failure) = (failure.group, None);
        }
        // What is in the kernel may still become durable, whatever stopped the log meanwhile.
        Some(Err(if group == failure.group || self.leading == Some(group) {
            outcome_unknown(&failure.error)
        } else {
            poisoned(&failure.error)
        }))
    }

    /// What one who waits for `group` does next.
    pub(super) fn turn(&mut self, group: u64) -> Turn {
        match self.fate(group) {
            Some(Ok(())) => return Turn::Done,
            Some(Err(error)) => return Turn::Failed(error),
            None => {}
        }
        if self.leading.is_none() && !self.linger.active {
            return Turn::Lead;
        }
        let taken = if is_planted(Plant::LeaderNotByGroup) {
            self.next_leader.is_some()
        } else {
            self.next_leader == Some(group)
        };
        // Who lingers leads the filling group.
        if group == self.filling.id && !taken && !self.linger.active {
            self.next_leader = Some(group);
            return Turn::WaitToLead;
        }
        Turn::Follow
    }

    /// The leader-to-be of `group` is awake and takes its name off; a newcomer may have put down
    /// another.
    pub(super) fn woken_to_lead(&mut self, group: u64) {
        self.next_leader = self.next_leader.filter(|next| *next != group);
    }

    /// Notes that `group` has a member who leads it not: whose commit is asynchronous, or who left
    /// at its deadline. The keeper leads for it. Whoever leaves also wakes the followers of its
    /// group, because it may have been the one who was to lead them (T1).
    pub(super) fn leave_to_keeper(&mut self, group: u64) {
        if group == self.filling.id {
            self.filling.unattended = true;
        }
    }

    /// Whether the keeper leads now: for those who wait without leading, and only while nobody
    /// leads or was woken to.
    pub(super) fn wants_keeper(&self) -> bool {
        self.filling.unattended
            && self.leading.is_none()
            && !self.linger.active
            && self.next_leader != Some(self.filling.id)
            && self.failure.is_none()
    }

    /// Whom the group that was just finished wakes.
    pub(super) fn wakes(&self) -> Wakes {
        Wakes {
            next_leader: self.next_leader.is_some() && !is_planted(Plant::NextLeaderNotWoken),
            all: self.failure.is_some() && !is_planted(Plant::FollowersLeftBehind),
        }
    }

    /// Refuses what would append to a log that goes on no more.
    pub(super) fn refuse_if_stopped(&self) -> Result<()> {
        if let Some(failure) = &self.failure {
            return Err(poisoned(&failure.error));
        }
        if self.closed || (self.closing && !is_planted(Plant::ClosingNotSeen)) {
            return Err(Error::new(ErrorKind::Closed, "the store is closed; open it again"));
        }
        Ok(())
    }
}

fn outcome_unknown(cause: &Error) -> Error {
    hit(Mark::OutcomeUnknown);
    cause
        .clone()
        .as_kind(ErrorKind::OutcomeUnknown)
        .within("this write may or may not survive: close the store and open it again to see")
}

pub(super) fn poisoned(cause: &Error) -> Error {
    hit(Mark::Poisoned);
    cause.clone().as_kind(ErrorKind::Poisoned).within(
        "nothing of this call was written, because an earlier write or sync of the log failed: \
         close the store and open it again",
    )
}
