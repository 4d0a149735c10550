//! The store's public face.

use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Lsn, Result, Timestamp, Version};
use crate::vfs::Runtime;
use crate::vfs::sync::Mutex;
use crate::wal::identity::Identity;
use crate::wal::{LogStats, RecoveryReport, Wal};

use super::batch::{Batch, Keyspace};
use super::builder::StoreBuilder;
use super::checkpointer::TableStats;
use super::iter::Iter;
use super::jobs::Jobs;
use super::memtable::KeyValue;
use super::requests::Requests;
use super::snapshot::{Snapshot, View, key_value};
use super::write;

/// Everything the handles of one open store share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) wal: Arc<Wal>,
    pub(super) view: Arc<View>,
    pub(super) requests: Arc<Mutex<Requests>>,
    pub(super) jobs: Jobs,
    pub(super) runtime: Runtime,
    pub(super) path: PathBuf,
}

/// A commit that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its number; a snapshot or restore at it contains it.
    pub lsn: Lsn,
    /// Its time.
    pub time: Timestamp,
    /// Whether it was on stable storage when the call returned.
    pub durable: bool,
    /// The reply of the first commit, when this one repeats an answered request.
    pub repeated: Option<Arc<[u8]>>,
}

/// An open store. Cloning gives another handle to the same one; the last one closes it.
///
/// # Concurrency
/// Every method may be called from any number of threads. Readers never wait for writers.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

impl Store {
    /// Opens the store in the directory `path`, or creates one there.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// How to open a store, to be changed before it is opened.
    #[must_use]
    pub fn builder(path: impl AsRef<Path>) -> StoreBuilder {
        StoreBuilder::new(path.as_ref())
    }

    /// Makes every change of `batch` happen, or none.
    ///
    /// # Durability
    /// With the default durability, `Ok` means that the batch survives a crash of the process,
    /// of the kernel, and of the power. No reader sees it earlier.
    ///
    /// # Errors
    /// - `Invalid`: the batch breaks a limit.
    /// - `Conflict`: an expectation does not hold; what it lost to is durable.
    /// - `Full`, `Io`, `Closed`: nothing was written.
    /// - `OutcomeUnknown`: its own write or sync failed, or its deadline passed
    ///   ([`Batch::deadline`]), and it may or may not survive.
    /// - `Poisoned`: an earlier one failed; nothing of it was written.
    ///
    /// # Cost
    /// One write and one sync, shared by all batches that are committed at the same time.
    pub fn commit(&self, mut batch: Batch) -> Result<Commit> {
        batch.changes.order();
        write::commit(&self.inner, &batch, write::OnConflict::WaitForWinner)
    }

