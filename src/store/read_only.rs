//! A store that is only looked at: damaged, on a disk that may only be read, or beside a writer.

use std::cell::RefCell;
use std::ops::RangeBounds;
use std::sync::Arc;

use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::checkpoint::{DIR_NAME as TABLES, levels_of, open_tables};
use crate::manifest::{EditId, ManifestRead};
use crate::table::{Cache, Levels};
use crate::wal::identity::Identity;
use crate::wal::scan::Record;
use crate::wal::{LogRead, RecoveryReport, read_log_with};

use super::batch::Keyspace;
use super::builder::{StoreBuilder, learn_names};
use super::checkpointer::TableStats;
use super::directory::Directory;
use super::iter::Iter;
use super::memtable::KeyValue;
use super::replay::Replay;
use super::snapshot::{Pins, Snapshot, View};
use super::tree::Tree;

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
    /// Reads the whole log; once more where it tells of commits that were taken back. Of each
    /// table the last bytes, and what is asked for later.
    pub fn open_read_only(self) -> Result<ReadOnlyStore> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.read() {
                // A writer may have replaced tables between two looks.
                Err(error) if error.kind() == ErrorKind::Corrupt && tries < READ_TRIES => {}
                read => return read,
            }
        }
    }

    fn read(&self) -> Result<ReadOnlyStore> {
        let replay = RefCell::new(Replay::default());
        let mut tables = None;
        let (read, directory) = loop {
            let directory = Directory::default();
            let begin = &mut |identity: &Identity, _beside_writer| {
                let manifest = ManifestRead::open(&self.path, &self.runtime, identity.store_id)?;
                if tables.is_none() {
                    let behind = manifest.state().checkpoint().position.lsn;
                    *replay.borrow_mut() = Replay::behind(behind);
                    tables = Some((self.read_tables(&manifest)?, manifest));
                }
                Ok(())
            };
            let take = &mut |record: &Record<'_>| replay.borrow_mut().take(record, &directory);
            let read = read_log_with(&self.path, &self.runtime, begin, take)?;
            let Some(again) = replay.borrow().again() else { break (read, directory) };
            replay.replace(again);
        };
        let replay = replay.into_inner();
        let Some((levels, manifest)) = tables else {
            return Err(Error::new(ErrorKind::Bug, "the log was read without its tables"));
        };
        let known = replay.mark().map(|mark| EditId { number: mark.edit, hash: mark.edit_hash });
        known.map_or(Ok(()), |known| manifest.expect(known))?;
        learn_names(&levels, &directory)?;
        let (memtable, _requests) = replay.finish();
        let tree = Tree::new(memtable, Arc::clone(&levels));
        let view = View { tree, directory, pins: Pins::default() };
        let tables = TableStats::of_tables(&levels, manifest.state().checkpoint().position.lsn);
        Ok(ReadOnlyStore { view: Arc::new(view), read: Arc::new(read), tables })
    }

    fn read_tables(&self, manifest: &ManifestRead) -> Result<Arc<Levels>> {
        let cache = Arc::new(Cache::new(self.memory_limit / 2));
        let dir = self.path.join(TABLES);
        let open = open_tables(&dir, &self.runtime, manifest.state(), &cache)?;
        Ok(Arc::new(levels_of(manifest.state(), &open)))
    }
}

/// Looks at a store that is being written, before what was found is called damage.
const READ_TRIES: usize = 3;

/// What [`StoreBuilder::open_read_only`] found. It has no way to write, holds no lock, and does not
/// change; tables are read when they are asked, also when a writer has replaced them meanwhile.
#[derive(Clone, Debug)]
pub struct ReadOnlyStore {
    view: Arc<View>,
    read: Arc<LogRead>,
    tables: TableStats,
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

    /// Which tables there are; nothing was done with them.
    #[must_use]
    pub const fn table_stats(&self) -> TableStats {
        self.tables
    }

    /// Bytes of keys and values held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.view.tree.bytes()
    }
}
