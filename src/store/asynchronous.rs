//! Handles of commits that nobody stands waiting for.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::base::{Lsn, Result};
use crate::wal::Pending;

use super::batch::Batch;
use super::handle::{Commit, Store};
use super::write;

/// A commit that was appended and is on its way to the disk: ask it, wait for it, or await it.
///
/// Dropping it changes nothing about the commit. It does not keep the store open; closing the
/// store completes it.
///
/// # Concurrency
/// As a future it needs no particular executor. Its waker is called by the thread that wrote the
/// group, with no lock held; a waker that blocks holds up the next group.
#[derive(Debug)]
pub struct Handle {
    pending: Pending,
    repeated: Option<Arc<[u8]>>,
}

impl Handle {
    pub(super) const fn new(pending: Pending, repeated: Option<Arc<[u8]>>) -> Self {
        Self { pending, repeated }
    }

    /// The number of the commit, which it has already.
    #[must_use]
    pub const fn lsn(&self) -> Lsn {
        self.pending.lsn
    }

    /// Whether there is nothing left to wait for: the commit is durable, or the log failed.
    ///
    /// # Cost
    /// Two loads.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.pending.is_done()
    }

    /// Waits until the commit is durable, writing for everyone when nobody does.
    ///
    /// # Errors
    /// - `OutcomeUnknown`: its own write or sync failed, and it may or may not survive.
    /// - `Poisoned`: an earlier one failed; nothing of it was written.
    pub fn wait(&self) -> Result<Commit> {
        self.pending.wait(None).map(|_done| self.commit())
    }

    /// [`Handle::wait`], at most for `timeout`; `None` when the commit is still on its way, and
    /// may be waited for again. A thread that is in a system call for its group returns later.
    ///
    /// # Errors
    /// As [`Handle::wait`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Option<Commit>> {
        self.pending.wait(Some(timeout)).map(|done| done.then(|| self.commit()))
    }

    fn commit(&self) -> Commit {
        let Pending { lsn, time, .. } = self.pending;
        Commit { lsn, time, durable: true, repeated: self.repeated.clone() }
    }
}

impl Future for Handle {
    type Output = Result<Commit>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let told = ready!(self.pending.poll(context.waker()));
        Poll::Ready(told.map(|()| self.commit()))
    }
}

impl Store {
    /// [`Store::commit`] without waiting for the disk: the batch is decided and in the log when
    /// this returns, and the handle tells when it is durable.
    ///
    /// # Durability
    /// None until the handle says so, whatever the batch's own durability; from then on that of a
    /// synced commit. Nobody needs to wait for it: it becomes durable as fast as the disk goes,
    /// also when the handle is dropped. No reader sees it earlier; later batches are decided on it.
    ///
    /// # Errors
    /// As [`Store::commit`], but what the disk says is told by the handle.
    ///
    /// # Concurrency
    /// Blocks only for room in the log, when 1 MiB is unwritten, and on a conflict, which is told
    /// when what it lost to is durable. On a runtime without threads, [`Store::step`] or whoever
    /// waits writes.
    ///
    /// # Cost
    /// Two short locks; a system call only when the log's thread sleeps. One write and one sync
    /// for all that was committed while the disk was busy.
    ///
    /// # Examples
    /// ```
    /// # use jidoka::store::{Batch, Keyspace, Store};
    /// # use jidoka::vfs::memory::{MemoryVfs, runtime};
    /// # fn main() -> jidoka::base::Result<()> {
    /// # let disk = MemoryVfs::new();
    /// # let store = Store::builder("/store").runtime(runtime(&disk, 1)).open()?;
    /// let keyspace = Keyspace::new("bins")?;
    /// let mut handles = Vec::new();
    /// for key in 0..100_u8 {
    ///     let mut batch = Batch::new();
    ///     batch.put(&keyspace, &[key], b"part");
    ///     handles.push(store.commit_async(batch)?);
    /// }
    /// for handle in handles {
    ///     assert!(handle.wait()?.durable); // or handle.await
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_async(&self, mut batch: Batch) -> Result<Handle> {
        batch.changes.order();
        write::commit_async(&self.inner, &batch)
    }

    /// Waits until the commit `lsn` is on stable storage, at most for `timeout`.
    ///
    /// # Durability
    /// As [`Wal::wait_durable`](crate::wal::Wal::wait_durable).
    ///
    /// # Errors
    /// `Invalid` when no commit has this number yet; `OutcomeUnknown` when the write or sync that
    /// was to cover it failed, or when the time has passed, after which one may wait again;
    /// `Poisoned` when an earlier write or sync failed.
    pub fn wait_durable(&self, lsn: Lsn, timeout: Duration) -> Result<()> {
        self.inner.wal.wait_durable(lsn, timeout)
    }
}
