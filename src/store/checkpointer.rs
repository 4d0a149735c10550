//! When the memtable becomes tables, and tables are merged.
//!
//! One job at a time: a checkpoint, or a merge. Jobs are asked for by [`Store::checkpoint`] and
//! [`Store::compact`](super::Store::compact), by a close that would leave much to be replayed, and
//! by commits that find the memtable above its share of memory; those start a thread for it, which
//! ends when nothing is left to do. A runtime without threads does jobs in [`Store::step`].
//!
//! [`Store::checkpoint`]: super::Store::checkpoint
//! [`Store::step`]: super::Store::step

use std::sync::Arc;
use std::time::Duration;

use crate::base::codec::to_u64;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::checkpoint::{Extent, Tables, Unwanted, Wanted};
use crate::table::Levels;
use crate::vfs::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::vfs::sync::{Condvar, Mutex};
use crate::wal::{CheckpointMark, Wal};

use super::frozen::Frozen;
use super::requests::{REQUESTS, Requests};
use super::snapshot::View;

/// What of the log a checkpoint leaves.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKept {
    /// All of it: for copies and feeds that begin with the first commit.
    #[default]
    All,
    /// What an open needs, and what a follower has still to read.
    Needed,
}

/// How the tables have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Tables there are.
    pub tables: u64,
    /// Runs of them: so many places a read may have to look at.
    pub runs: u64,
    /// Checkpoints that were written.
    pub checkpoints: u64,
    /// Merges that were done.
    pub merges: u64,
    /// Bytes of tables written by them.
    pub written_bytes: u64,
    /// Commits that waited for a checkpoint, because they came faster than it was written.
    pub waits: u64,
    /// Every commit up to here is in tables.
    pub checkpoint: Lsn,
    /// Bytes of tables kept in memory.
    pub cache_bytes: u64,
    /// Parts of tables that were in memory when they were asked for.
    pub cache_hits: u64,
    /// Parts that were not.
    pub cache_misses: u64,
}

impl TableStats {
    /// Of these tables, with which nothing was done yet.
    pub(super) fn of_tables(levels: &Levels, checkpoint: Lsn) -> Self {
        let tables = levels.runs.iter().map(|run| run.tables.len()).sum();
        let (tables, runs) = (to_u64(tables), to_u64(levels.runs.len()));
        Self { tables, runs, checkpoint, ..Self::default() }
    }
}

#[derive(Debug, Default)]
struct Counts {
    checkpoints: AtomicU64,
    merges: AtomicU64,
    written_bytes: AtomicU64,
    waits: AtomicU64,
}

/// Everything that a job needs.
#[derive(Debug)]
pub(super) struct Checkpointer {
    pub(super) wal: Arc<Wal>,
    pub(super) view: Arc<View>,
    pub(super) requests: Arc<Mutex<Requests>>,
    pub(super) tables: Tables,
    log_kept: LogKept,
    /// The commit of the newest checkpoint whose mark is durable in the log.
    marked: AtomicU64,
    /// Bytes of a memtable that make a checkpoint due.
    memtable_bytes: usize,
    /// Bytes of the memtable after the last commit.
    filled: AtomicUsize,
    /// As many make the next checkpoint due: more than usual after one that failed.
    due_at: AtomicUsize,
    /// Bytes of the log that are in tables.
    covered: AtomicU64,
    /// Held during a checkpoint.
    checkpointing: Mutex<()>,
    /// The store is being closed: nothing is begun any more, and merges end.
    pub(super) stopping: AtomicBool,
    waiting: Mutex<()>,
    stopped: Condvar,
    /// Why nothing is written any more, once the manifest failed.
    failure: Mutex<Option<Error>>,
    failed: AtomicBool,
    counts: Counts,
}

