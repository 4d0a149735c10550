//! The whole attack: sweeps first, then seeds until the budget is used, on several threads.

use std::sync::Arc;
use std::time::Duration;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Result};
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::vfs::{Runtime, thread};

use super::alone::{failures_of_the_log_alone, log_alone};
use super::case::{Case, FaultSpec};
use super::generate::{generate, long_walk};
use super::misplaced::misplaced_writes;
use super::oracle::{Failure, Rule};
use super::report::Counts;
use super::rest::{Rest, corruption};
use super::run::run_case;
use super::shrink::shrink;
use super::sweep::{late_closes, nth_failures, sequence, sequences};
use super::tell::{Origin, Tell, found, smallest};

/// How long and how hard to attack.
#[derive(Clone, Debug)]
pub struct AttackSettings {
    /// The first seed.
    pub seed: u64,
    /// Seeds to play; `None` plays until the time is used.
    pub runs: Option<u64>,
    /// Time to use, at most.
    pub seconds: Option<u64>,
    /// Length of the sequences that are all played.
    pub exhaustive: u32,
    /// Threads.
    pub threads: u64,
}

/// Steps of a random case.
const LENGTH: u64 = 40;
/// One seed in so many is a sweep over failing operations, and two others over damaged bytes.
const SWEEP_EVERY: u64 = 16;
/// Steps of a case without crash images, of which there is one in four.
const WALK: u64 = 300;
/// Every so many bytes one is damaged in a sweep; the offset moves with the seed.
const STRIDE: u64 = 16;

struct Shared {
    settings: AttackSettings,
    next: AtomicU64,
    stop: AtomicBool,
    deadline: Option<Duration>,
    runtime: Runtime,
    counts: Mutex<Counts>,
    failures: Mutex<Vec<Broken>>,
    tell: Tell,
}

/// A rule that was broken, with its smallest case.
#[derive(Debug)]
pub(super) struct Broken {
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "the command tells it"))]
    pub(super) origin: Origin,
    pub(super) case: Case,
    pub(super) failure: Failure,
}

/// Failures after which an attack ends: each is worth reading.
const FAILURES_MAX: usize = 8;

/// Attacks the store, and gives what was counted and every failure with its smallest case.
///
/// # Errors
/// `Io` when a thread cannot be started.
pub fn attack(settings: &AttackSettings) -> Result<(Counts, Vec<(Case, Failure)>)> {
    let (counts, failures) = attack_and_tell(settings, |_| {})?;
    Ok((counts, failures.into_iter().map(|Broken { case, failure, .. }| (case, failure)).collect()))
}

/// [`attack`], which tells each failure when it is found and when it has been made small.
pub(super) fn attack_and_tell(
    settings: &AttackSettings,
    tell: Tell,
) -> Result<(Counts, Vec<Broken>)> {
    let runtime = Runtime::default();
    let deadline =
        settings.seconds.map(|seconds| runtime.clock.monotonic() + Duration::from_secs(seconds));
    let shared = Arc::new(Shared {
        settings: settings.clone(),
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        deadline,
        runtime,
        counts: Mutex::new(Counts::default()),
        failures: Mutex::new(Vec::new()),
        tell,
    });
    let workers: Vec<_> = (0..settings.threads.max(1))
        .map(|_| {
            let shared = shared.clone();
            thread::spawn("attacker", move || shared.work())
        })
        .collect();
    for worker in workers {
        let worker = worker.map_err(|error| {
            Error::new(ErrorKind::Io, format!("cannot start a thread: {error}"))
        })?;
        if worker.join().is_err() {
            return Err(Error::new(ErrorKind::Bug, "a thread of the attack panicked"));
        }
    }
    let failures = std::mem::take(&mut *shared.failures.lock());
    let counts = shared.counts.lock().clone();
    Ok((counts, failures))
}

