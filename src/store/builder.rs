//! How a store is opened: the log, what tables hold, and what the log says beyond them.

use std::cell::RefCell;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::limits::{MANIFEST_BYTES_DEFAULT, MEMORY_LIMIT_DEFAULT, MEMORY_LIMIT_MIN};
use crate::base::plant::{Plant, is_planted};
use crate::base::range::End;
use crate::base::{Bytes, Error, ErrorKind, KeyspaceId, Lsn, Result, Version};
use crate::checkpoint::{TableSettings, Tables};
use crate::manifest::{Checkpoint, EditId, ManifestRead};
use crate::table::{Chunk, Levels};
use crate::vfs::Runtime;
use crate::vfs::sync::Mutex;
use crate::wal::identity::segment_bytes_are_legal;
use crate::wal::{CheckpointMark, OpenSettings, Standpoint, Wal};

use super::checkpointer::{Checkpointer, LogKept};
use super::directory::{DIRECTORY, Directory};
use super::handle::{Inner, Store};
use super::jobs::Jobs;
use super::rebuild::rebuild;
use super::replay::Replay;
use super::requests::{REQUESTS, Requests};
use super::snapshot::{Pins, View};
use super::tree::Tree;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    pub(super) path: PathBuf,
    pub(super) runtime: Runtime,
    settings: OpenSettings,
    pub(super) memory_limit: usize,
    manifest_bytes: u64,
    log_kept: LogKept,
}

impl StoreBuilder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            runtime: Runtime::default(),
            settings: OpenSettings::default(),
            memory_limit: MEMORY_LIMIT_DEFAULT,
            manifest_bytes: MANIFEST_BYTES_DEFAULT,
            log_kept: LogKept::default(),
        }
    }

    /// Bytes of memory for what is not yet in tables and for what is read of them: 256 MiB, unless
    /// told otherwise. A quarter of it in memory makes a checkpoint due, twice as much makes
    /// commits wait for it, and half of it is the cache. More makes for fewer and larger tables
    /// and fewer reads of the disk. At least 64 KiB; less is taken for that.
    #[must_use]
    pub const fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = if bytes < MEMORY_LIMIT_MIN { MEMORY_LIMIT_MIN } else { bytes };
        self
    }

    /// Less memory and smaller manifests than a store may have outside of the crash lab, so that
    /// a short case has checkpoints, merges and new manifests.
    #[cfg(feature = "sim")]
    pub(crate) const fn tiny(mut self, memory_limit: usize, manifest_bytes: u64) -> Self {
        (self.memory_limit, self.manifest_bytes) = (memory_limit, manifest_bytes);
        self
    }

    /// What of the log a checkpoint leaves: all of it, unless told otherwise.
    ///
    /// A copy or a feed that begins with the first commit needs all of it, and gets `Expired` when
    /// some was released.
    #[must_use]
    pub const fn log_kept(mut self, kept: LogKept) -> Self {
        self.log_kept = kept;
        self
    }

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
    /// Reads the log from the last checkpoint on, and of each table the last 256 bytes.
    pub fn open(self) -> Result<Store> {
        if !segment_bytes_are_legal(self.settings.segment_bytes) {
            let what = format!(
                "a segment of {} bytes is not legal; choose a multiple of 4096 from 8 KiB to 1 GiB",
                self.settings.segment_bytes
            );
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let directory = Directory::default();
        // Both halves of opening the log need it, one after the other.
        let replay = RefCell::new(Replay::default());
        let mut manifest = None;
        let wal = Wal::open_behind(
            &self.path,
            &self.runtime,
            &self.settings,
            (
                &mut |identity| {
                    let read = ManifestRead::open(&self.path, &self.runtime, identity.store_id)?;
                    let Checkpoint { position, segment } = *read.state().checkpoint();
                    manifest = Some(read);
                    let too_high = is_planted(Plant::ReplayBoundaryTooHigh);
                    let behind = if too_high { position.lsn.next() } else { position.lsn };
                    *replay.borrow_mut() = Replay::behind(behind);
                    Ok((position.lsn > Lsn::ZERO).then_some(Standpoint { position, segment }))
                },
                &mut |record| replay.borrow_mut().take(record, &directory),
            ),
        )?;
        let replay = replay.into_inner();
        let tables = self.open_tables(&wal, manifest, replay.mark())?;
        self.build(wal, tables, (replay, directory))
    }

    /// The tables of the manifest, which must be the one that the log's newest mark names.
    fn open_tables(
        &self,
        wal: &Wal,
        manifest: Option<ManifestRead>,
        mark: Option<CheckpointMark>,
    ) -> Result<Tables> {
        let store_id = wal.identity().store_id;
        let read = match manifest {
            Some(read) => read,
            None => ManifestRead::open(&self.path, &self.runtime, store_id)?,
        };
        let known = mark.map(|mark| EditId { number: mark.edit, hash: mark.edit_hash });
        let settings = TableSettings {
            cache_bytes: self.memory_limit / 2,
            table_bytes: to_u64(self.memory_limit / 4),
            manifest_bytes: self.manifest_bytes,
        };
        let clean = wal.report().clean;
        Tables::open(&self.path, &self.runtime, store_id, settings, (read, clean, known))
    }

    /// Puts what was replayed on top of the tables.
    fn build(
        self,
        wal: Wal,
        tables: Tables,
        (replay, directory): (Replay, Directory),
    ) -> Result<Store> {
        let levels = tables.levels();
        let marked = replay.mark().map_or(Lsn::ZERO, |mark| mark.lsn);
        let (replay, directory) = match replay.again() {
            Some(again) => rebuild(&self.path, &self.runtime, again)?,
            None => (replay, directory),
        };
        learn_names(&levels, &directory)?;
        let mut requests = Requests::from_tables(everything(&levels, REQUESTS)?);
        let (memtable, later) = replay.finish();
        requests.extend(&later);
        let tree = Tree::new(memtable, levels);
        let view = Arc::new(View { tree, directory, pins: Pins::default() });
        let (wal, requests) = (Arc::new(wal), Arc::new(Mutex::new(requests)));
        let parts = (Arc::clone(&wal), Arc::clone(&view), Arc::clone(&requests));
        let limits = (self.log_kept, marked, self.memory_limit / 4);
        let checkpointer = Checkpointer::new(parts, tables, limits);
        let jobs = Jobs::new(checkpointer, self.runtime.background);
        let inner = Inner { wal, view, requests, jobs, runtime: self.runtime, path: self.path };
        Ok(Store { inner: Arc::new(inner) })
    }
}

/// Learns the names of the keyspaces that tables hold.
pub(super) fn learn_names(levels: &Levels, directory: &Directory) -> Result<()> {
    for (key, version) in everything(levels, DIRECTORY)? {
        directory.learn((&key, version.value.as_deref().unwrap_or_default()), version.lsn);
    }
    Ok(())
}

/// Everything that tables hold of a keyspace which is never large.
fn everything(levels: &Levels, keyspace: KeyspaceId) -> Result<Vec<(Bytes, Version)>> {
    let (mut all, mut low) = (Vec::new(), Bound::Unbounded);
    loop {
        let range = (low, Bound::Unbounded);
        let Chunk { found, goes_on } =
            levels.scan(keyspace, &range, Lsn::MAX, (End::Front, 256))?;
        all.extend(found);
        match all.last().filter(|_| goes_on) {
            Some((key, _)) => low = Bound::Excluded(key.to_vec()),
            None => return Ok(all),
        }
    }
}
