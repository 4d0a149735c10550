//! A store that is only looked at: damaged, on a disk that may only be read, or beside a writer.

use std::ops::RangeBounds;
use std::sync::Arc;

use crate::base::{Error, Lsn, Result};
use crate::vfs::sync::RwLock;
use crate::wal::identity::Identity;
use crate::wal::scan::Record;
use crate::wal::{LogRead, RecoveryReport, read_log};

use super::batch::Keyspace;
use super::directory::Directory;
use super::handle::StoreBuilder;
use super::iter::Iter;
use super::memtable::KeyValue;
use super::replay::Replay;
use super::snapshot::{Pins, Snapshot, View};

impl StoreBuilder {
    /// Opens the store without writing anything, also when its log is damaged: everything up to
    /// the damage can be read, and [`ReadOnlyStore::damage`] tells what it is and where.
    ///
    /// Beside a writer it shows what the writer's claims cover, and does not follow what comes
    /// later. Without one it shows everything that is valid, also a last group that the next open
    /// has yet to prove to the disk ([`ReadOnlyStore::claimed`]).
    ///
    /// # Errors
    /// `NotFound`, `Corrupt` (the identity file), `Unsupported`, `ReadOnly`, `Io` when nothing
    /// could be read.
    ///
    /// # Concurrency
    /// While it reads, and not longer, a writer that would open the store is told that it is held.
    ///
    /// # Cost
    /// Reads the whole log; once more where it tells of commits that were taken back.
    pub fn open_read_only(self) -> Result<ReadOnlyStore> {
        let mut replay = Replay::default();
        let (read, directory) = loop {
            let directory = Directory::default();
            let mut take = |record: &Record<'_>| replay.take(record, &directory);
            let read = read_log(&self.path, &self.runtime, &mut take)?;
            let Some(again) = replay.again() else { break (read, directory) };
            replay = again;
        };
        let (memtable, _requests) = replay.finish();
        let view = View { memtable: RwLock::new(memtable), directory, pins: Pins::default() };
        Ok(ReadOnlyStore { view: Arc::new(view), read: Arc::new(read) })
    }
}

/// What [`StoreBuilder::open_read_only`] found, in memory. It has no way to write, holds neither
/// files nor a lock, and does not change.
#[derive(Clone, Debug)]
pub struct ReadOnlyStore {
    view: Arc<View>,
    read: Arc<LogRead>,
}

impl ReadOnlyStore {
    /// Why nothing behind the last commit could be read, with file, offset and LSN; `None` when
    /// the log ends there.
    #[must_use]
    pub fn damage(&self) -> Option<&Error> {
        self.read.damage.as_ref()
    }

    /// Whether a writer held the store, so that only what its claims cover is shown.
    #[must_use]
    pub fn is_beside_writer(&self) -> bool {
        self.read.beside_writer
    }

    /// The last commit that is shown.
    #[must_use]
    pub fn visible(&self) -> Lsn {
        self.read.last
    }

    /// The last commit that a claim in the log covers: what comes later may yet be undone by a
    /// power cut.
    #[must_use]
    pub fn claimed(&self) -> Lsn {
        self.read.claimed
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&self, keyspace: &Keyspace, key: &[u8]) -> Result<Option<KeyValue>> {
        self.snapshot().get(keyspace, key)
    }

    /// The keys in `range` that have a value; see [`Snapshot::range`].
    pub fn range(&self, keyspace: &Keyspace, range: impl RangeBounds<Vec<u8>>) -> Iter {
        self.snapshot().range(keyspace, range)
    }

    /// All of it, as readers of an open store get it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::take(&self.view, || self.read.last)
    }

    /// What opening the store would find; nothing of it was done.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.read.report
    }

    /// Who the store is and where its history comes from.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.read.identity
    }

    /// How the log was read.
    #[must_use]
    pub fn log(&self) -> &LogRead {
        &self.read
    }

    /// Bytes of keys and values held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.view.memtable.read().bytes()
    }
}
