//! The tables of an open store: which there are, and how they change.
//!
//! ```text
//! 1  the tables are written and synced        under numbers that none ever had
//! 2  their directory is synced
//! !                                           a crash here leaves orphans
//! 3  one edit of the manifest names them      and no more those they replace
//! 4  readers look at them
//! !                                           a crash here: the log's mark is one edit behind
//! 5  the log marks the edit, durably          checkpoints only
//! 6  the log behind it may be released        and the files that were replaced go
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, StoreId};
use crate::manifest::{
    Change, Checkpoint, EditId, Key, ListedTable, Manifest, ManifestRead, State,
};
use crate::table::{Cache, Levels, Placed, Run, Table, TableFacts, TableKey, file_name};
use crate::vfs::Runtime;
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::AtomicU64;
use crate::wal::Standpoint;

use super::merge::{Keep, Source, merge};
use super::output::{Output, TableDir};
use super::plan::{Extent, level_of_output, runs_to_merge};
use super::removals::Removals;
use super::run_cursor::RunCursor;
use super::sweep::{remove_orphans, set_aside_orphans};

/// Name of the directory of the tables, in the store's.
pub const DIR_NAME: &str = "tables";

/// How tables are written and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// Bytes of the cache.
    pub cache_bytes: usize,
    /// Bytes after which the next table begins, at the next key.
    pub table_bytes: u64,
    /// Bytes of a manifest that need not be larger.
    pub manifest_bytes: u64,
}

/// What is listed, and open.
#[derive(Debug)]
pub(super) struct Installed {
    pub(super) manifest: Manifest,
    open: BTreeMap<u64, Arc<Table>>,
    levels: Arc<Levels>,
}

/// The tables of an open store.
///
/// # Concurrency
/// A checkpoint and a merge may run at the same time, but no two of either.
#[derive(Debug)]
pub struct Tables {
    pub(super) dir: TableDir,
    pub(super) runtime: Runtime,
    cache: Arc<Cache>,
    next: AtomicU64,
    pub(super) installed: Mutex<Installed>,
    pub(super) removals: Removals,
    checkpointing: Mutex<()>,
    merging: Mutex<()>,
}

/// Versions of a keyspace that nobody wants any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwanted {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// Versions of commits below this are left out.
    pub below: Lsn,
}

/// What a merge leaves out, and whether it goes on.
pub struct Wanted<'a> {
    /// Nobody reads below it.
    pub horizon: Lsn,
    /// What is left out beside.
    pub unwanted: Unwanted,
    /// Asked for every version.
    pub may_go_on: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wanted").field(&self.horizon).field(&self.unwanted).finish()
    }
}

