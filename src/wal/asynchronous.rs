//! Commits that nobody stands waiting for, and how those who asked for them are told.
//!
//! An asynchronous commit is appended as any other and noted in its group (`turn`); the keeper
//! leads for it when no committer does, so that dropping its handle changes nothing. Whether it
//! is done is two loads away. Who has nothing better to do leaves a waker in a table, which is
//! looked through once for each group, whatever the number of commits in it; the wakers are
//! called with no lock held, because they are not ours.
//!
//! - **H1** A waker that is left while its commit is not done is called when it is, or when it
//!   never will be. Who leaves it looks at `reach` with the table locked, and who calls it moves
//!   `reach` before locking the table: one of them sees the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::base::plant::{Plant, is_planted};
use crate::base::{Lsn, Result, Timestamp};
use crate::vfs::sync::MutexGuard;

use super::commit::{Appended, Appending, Durability, Shared};
use super::draft::Payload;
use super::group::{State, Wants};
use super::log::Wal;
use super::reach::Reach;
use super::waiting::Deadline;

/// Those who asked for asynchronous commits wait for the log once this much is unwritten, so that
/// memory stays bounded.
const UNWRITTEN_BYTES_MAX: usize = 1 << 20;

/// Wakers, by the commit they wait for and the handle that left them.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    wakers: BTreeMap<(Lsn, u64), Waker>,
    handles: u64,
    /// The truncations whose commits were told.
    truncations: u64,
}

impl Waiting {
    /// Takes out whoever can be told something.
    fn due(&mut self, reach: &Reach) -> BTreeMap<(Lsn, u64), Waker> {
        // All that waited at a truncation was durable by then.
        let truncations = reach.truncations();
        if reach.stopped() || std::mem::replace(&mut self.truncations, truncations) < truncations {
            return std::mem::take(&mut self.wakers);
        }
        let later = self.wakers.split_off(&(reach.durable().next(), 0));
        std::mem::replace(&mut self.wakers, later)
    }
}

/// A commit in the log that its writer did not wait for.
///
/// Holds nothing that keeps the log open: closing the log completes the commit.
#[derive(Debug)]
pub struct Pending {
    shared: Arc<Shared>,
    /// Its number.
    pub lsn: Lsn,
    /// Its time.
    pub time: Timestamp,
    group: u64,
    /// How many truncations came before it.
    truncations: u64,
    /// Which of the handles it is, once it has left a waker.
    handle: Option<u64>,
}

impl Pending {
    /// Whether the commit is durable, or never will be: nobody waits any more.
    ///
    /// # Cost
    /// At most three loads.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_durable() || self.shared.reach.stopped()
    }

    /// Whether the commit is durable, or was until it was taken back.
    fn is_durable(&self) -> bool {
        self.shared.reach.reached(self.lsn, self.truncations)
    }

    /// Waits until the commit is durable; false when the deadline came first. Leads when nobody
    /// does, as any committer.
    ///
    /// # Errors
    /// `OutcomeUnknown` when its own write or sync failed, `Poisoned` when an earlier one did.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool> {
        if self.is_durable() {
            return Ok(true);
        }
        let clock = self.shared.runtime.clock.as_ref();
        let deadline = timeout.map_or(Deadline::NONE, |timeout| Deadline::after(clock, timeout));
        let mut state = self.shared.lock();
        self.shared.wait_until(&mut state, self.group, deadline)
    }

    /// What became of the commit, or leaves `waker` to be called when that is known.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    ///
    /// # Cost
    /// One load when it is durable already, else one lock that no committer holds for long.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Result<()>> {
        if self.is_durable() {
            return Poll::Ready(Ok(()));
        }
        // Cloned and dropped outside of the lock: a waker is not ours, and may do anything.
        let waker = waker.clone();
        let mut told = self.shared.told.lock();
        let replaced = if self.is_done() {
            Some(waker)
        } else {
            let handle = *self.handle.get_or_insert(told.handles);
            told.handles = told.handles.max(handle.saturating_add(1));
            told.wakers.insert((self.lsn, handle), waker)
        };
        drop(told);
        drop(replaced);
        // What is done now was not seen in the table, or its waker is called a second time.
        if self.is_durable() {
            return Poll::Ready(Ok(()));
        }
        if !self.shared.reach.stopped() {
            return Poll::Pending;
        }
        let fate = self.shared.lock().fate(self.group);
        fate.map_or(Poll::Pending, Poll::Ready)
    }
}