impl Checkpointer {
    pub(super) fn new(
        (wal, view, requests): (Arc<Wal>, Arc<View>, Arc<Mutex<Requests>>),
        tables: Tables,
        (log_kept, marked, memtable_bytes): (LogKept, Lsn, usize),
    ) -> Self {
        let covered = wal.log_bytes().saturating_sub(wal.report().bytes);
        let filled = view.tree.bytes();
        Self {
            wal,
            view,
            requests,
            tables,
            log_kept,
            marked: AtomicU64::new(marked.0),
            memtable_bytes,
            filled: AtomicUsize::new(filled),
            due_at: AtomicUsize::new(memtable_bytes),
            covered: AtomicU64::new(covered),
            checkpointing: Mutex::new(()),
            stopping: AtomicBool::new(false),
            waiting: Mutex::new(()),
            stopped: Condvar::new(),
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Learns how large the memtable is.
    pub(super) fn note(&self, memtable_bytes: usize) {
        self.filled.store(memtable_bytes, Ordering::Relaxed);
    }

    /// Whether a checkpoint is due.
    pub(super) fn is_due(&self) -> bool {
        self.filled.load(Ordering::Relaxed) >= self.due_at.load(Ordering::Relaxed)
    }

    /// Whether commits come so much faster than tables are written that they must wait.
    pub(super) fn is_overdue(&self) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed);
        self.filled.load(Ordering::Relaxed) >= due_at.saturating_mul(2)
    }

    /// Whether `extent` gives reason to merge tables.
    pub(super) fn wants_merge(&self, extent: Extent) -> bool {
        self.tables.wants_merge(extent)
    }

    /// Begins nothing any more.
    pub(super) fn stop(&self) {
        let _nobody_begins_to_wait = self.waiting.lock();
        self.stopping.store(true, Ordering::Relaxed);
        self.stopped.notify_all();
    }

    /// Waits, and tells whether nothing was committed meanwhile; not when the store is closed.
    pub(super) fn is_idle_for(&self, time: Duration) -> bool {
        let before = self.wal.visible();
        let mut waiting = self.waiting.lock();
        if !self.stopping.load(Ordering::Relaxed) {
            let _told = self.stopped.wait_for(&mut waiting, time);
        }
        self.wal.visible() == before
    }

    /// Bytes of the log that an open would replay.
    pub(super) fn replayed_bytes(&self) -> u64 {
        self.wal.log_bytes().saturating_sub(self.covered.load(Ordering::Relaxed))
    }

