//! Waiting for a group, or for a commit, to be done: with or without a deadline.
//!
//! Who waits takes turns as `turn` says. A deadline ends the waiting, not the commit: what is in
//! the log stays in it, and whoever leaves at its deadline leaves its commit to the keeper, as if
//! it had been asynchronous.

use std::time::Duration;

use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::vfs::Clock;
use crate::vfs::gate::Waited;
use crate::vfs::sync::{Condvar, MutexGuard};

use super::commit::{Appended, Appending, Durability, Shared};
use super::draft::Payload;
use super::group::{State, Wants};
use super::log::Wal;
use super::turn::Turn;

/// Until when somebody waits.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Duration>);

impl Deadline {
    /// As long as it takes.
    pub const NONE: Self = Self(None);

    /// So long from now; a time too far away to be told is as long as it takes.
    #[must_use]
    pub fn after(clock: &dyn Clock, timeout: Duration) -> Self {
        Self(clock.monotonic().checked_add(timeout))
    }

    /// What is left until then; `None` when there is no deadline.
    fn left(self, clock: &dyn Clock) -> Option<Duration> {
        self.0.map(|at| at.saturating_sub(clock.monotonic()))
    }
}

/// What became of one turn of one who waits.
enum Step {
    /// The group is done, or its deadline came first (false), or it never will be.
    Done(Result<bool>),
    /// Looks again; whether the time is over.
    Again(bool),
    /// Waits at the gate, having seen so many shakes, for so long.
    Follow(u64, Option<Duration>),
}

impl Shared {
    /// Waits until the commit is as durable as asked, leading if nobody does.
    ///
    /// # Errors
    /// `OutcomeUnknown` when the write or sync of its group failed or its deadline has passed,
    /// `Poisoned` when an earlier write or sync failed.
    pub(super) fn wait(&self, appended: &Appended, deadline: Deadline) -> Result<()> {
        if appended.done {
            return Ok(());
        }
        self.wait_holding(self.lock(), appended, deadline)
    }

