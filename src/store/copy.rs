//! A hot copy: a store at one commit, made out of an open one while that goes on.
//!
//! ```text
//! 1  the log is held, then the tables are pinned     what is needed stays until it is copied
//! 2  everything so far is made durable               the last of it is the copy's last commit
//! 3  the log behind the checkpoint                   record by record, into a log of its own
//! 4  the tables, and a manifest that lists them
//! 5  the log's mark, and a clean close
//! !                                                  a crash until here: it is refused as a store
//! 6  the identity
//! ```

use std::path::Path;

use crate::base::{Lsn, Result, SegmentNumber, Term};
use crate::checkpoint::{Pinned, TablesCopied, begin_copy};
use crate::wal::identity::Ancestor;
use crate::wal::{CheckpointMark, OpenSettings, Wal, make_empty_dir};

use super::handle::{Inner, Store};

/// What a copy holds, and what it took to make it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The last commit in it; the source's next one is not.
    pub lsn: Lsn,
    /// Its tables.
    pub tables: u64,
    /// Those of them that are the same file in both stores.
    pub linked_tables: u64,
    /// Bytes of records, and of tables that are not, which were written.
    pub bytes: u64,
}

impl Store {
    /// Makes a copy of this store in the directory `dir`, which must be missing or empty: another
    /// store with everything that was committed before this call, and nothing of what comes after
    /// the commit that it tells.
    ///
    /// The copy has an identity and a term of its own, so that what is written to it is never
    /// mistaken for the future of this one. Its log begins behind the last checkpoint. Where the
    /// file system can, both share the files of tables, which never change: that protects from
    /// mistakes, and not from a bad disk, for which there are backups.
    ///
    /// # Durability
    /// After `Ok` the copy survives a power cut, and the commits in it are durable in this store.
    /// An interrupted copy leaves a directory that is refused as a store, and can be deleted.
    ///
    /// # Errors
    /// - `Invalid`: `dir` is not empty, or no directory. `Locked`: somebody else uses it.
    /// - `Full`, `Io`, `ReadOnly`: the copy could not be written.
    /// - `Corrupt`: this store's log or a table is damaged.
    /// - `Closed`, `OutcomeUnknown`, `Poisoned`: of this store.
    ///
    /// # Concurrency
    /// Commits, readers, checkpoints and merges go on. Until it is done, no log is released and no
    /// table removed.
    ///
    /// # Cost
    /// Reads and writes the log since the last checkpoint; a link for each table, or a copy of it.
    pub fn copy_to(&self, dir: impl AsRef<Path>) -> Result<Copied> {
        copy(&self.inner, dir.as_ref())
    }
}

fn copy(inner: &Inner, dir: &Path) -> Result<Copied> {
    // In this order: what is released from here on is behind no checkpoint that is pinned later.
    let held = inner.wal.hold();
    let pinned = inner.jobs.tables()?.pin();
    inner.wal.sync()?;
    let lsn = inner.wal.durable();
    make_empty_dir(dir, &inner.runtime)?;
    begin_copy(dir, &inner.runtime)?;
    let position = pinned.checkpoint().position;
    let log = Wal::create_behind(dir, &inner.runtime, &settings(&inner.wal, lsn), position)?;
    let segment = log.between_appends(|beginning| beginning.segment)?;
    let log_bytes = inner.wal.copy_into(&log, position.lsn, lsn)?;
    drop(held);
    log.sync()?;
    let TablesCopied { tables, linked, bytes } = finish((&log, segment), &pinned, dir)?;
    Ok(Copied { lsn, tables, linked_tables: linked, bytes: bytes + log_bytes })
}

/// Of a store with the same history up to `lsn`, and no other.
fn settings(source: &Wal, lsn: Lsn) -> OpenSettings {
    let identity = source.identity();
    let mut ancestors = identity.ancestors.clone();
    ancestors.push(Ancestor { store_id: identity.store_id, up_to: lsn });
    // Also above the source's own term, which it may not have written with yet.
    let term = Term(identity.term.0.max(source.stats().term) + 1);
    let segment_bytes = identity.segment_bytes;
    OpenSettings { segment_bytes, term, ancestors, ..OpenSettings::default() }
}

/// Makes a store of a log that holds everything behind the pinned tables.
fn finish(
    (log, segment): (&Wal, SegmentNumber),
    pinned: &Pinned<'_>,
    dir: &Path,
) -> Result<TablesCopied> {
    let (edit, copied) = pinned.give_to(dir, log.identity().store_id, segment)?;
    if let Some(edit) = edit {
        let lsn = pinned.checkpoint().position.lsn;
        log.save_checkpoint(&CheckpointMark { lsn, edit: edit.number, edit_hash: edit.hash })?;
    }
    log.close()?;
    log.publish_identity(dir)?;
    Ok(copied)
}
