//! The log's public face.

use std::path::Path;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result, Timestamp};
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::Ordering;
use crate::vfs::{Background, Lock, Runtime, thread};

use super::commit::{Appended, Appending, Durability, Shared};
use super::create::publish_identity;
use super::demand::Demand;
use super::draft::{Payload, Writer};
use super::filler::FILLER_BYTES_MAX;
use super::format::Kind;
use super::group::{State, Wants};
use super::identity::Identity;
use super::open::{Begin, Opened, open};
use super::reach::Once;
use super::release::Retention;
use super::room::Asks;
use super::scan::Record;
use super::settings::{OpenSettings, RecoveryReport};
use super::standing::Standing;
use super::stats::LogStats;
use super::through::Through;
use super::turn::poisoned;
use super::walk::Replay;

/// The write-ahead log of one store: the single place where changes begin.
///
/// Shared by reference between any number of threads.
#[derive(Debug)]
pub struct Wal {
    pub(super) shared: Arc<Shared>,
    identity: Identity,
    report: RecoveryReport,
    keeper: Mutex<Option<thread::JoinHandle<()>>>,
    keeper_started: Once,
    lock: Mutex<Option<Box<dyn Lock>>>,
    /// Held while closing, so that nobody lets go of the store while another still writes.
    closing: Mutex<()>,
}

impl Wal {
    /// Opens or creates the log in the store directory `dir`; every record goes to `replay` first.
    ///
    /// # Durability
    /// Everything `replay` saw is on stable storage when this returns `Ok`.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (not a store), `Locked`, `ReadOnly`, `Unsupported`, `Corrupt`,
    /// `Full`, `Io`, and what `replay` says. The directory can be opened again.
    pub fn open(
        dir: &Path,
        runtime: &Runtime,
        settings: &OpenSettings,
        replay: &mut Replay<'_>,
    ) -> Result<Self> {
        Self::open_behind(dir, runtime, settings, (&mut |_| Ok(None), replay))
    }