    /// [`Shared::wait`] for who holds the append lock already.
    fn wait_holding<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        appended: &Appended,
        deadline: Deadline,
    ) -> Result<()> {
        let group = appended.group;
        self.join(&mut state, group);
        let mut late = false;
        loop {
            let (shakes, left) = match self.step_of(&mut state, group, deadline, late) {
                Step::Done(Ok(true)) => return Ok(()),
                Step::Done(Ok(false)) => return Err(past_deadline(appended.lsn)),
                Step::Done(Err(error)) => return Err(error),
                Step::Again(timed_out) => {
                    late = timed_out;
                    continue;
                }
                Step::Follow(shakes, left) => (shakes, left),
            };
            // Who is let through needs the append lock no more.
            drop(state);
            let waited = self.gate.wait(group, shakes, left);
            if waited == Waited::Through {
                return Ok(());
            }
            late = waited == Waited::Late;
            state = self.lock();
        }
    }

    pub(super) fn wait_for_group(
        &self,
        state: &mut MutexGuard<'_, State>,
        group: u64,
    ) -> Result<()> {
        self.wait_until(state, group, Deadline::NONE).map(|_done| ())
    }

    /// Waits for the end of `group`; false when its deadline came first.
    pub(super) fn wait_until(
        &self,
        state: &mut MutexGuard<'_, State>,
        group: u64,
        deadline: Deadline,
    ) -> Result<bool> {
        self.join(state, group);
        let mut late = false;
        loop {
            late = match self.step_of(state, group, deadline, late) {
                Step::Done(told) => return told,
                Step::Again(late) => late,
                Step::Follow(shakes, left) => {
                    let wait = || self.gate.wait(group, shakes, left);
                    MutexGuard::unlocked(state, wait) == Waited::Late
                }
            };
        }
    }

    /// Tells who lingers that one more stands waiting.
    fn join(&self, state: &mut State, group: u64) {
        if group == state.filling.id && state.linger.joined() {
            self.complete.notify_one();
        }
    }

    /// What one who waits for `group` does, up to where it would follow.
    fn step_of(
        &self,
        state: &mut MutexGuard<'_, State>,
        group: u64,
        deadline: Deadline,
        late: bool,
    ) -> Step {
        if let Some(fate) = state.fate(group) {
            if fate.is_err() {
                // It may have been the one who was to lead, and the first to see that somebody
                // panicked: those who count on it must look for themselves (T2).
                self.gate.open();
                self.tell_handles(state);
            }
            return Step::Done(fate.map(|()| true));
        }
        let left = deadline.left(self.runtime.clock.as_ref());
        if late || left == Some(Duration::ZERO) {
            self.leave(state, group);
            return Step::Done(Ok(false));
        }
        match state.turn(group) {
            Turn::Done => return Step::Done(Ok(true)),
            Turn::Failed(error) => return Step::Done(Err(error)),
            Turn::Lead => match state.linger.begin() {
                Some(time) => self.linger(state, time),
                None => self.lead(state),
            },
            Turn::WaitToLead => {
                let late = wait_told(&self.next_leader, state, left);
                state.woken_to_lead(group);
                return Step::Again(late);
            }
            Turn::Follow => {
                state.followed = state.followed.max(group);
                return Step::Follow(state.shakes, left);
            }
        }
        Step::Again(false)
    }

    /// Waits for those who are on their way back, with the others behind it; then looks again.
    fn linger(&self, state: &mut MutexGuard<'_, State>, time: Duration) {
        let before = state.linger.waiting();
        let _complete = self.complete.wait_for(state, time);
        state.linger.end(before);
    }

    /// Leaves `group` at a deadline: somebody else leads it, and if nobody waits, the keeper.
    fn leave(&self, state: &mut State, group: u64) {
        state.leave_to_keeper(group);
        state.shakes += 1;
        self.gate.shake(state.shakes);
        self.tell_keeper(state);
    }

    /// Writes and syncs everything that was appended.
    pub(super) fn sync_filling(&self, state: &mut MutexGuard<'_, State>) -> Result<()> {
        state.filling.wants = Wants::Sync;
        let group = state.filling.id;
        self.wait_for_group(state, group)
    }

    /// Waits until the commit `lsn` is on stable storage; false when the deadline came first.
    fn wait_durable(&self, lsn: Lsn, deadline: Deadline) -> Result<bool> {
        if lsn <= self.reach.durable() {
            return Ok(true);
        }
        let mut state = self.lock();
        if lsn > state.position.lsn {
            let last = state.position.lsn;
            let what = format!("there is no such commit yet to wait for; the last is {last}");
            return Err(Error::new(ErrorKind::Invalid, what).at_lsn(lsn));
        }
        // What was taken back meanwhile was durable before.
        while state.durable.lsn < lsn.min(state.position.lsn) {
            // Not the filling group, when the one in the kernel is enough.
            let in_flight = state.leading.filter(|_| lsn <= state.syncing);
            let group = in_flight.unwrap_or_else(|| {
                state.filling.wants = Wants::Sync;
                state.filling.id
            });
            if !self.wait_until(&mut state, group, deadline)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Waits to be told; true when the time was over first.
fn wait_told(told: &Condvar, state: &mut MutexGuard<'_, State>, left: Option<Duration>) -> bool {
    let Some(left) = left else {
        told.wait(state);
        return false;
    };
    told.wait_for(state, left).timed_out()
}

/// What a commit is told that is not where its caller wants it by its deadline.
pub(super) fn past_deadline(lsn: Lsn) -> Error {
    let what = "the deadline passed before the commit was on the disk, and it may still happen: \
                wait for it again, or read it back later";
    Error::new(ErrorKind::OutcomeUnknown, what).at_lsn(lsn)
}

impl Wal {
    /// [`Wal::append`] and [`Wal::wait`] in one, and with the append lock taken only once: the
    /// commit, and what waiting for it gave.
    ///
    /// # Durability
    /// As `durability` says, when the inner result is `Ok`.
    ///
    /// # Errors
    /// As [`Wal::append`], when nothing was appended; the inner one as [`Wal::wait`].
    ///
    /// # Cost
    /// As both, with one lock less.
    pub fn append_and_wait(
        &self,
        payload: &Payload,
        (durability, deadline): (Durability, Deadline),
        appending: &mut dyn Appending,
    ) -> Result<(Appended, Result<()>)> {
        self.start_keeper();
        let (state, appended) = self.shared.append(payload, durability, appending, None)?;
        if appended.done {
            return Ok((appended, Ok(())));
        }
        let waited = self.shared.wait_holding(state, &appended, deadline);
        Ok((appended, waited))
    }

    /// Waits until `appended` is as durable as it was asked to be, or until `deadline`.
    ///
    /// # Errors
    /// `OutcomeUnknown` when its own write or sync failed or the deadline has passed, `Poisoned`
    /// when an earlier write or sync failed.
    ///
    /// # Cost
    /// At most one write and one sync for all commits that wait at the same time.
    pub fn wait(&self, appended: &Appended, deadline: Deadline) -> Result<()> {
        self.shared.wait(appended, deadline)
    }

    /// Waits until the commit `lsn` is on stable storage, at most for `timeout`; asks for a sync
    /// when nobody does.
    ///
    /// # Durability
    /// After `Ok` the commit survives a crash of the process, of the kernel, and of the power,
    /// and so does every commit before it.
    ///
    /// # Errors
    /// `Invalid` when no commit has this number yet; `OutcomeUnknown` when the write or sync that
    /// was to cover it failed, or when the time has passed, after which one may wait again;
    /// `Poisoned` when an earlier write or sync failed.
    ///
    /// # Concurrency
    /// Who waits leads when nobody does, and a leader in a system call cannot be interrupted: it
    /// returns late, with the truth.
    ///
    /// # Cost
    /// One load when it is durable already; else at most two syncs, shared with all who wait.
    pub fn wait_durable(&self, lsn: Lsn, timeout: Duration) -> Result<()> {
        let deadline = Deadline::after(self.shared.runtime.clock.as_ref(), timeout);
        if self.shared.wait_durable(lsn, deadline)? { Ok(()) } else { Err(past_deadline(lsn)) }
    }
}
