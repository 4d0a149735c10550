//! What a member of a cluster asks of its log beside appending: to take commits back, and to
//! remember votes and what a majority holds.
//!
//! A truncation goes by its own steps, and nothing else is appended meanwhile:
//!
//! 1. everything appended is made durable, so that whoever waits is told;
//! 2. the commit that becomes the last is read from the log: the marker repeats what it says;
//! 3. the marker is appended and made durable, and with it `visible` and `durable` go back.
//!
//! `!` A crash before the marker is durable shows all the commits, a later one none of those that
//! were taken back; so does a failure of its sync, at the next open.

use std::path::Path;

use crate::base::{Error, ErrorKind, Lsn, Result, Seq, Term};
use crate::vfs::sync::MutexGuard;

use super::commit::Shared;
use super::draft::Payload;
use super::format::Kind;
use super::group::State;
use super::log::Wal;
use super::reader::{Limit, LogReader};
use super::room::Asks;
use super::truncation::{self, Last};
use super::vote::{Committed, Vote};

/// A truncation under way: whoever appends waits until it is dropped.
struct Truncating<'a>(&'a Shared);

impl Drop for Truncating<'_> {
    fn drop(&mut self) {
        self.0.lock().standing.truncating = false;
        self.0.prepared.notify_all();
    }
}

impl State {
    /// Whether everything that was appended is durable.
    fn is_quiet(&self) -> bool {
        self.leading.is_none() && self.filling.is_empty() && !self.has_unsynced_commits()
    }

    fn refuse_truncation(&self, lsn: Lsn) -> Result<()> {
        let (committed, last) = (self.standing.committed_lsn(), self.position.lsn);
        if lsn < committed {
            let what = format!(
                "a majority holds every commit up to {committed}, so none of them is taken back"
            );
            return Err(Error::new(ErrorKind::Refused, what).at_lsn(lsn));
        }
        if lsn > last {
            return Err(no_such_commit(lsn, last));
        }
        Ok(())
    }
}

fn no_such_commit(lsn: Lsn, last: Lsn) -> Error {
    let what = format!("there is no such commit; the last is {last}");
    Error::new(ErrorKind::Invalid, what).at_lsn(lsn)
}

impl Shared {
    /// Begins a truncation when no other is under way; `None` when there is nothing to take back.
    fn begin_truncation(&self, lsn: Lsn) -> Result<Option<Truncating<'_>>> {
        let mut state = self.lock();
        while state.standing.truncating {
            self.prepared.wait(&mut state);
        }
        state.refuse_if_stopped()?;
        state.refuse_truncation(lsn)?;
        if lsn == state.position.lsn {
            return Ok(None);
        }
        state.standing.truncating = true;
        Ok(Some(Truncating(self)))
    }

    /// The commit `lsn` of a log whose records up to `end` are all in its files.
    fn find_commit(&self, lsn: Lsn, end: Seq) -> Result<Last> {
        // Nothing before the log's beginning: that there is none must not have been forgotten.
        if lsn == Lsn::ZERO && self.retention.oldest() == Lsn::ZERO.next() {
            return Ok(Last::NONE);
        }
        let dir = self.segments.path.parent().unwrap_or(Path::new(""));
        let mut reader = LogReader::open(dir, &self.runtime)?.with_taken_back();
        let mut last = None;
        while reader.position().seq < end
            && let Some(record) = reader.next(Limit::Everything)?
        {
            // One that was taken back is followed by the one that took its number.
            if record.header.kind.takes_lsn() && record.header.lsn == lsn {
                last = Some(Last::of(&record.header));
            }
        }
        reader.check_end()?;
        last.ok_or_else(|| {
            let what = "the log no longer holds the commit that is to be the last";
            Error::new(ErrorKind::Expired, what).at_lsn(lsn)
        })
    }

    /// Appends a record of bookkeeping that says `payload`, if `wanted` still says so once there
    /// is room.
    fn put_if(
        &self,
        state: &mut MutexGuard<'_, State>,
        (kind, payload): (Kind, &Payload),
        wanted: impl FnOnce(&State) -> Result<bool>,
    ) -> Result<()> {
        self.make_room(state, payload.record_len(), Asks::Upkeep)?;
        if wanted(state)? {
            state.put(kind, payload);
        }
        Ok(())
    }
}

impl Wal {
    /// Takes back every commit after `lsn`, which becomes the last; [`Lsn::ZERO`] takes back all.
    /// The next commit has the number after it.
    ///
    /// The commits stay in the log, where [`LogReader::with_taken_back`] finds them; other readers
    /// that gave them out say `Diverged`. Times go back too: the next commit is later than that of
    /// `lsn`, and not than those taken back.
    /// What else was built from the commits is the caller's to undo.
    ///
    /// # Durability
    /// Durable on return. A crash meanwhile shows either all commits that were durable before or
    /// none of those taken back.
    ///
    /// # Errors
    /// `Refused` when [`Wal::save_committed`] covers a commit that would be taken back; `Invalid`
    /// when `lsn` is not there, `Expired` when it is no longer in the log; `Closed`, `Full`,
    /// `Corrupt`, `Io`: nothing was taken back. `OutcomeUnknown`, `Poisoned`: as any write.
    ///
    /// # Concurrency
    /// Whoever appends meanwhile waits. Who waited for a commit that is taken back is told first
    /// that it is durable.
    ///
    /// # Cost
    /// Two syncs, and one reading of the log.
    pub fn truncate_after(&self, lsn: Lsn) -> Result<()> {
        self.start_keeper();
        let Some(_truncating) = self.shared.begin_truncation(lsn)? else { return Ok(()) };
        let mut state = self.shared.lock();
        while !state.is_quiet() {
            self.shared.sync_filling(&mut state)?;
        }
        let end = state.position.seq;
        let found = MutexGuard::unlocked(&mut state, || self.shared.find_commit(lsn, end));
        let last = found?;
        let record_len = truncation::payload(&state.position).record_len();
        self.shared.make_room(&mut state, record_len, Asks::Truncation)?;
        self.shared.reach.truncated();
        state.append_by(|position, spot, out| position.draft_truncation(&last, spot, out));
        self.shared.sync_filling(&mut state)
    }