/// What an attack does with one seed: a sweep, or a case. Gives the case of the first rule that
/// was broken, as it was generated.
#[must_use]
pub fn attack_seed(seed: u64) -> (Counts, Option<(Case, Failure)>) {
    let mut counts = Counts::default();
    let kinds = FaultSpec::KINDS;
    let kind = (seed / SWEEP_EVERY) % to_u64(kinds.len());
    let found = match seed % SWEEP_EVERY {
        1 => {
            let what = usize::try_from(kind).ok().and_then(|kind| kinds.get(kind));
            let what = what.copied().unwrap_or("sync_kept");
            nth_failures(seed, what, &mut counts)
                .or_else(|| failures_of_the_log_alone(seed, what, &mut counts))
        }
        2 => corruption(seed, Rest::Closed, STRIDE, &mut counts),
        3 => corruption(seed, Rest::Idle, STRIDE, &mut counts),
        9 => misplaced_writes(seed, &mut counts),
        13 => late_closes(seed, &mut counts),
        14 => log_alone(seed, &mut counts),
        residue => {
            let walks = residue.is_multiple_of(4);
            let case = if walks { long_walk(seed, WALK) } else { generate(seed, LENGTH) };
            let (played, failure) = run_case(&case);
            let failure = failure.or_else(|| is_determined(&case, &played));
            counts = played;
            failure.map(|failure| (case, failure))
        }
    };
    (counts, found)
}

impl Shared {
    fn work(&self) {
        let exhaustive: u64 = (1..=self.settings.exhaustive).map(sequences).sum();
        while !self.stop.load(Ordering::Relaxed) && !self.time_is_up() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number < exhaustive {
                self.play(&self.nth_sequence(number));
                continue;
            }
            let run = number - exhaustive;
            if self.settings.runs.is_some_and(|runs| run >= runs) {
                return;
            }
            self.play_seed(self.settings.seed.wrapping_add(run));
        }
    }

    fn time_is_up(&self) -> bool {
        self.deadline.is_some_and(|deadline| self.runtime.clock.monotonic() >= deadline)
    }

    fn nth_sequence(&self, mut number: u64) -> Case {
        for length in 1..=self.settings.exhaustive {
            if number < sequences(length) {
                return sequence(number, length);
            }
            number -= sequences(length);
        }
        sequence(0, 1)
    }

    fn play_seed(&self, seed: u64) {
        let (counts, found) = attack_seed(seed);
        self.counts.lock().add(&counts);
        if let Some((case, failure)) = found {
            self.report(Origin::Seed(seed), &case, &failure);
        }
    }

    fn play(&self, case: &Case) {
        let (counts, failure) = run_case(case);
        self.counts.lock().add(&counts);
        if let Some(failure) = failure {
            self.report(Origin::Case, case, &failure);
        }
    }

    fn report(&self, origin: Origin, case: &Case, failure: &Failure) {
        (self.tell)(&found(origin, case, failure));
        let (case, failure) = shrink(case, failure);
        let plays = run_case(&case).1.is_some_and(|again| again.rule == failure.rule);
        (self.tell)(&smallest(&case, &failure, plays));
        let mut failures = self.failures.lock();
        failures.push(Broken { origin, case, failure });
        if failures.len() >= FAILURES_MAX {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// One case in a hundred is played twice: the same case must give the same trace.
fn is_determined(case: &Case, counts: &Counts) -> Option<Failure> {
    if !case.seed.is_multiple_of(100) {
        return None;
    }
    let (again, _) = run_case(case);
    (again.trace != counts.trace).then(|| Failure {
        rule: Rule::Determinism,
        site: "replay".to_owned(),
        detail: format!("trace {:016x}, then {:016x}", counts.trace, again.trace),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn a_failure_is_told_when_it_is_found_and_again_when_it_is_small() {
        let settings =
            AttackSettings { seed: 1, runs: Some(0), seconds: None, exhaustive: 0, threads: 1 };
        let shared = Shared {
            settings,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            deadline: None,
            runtime: Runtime::default(),
            counts: Mutex::new(Counts::default()),
            failures: Mutex::new(Vec::new()),
            tell: |text| TOLD.lock().push(text.to_owned()),
        };
        // No store has such segments, so that every open breaks a rule.
        let mut case = generate(4, 6);
        case.config.segment_bytes = 4096;
        shared.play(&case);
        let told = TOLD.lock().clone();
        let [found, small] = told.as_slice() else { panic!("{told:?}") };
        assert!(found.starts_with("R7 open: ") && found.contains("\"segment_bytes\":4096"));
        assert!(small.starts_with("R7 open, made small: "), "{small}");
        assert!(small.contains("smallest case, for --replay FILE: {"), "{small}");
        assert!(small.len() < found.len(), "{found} {small}");
        assert_eq!(shared.failures.lock().len(), 1);
    }
}
