//! The log by itself under attack: commits, releases, files that are used again, followers.
//!
//! The store releases nothing before it has checkpoints, so the log is attacked without one. What
//! must hold after a crash at every operation of the disk: from what was asked to be kept on,
//! every acknowledged commit is there, in order and with its own bytes, and nothing of a file's
//! life before is shown (R1, R2, R3); it opens, and opens again after a close, without anything
//! to cut (R7, R9).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::base::{ErrorKind, Lsn, Result};
use crate::vfs::memory::{CrashMode, MemoryVfs, draw, runtime};
use crate::vfs::sync::Mutex;
use crate::wal::format::Kind;
use crate::wal::reader::Limit;
use crate::wal::{Durability, Follower, LogReader, OpenSettings, Wal, survey_log};

use super::case::Case;
use super::oracle::{Failure, Rule};
use super::report::Counts;

const DIR: &str = "/log";

/// What the log's user knows.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Every commit that was ever submitted, by its number.
    submitted: BTreeMap<Lsn, Vec<u8>>,
    /// Acknowledged as durable.
    acknowledged: Lsn,
    /// Nobody asked to keep what is below.
    needed: Lsn,
}

/// A log, and what its user knows.
struct User {
    seed: u64,
    disk: MemoryVfs,
    known: Arc<Mutex<Known>>,
    lives: u64,
}

fn settings(seed: u64) -> OpenSettings {
    OpenSettings {
        segment_bytes: if seed.is_multiple_of(3) { 12_288 } else { 8192 },
        padded_tails: seed % 5 == 1 && seed.is_multiple_of(3),
        free_segments_max: usize::try_from(draw(seed, 1) % 4).unwrap_or_default(),
        held_bytes_max: 16_384,
        ..OpenSettings::default()
    }
}

type Shown = BTreeMap<Lsn, Vec<u8>>;

impl User {
    /// Opens the log, and gives every commit that it shows.
    fn open(&mut self) -> Result<(Wal, Shown)> {
        let mut shown = Shown::new();
        self.lives += 1;
        let machine = runtime(&self.disk, draw(self.seed, 100 + self.lives));
        let log = Wal::open(Path::new(DIR), &machine, &settings(self.seed), &mut |record| {
            if record.header.kind.takes_lsn() {
                shown.insert(record.header.lsn, record.payload.to_vec());
            }
            Ok(())
        })?;
        Ok((log, shown))
    }

    fn commit(&self, log: &Wal, number: u64) -> Result<()> {
        let chance = draw(self.seed, 1000 * self.lives + number);
        let len = usize::try_from(chance % 1500).unwrap_or_default();
        let mut bytes = format!("commit {number} of life {}: ", self.lives).into_bytes();
        bytes.resize(len.max(30), u8::try_from(chance >> 32 & 0xff).unwrap_or_default());
        let durability =
            if chance >> 40 & 3 == 0 { Durability::Buffered } else { Durability::Sync };
        // The first commit of a log opens its era too.
        let appended = log.stats().appended;
        let next = appended.0 + if log.stats().term == 0 { 2 } else { 1 };
        self.known.lock().submitted.insert(Lsn(next), bytes.clone());
        let lsn = log.commit(bytes, durability)?;
        let mut known = self.known.lock();
        if durability == Durability::Sync {
            known.acknowledged = lsn;
        }
        Ok(())
    }

    fn release(&self, log: &Wal, behind: u64) -> Result<()> {
        let before = {
            let mut known = self.known.lock();
            let before = Lsn(known.acknowledged.0.saturating_sub(behind));
            known.needed = known.needed.max(before);
            before
        };
        log.release(before).map(|_released| ())
    }

    /// Reads what there is, and compares it with what was committed.
    fn read_on(&self, follower: &mut Follower, read: &mut Lsn) -> Result<()> {
        while let Some(record) = follower.next_commit()? {
            *read = record.header.lsn;
            if self.known.lock().submitted.get(read) != Some(&record.payload) {
                return Err(stale("a follower", *read));
            }
        }
        Ok(())
    }

    /// Whether a follower that has read up to `read` is so late that it may lose its place: there
    /// is a segment that it has read nothing of.
    fn is_late(&self, read: Lsn) -> bool {
        let settings = settings(self.seed);
        let around = if settings.padded_tails { 4096 } else { 256 };
        let known = self.known.lock();
        let unread = known.submitted.range(read.next()..).map(|(_, bytes)| bytes.len() + around);
        2 * crate::base::codec::to_u64(unread.sum()) > settings.segment_bytes
    }