    /// Remembers whom this copy votes for.
    ///
    /// # Durability
    /// Durable on return, and with it everything appended before: a vote never outlives the
    /// commits that its voter had.
    ///
    /// # Errors
    /// `Refused` when a later vote was saved, `Invalid` for term 0; else as [`Wal::sync`], and
    /// `Full`, `Io` when the record finds no room.
    ///
    /// # Cost
    /// One sync, shared with whoever commits at the same time.
    pub fn save_vote(&self, vote: Vote) -> Result<()> {
        if vote.term == Term(0) {
            return Err(Error::new(ErrorKind::Invalid, "there is no term 0 to vote in"));
        }
        self.start_keeper();
        let mut state = self.shared.lock();
        let record = (Kind::Vote, &Payload::new(vote.encode()));
        self.shared.put_if(&mut state, record, |state| match state.standing.vote {
            Some(saved) if saved > vote => {
                let Vote { term, leader, .. } = saved;
                let what = format!(
                    "this copy voted already in term {}, for {leader}; a vote never goes back",
                    term.0
                );
                Err(Error::new(ErrorKind::Refused, what))
            }
            saved => Ok(saved != Some(vote)),
        })?;
        self.shared.sync_filling(&mut state)
    }

    /// Remembers that a majority holds every commit up to `lsn`; a mark that is not higher than
    /// the last one changes nothing.
    ///
    /// # Durability
    /// None of its own: it is written with the next group, and a crash may take it.
    ///
    /// # Errors
    /// `Invalid` when there is no such commit; `Closed`, `Poisoned`, `Full`, `Io`.
    ///
    /// # Cost
    /// One lock; no write and no sync.
    pub fn save_committed(&self, lsn: Lsn) -> Result<()> {
        let mut state = self.shared.lock();
        state.refuse_if_stopped()?;
        let room = Payload::new(Committed { lsn, term: Term(0) }.encode()).record_len();
        self.shared.make_room(&mut state, room, Asks::Upkeep)?;
        let last = state.position.lsn;
        if lsn > last {
            return Err(no_such_commit(lsn, last));
        }
        if lsn <= state.standing.committed_lsn() {
            return Ok(());
        }
        let what = "the log no longer knows the term of this commit";
        let unknown = || Error::new(ErrorKind::Expired, what).at_lsn(lsn);
        let term = state.standing.term_at(lsn).ok_or_else(unknown)?;
        state.put(Kind::Committed, &Payload::new(Committed { lsn, term }.encode()));
        Ok(())
    }

    /// The newest vote; whether it is durable, the call that saved it said.
    #[must_use]
    pub fn vote(&self) -> Option<Vote> {
        self.shared.lock().standing.vote
    }

    /// The newest committed mark.
    #[must_use]
    pub fn committed(&self) -> Option<Committed> {
        self.shared.lock().standing.committed
    }

    /// The term of the commit `lsn`; `None` when there is none, or the log no longer knows.
    ///
    /// # Cost
    /// One lock, and a search among the terms of the log.
    #[must_use]
    pub fn term_at(&self, lsn: Lsn) -> Option<Term> {
        let state = self.shared.lock();
        let there = Lsn::ZERO < lsn && lsn <= state.position.lsn;
        state.standing.term_at(lsn).filter(|_| there)
    }

    /// Writes the newest vote and committed mark again, so that the log before this call can be
    /// released without forgetting them.
    ///
    /// # Durability
    /// Durable on return.
    ///
    /// # Errors
    /// As [`Wal::sync`], and `Full`, `Io` when a record finds no room.
    ///
    /// # Cost
    /// One sync; nothing when there is neither.
    pub fn repeat_standing(&self) -> Result<()> {
        let mut state = self.shared.lock();
        let vote = state.standing.vote.map(|vote| (Kind::Vote, vote.encode()));
        let mark = state.standing.committed.map(|mark| (Kind::Committed, mark.encode()));
        let none = vote.is_none() && mark.is_none();
        for (kind, payload) in [vote, mark].into_iter().flatten() {
            let payload = Payload::new(payload);
            // A later one may be saved while room is made; then that one is in the log already.
            self.shared.put_if(&mut state, (kind, &payload), |state| {
                Ok(match kind {
                    Kind::Vote => state.standing.vote.map(|vote| vote.encode()),
                    _ => state.standing.committed.map(|mark| mark.encode()),
                }
                .is_some_and(|newest| newest == payload.bytes()))
            })?;
        }
        if none { Ok(()) } else { self.shared.sync_filling(&mut state) }
    }
}