/// What a change of the tables did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Tables that are new.
    pub tables: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Tables {
    /// Opens the tables that `read` names; the store is locked, and its log was read and has
    /// `known` as the edit of its newest checkpoint.
    ///
    /// # Errors
    /// `Corrupt` when a table is missing or damaged, or the manifest is not the one that the log
    /// names; `Unsupported`, `Full`, `Io`.
    pub fn open(
        store: &Path,
        runtime: &Runtime,
        store_id: StoreId,
        settings: TableSettings,
        (read, clean, known): (ManifestRead, bool, Option<EditId>),
    ) -> Result<Self> {
        let path = store.join(DIR_NAME);
        if is_planted(Plant::OrphansSweptEarly) {
            let is_listed = |number| read.state().tables().any(|table| table.number == number);
            set_aside_orphans(runtime, &path, is_listed)?;
        }
        let manifest = read.into_writable_sized(clean, known, settings.manifest_bytes)?;
        let cache = Arc::new(Cache::new(settings.cache_bytes));
        let open = open_tables(&path, runtime, manifest.state(), &cache)?;
        // Only now: the manifest was compared with the log.
        set_aside_orphans(runtime, &path, |number| open.contains_key(&number))?;
        let levels = Arc::new(levels_of(manifest.state(), &open));
        let next = AtomicU64::new(manifest.state().next_table());
        let table_bytes = settings.table_bytes;
        let vfs = Arc::clone(&runtime.vfs);
        Ok(Self {
            dir: TableDir { vfs, path, store_id, table_bytes },
            runtime: runtime.clone(),
            cache,
            next,
            installed: Mutex::new(Installed { manifest, open, levels }),
            removals: Removals::default(),
            checkpointing: Mutex::new(()),
            merging: Mutex::new(()),
        })
    }

    /// The tables as readers see them now.
    #[must_use]
    pub fn levels(&self) -> Arc<Levels> {
        Arc::clone(&self.installed.lock().levels)
    }

    /// Up to where tables hold everything.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        *self.installed.lock().manifest.state().checkpoint()
    }

    /// What is kept in memory of them.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Writes what `source` gives into new tables, which hold everything up to `standpoint` then;
    /// `install` is told of the tables that readers see from now on.
    ///
    /// # Durability
    /// Everything in `source` was durable in the log before; after `Ok` it is in tables, too.
    ///
    /// # Errors
    /// `Full`, `Io`: no table of it is left, and the call may be repeated. `OutcomeUnknown` and
    /// `Poisoned`: the manifest failed, and only the next open decides.
    ///
    /// # Cost
    /// For each table two syncs; one of the directory, one of the manifest.
    pub fn write_checkpoint(
        &self,
        source: &mut dyn Source,
        standpoint: &Standpoint,
        horizon: Lsn,
        install: &mut dyn FnMut(&Arc<Levels>),
    ) -> Result<(EditId, Written)> {
        let _one_at_a_time = self.checkpointing.lock();
        self.make_dir()?;
        let is_bottom = self.installed.lock().levels.is_empty();
        let keep = Keep { horizon, is_bottom };
        let unwanted = Unwanted { keyspace: KeyspaceId(0), below: Lsn::ZERO };
        let wanted = Wanted { horizon, unwanted, may_go_on: &|| true };
        let facts = self.write(&mut [source], keep, &wanted)?;
        let checkpoint = Checkpoint { position: standpoint.position, segment: standpoint.segment };
        let mut changes = vec![Change::Checkpoint(checkpoint)];
        changes.extend(facts.iter().map(|facts| Change::AddTable(Arc::new(listed(facts, 0)))));
        let edit = self.install(&changes, &facts, install)?;
        remove_orphans(&self.runtime, &self.dir.path);
        hit(Mark::CheckpointWritten);
        Ok((edit, written(&facts)))
    }

    /// Whether `extent` gives reason to merge.
    #[must_use]
    pub fn wants_merge(&self, extent: Extent) -> bool {
        let runs = runs_of(self.installed.lock().manifest.state());
        let sizes: Vec<u64> = runs.iter().map(|run| bytes_of(run)).collect();
        runs_to_merge(&sizes, extent).is_some()
    }

    /// Merges runs, as far as `extent` gives reason to; `None` if it gives none.
    ///
    /// # Errors
    /// As [`Tables::write_checkpoint`]; `Corrupt` when a table cannot be read, and `Closed` when
    /// the merge may not go on: what was to be merged stays.
    ///
    /// # Cost
    /// Reads and writes all bytes of the merged runs.
    pub fn merge(
        &self,
        extent: Extent,
        wanted: &Wanted<'_>,
        install: &mut dyn FnMut(&Arc<Levels>),
    ) -> Result<Option<Written>> {
        let _one_at_a_time = self.merging.lock();
        let runs = runs_of(self.installed.lock().manifest.state());
        let sizes: Vec<u64> = runs.iter().map(|run| bytes_of(run)).collect();
        let Some(count) = runs_to_merge(&sizes, extent) else { return Ok(None) };
        let levels: Vec<u8> = runs.iter().filter_map(|run| Some(run.first()?.level)).collect();
        let (count, level) = level_of_output(&levels, count);
        let merged: Vec<&Arc<ListedTable>> = runs.iter().take(count).flatten().collect();
        let mut cursors = self.cursors(&runs, count)?;
        let mut sources: Vec<&mut dyn Source> =
            cursors.iter_mut().map(|run| -> &mut dyn Source { run }).collect();
        let keep = Keep { horizon: wanted.horizon, is_bottom: count == runs.len() };
        let facts = self.write(&mut sources, keep, wanted)?;
        let mut changes: Vec<Change> =
            merged.iter().map(|table| Change::RemoveTable(table.number)).collect();
        changes.extend(facts.iter().map(|facts| Change::AddTable(Arc::new(listed(facts, level)))));
        if is_planted(Plant::TableRemovedEarly) {
            self.remove(&merged);
        }
        self.install(&changes, &facts, install)?;
        self.remove(&merged);
        hit(Mark::Merged);
        Ok(Some(written(&facts)))
    }

    /// Whoever reads them still has them open; what cannot be removed now is an orphan.
    fn remove(&self, tables: &[&Arc<ListedTable>]) {
        for table in tables {
            let file = self.dir.path.join(file_name(table.number));
            self.removals.remove(self.dir.vfs.as_ref(), file);
        }
    }

    fn make_dir(&self) -> Result<()> {
        let (vfs, path) = (&self.runtime.vfs, &self.dir.path);
        let made = match vfs.create_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => Err(error),
            Ok(()) => path.parent().map_or(Ok(()), |store| vfs.sync_dir(store)),
        };
        made.map_err(|error| Error::io("make the directory of the tables", path, error))
    }

    /// The chosen runs, to be read from the first version to the last.
    fn cursors(&self, runs: &[Vec<Arc<ListedTable>>], count: usize) -> Result<Vec<RunCursor>> {
        let installed = self.installed.lock();
        let run = |run: &Vec<Arc<ListedTable>>| {
            let tables = run.iter().filter_map(|table| installed.open.get(&table.number));
            RunCursor::new(tables.map(Arc::clone))
        };
        Ok(runs.iter().take(count).map(run).collect())
    }

    /// Steps 1 and 2.
    fn write(
        &self,
        sources: &mut [&mut dyn Source],
        keep: Keep,
        Wanted { unwanted, may_go_on, .. }: &Wanted<'_>,
    ) -> Result<Vec<TableFacts>> {
        let mut output = Output::new(&self.dir, &self.next);
        let merged = merge(sources, keep, &mut |key, version| {
            if !may_go_on() {
                return Err(Error::new(ErrorKind::Closed, "the store is being closed"));
            }
            if key.0 == unwanted.keyspace && version.lsn < unwanted.below {
                return Ok(());
            }
            output.add(key, version)
        });
        let facts = merged.and_then(|()| output.finish()).and_then(|facts| {
            if !is_planted(Plant::DirectoryOfTablesNotSynced) {
                let synced = self.dir.vfs.sync_dir(&self.dir.path);
                synced.map_err(|error| Error::io("sync the tables", &self.dir.path, error))?;
            }
            Ok(facts)
        });
        if facts.is_err() {
            output.discard();
        }
        facts
    }

    /// Steps 3 and 4.
    fn install(
        &self,
        changes: &[Change],
        facts: &[TableFacts],
        install: &mut dyn FnMut(&Arc<Levels>),
    ) -> Result<EditId> {
        let mut installed = self.installed.lock();
        for facts in facts {
            let place = (facts.table, facts.bytes);
            let cache = Arc::clone(&self.cache);
            let table = Table::open(self.dir.vfs.as_ref(), &self.dir.path, place, cache)?;
            installed.open.insert(facts.table, Arc::new(table));
        }
        let edit = installed.manifest.append(changes)?;
        let listed = installed.manifest.state().clone();
        installed.open.retain(|number, _| listed.tables().any(|table| table.number == *number));
        installed.levels = Arc::new(levels_of(&listed, &installed.open));
        install(&installed.levels);
        Ok(edit)
    }
}

