//! The commit protocol: many committers, one write and one sync for all of them.
//!
//! ```text
//! append  lock; make room; check; number, stamp, chain, copy; unlock
//! wait    completed ≥ mine            → done
//!         failed                      → OutcomeUnknown for the group in the kernel, else Poisoned
//!         nobody leads                → lead: take the group, unlock, write, sync, lock,
//!                                       complete it, wake the next leader, then the followers
//!         somebody leads              → wait: the first of the filling group as next leader
//! ```
//!
//! The committer who waits first writes for everyone, in its own thread: a lone committer pays
//! no hand-off. While it is in the kernel the next group fills. The next leader is woken before
//! the followers, so that the disk is busy while they run. The rejected alternative, a thread
//! that only flushes, costs every lone commit two context switches.
//!
//! - **C1** `Ok` for a synced commit only after a sync that began after its write returned `Ok`.
//! - **C2** What is visible is a prefix of the log, complete to the durability its writers asked.
//! - **C3** After a failed write or sync nothing is written or synced again, until a reopen (L3).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result, Timestamp};
use crate::vfs::Runtime;
use crate::vfs::gate::Gate;
use crate::vfs::sync::atomic::{AtomicU64, Ordering};
use crate::vfs::sync::{Condvar, Mutex, MutexGuard};

use super::asynchronous::Waiting;
use super::callback::Callback;
use super::draft::{Draft, Payload, Writer};
use super::format::Kind;
use super::group::{Group, State, Wants};
use super::reach::Reach;
use super::release::Retention;
use super::room::Asks;
use super::segment::SegmentDir;
use super::through::Through;
use super::ticker::Ticker;

/// How far a commit must have come when its call returns.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// On stable storage: survives the process, the kernel and the power.
    #[default]
    Sync,
    /// Written to the operating system: survives a process crash.
    Buffered,
    /// In our memory: survives nothing until the log is written, within about 100 ms.
    Memory,
}

/// A commit that is in the log but perhaps not yet where its writer wants it.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Its number.
    pub lsn: Lsn,
    /// Its time.
    pub time: Timestamp,
    pub(super) group: u64,
    pub(super) done: bool,
    /// How many truncations came before it.
    pub(super) truncations: u64,
}

/// What the store does under the append lock.
pub trait Appending {
    /// Whether the commit may be appended, decided against everything appended before it.
    ///
    /// # Errors
    /// Whatever forbids it; nothing is appended then.
    fn check(&mut self) -> Result<()>;

    /// The commit is in the log, with this number and time; it cannot be refused any more.
    fn appended(&mut self, lsn: Lsn, time: Timestamp);

    /// Whether it may use the room that is kept for a full disk, because it only takes away: a
    /// commit after which less is stored. Others get `Full` before they touch that room.
    fn may_use_reserve(&self) -> bool {
        false
    }
}

/// Counts since the log was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) commits: AtomicU64,
    pub(super) groups: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) pool_hits: AtomicU64,
    pub(super) pool_misses: AtomicU64,
    pub(super) pool_waits: AtomicU64,
    pub(super) pool_delay_micros: AtomicU64,
}

/// Adds to a count that one thread at a time adds to, who holds the append lock or leads: what
/// takes turns anyway need not lock the bus.
pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

/// The log as its committers and its keeper share it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) runtime: Runtime,
    pub(super) segments: SegmentDir,
    pub(super) writer: Writer,
    /// Payload of the `TermStart` that opens the writer's era.
    era: Payload,
    state: Mutex<State>,
    ticker: Mutex<Ticker>,
    pub(super) next_leader: Condvar,
    /// Where followers wait, beside the append lock: who is let through needs it no more.
    pub(super) gate: Gate,
    /// Where a leader lingers.
    pub(super) complete: Condvar,
    /// Where those wait who need a segment, or the end of a truncation.
    pub(super) prepared: Condvar,
    pub(super) keeper: Condvar,
    /// Handles that wait to be told; taken with or without the append lock, never before it.
    pub(super) told: Mutex<Waiting>,
    /// Moved under the append lock.
    pub(super) reach: Reach,
    /// Room that each record leaves for the padding of its group.
    pub(super) padding_max: u64,
    pub(super) counts: Counts,
    pub(super) through: Through,
    pub(super) retention: Retention,
}

