//! Commits whose writer is called back when they are durable.
//!
//! - **B1** The callback of each appended commit is called exactly once, whatever happens: with
//!   `Ok` when the commit is durable, with the error when it may never be.
//! - **B2** Callbacks are called in the order of the commits, one after the other, and with no
//!   lock held. Two leaders may end their groups at nearly the same time: one of them calls, and
//!   looks again before it stops, so that what the other completed is not left behind.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::vfs::sync::MutexGuard;

use super::commit::{Appended, Appending, Durability, Shared};
use super::draft::Payload;
use super::group::State;
use super::log::Wal;
use super::reach::Reach;

/// What is called.
pub(super) type Callback = Box<dyn FnOnce(Result<()>) + Send>;

struct Waiter {
    lsn: Lsn,
    truncations: u64,
    group: u64,
    callback: Callback,
}

/// Callbacks to be called, in the order of their commits.
#[derive(Default)]
pub(super) struct Callbacks {
    waiting: VecDeque<Waiter>,
    /// Somebody calls, and will look again.
    calling: bool,
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Callbacks {
    /// Leaves the callback of a commit that was just appended; under the append lock.
    pub(super) fn leave(&mut self, appended: &Appended, callback: Callback) {
        let Appended { lsn, group, truncations, .. } = *appended;
        self.waiting.push_back(Waiter { lsn, truncations, group, callback });
    }

    /// Whether the caller is the one to call now; then it goes on until nothing is due.
    fn begin(&mut self) -> bool {
        !self.waiting.is_empty() && !std::mem::replace(&mut self.calling, true)
    }

    /// Takes out whoever can be told something; when that is nobody, the calling is over.
    fn due(&mut self, reach: &Reach) -> Vec<Waiter> {
        let told =
            |waiter: &&Waiter| reach.stopped() || reach.reached(waiter.lsn, waiter.truncations);
        let count = self.waiting.iter().take_while(told).count();
        self.calling = count > 0;
        self.waiting.drain(..count).collect()
    }
}

impl Shared {
    /// Calls whoever is due, with the append lock released; true when it was.
    pub(super) fn call_back(&self, state: &mut MutexGuard<'_, State>) -> bool {
        if !state.callbacks.begin() {
            return false;
        }
        let mut called = false;
        loop {
            let due = state.callbacks.due(&self.reach);
            if due.is_empty() {
                return called;
            }
            let outcomes: Vec<_> = due.iter().map(|waiter| self.outcome(state, waiter)).collect();
            called = true;
            MutexGuard::unlocked(state, || {
                for (waiter, outcome) in due.into_iter().zip(outcomes) {
                    // A callback that panics is its owner's mistake: the others are called.
                    let call = AssertUnwindSafe(|| (waiter.callback)(outcome));
                    let _reported = catch_unwind(call);
                }
            });
        }
    }

    fn outcome(&self, state: &mut State, waiter: &Waiter) -> Result<()> {
        if self.reach.reached(waiter.lsn, waiter.truncations) {
            return Ok(());
        }
        state.fate(waiter.group).unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Bug, "the log stopped without a reason").at_lsn(waiter.lsn))
        })
    }
}

impl Wal {
    /// Appends a commit that is to be durable, without waiting, and calls `callback` exactly once
    /// when it is, or with the error when it may never be.
    ///
    /// # Durability
    /// None before `callback` is called with `Ok`. No reader of commits sees it earlier, but
    /// [`Wal::read_appended`] does.
    ///
    /// # Errors
    /// As [`Wal::append`]; nothing was appended then and `callback` is not called. `callback` gets
    /// `OutcomeUnknown` when the commit's own write or sync failed, `Poisoned` when an earlier one
    /// did.
    ///
    /// # Concurrency
    /// Callbacks are called in the order of their commits, by the thread that wrote the group or
    /// by the log's own, with no lock held. They may use the log, but not close it; one that
    /// blocks holds up those after it. A commit that a truncation takes back was durable before,
    /// and its callback gets `Ok`.
    ///
    /// # Cost
    /// As [`Wal::append_async`], and one allocation.
    pub fn append_with(
        &self,
        payload: &Payload,
        appending: &mut dyn Appending,
        callback: impl FnOnce(Result<()>) + Send + 'static,
    ) -> Result<Appended> {
        let callback: Callback = Box::new(callback);
        self.start_keeper();
        let (mut state, appended) =
            self.shared.append(payload, Durability::Sync, appending, Some(callback))?;
        self.shared.leave_group(&mut state, appended.group);
        Ok(appended)
    }
}
