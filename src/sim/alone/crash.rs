//! Crashes at every operation of the disk: of lives of the log, and of the recoveries after them.

use std::path::Path;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::base::{ErrorKind, Result};
use crate::vfs::Reading;
use crate::vfs::memory::{CrashMode, MemoryVfs, Operation, draw, runtime};
use crate::vfs::sync::Mutex;
use crate::wal::format::Kind;
use crate::wal::reader::Limit;
use crate::wal::{LogReader, survey_log};

use super::super::case::Case;
use super::super::oracle::{Failure, Rule};
use super::super::report::Counts;
use super::DIR;
use super::known::{Broken, Known, Shown};
use super::user::User;

/// Plays the log of `seed`, and crashes it at every operation of the disk.
pub(in crate::sim) fn log_alone(seed: u64, counts: &mut Counts) -> Option<(Case, Failure)> {
    let failed = |site: &str, (rule, detail): (Rule, String)| {
        Some((
            super::super::generate(seed, 1),
            Failure::new(rule, format!("the log alone, {site}"), detail),
        ))
    };
    counts.runs += 1;
    let mut user = User::new(seed, MemoryVfs::new(), Known::default(), 0);
    let images = watch(&user);
    for life in 0..3 {
        if let Err(error) = user.live(8 + draw(seed, 20 + life) % 14) {
            return failed("a life", (Rule::R7, format!("{error:?}")));
        }
    }
    user.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    counts.crash_points += to_u64(images.len() / IMAGES);
    counts.truncations += user.done.truncations;
    for (number, (image, known)) in (0..).zip(images) {
        counts.images += 1;
        let (moment, image_of) = (number / to_u64(IMAGES), number % to_u64(IMAGES));
        let of_truncation = known.cut.is_some() && image_of == moment % 3 * 3;
        if of_truncation || draw(seed, number).is_multiple_of(RECOVERY_EVERY) {
            let crashed = crash_recovery(seed, number, &image, &known);
            match crashed {
                Ok(images) => counts.recovery_images += images,
                Err((site, broken)) => return failed(site, broken),
            }
        }
        if let Err((site, broken)) = after_crash(seed, number, image, known) {
            return failed(site, broken);
        }
    }
    unpinned_reader(seed).and_then(|broken| failed("a reader", broken))
}

const MODES: usize = 6;
/// Images at each moment.
const IMAGES: usize = MODES + 1;

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
            CrashMode::LastTorn,
            CrashMode::DataFirst,
            CrashMode::Random { seed, keep_per_256: 128 },
        ];
        let known = known.lock().clone();
        let mut images = sink.lock();
        images.extend(modes.map(|mode| (disk.crash_with(mode), known.clone())));
        // The process ends, and what it wrote is lost only by what comes after it.
        images.push((disk.kill(), known));
    }));
    images
}

/// One recovery in so many is crashed; and at each operation of a truncation one: in turn that of
/// a power cut, of a torn write, and of an end of the process.
const RECOVERY_EVERY: u64 = 64;

/// A place of the attack, and the rule that was broken there.
type Site = (&'static str, Broken);

fn failing(site: &'static str) -> impl Fn(crate::base::Error) -> Site {
    move |error| (site, (Rule::R7, format!("{error:?}")))
}

fn check(site: &'static str, shown: &Shown, known: &Known) -> std::result::Result<(), Site> {
    known.broken(shown).map_or(Ok(()), |broken| Err((site, broken)))
}

/// Crashes the recovery of an image at each of its operations; what one of these recoveries shows
/// stays, whatever a power cut takes. Gives the number of images.
fn crash_recovery(
    seed: u64,
    number: u64,
    image: &MemoryVfs,
    known: &Known,
) -> std::result::Result<u64, Site> {
    let disk = image.kill();
    let images: Arc<Mutex<Vec<MemoryVfs>>> = Arc::default();
    let sink = Arc::clone(&images);
    disk.set_observer(Box::new(move |disk: &MemoryVfs, operation: &Operation| {
        let random = CrashMode::Random { seed: draw(seed, operation.number), keep_per_256: 128 };
        let modes = [CrashMode::Nothing, random];
        sink.lock().extend(modes.map(|mode| disk.crash_with(mode)));
    }));
    let lives = 5000 + number;
    let mut first = User::new(seed, disk, known.clone(), lives);
    drop(first.open().map_err(failing("a recovery"))?);
    first.disk.clear_observer();
    let images = std::mem::take(&mut *images.lock());
    let count = to_u64(images.len());
    for image in images {
        let mut user = User::new(seed, image, known.clone(), lives + 1);
        let (log, shown) = user.open().map_err(failing("after a crash of a recovery"))?;
        check("after a crash of a recovery", &shown, known)?;
        let cut = user.disk.crash_with(CrashMode::Nothing);
        let mut exactly = known.clone();
        exactly.accept(&shown);
        let (_, again) = User::new(seed, cut, exactly.clone(), lives + 2)
            .open()
            .map_err(failing("after a power cut behind a recovery"))?;
        check("after a power cut behind a recovery", &again, &exactly)?;
        drop(log);
    }
    Ok(count)
}

/// Opens what a crash left, checks it, uses it, closes it, and opens it again.
pub(super) fn after_crash(
    seed: u64,
    number: u64,
    image: MemoryVfs,
    known: Known,
) -> std::result::Result<(), Site> {
    let mut user = User::new(seed, image, known, 10 + number);
    let (log, shown) = user.open().map_err(failing("after a crash"))?;
    check("after a crash", &shown, &user.known.lock())?;
    // What was submitted and did not survive is nobody's; what did is acknowledged now.
    user.known.lock().accept(&shown);
    for number in 0..6 {
        user.commit(&log, number).map_err(failing("going on"))?;
    }
    user.release(&log, 2).map_err(failing("going on"))?;
    user.commit(&log, 6).map_err(failing("going on"))?;
    log.close().map_err(failing("closing"))?;
    drop(log);
    let last = user.known.lock().submitted.keys().next_back().copied().unwrap_or_default();
    user.known.lock().acknowledge(last);
    let survey = survey_log(Path::new(DIR), &runtime(&user.disk, 1), &mut |_| Ok(()));
    let survey = survey.map_err(failing("a survey"))?;
    if !survey.damage.is_empty() || survey.torn_bytes > 0 {
        return Err(("a survey", (Rule::R7, format!("{survey:?}"))));
    }
    if draw(seed, number).is_multiple_of(4) {
        // No observer sees the order of these calls.
        user.disk.set_reading(Reading { threads: 3, piece: 4608 });
    }
    let (log, shown) = user.open().map_err(failing("after a close"))?;
    check("after a close", &shown, &user.known.lock())?;
    if log.report().case != "@J" {
        return Err(("after a close", (Rule::R9, format!("{:?}", log.report()))));
    }
    Ok(())
}

/// A reader that keeps nothing from being released is told so, and is shown nothing else.
fn unpinned_reader(seed: u64) -> Option<Broken> {
    let mut user = User::new(seed, MemoryVfs::new(), Known::default(), 0);
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
        for seed in 0..3 {
            let failure = log_alone(seed, &mut counts).map(|(_, failure)| failure);
            assert_eq!(failure, None, "seed {seed}");
        }
        assert!(counts.images > 2000 && counts.recovery_images > 1000, "{counts:?}");
        assert!(counts.truncations > 6, "{counts:?}");
        println!("{counts:?}");
    }
}