impl Shared {
    pub(super) fn new(
        segments: SegmentDir,
        writer: Writer,
        era: [u8; 16],
        (state, through): (State, Through),
        retention: Retention,
    ) -> Self {
        let runtime = segments.runtime.clone();
        let (position, padding_max) = (state.position, state.padding_max());
        let ticker = Ticker::new(runtime.clock.as_ref(), position.time);
        Self {
            runtime,
            segments,
            writer,
            era: Payload::new(era.to_vec()),
            state: Mutex::new(state),
            ticker: Mutex::new(ticker),
            next_leader: Condvar::new(),
            gate: Gate::default(),
            complete: Condvar::new(),
            prepared: Condvar::new(),
            keeper: Condvar::new(),
            told: Mutex::new(Waiting::default()),
            reach: Reach::new(position.lsn),
            padding_max,
            counts: Counts::default(),
            through,
            retention,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        state.stop_after_panic();
        state
    }

    pub(super) fn clock_suspect(&self) -> bool {
        self.ticker.lock().suspect
    }

    /// Appends a commit, and gives the append lock too. It is not visible before
    /// [`Shared::wait`] returned `Ok`.
    pub(super) fn append(
        &self,
        payload: &Payload,
        durability: Durability,
        appending: &mut dyn Appending,
        callback: Option<Callback>,
    ) -> Result<(MutexGuard<'_, State>, Appended)> {
        self.segments.refuse_too_large(payload, self.padding_max)?;
        let mut state = self.lock();
        let who = if appending.may_use_reserve() { Asks::Upkeep } else { Asks::Commit };
        self.open_term(&mut state, who)?;
        let early = is_planted(Plant::ConditionBeforeRoom);
        if early {
            appending.check()?;
        }
        self.make_room(&mut state, payload.record_len(), who)?;
        // Whoever made room let go of the lock, and a truncation may have taken the term back.
        while state.position.term < self.writer.term {
            self.open_term(&mut state, who)?;
            self.make_room(&mut state, payload.record_len(), who)?;
        }
        if !early {
            appending.check()?;
        }
        let (time, began) = self.stamp(&state);
        state.appending = true;
        state.append(&Draft { kind: Kind::Commit, writer: self.writer, time, payload });
        let lsn = state.position.lsn;
        appending.appended(lsn, time);
        state.appending = false;
        count(&self.counts.commits, 1);
        let appended = self.appended(&mut state, lsn, time, durability);
        if let Some(callback) = callback {
            // Before anybody can complete the group, and in the order of the commits.
            state.callbacks.leave(&appended, callback);
        }
        if durability == Durability::Sync {
            state.tally.joined(began);
            state.linger.appended(began);
        }
        Ok((state, appended))
    }

    /// Opens the writer's term before its first commit.
    fn open_term(&self, state: &mut MutexGuard<'_, State>, who: Asks) -> Result<()> {
        if state.position.term == self.writer.term {
            return Ok(());
        }
        self.make_room(state, self.era.record_len(), who)?;
        // Making room may have let go of the lock, and another committer may have opened it.
        if state.position.term < self.writer.term {
            let (kind, time) = (Kind::TermStart, self.next_time(state));
            state.append(&Draft { kind, writer: self.writer, time, payload: &self.era });
        }
        Ok(())
    }

    /// Notes what the new commit waits for.
    fn appended(
        &self,
        state: &mut State,
        lsn: Lsn,
        time: Timestamp,
        durability: Durability,
    ) -> Appended {
        let done = state.join(durability);
        if is_planted(Plant::VisibleTooEarly) {
            self.reach.show(lsn);
        }
        if done {
            // Everything before it is complete, so it may be seen at once (C2).
            self.reach.show(lsn);
            self.tell_keeper(state);
        }
        let truncations = self.reach.truncations();
        Appended { lsn, time, group: state.filling.id, done, truncations }
    }

    pub(super) fn next_time(&self, state: &State) -> Timestamp {
        self.stamp(state).0
    }

    /// The time of the next commit, and the monotonic reading it was decided with.
    fn stamp(&self, state: &State) -> (Timestamp, Duration) {
        let mut ticker = self.ticker.lock();
        let time = ticker.next(self.runtime.clock.as_ref(), state.position.time);
        (time, ticker.read)
    }

    /// Takes the filling group, writes and syncs it, and wakes whoever waits for it.
    pub(super) fn lead(&self, state: &mut MutexGuard<'_, State>) {
        let group = Arc::new(state.take_group());
        state.in_kernel = Some(Arc::clone(&group));
        let began = state.linger.is_crowded().then(|| self.runtime.clock.monotonic());
        // A panic in here must not leave the others waiting for a leader who is gone.
        let outcome = MutexGuard::unlocked(state, || {
            catch_unwind(AssertUnwindSafe(|| self.write_group(&group)))
        });
        let (outcome, panic) = match outcome {
            Ok(outcome) => (outcome, None),
            Err(panic) => {
                let what = "the thread that wrote the log panicked";
                (Err(Error::new(ErrorKind::Bug, what)), Some(panic))
            }
        };
        // Whoever panicked meanwhile told nobody that the log goes on no more.
        state.stop_after_panic();
        state.finish_group(&group, outcome);
        state.in_kernel = None;
        if group.wants == Wants::Sync && state.completed == group.id {
            let now = self.runtime.clock.monotonic();
            state.tally.synced(now);
            state.linger.synced(began, now);
        }
        self.publish(state, &group);
        let wakes = state.wakes();
        if wakes.next_leader {
            self.next_leader.notify_one();
        }
        self.tell_keeper(state);
        // Nobody is on the way to the gate who was not sent there under the lock.
        let pass = state.completed >= group.id && state.followed >= group.id;
        if pass || wakes.all {
            // Without the lock: those who append do not wait until the followers are woken.
            MutexGuard::unlocked(state, || {
                if pass {
                    self.gate.pass(group.id);
                }
                if wakes.all {
                    self.gate.open();
                }
            });
        }
        self.tell_handles(state);
        if let Some(group) = Arc::into_inner(group) {
            state.reuse(group);
        }
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn publish(&self, state: &State, group: &Group) {
        if state.completed == group.id {
            self.reach.publish(group.end.lsn, state.durable.lsn);
        }
    }
}
