//! The user of a log: what it asks of the log in a life, and what it makes of the answers.

use std::path::Path;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Lsn, Result, Term, Timestamp};
use crate::vfs::memory::{MemoryVfs, draw, runtime};
use crate::vfs::sync::Mutex;
use crate::wal::{Appending, Durability, Follower, OpenSettings, Payload, Vote, Wal};

use super::DIR;
use super::known::{Commits, Known, Shown};

/// Appends whatever comes.
struct Anything;

impl Appending for Anything {
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    fn appended(&mut self, _: Lsn, _: Timestamp) {}
}

/// How often the rarer things were done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) commits: u64,
    pub(super) truncations: u64,
    pub(super) told: u64,
}

/// A log, and what its user knows.
pub(super) struct User {
    pub(super) seed: u64,
    pub(super) disk: MemoryVfs,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) lives: u64,
    /// Faults may happen, so an error is legal once one has.
    pub(super) faulty: bool,
    pub(super) done: Done,
}

/// Somebody who follows the log in a life.
struct Reading {
    follower: Follower,
    /// It had this when it began.
    since: Lsn,
    given: Commits,
    /// Commits that were taken back since it began.
    gone: Vec<Commits>,
    /// It must be told to go on from here.
    expects: Option<Lsn>,
    /// Bytes of the log that it has not read, about.
    unread: u64,
}

pub(super) fn settings(seed: u64) -> OpenSettings {
    OpenSettings {
        segment_bytes: if seed.is_multiple_of(3) { 12_288 } else { 8192 },
        padded_tails: seed % 5 == 1 && seed.is_multiple_of(3),
        pool_segments_max: usize::try_from(draw(seed, 1) % 4).ok(),
        held_bytes_max: 16_384,
        ..OpenSettings::default()
    }
}

/// A rule that the log broke, told by its user.
fn bug(what: impl Into<String>, lsn: Lsn) -> Error {
    Error::new(ErrorKind::Bug, what.into()).at_lsn(lsn)
}

impl User {
    pub(super) fn new(seed: u64, disk: MemoryVfs, known: Known, lives: u64) -> Self {
        let known = Arc::new(Mutex::new(known));
        Self { seed, disk, known, lives, faulty: false, done: Done::default() }
    }

    /// Opens the log, and gives what it shows.
    pub(super) fn open(&mut self) -> Result<(Wal, Shown)> {
        let mut shown = Shown::default();
        self.lives += 1;
        let machine = runtime(&self.disk, draw(self.seed, 100 + self.lives));
        let log = Wal::open(Path::new(DIR), &machine, &settings(self.seed), &mut |record| {
            shown.take(record);
            Ok(())
        })?;
        shown.vote = log.vote();
        shown.mark = log.committed().map_or(Lsn::ZERO, |mark| mark.lsn);
        Ok((log, shown))
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        let chance = draw(self.seed, 1000 * self.lives + number);
        let len = usize::try_from(chance % 1500).unwrap_or_default();
        let mut bytes = format!("commit {number} of life {}: ", self.lives).into_bytes();
        bytes.resize(len.max(30), u8::try_from(chance >> 32 & 0xff).unwrap_or_default());
        bytes
    }

    /// Notes that the next commit will be these bytes, if it is appended.
    fn submit(&self, log: &Wal, bytes: &[u8]) {
        // The first commit of a log opens its era too.
        let stats = log.stats();
        let next = Lsn(stats.appended.0 + if stats.term == 0 { 2 } else { 1 });
        self.known.lock().submitted.insert(next, bytes.to_vec());
    }

    pub(super) fn commit(&mut self, log: &Wal, number: u64) -> Result<()> {
        self.done.commits += 1;
        let bytes = self.bytes(number);
        let durability = match draw(self.seed, 1000 * self.lives + number) >> 40 & 7 {
            0 => Durability::Buffered,
            1 => Durability::Memory,
            _ => Durability::Sync,
        };
        self.submit(log, &bytes);
        let lsn = log.commit(bytes, durability)?;
        if durability == Durability::Sync {
            self.known.lock().acknowledge(lsn);
        }
        Ok(())
    }