    /// Writes everything committed so far into tables.
    pub(super) fn checkpoint(&self) -> Result<()> {
        let _one_at_a_time = self.checkpointing.lock();
        loop {
            self.refuse_after_failure()?;
            // One that failed is written first, and what came since after it.
            let left = self.view.tree.frozen();
            let is_last = left.is_none();
            let Some(frozen) = left.map_or_else(|| self.freeze(), |left| Ok(Some(left)))? else {
                return self.release();
            };
            let done = self.write(&frozen);
            let patience = if done.is_ok() { 0 } else { self.memtable_bytes / 4 };
            let filled = self.filled.load(Ordering::Relaxed);
            let due_at = if patience == 0 { self.memtable_bytes } else { filled + patience };
            self.due_at.store(due_at, Ordering::Relaxed);
            self.stop_on_failure(done)?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Waits for the end of a checkpoint that is under way.
    pub(super) fn wait_for_checkpoint(&self) {
        self.counts.waits.fetch_add(1, Ordering::Relaxed);
        drop(self.checkpointing.lock());
    }

    /// Freezes the memtable, unless everything is in tables already.
    fn freeze(&self) -> Result<Option<Arc<Frozen>>> {
        let behind = self.tables.checkpoint().position.lsn;
        let (requests, view) = (&self.requests, &self.view);
        let log_bytes = self.wal.log_bytes();
        let frozen = self.wal.between_appends(|standpoint| {
            (standpoint.position.lsn > behind).then(|| {
                let answers = requests.lock().after(behind);
                let standpoint = *standpoint;
                let freeze = |memtable| Frozen { memtable, answers, standpoint, log_bytes };
                view.tree.freeze(freeze)
            })
        })?;
        if frozen.is_some() {
            self.filled.store(0, Ordering::Relaxed);
        }
        Ok(frozen)
    }

    /// The order is that of [`Tables`] (C1, C2).
    fn write(&self, frozen: &Frozen) -> Result<()> {
        let lsn = frozen.standpoint.position.lsn;
        if !is_planted(Plant::CheckpointAboveDurable) {
            self.sync_behind(frozen)?;
        }
        self.wal.begin_work()?;
        if self.log_kept == LogKept::Needed && is_planted(Plant::LogReleasedBeforeManifest) {
            self.wal.release(lsn.next())?;
        }
        let install = &mut |levels: &Arc<Levels>| self.view.tree.install(levels, true);
        let horizon = self.horizon();
        let mut source = frozen.versions();
        let (edit, written) =
            self.tables.write_checkpoint(&mut source, &frozen.standpoint, horizon, install)?;
        let mark = CheckpointMark { lsn, edit: edit.number, edit_hash: edit.hash };
        self.wal.save_checkpoint(&mark)?;
        self.marked.store(lsn.0, Ordering::Relaxed);
        self.covered.store(frozen.log_bytes, Ordering::Relaxed);
        self.counts.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.counts.written_bytes.fetch_add(written.bytes, Ordering::Relaxed);
        self.release()
    }

    /// Lets go of the log up to the newest mark, also of what was kept when that was made.
    fn release(&self) -> Result<()> {
        let marked = Lsn(self.marked.load(Ordering::Relaxed));
        if self.log_kept == LogKept::Needed && marked > Lsn::ZERO {
            self.wal.release(marked.next())?;
        }
        Ok(())
    }

    /// Makes durable what tables are made of (C2).
    fn sync_behind(&self, frozen: &Frozen) -> Result<()> {
        if is_planted(Plant::CheckpointCountsUnsynced) {
            return self.wal.sync();
        }
        self.wal.sync_behind(&frozen.standpoint)
    }

    /// Merges as `extent` says; whether there was something to merge.
    pub(super) fn merge(&self, extent: Extent) -> Result<bool> {
        self.refuse_after_failure()?;
        if self.tables.levels().runs.len() < 2 {
            return Ok(false);
        }
        if !is_planted(Plant::BeginWorkSkipped) {
            self.wal.begin_work()?;
        }
        let oldest = self.requests.lock().oldest().unwrap_or(Lsn::MAX);
        let wanted = Wanted {
            horizon: self.horizon(),
            unwanted: Unwanted { keyspace: REQUESTS, below: oldest },
            may_go_on: &|| !self.stopping.load(Ordering::Relaxed),
        };
        let install = &mut |levels: &Arc<Levels>| self.view.tree.install(levels, false);
        let merged = self.tables.merge(extent, &wanted, install);
        let Some(written) = self.stop_on_failure(merged)? else { return Ok(false) };
        self.counts.merges.fetch_add(1, Ordering::Relaxed);
        self.counts.written_bytes.fetch_add(written.bytes, Ordering::Relaxed);
        Ok(true)
    }

    /// Nobody reads below it.
    fn horizon(&self) -> Lsn {
        self.view.pins.horizon(|| self.wal.visible())
    }

    /// After a failure of the manifest nothing is written any more, and no close is a clean one
    /// (L3).
    fn stop_on_failure<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && is_in_doubt(error)
        {
            self.wal.distrust();
            *self.failure.lock() = Some(error.clone());
            self.failed.store(true, Ordering::Release);
        }
        done
    }

    /// # Errors
    /// `Poisoned` after the manifest failed.
    pub(super) fn refuse_after_failure(&self) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let failure = self.failure.lock().clone();
        let what = "nothing was written, because an earlier write of the manifest failed: close \
                    the store and open it again";
        failure.map_or(Ok(()), |failure| Err(failure.as_kind(ErrorKind::Poisoned).within(what)))
    }

    /// How the tables have done.
    pub(super) fn stats(&self) -> TableStats {
        let levels = self.tables.levels();
        let cache = self.tables.cache().stats();
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TableStats {
            checkpoints: count(&self.counts.checkpoints),
            merges: count(&self.counts.merges),
            written_bytes: count(&self.counts.written_bytes),
            waits: count(&self.counts.waits),
            cache_bytes: cache.bytes,
            cache_hits: cache.hits,
            cache_misses: cache.misses,
            ..TableStats::of_tables(&levels, self.tables.checkpoint().position.lsn)
        }
    }
}

/// Whether the manifest, or the log, may or may not hold what was written.
pub(super) fn is_in_doubt(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Poisoned)
}