/// The runs of a state, the newest first: each table of level 0, then level after level.
#[must_use]
pub fn runs_of(state: &State) -> Vec<Vec<Arc<ListedTable>>> {
    let mut newest: Vec<_> = state.level(0).iter().map(|table| vec![Arc::clone(table)]).collect();
    if !is_planted(Plant::LevelsInWrongOrder) {
        newest.reverse();
    }
    let older =
        (1..=u8::MAX).map(|level| state.level(level).to_vec()).filter(|run| !run.is_empty());
    newest.into_iter().chain(older).collect()
}

fn bytes_of(run: &[Arc<ListedTable>]) -> u64 {
    run.iter().map(|table| table.file_bytes).sum()
}

/// Opens every table that `state` lists.
///
/// # Errors
/// As [`Table::open`].
pub fn open_tables(
    dir: &Path,
    runtime: &Runtime,
    state: &State,
    cache: &Arc<Cache>,
) -> Result<BTreeMap<u64, Arc<Table>>> {
    let open = |listed: &Arc<ListedTable>| {
        let place = (listed.number, listed.file_bytes);
        let table = Table::open(runtime.vfs.as_ref(), dir, place, Arc::clone(cache))?;
        Ok((listed.number, Arc::new(table)))
    };
    state.tables().map(open).collect()
}

/// What readers see of a state whose tables are open.
#[must_use]
pub fn levels_of(state: &State, open: &BTreeMap<u64, Arc<Table>>) -> Levels {
    let placed = |listed: &Arc<ListedTable>| {
        let table = Arc::clone(open.get(&listed.number)?);
        let key = |key: &Key| (key.keyspace, key.bytes.clone());
        let (smallest, largest) = (key(&listed.smallest), key(&listed.largest));
        Some(Placed { table, smallest, largest })
    };
    let run = |run: Vec<Arc<ListedTable>>| Run { tables: run.iter().filter_map(placed).collect() };
    Levels { runs: runs_of(state).into_iter().map(run).collect() }
}

/// A table as the manifest lists it.
fn listed(facts: &TableFacts, level: u8) -> ListedTable {
    let contents = &facts.contents;
    let key = |key: &TableKey| Key { keyspace: key.0, bytes: key.1.clone() };
    ListedTable {
        number: facts.table,
        level,
        file_bytes: facts.bytes,
        file_hash: facts.hash,
        entries: contents.entries,
        tombstones: contents.deletions,
        data_bytes: contents.key_bytes + contents.value_bytes,
        lsns: contents.lsns,
        times: contents.times,
        smallest: key(&facts.keys.0),
        largest: key(&facts.keys.1),
    }
}

fn written(facts: &[TableFacts]) -> Written {
    let tables = to_u64(facts.len());
    Written { tables, bytes: facts.iter().map(|facts| facts.bytes).sum() }
}