    /// [`Wal::open`], but replay begins in the segment of the standpoint that `begin` gives once
    /// the store is locked: for who has everything up to there from elsewhere.
    ///
    /// Records from before the standpoint, in its segment, go to `replay` too, and so does the
    /// whole log where that segment cannot be begun with.
    ///
    /// # Durability
    /// As [`Wal::open`].
    ///
    /// # Errors
    /// As [`Wal::open`], and what `begin` says; `Corrupt` when the log does not pass the
    /// standpoint.
    pub fn open_behind(
        dir: &Path,
        runtime: &Runtime,
        settings: &OpenSettings,
        (begin, replay): (&mut Begin<'_>, &mut Replay<'_>),
    ) -> Result<Self> {
        let era = new_era(dir, runtime)?;
        let mut standing = Standing::default();
        let mut take = |record: &Record<'_>| {
            standing.note(&record.header, record.payload);
            replay(record)
        };
        let opened = open(dir, runtime, settings, (begin, &mut take))?;
        let log = Self::of((opened, standing), settings, era);
        if log.shared.lock().has_unclaimed_commits() {
            log.start_keeper();
        }
        Ok(log)
    }

    /// The log that was opened or made.
    pub(super) fn of(
        (opened, standing): (Opened, Standing),
        settings: &OpenSettings,
        era: [u8; 16],
    ) -> Self {
        let writer = Writer { term: opened.identity.term, leader: 0 };
        let pool_max = settings.pool_max(opened.identity.segment_bytes);
        let retention = Retention::new(opened.first, settings.held_bytes_max, pool_max);
        // Files outside the log: what cannot be taken over now is at the next release.
        let _later = retention.adopt(&opened.segments);
        let mut state = State::new(opened.tail, settings.padded_tails);
        state.standing = standing;
        state.demand = Demand::new(pool_max);
        let through = Through::new(settings.write_through);
        let shared = Shared::new(opened.segments, writer, era, (state, through), retention);
        Self {
            shared: Arc::new(shared),
            identity: opened.identity,
            report: opened.report,
            keeper: Mutex::new(None),
            keeper_started: Once::new(),
            lock: Mutex::new(Some(opened.lock)),
            closing: Mutex::new(()),
        }
    }

    /// Who the store is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What recovery did when the log was opened.
    #[must_use]
    pub const fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// The last commit readers may see.
    #[must_use]
    pub fn visible(&self) -> Lsn {
        self.shared.reach.visible()
    }

    /// The last commit on stable storage.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.shared.reach.durable()
    }

    /// Appends a commit; it becomes visible when [`Wal::wait`] returns `Ok`.
    ///
    /// # Errors
    /// `Invalid` (too large), `Closed`, `Poisoned`, `Full`, `Io`, and what `appending` says;
    /// nothing was appended then.
    ///
    /// # Cost
    /// One lock and one copy of the payload; a rotation when the segment is full.
    pub fn append(
        &self,
        payload: &Payload,
        durability: Durability,
        appending: &mut dyn Appending,
    ) -> Result<Appended> {
        self.start_keeper();
        let (_lock, appended) = self.shared.append(payload, durability, appending, None)?;
        Ok(appended)
    }

    /// Waits until the commit `lsn` can be seen, or never will be.
    ///
    /// # Errors
    /// `OutcomeUnknown` or `Poisoned` when the log failed before it.
    pub fn wait_visible(&self, lsn: Lsn) -> Result<()> {
        let mut state = self.shared.lock();
        while self.shared.reach.visible() < lsn && lsn <= state.position.lsn {
            let in_flight = state.leading.filter(|_| state.filling.is_empty());
            let group = in_flight.unwrap_or(state.filling.id);
            state.filling.wants = state.filling.wants.max(Wants::Write);
            self.shared.wait_for_group(&mut state, group)?;
        }
        Ok(())
    }

    /// Makes every commit appended before this call durable.
    ///
    /// # Errors
    /// `OutcomeUnknown` or `Poisoned` when a write or sync failed, `Closed`.
    ///
    /// # Cost
    /// One sync, or none when everything is durable already.
    pub fn sync(&self) -> Result<()> {
        let mut state = self.shared.lock();
        state.refuse_if_stopped()?;
        // Not what is appended meanwhile: beside a busy writer there would be no end.
        let last = state.position.lsn;
        while state.durable.lsn < last.min(state.position.lsn) {
            self.shared.sync_filling(&mut state)?;
        }
        Ok(())
    }

    /// Makes a directory that was opened with [`OpenSettings::defer_identity`] a store.
    ///
    /// # Errors
    /// `Full`, `Io`; the directory is then still refused as a store.
    pub fn publish_identity(&self, dir: &Path) -> Result<()> {
        publish_identity(dir, &self.shared.runtime, &self.identity)
    }

    /// Promises, durably, that the next commit is later than now; for copies that need to say up
    /// to which time they are complete.
    ///
    /// # Errors
    /// As [`Wal::sync`], and `Full`, `Io` when the mark finds no room.
    ///
    /// # Cost
    /// Two syncs: the mark, and the claim that proves it.
    pub fn time_mark(&self) -> Result<Timestamp> {
        self.sync()?;
        let mut time = Timestamp::ZERO;
        for _ in 0..2 {
            let mut state = self.shared.lock();
            let mark = Payload::new(Vec::new()).record_len();
            self.shared.make_room(&mut state, mark + FILLER_BYTES_MAX, Asks::Upkeep)?;
            self.shared.put_time_mark(&mut state);
            time = state.position.time;
            self.shared.sync_filling(&mut state)?;
        }
        Ok(time)
    }

    /// Does one piece of background work, for runtimes without threads; false when there is none.
    ///
    /// # Errors
    /// `Full`, `Io` from preparing a segment.
    pub fn step(&self) -> Result<bool> {
        self.shared.step()
    }

    /// Where the log stands and what it has done.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let counts = &self.shared.counts;
        let state = self.shared.lock();
        let mut stats = LogStats {
            appended: state.position.lsn,
            durable: state.durable.lsn,
            term: state.position.term.0,
            time: state.position.time,
            commits: counts.commits.load(Ordering::Relaxed),
            groups: counts.groups.load(Ordering::Relaxed),
            syncs: counts.syncs.load(Ordering::Relaxed),
            written_bytes: counts.written_bytes.load(Ordering::Relaxed),
            pool_hits: counts.pool_hits.load(Ordering::Relaxed),
            pool_misses: counts.pool_misses.load(Ordering::Relaxed),
            pool_waits: counts.pool_waits.load(Ordering::Relaxed),
            pool_delay_micros: counts.pool_delay_micros.load(Ordering::Relaxed),
            commit_micros: state.tally.commit_micros.clone(),
            group_commits: state.tally.group_commits.clone(),
            spare_segments: to_u64(state.spares.len()),
            active_segment: state.active.number.0,
            clock_suspect: self.shared.clock_suspect(),
            ..LogStats::default()
        };
        drop(state);
        self.shared.retention.tell(&mut stats);
        stats
    }

    /// Makes everything durable, marks the log as cleanly closed, and releases the store.
    ///
    /// # Durability
    /// After `Ok` the next open has nothing to recover.
    ///
    /// # Errors
    /// `OutcomeUnknown`, `Poisoned`, `Full`, `Io`; the store is closed all the same. `Closed` in a
    /// forked child of the process that opened it; nothing is touched.
    ///
    /// # Cost
    /// Three syncs of the last segment, and two of the one before if the close needs a new one;
    /// none when nothing was written since a clean open.
    pub fn close(&self) -> Result<()> {
        let _one_at_a_time = self.closing.lock();
        if self.lock.lock().as_ref().is_some_and(|lock| !lock.is_ours()) {
            let what = "the store was opened by the process that forked this one, and only that \
                        process may use it; open it in this process";
            return Err(Error::new(ErrorKind::Closed, what));
        }
        let outcome = self.write_clean_close();
        self.shared.end_for_all();
        if !is_planted(Plant::KeeperNotTold) {
            self.shared.keeper.notify_all();
        }
        let keeper = self.keeper.lock().take();
        // The keeper itself closes when a waker that it called let go of the last handle.
        let keeper = keeper.filter(|keeper| keeper.thread().id() != thread::current_id());
        let joined = keeper.map_or(Ok(()), thread::JoinHandle::join);
        drop(self.lock.lock().take());
        if joined.is_err() {
            return Err(Error::new(ErrorKind::Bug, "the log's background thread panicked"));
        }
        outcome
    }

    /// The order matters: first everything durable, with a record that fills its sector; then once
    /// more, because a file system may report a failed sync at the next; only then, alone in its
    /// group and its page, the record that makes recovery trust it all. If the last sync fails or
    /// never comes, what recovery finds in the page cache is no more than that record, and the
    /// next group writes its page again.
    fn write_clean_close(&self) -> Result<()> {
        let mut state = self.shared.lock();
        if state.closed {
            return Ok(());
        }
        if let Some(failure) = &state.failure {
            return Err(poisoned(&failure.error));
        }
        if state.clean {
            return Ok(());
        }
        if state.distrusted {
            state.closing = true;
            let unsynced = !state.filling.is_empty() || state.has_unsynced_commits();
            return if unsynced { self.shared.sync_filling(&mut state) } else { Ok(()) };
        }
        let payload = Payload::new(Vec::new());
        let room = payload.record_len() + FILLER_BYTES_MAX;
        let room = self.shared.make_room(&mut state, room, Asks::Upkeep);
        state.closing = true;
        if let Err(error) = room {
            // Nobody may write once the store is let go of: what was appended is written now.
            if !state.filling.is_empty() || state.has_unsynced_commits() {
                self.shared.sync_filling(&mut state)?;
            }
            return Err(error);
        }
        state.put_filler();
        if !is_planted(Plant::CloseTooEarly) {
            if !state.filling.is_empty() || state.has_unsynced_commits() {
                self.shared.sync_filling(&mut state)?;
            }
            state.confirm_active();
            let group = state.filling.id;
            self.shared.wait_for_group(&mut state, group)?;
        }
        state.put(Kind::CleanClose, &payload);
        self.shared.sync_filling(&mut state)?;
        self.shared.drop_spares(&mut state);
        Ok(())
    }

    pub(super) fn start_keeper(&self) {
        let wanted = self.shared.runtime.background == Background::Threads;
        if !wanted || !self.keeper_started.is_first() {
            return;
        }
        let mut keeper = self.keeper.lock();
        if self.lock.lock().is_some() {
            let shared = Arc::clone(&self.shared);
            // Without the thread the log is still correct: commits prepare segments themselves.
            *keeper = thread::spawn("jidoka-log", move || shared.keep()).ok();
        }
    }
}

/// The id of an era that may begin.
pub(super) fn new_era(dir: &Path, runtime: &Runtime) -> Result<[u8; 16]> {
    runtime.random().map_err(|error| Error::io("choose an era for", dir, error))
}

impl Drop for Wal {
    /// Closes the log; an error cannot be reported here, and recovery will find what it finds.
    fn drop(&mut self) {
        let _unreported = self.close();
    }
}