    /// Three commits that nobody waits for; then somebody does, or the background writes them.
    fn commit_async(&mut self, log: &Wal, number: u64) -> Result<()> {
        let mut pending = Vec::new();
        for part in 0..3 {
            let bytes = self.bytes(200 + 3 * number + part);
            self.submit(log, &bytes);
            pending.push(log.append_async(&Payload::new(bytes), &mut Anything)?);
        }
        while number.is_multiple_of(2) && log.step()? {}
        for one in &pending {
            one.wait(None)?;
            self.known.lock().acknowledge(one.lsn);
        }
        Ok(())
    }

    pub(super) fn release(&self, log: &Wal, behind: u64) -> Result<()> {
        let before = {
            let mut known = self.known.lock();
            let before = Lsn(known.acknowledged.0.saturating_sub(behind));
            known.needed = known.needed.max(before);
            before
        };
        log.release(before).map(|_released| ())
    }

    /// Takes back up to five commits, if there are some that may be.
    fn truncate(&mut self, log: &Wal, number: u64) -> Result<Option<Commits>> {
        let last = log.stats().appended;
        let back = 1 + draw(self.seed, 5000 + 100 * self.lives + number) % 5;
        let lsn = Lsn(last.0.saturating_sub(back));
        let held = log.committed().map_or(Lsn::ZERO, |mark| mark.lsn);
        if lsn < held {
            let refused = log.truncate_after(lsn).map_err(|error| error.kind());
            let told = refused.is_ok() || refused == Err(ErrorKind::Invalid);
            return if told { Err(bug("what a majority holds", lsn)) } else { Ok(None) };
        }
        let is_there = lsn >= log.oldest() || log.oldest() == Lsn(1);
        if lsn >= last || !is_there {
            return Ok(None);
        }
        self.known.lock().cut = Some(lsn);
        let truncated = log.truncate_after(lsn);
        let mut known = self.known.lock();
        match truncated {
            Ok(()) => {
                self.done.truncations += 1;
                Ok(Some(known.take_back(lsn)))
            }
            Err(error) => {
                if !is_unknown(&error) {
                    known.cut = None;
                }
                Err(error)
            }
        }
    }

    fn vote(&self, log: &Wal, number: u64) -> Result<()> {
        let vote = Vote { term: Term(100 * self.lives + number), leader: 1, committed: false };
        let appended = log.stats().appended;
        self.known.lock().votes[1] = Some(vote);
        log.save_vote(vote)?;
        let mut known = self.known.lock();
        known.votes = [Some(vote), None];
        // No vote outlives the commits that its voter had.
        known.acknowledge(appended);
        Ok(())
    }

    fn mark(&self, log: &Wal, behind: u64) -> Result<()> {
        let lsn = Lsn(log.durable().0.saturating_sub(behind));
        let before = self.known.lock().marks;
        self.known.lock().marks.1 = before.1.max(lsn);
        let saved = log.save_committed(lsn);
        if saved.is_err() {
            self.known.lock().marks = before;
        }
        saved.or_else(|error| match error.kind() {
            // Its term was released with it.
            ErrorKind::Expired if lsn < log.oldest() => Ok(()),
            _ => Err(error),
        })
    }

