//! One run of a bench: what is asked, who is told, and where it happens.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Result;
use crate::store::Store;
use crate::vfs::{Runtime, os};
use crate::wal::{LogStats, OpenSettings, Wal};

use super::numbers::Measurement;
use super::place::FreshDir;
use super::{calibrate, commit, group, ingest, outstanding, recover};

/// Bytes of log that a measurement writes before it ends, whatever time is left.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// What is measured.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchKind {
    /// Lone durable commits.
    Commit,
    /// Commits of many threads.
    Group,
    /// Asynchronous commits of one thread.
    Async,
    /// Durable batches of one thread.
    Ingest,
    /// Opening what a killed writer left.
    Recover,
    /// Ways of syncing.
    Calibrate,
}

/// How it is measured.
#[derive(Clone, Debug)]
pub struct BenchRequest {
    /// What.
    pub kind: BenchKind,
    /// An existing directory on the file system to measure.
    pub parent: PathBuf,
    /// Time for each measurement, its raw counterpart included.
    pub time: Duration,
    /// For `group`: the numbers of committers, in the order they are measured.
    pub threads: Vec<u16>,
    /// Bytes of each value; without, what each bench is about.
    pub value_bytes: Option<u32>,
    /// Whether stores write past the page cache.
    pub write_through: bool,
    /// For `ingest` and `recover`: the log by itself, without keys.
    pub log_alone: bool,
    /// For `ingest` of the log alone: nothing is released, so that each segment is made anew. For
    /// `recover`: the page cache holds nothing of the log.
    pub cold: bool,
    /// For `recover`: bytes of log to recover, if the time is enough to write them.
    pub log_bytes: u64,
}

/// What is told while it goes on.
#[non_exhaustive]
#[derive(Debug)]
pub enum Event<'a> {
    /// A measurement is under way.
    Going(&'a str),
    /// This machine or file system cannot do it.
    Skipped(&'a str),
    /// A measurement is complete.
    Measured(&'a Measurement),
}

/// Who is told; an error ends the bench.
pub(super) type Tell<'a> = dyn FnMut(Event<'_>) -> Result<()> + 'a;

/// The surroundings of a measurement.
pub(super) struct Session<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) request: &'a BenchRequest,
    pub(super) dir: &'a Path,
    pub(super) tell: &'a mut Tell<'a>,
}

/// Measures in a fresh directory, which is removed also after an error.
///
/// # Errors
/// `NotFound`, `ReadOnly`, `Full`, `Io`, and what `tell` says.
pub fn bench<'a>(
    request: &'a BenchRequest,
    runtime: &'a Runtime,
    tell: &'a mut (dyn FnMut(Event<'_>) -> Result<()> + 'a),
) -> Result<()> {
    let fresh = FreshDir::make_in(&request.parent, runtime)?;
    let dir = fresh.path().to_owned();
    let mut session = Session { runtime, request, dir: &dir, tell };
    match request.kind {
        BenchKind::Commit => commit::run(&mut session),
        BenchKind::Group => group::run(&mut session),
        BenchKind::Async => outstanding::run(&mut session),
        BenchKind::Ingest => ingest::run(&mut session),
        BenchKind::Recover => recover::run(&mut session),
        BenchKind::Calibrate => calibrate::run(&mut session),
    }
}

impl Session<'_> {
    pub(super) fn now(&self) -> Duration {
        self.runtime.clock.monotonic()
    }

    /// A new store in the fresh directory.
    pub(super) fn store(&self, name: &str) -> Result<Store> {
        let builder = Store::builder(self.dir.join(name)).runtime(self.runtime.clone());
        builder.write_through(self.request.write_through).open()
    }

    /// A new log by itself in the fresh directory.
    pub(super) fn log(&self, name: &str) -> Result<Wal> {
        let write_through = self.request.write_through;
        let settings = OpenSettings { write_through, ..OpenSettings::default() };
        Wal::open(&self.dir.join(name), self.runtime, &settings, &mut |_| Ok(()))
    }

    /// Closes a store and gives back its space.
    pub(super) fn discard(&self, store: &Store) -> Result<()> {
        store.close()?;
        // What stays takes space until the fresh directory goes.
        let _ignored = os::remove_tree(store.path());
        Ok(())
    }

    /// Whether the store has written as much as a measurement may.
    pub(super) fn is_large(store: &Store) -> bool {
        Self::is_long(&store.log_stats(), store.identity().segment_bytes)
    }

    /// The same of a log.
    pub(super) const fn is_long(stats: &LogStats, segment_bytes: u64) -> bool {
        stats.active_segment * segment_bytes >= LOG_BYTES_MAX
    }
}