    /// [`Store::commit`] for callers that will read again and retry at once: a conflict is told
    /// before what it lost to is durable, so nobody else may learn of it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn try_commit(&self, batch: &Batch) -> Result<Commit> {
        write::commit(&self.inner, batch, write::OnConflict::ReturnAtOnce)
    }

    /// The visible value of `key`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    ///
    /// # Cost
    /// As [`Snapshot::get`].
    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<KeyValue>> {
        let view = &self.inner.view;
        let Some(id) = view.directory.id(keyspace) else { return Ok(None) };
        let found = view.tree.newest(id, key, || self.inner.wal.visible())?;
        Ok(found.and_then(|version| key_value(key, version)))
    }

    /// The latest appended version of `key`, visible or not: what a condition is decided on. It
    /// may still be undone by a failure; act on it only through [`Batch::expect`].
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn latest(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<Version>> {
        let view = &self.inner.view;
        let Some(id) = view.directory.id(keyspace) else { return Ok(None) };
        view.tree.newest(id, key, || Lsn::MAX)
    }

    /// The answer that a request was given, if it was made before.
    ///
    /// # Errors
    /// As [`Store::commit`], when the first commit of the request did not succeed.
    pub fn answered(&self, request: &str) -> Result<Option<Commit>> {
        write::answered(&self.inner, request)
    }

    /// Waits until the commit `lsn` can be seen.
    ///
    /// # Errors
    /// `OutcomeUnknown` or `Poisoned` when the log failed before it.
    pub fn wait_visible(&self, lsn: Lsn) -> Result<()> {
        self.inner.wal.wait_visible(lsn)
    }

    /// A frozen view of everything visible now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.inner.view, || self.inner.wal.visible())
    }

    /// The keys in `range` that have a value now; see [`Snapshot::range`].
    pub fn range(&self, keyspace: &Keyspace, range: impl RangeBounds<Vec<u8>>) -> Iter {
        self.snapshot().range(keyspace, range)
    }

    /// The keys that begin with `prefix` now; see [`Snapshot::prefix`].
    #[must_use]
    pub fn prefix(&self, keyspace: &Keyspace, prefix: &[u8]) -> Iter {
        self.snapshot().prefix(keyspace, prefix)
    }

    /// Makes every commit so far durable, whatever its own durability.
    ///
    /// # Errors
    /// `OutcomeUnknown`, `Poisoned`, `Closed`.
    pub fn sync(&self) -> Result<()> {
        self.inner.wal.sync()
    }

    /// Closes the store for every handle; also done, without a report and without a checkpoint,
    /// when the last one drops.
    ///
    /// # Durability
    /// After `Ok` everything is durable and the next open has nothing to recover.
    ///
    /// # Errors
    /// `OutcomeUnknown`, `Poisoned`, `Full`, `Io`; the store is closed all the same.
    ///
    /// # Cost
    /// Waits for a checkpoint that is under way. Where the next open would replay more than 4 MiB
    /// of log, a checkpoint.
    pub fn close(&self) -> Result<()> {
        self.inner.jobs.stop();
        let written = self.inner.jobs.checkpoint_before_close();
        let closed = self.inner.wal.close();
        written.and(closed)
    }

    /// Writes everything committed so far into tables, so that an open need not replay it.
    ///
    /// # Durability
    /// Changes nothing about it: what was committed is durable by then, in the log.
    ///
    /// # Errors
    /// `Full`, `Io`: nothing was changed, and the call may be repeated. `OutcomeUnknown`,
    /// `Poisoned`: the log or the manifest failed; close the store and open it again.
    ///
    /// # Concurrency
    /// Commits and readers go on meanwhile. One checkpoint at a time.
    ///
    /// # Cost
    /// Writes every version in memory; two syncs for each table, and four more.
    pub fn checkpoint(&self) -> Result<()> {
        self.inner.jobs.checkpoint()
    }

    /// Merges all tables into one run, after a [`Store::checkpoint`]: reads then look at one place,
    /// and versions that nobody can ask for take no space.
    ///
    /// # Errors
    /// As [`Store::checkpoint`]; `Corrupt` when a table is damaged.
    ///
    /// # Cost
    /// Reads and writes everything in the store; takes as much space again until it is done.
    pub fn compact(&self) -> Result<()> {
        self.inner.jobs.checkpoint()?;
        self.inner.jobs.compact()
    }

    /// How the tables have done.
    #[must_use]
    pub fn table_stats(&self) -> TableStats {
        self.inner.jobs.stats()
    }

    /// What recovery did when the store was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        self.inner.wal.report()
    }

    /// Who the store is and where its history comes from.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.inner.wal.identity()
    }

    /// Where the log stands and what it has done.
    #[must_use]
    pub fn log_stats(&self) -> LogStats {
        self.inner.wal.stats()
    }

    /// Bytes of keys and values held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.inner.view.tree.bytes()
    }

    /// The last commit that readers see.
    #[must_use]
    pub fn visible(&self) -> Lsn {
        self.inner.wal.visible()
    }

    /// The last commit on stable storage.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.inner.wal.durable()
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What it runs on.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.inner.runtime
    }

    /// Does one piece of background work, for runtimes without threads; false when there is none.
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub fn step(&self) -> Result<bool> {
        Ok(self.inner.wal.step()? || self.inner.jobs.step()?)
    }

    /// Promises, durably, that the next commit is later than now; see [`Wal::time_mark`].
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub fn time_mark(&self) -> Result<Timestamp> {
        self.inner.wal.time_mark()
    }
}