    /// One life: commits of all kinds, truncations, votes, background work, releases beside a
    /// follower. It ends early when the log failed.
    pub(super) fn live(&mut self, commits: u64) -> Result<()> {
        let (log, shown) = self.open()?;
        if let Some((rule, what)) = self.known.lock().broken(&shown) {
            return Err(bug(format!("{rule}: {what}"), shown.last()));
        }
        self.known.lock().accept(&shown);
        let mut reading = Reading::begin(&log, shown.last())?;
        for number in 0..commits {
            let done = self.step(&log, &mut reading, number);
            let (before, appended) = (self.known.lock().acknowledged, log.stats().appended);
            match done {
                Err(error) if self.may_fail(&error) => {
                    if is_unknown(&error) {
                        // Nothing is acknowledged by it any more.
                        let after = log.commit(b"after a failure".to_vec(), Durability::Sync);
                        return match after {
                            Ok(lsn) => Err(bug("acknowledged after a failure of the log", lsn)),
                            Err(_) => Ok(()),
                        };
                    }
                }
                done => done?,
            }
            if before > appended {
                return Err(bug("acknowledged, and not appended", before));
            }
        }
        if !draw(self.seed, 50 + self.lives).is_multiple_of(3) {
            log.close().or_else(|error| if self.may_fail(&error) { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// Whether an error is what the disk is to be blamed for.
    pub(super) fn may_fail(&self, error: &Error) -> bool {
        let of_disk = !matches!(error.kind(), ErrorKind::Bug | ErrorKind::Corrupt);
        self.faulty && self.disk.faults_fired() > 0 && of_disk
    }

    fn step(&mut self, log: &Wal, reading: &mut Reading, number: u64) -> Result<()> {
        self.commit(log, number)?;
        reading.unread += 1756;
        match draw(self.seed, 7000 + 100 * self.lives + number) % 12 {
            0 | 1 => {
                reading.unread += 256;
                self.release(log, 1 + number % 3)
            }
            2 => {
                while log.step()? {}
                Ok(())
            }
            3 | 4 => self.follow(log, reading),
            5 | 6 => {
                let gone = self.truncate(log, number)?;
                reading.truncated(log.stats().appended, gone);
                Ok(())
            }
            7 => self.commit_async(log, number).map(|()| reading.unread += 3 * 1756),
            8 => self.vote(log, 1 + number),
            9 => self.mark(log, 3 + number % 3),
            _ => Ok(()),
        }
    }

    /// Reads on; a follower that lost its place goes on from the oldest commit there is.
    fn follow(&mut self, log: &Wal, reading: &mut Reading) -> Result<()> {
        let late = 2 * reading.unread > settings(self.seed).segment_bytes;
        match reading.read_on(log, &self.known, &mut self.done) {
            Err(error) if error.kind() == ErrorKind::Expired && late => {
                *reading = Reading::begin(log, Lsn(log.oldest().0 - 1))?;
                Ok(())
            }
            told => told,
        }
    }
}

/// Whether the log failed, so that what was asked for may have happened.
pub(super) fn is_unknown(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Poisoned)
}

impl Reading {
    fn begin(log: &Wal, since: Lsn) -> Result<Self> {
        let (given, gone) = (Commits::new(), Vec::new());
        let follower = log.follow(since)?;
        Ok(Self { follower, since, given, gone, expects: None, unread: 0 })
    }

    /// The commits after `lsn` were taken back.
    fn truncated(&mut self, lsn: Lsn, gone: Option<Commits>) {
        let Some(gone) = gone else { return };
        self.gone.push(gone);
        let read = self.given.keys().next_back().map_or(self.since, |last| self.since.max(*last));
        if lsn < read {
            self.expects = Some(self.expects.map_or(lsn, |before| before.min(lsn)));
        }
    }

    /// Reads what there is, and compares it with what was committed.
    fn read_on(&mut self, log: &Wal, known: &Mutex<Known>, done: &mut Done) -> Result<()> {
        loop {
            match self.follower.next_commit() {
                Ok(Some(record)) => {
                    let lsn = record.header.lsn;
                    let was = |commits: &Commits| commits.get(&lsn) == Some(&record.payload);
                    if !was(&known.lock().submitted) && !self.gone.iter().any(was) {
                        return Err(bug("a follower gave bytes that were never there", lsn));
                    }
                    if lsn > log.durable() {
                        return Err(bug("a follower gave what is not durable", lsn));
                    }
                    self.given.insert(lsn, record.payload);
                }
                Ok(None) => return self.check_all(log, &known.lock()),
                Err(error) if error.kind() == ErrorKind::Diverged => {
                    let from = error.place().lsn.unwrap_or_default();
                    let before = Lsn(from.0.saturating_sub(1));
                    if self.given.split_off(&from).is_empty() && self.since <= before {
                        return Err(bug("a follower was told of nothing that it had", from));
                    }
                    done.told += 1;
                    self.since = self.since.min(before);
                    self.expects = self.expects.filter(|lsn| *lsn < before);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// At the end, everything durable was given, and nothing that was taken back is left.
    fn check_all(&mut self, log: &Wal, known: &Known) -> Result<()> {
        if let Some(lsn) = self.expects {
            return Err(bug("a follower was not told of a truncation", lsn));
        }
        let durable = log.durable();
        let there = known.submitted.range(self.since.next()..);
        let there = there.take_while(|(lsn, _)| **lsn <= durable);
        if !there.eq(self.given.range(self.since.next()..)) {
            return Err(bug("a follower gave not all, or what was taken back", self.since));
        }
        let unread = known.submitted.range(durable.next()..);
        self.unread = to_u64(unread.count()) * 1756;
        self.gone.clear();
        Ok(())
    }
}
