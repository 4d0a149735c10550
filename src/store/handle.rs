//! The store's public face.

use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, Timestamp};
use crate::vfs::Runtime;
use crate::vfs::sync::{Mutex, RwLock};
use crate::wal::identity::{Identity, segment_bytes_are_legal};
use crate::wal::scan::Record;
use crate::wal::{LogStats, OpenSettings, RecoveryReport, Wal};

use super::batch::{Batch, Keyspace};
use super::directory::Directory;
use super::iter::Iter;
use super::memtable::{KeyValue, Version};
use super::rebuild::rebuild;
use super::replay::Replay;
use super::requests::Requests;
use super::snapshot::{Pins, Snapshot, View, key_value};
use super::write;

/// Everything the handles of one open store share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) wal: Wal,
    pub(super) view: Arc<View>,
    pub(super) requests: Mutex<Requests>,
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

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    pub(super) path: PathBuf,
    pub(super) runtime: Runtime,
    settings: OpenSettings,
}

impl StoreBuilder {
    /// Whether a missing store is created; it is, unless told otherwise.
    #[must_use]
    pub const fn create(mut self, create: bool) -> Self {
        self.settings.create = create;
        self
    }

    /// Size of a log segment of a store that is created now: a multiple of 4096 from 8 KiB to
    /// 1 GiB, 16 MiB by default. The largest commit is a little smaller than a segment. Sizes
    /// below 1 MiB are meant for tests. Fixed at creation.
    #[must_use]
    pub const fn segment_bytes(mut self, bytes: u64) -> Self {
        self.settings.segment_bytes = bytes;
        self
    }

    /// Whether each group of commits begins on a page of its own, and recovery saves the end of
    /// the log elsewhere before it writes it again; off, unless told otherwise.
    ///
    /// For disks on which a sector that is written when the power fails may be destroyed, with
    /// whatever it held before (no power-safe overwrite). May change with every open; a store that
    /// was closed without it goes on in a fresh segment. Costs up to a page per group, and needs
    /// segments of 12 KiB or more.
    #[must_use]
    pub const fn padded_tails(mut self, padded: bool) -> Self {
        self.settings.padded_tails = padded;
        self
    }

    /// Whether synced groups are written past the page cache, in one call in place of a write and
    /// a sync, where the file system has such a way; off, unless told otherwise.
    ///
    /// `jidoka bench calibrate` says whether this disk gains by it. May change with every open and
    /// changes nothing in the files. Where there is no such way the store syncs as ever.
    ///
    /// # Durability
    /// The same: the call returns when the bytes are on stable storage.
    #[must_use]
    pub const fn write_through(mut self, through: bool) -> Self {
        self.settings.write_through = through;
        self
    }

    /// What the store runs on, instead of the operating system.
    #[must_use]
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = runtime;
        self
    }

    /// Opens the store, recovering whatever a crash left.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `Locked`, `ReadOnly`, `Unsupported`, `Corrupt`, `Full`, `Io`.
    ///
    /// # Cost
    /// Reads the whole log.
    pub fn open(self) -> Result<Store> {
        if !segment_bytes_are_legal(self.settings.segment_bytes) {
            let what = format!(
                "a segment of {} bytes is not legal; choose a multiple of 4096 from 8 KiB to 1 GiB",
                self.settings.segment_bytes
            );
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let (directory, mut replay) = (Directory::default(), Replay::default());
        let mut take = |record: &Record<'_>| replay.take(record, &directory);
        let wal = Wal::open(&self.path, &self.runtime, &self.settings, &mut take)?;
        let (replay, directory) = match replay.again() {
            Some(again) => rebuild(&self.path, &self.runtime, again)?,
            None => (replay, directory),
        };
        let (memtable, requests) = replay.finish();
        let inner = Inner {
            wal,
            view: Arc::new(View {
                memtable: RwLock::new(memtable),
                directory,
                pins: Pins::default(),
            }),
            requests: Mutex::new(requests),
            runtime: self.runtime,
            path: self.path,
        };
        Ok(Store { inner: Arc::new(inner) })
    }
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
        StoreBuilder {
            path: path.as_ref().to_owned(),
            runtime: Runtime::default(),
            settings: OpenSettings::default(),
        }
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
    /// None today; a store larger than memory will read files here.
    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<KeyValue>> {
        let view = &self.inner.view;
        let Some(id) = view.directory.id(keyspace) else { return Ok(None) };
        let memtable = view.memtable.read();
        // Read under the lock: a version this LSN needs cannot go before the lock is released.
        let visible = self.inner.wal.visible();
        let found = memtable.get(id, key, visible).cloned();
        Ok(found.and_then(|version| key_value(key, version)))
    }

    /// The latest appended version of `key`, visible or not: what a condition is decided on. It
    /// may still be undone by a failure; act on it only through [`Batch::expect`].
    #[must_use]
    pub fn latest(&self, keyspace: &Keyspace, key: &[u8]) -> Option<Version> {
        let id: KeyspaceId = self.inner.view.directory.id(keyspace)?;
        self.inner.view.memtable.read().get(id, key, Lsn::MAX).cloned()
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

    /// Closes the store for every handle; also done, without a report, when the last one drops.
    ///
    /// # Durability
    /// After `Ok` everything is durable and the next open has nothing to recover.
    ///
    /// # Errors
    /// `OutcomeUnknown`, `Poisoned`, `Full`, `Io`; the store is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.inner.wal.close()
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
        self.inner.view.memtable.read().bytes()
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
        self.inner.wal.step()
    }

    /// Promises, durably, that the next commit is later than now; see [`Wal::time_mark`].
    ///
    /// # Errors
    /// As [`Store::sync`].
    pub fn time_mark(&self) -> Result<Timestamp> {
        self.inner.wal.time_mark()
    }
}