    /// One life: commits, background work, releases beside a follower.
    fn live(&mut self, commits: u64) -> Result<()> {
        let (log, _) = self.open()?;
        let mut read = self.known.lock().acknowledged;
        let mut follower = log.follow(read)?;
        for number in 0..commits {
            self.commit(&log, number)?;
            match draw(self.seed, 7000 + 100 * self.lives + number) % 6 {
                0 | 1 => self.release(&log, 1 + number % 3)?,
                2 => while log.step()? {},
                3 => match self.read_on(&mut follower, &mut read) {
                    // It lost its place, and goes on from the oldest commit there is.
                    Err(error) if error.kind() == ErrorKind::Expired && self.is_late(read) => {
                        read = Lsn(log.oldest().0 - 1);
                        follower = log.follow(read)?;
                    }
                    told => told?,
                },
                _ => {}
            }
        }
        if !draw(self.seed, 50 + self.lives).is_multiple_of(3) {
            log.close()?;
        }
        Ok(())
    }
}

fn stale(who: &str, lsn: Lsn) -> crate::base::Error {
    let what = format!("{who} gave bytes that were not committed there");
    crate::base::Error::new(ErrorKind::Bug, what).at_lsn(lsn)
}

/// What `shown` breaks of what is known.
fn broken(shown: &Shown, known: &Known) -> Option<(Rule, String)> {
    let lsns: Vec<Lsn> = shown.keys().copied().collect();
    let gap =
        lsns.windows(2).find(|pair| pair.first().map(|lsn| lsn.next()) != pair.get(1).copied());
    if let Some(gap) = gap {
        return Some((Rule::R3, format!("a gap: {gap:?}")));
    }
    for (lsn, bytes) in shown {
        let is_era = bytes.len() == 16 && !known.submitted.contains_key(lsn);
        if !is_era && known.submitted.get(lsn) != Some(bytes) {
            return Some((Rule::R2, format!("commit {lsn} is not what was submitted")));
        }
    }
    let last = lsns.last().copied().unwrap_or_default();
    if last < known.acknowledged {
        return Some((Rule::R1, format!("{last} is the last of {}", known.acknowledged)));
    }
    let first = lsns.first().copied().unwrap_or(Lsn(1));
    if known.needed > Lsn::ZERO && first > known.needed {
        return Some((Rule::R1, format!("{first} is the first, {} was needed", known.needed)));
    }
    None
}

/// Plays the log of `seed`, and crashes it at every operation of the disk.
pub(super) fn log_alone(seed: u64, counts: &mut Counts) -> Option<(Case, Failure)> {
    let failed = |site: &str, (rule, detail): (Rule, String)| {
        Some((
            super::generate(seed, 1),
            Failure::new(rule, format!("the log alone, {site}"), detail),
        ))
    };
    counts.runs += 1;
    let known = Arc::new(Mutex::new(Known::default()));
    let mut user = User { seed, disk: MemoryVfs::new(), known: Arc::clone(&known), lives: 0 };
    let images = watch(&user);
    for life in 0..3 {
        if let Err(error) = user.live(8 + draw(seed, 20 + life) % 14) {
            return failed("a life", (Rule::R7, format!("{error:?}")));
        }
    }
    user.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    counts.crash_points += crate::base::codec::to_u64(images.len() / MODES);
    for (number, (image, known)) in (0..).zip(images) {
        counts.images += 1;
        if let Err((site, broken)) = after_crash(seed, number, image, known) {
            return failed(site, broken);
        }
    }
    unpinned_reader(seed).and_then(|broken| failed("a reader", broken))
}

const MODES: usize = 6;

type Images = Arc<Mutex<Vec<(MemoryVfs, Known)>>>;