impl Shared {
    /// Leaves the sync of `group` to the keeper; waits for it only when too much is unwritten.
    pub(super) fn leave_group(&self, state: &mut MutexGuard<'_, State>, group: u64) {
        state.leave_to_keeper(group);
        self.tell_keeper(state);
        if group == state.filling.id && state.filling.len() > UNWRITTEN_BYTES_MAX {
            // A failure is told by the handles.
            let _told = self.wait_for_group(state, group);
        }
    }

    /// Closes the log for whoever comes, and tells those who still wait.
    pub(super) fn end_for_all(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.tell_handles(&mut state);
    }

    /// Tells those whose commits are done, or never will be, with the append lock released; true
    /// when it was.
    pub(super) fn tell_handles(&self, state: &mut MutexGuard<'_, State>) -> bool {
        // What is in the kernel may still succeed.
        if state.failure.is_some() && state.leading.is_none() {
            self.reach.stop();
        }
        let due = self.told.lock().due(&self.reach);
        let told = !due.is_empty() && !is_planted(Plant::HandleNotWoken);
        if told {
            MutexGuard::unlocked(state, || wake(due));
        }
        let called = self.call_back(state);
        told || called
    }
}

/// Calls wakers, each of those that follow each other and wake the same only once.
fn wake(due: BTreeMap<(Lsn, u64), Waker>) {
    let mut last: Option<Waker> = None;
    for waker in due.into_values() {
        if last.as_ref().is_some_and(|last| last.will_wake(&waker)) {
            continue;
        }
        // A waker that panics is its owner's mistake: who leads owes the others their turn.
        let _reported = catch_unwind(AssertUnwindSafe(|| waker.wake_by_ref()));
        last = Some(waker);
    }
}

impl Wal {
    /// Appends a commit that is to be durable, without waiting until it is.
    ///
    /// # Durability
    /// None before [`Pending::is_done`] or a wait says so; it becomes durable as fast as the disk
    /// goes, whether or not somebody waits. No reader sees it earlier.
    ///
    /// # Errors
    /// As [`Wal::append`].
    ///
    /// # Concurrency
    /// Waits itself only for room: while the next segment is prepared, and for the log's writer
    /// once 1 MiB is unwritten. On a runtime without threads, whoever waits or steps writes.
    ///
    /// # Cost
    /// As [`Wal::append`]; a system call only when the log's thread sleeps. Writes and syncs are
    /// shared by all commits that were appended while the one before was in the kernel.
    pub fn append_async(
        &self,
        payload: &Payload,
        appending: &mut dyn Appending,
    ) -> Result<Pending> {
        self.start_keeper();
        let (mut state, appended) =
            self.shared.append(payload, Durability::Sync, appending, None)?;
        self.shared.leave_group(&mut state, appended.group);
        drop(state);
        let Appended { lsn, time, group, truncations, .. } = appended;
        Ok(Pending { shared: self.shared.clone(), lsn, time, group, truncations, handle: None })
    }

    /// A handle for the commit `lsn`, which is in the log, and is asked to be made durable.
    #[must_use]
    pub fn pending(&self, lsn: Lsn, time: Timestamp) -> Pending {
        let mut state = self.shared.lock();
        let group = state.filling.id;
        if state.durable.lsn < lsn {
            state.filling.wants = Wants::Sync;
            self.shared.leave_group(&mut state, group);
        }
        let truncations = self.shared.reach.truncations();
        drop(state);
        Pending { shared: self.shared.clone(), lsn, time, group, truncations, handle: None }
    }
}