/// Takes images at every operation of the disk, with what is known at that moment.
fn watch(user: &User) -> Images {
    let images = Images::default();
    let (sink, known, seed) = (Arc::clone(&images), Arc::clone(&user.known), user.seed);
    user.disk.set_observer(Box::new(move |disk: &MemoryVfs, operation| {
        let seed = draw(seed, operation.number);
        let modes: [CrashMode; MODES] = [
            CrashMode::Nothing,
            CrashMode::Everything,
            CrashMode::NamesFirst,
            CrashMode::DataFirst,
            CrashMode::LastTorn,
            CrashMode::Random { seed, keep_per_256: 128 },
        ];
        let known = known.lock().clone();
        let mut images = sink.lock();
        images.extend(modes.map(|mode| (disk.crash_with(mode), known.clone())));
    }));
    images
}

type Broken = (&'static str, (Rule, String));

/// Opens what a crash left, checks it, uses it, closes it, and opens it again.
fn after_crash(
    seed: u64,
    number: u64,
    image: MemoryVfs,
    known: Known,
) -> std::result::Result<(), Broken> {
    let fail = |site: &'static str| move |error| (site, (Rule::R7, format!("{error:?}")));
    let check = |site: &'static str, shown: &Shown, known: &Known| {
        broken(shown, known).map_or(Ok(()), |broken| Err((site, broken)))
    };
    let known = Arc::new(Mutex::new(known));
    let mut user = User { seed, disk: image, known: Arc::clone(&known), lives: 10 + number };
    let (log, shown) = user.open().map_err(fail("after a crash"))?;
    check("after a crash", &shown, &known.lock())?;
    {
        // What was submitted and did not survive is nobody's; what did is acknowledged now.
        let mut known = known.lock();
        let last = log.durable();
        known.submitted.retain(|lsn, _| *lsn <= last);
        known.acknowledged = last;
        known.submitted.extend(shown);
    }
    for number in 0..6 {
        user.commit(&log, number).map_err(fail("going on"))?;
    }
    user.release(&log, 2).map_err(fail("going on"))?;
    user.commit(&log, 6).map_err(fail("going on"))?;
    log.close().map_err(fail("closing"))?;
    drop(log);
    let survey = survey_log(Path::new(DIR), &runtime(&user.disk, 1), &mut |_| Ok(()));
    let survey = survey.map_err(fail("a survey"))?;
    if !survey.damage.is_empty() || survey.torn_bytes > 0 {
        return Err(("a survey", (Rule::R7, format!("{survey:?}"))));
    }
    let (log, shown) = user.open().map_err(fail("after a close"))?;
    check("after a close", &shown, &known.lock())?;
    if log.report().case != "@J" {
        return Err(("after a close", (Rule::R9, format!("{:?}", log.report()))));
    }
    Ok(())
}

/// A reader that keeps nothing from being released is told so, and is shown nothing else.
fn unpinned_reader(seed: u64) -> Option<(Rule, String)> {
    let known = Arc::new(Mutex::new(Known::default()));
    let mut user = User { seed, disk: MemoryVfs::new(), known, lives: 0 };
    let read = |user: &mut User| -> Result<Option<String>> {
        let (log, _) = user.open()?;
        let mut reader = LogReader::open(Path::new(DIR), &runtime(&user.disk, 2))?;
        user.commit(&log, 0)?;
        let began = reader.next(Limit::Everything)?;
        for number in 1..40 {
            user.commit(&log, number)?;
            user.release(&log, 1)?;
        }
        loop {
            match reader.next(Limit::Everything) {
                Ok(Some(record)) if record.header.kind == Kind::Commit => {
                    let known = user.known.lock();
                    if known.submitted.get(&record.header.lsn) != Some(&record.payload) {
                        return Ok(Some(format!("stale: {:?}", record.header)));
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Some(format!("no end: it began with {began:?}"))),
                Err(error) if error.kind() == ErrorKind::Expired => {
                    let oldest = error.place().lsn;
                    return Ok((oldest != Some(log.oldest())).then(|| format!("{oldest:?}")));
                }
                Err(error) => return Err(error),
            }
        }
    };
    match read(&mut user) {
        Ok(broken) => broken.map(|what| (Rule::R2, what)),
        Err(error) => Some((Rule::R7, format!("{error:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_alone_survives_a_crash_at_every_operation_while_it_releases_and_recycles() {
        let mut counts = Counts::default();
        for seed in 0..6 {
            let failure = log_alone(seed, &mut counts).map(|(_, failure)| failure);
            assert_eq!(failure, None, "seed {seed}");
        }
        assert!(counts.images > 2000, "{counts:?}");
    }
}
