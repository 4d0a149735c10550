//! Every operation of the log alone fails in turn: an error or a success as the laws say, and then
//! a log that opens and shows what it must.

use crate::vfs::memory::{CrashMode, MemoryVfs, draw};

use super::super::case::{Case, FaultSpec};
use super::super::oracle::{Failure, Rule};
use super::super::report::Counts;
use super::super::sweep::disk_fault;
use super::crash::after_crash;
use super::known::{Broken, Known};
use super::user::User;

/// Plays the log of `seed` again and again: each operation that `what` concerns fails in it, once
/// and for good.
pub(in crate::sim) fn failures_of_the_log_alone(
    seed: u64,
    what: &str,
    counts: &mut Counts,
) -> Option<(Case, Failure)> {
    // A disk that lies has lost what was acknowledged: that is the other sweep's.
    if what == "sync_late" {
        return None;
    }
    for sticky in [false, true] {
        for nth in 0.. {
            let fault = FaultSpec { step: 0, nth, what: what.to_owned(), sticky };
            match play(seed, &fault, counts) {
                Ok(true) => *counts.faults.entry(what.to_owned()).or_default() += 1,
                // It has no such operation any more.
                Ok(false) => break,
                Err((rule, detail)) => {
                    let site = format!("the log alone, {what} {nth}, for good: {sticky}");
                    let failure = Failure::new(rule, site, detail);
                    return Some((super::super::generate(seed, 1), failure));
                }
            }
        }
    }
    None
}

/// Plays the log of `seed` with a fault; says whether it happened.
fn play(seed: u64, fault: &FaultSpec, counts: &mut Counts) -> Result<bool, Broken> {
    counts.runs += 1;
    let mut user = User::new(seed, MemoryVfs::new(), Known::default(), 0);
    user.faulty = fault.can_be_noticed();
    if let Some(planned) = disk_fault(fault, seed) {
        user.disk.plan(planned);
    }
    for life in 0..3 {
        match user.live(6 + draw(seed, 30 + life) % 6) {
            Err(error) if !user.may_fail(&error) => {
                return Err((Rule::R11, format!("life {life}: {error:?}")));
            }
            // The next life finds what this one left.
            _ => {}
        }
    }
    counts.truncations += user.done.truncations;
    let fired = user.disk.faults_fired() > 0;
    if fired {
        for (number, mode) in (0..).zip([CrashMode::Everything, CrashMode::Nothing]) {
            let known = user.known.lock().clone();
            let image = user.disk.crash_with(mode);
            after_crash(seed, 900 + number, image, known)
                .map_err(|(site, (rule, what))| (rule, format!("{site}, {mode:?}: {what}")))?;
        }
    }
    user.disk.halt();
    Ok(fired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_of_the_log_alone_fails_in_every_way() {
        for what in FaultSpec::KINDS.iter().filter(|what| **what != "sync_late") {
            let mut counts = Counts::default();
            let failure = failures_of_the_log_alone(1, what, &mut counts);
            assert_eq!(failure.map(|(_, failure)| failure), None, "{what}");
            let failed = counts.faults.get(*what).copied().unwrap_or_default();
            println!("{what}: {failed} operations failed, {} truncations", counts.truncations);
            // A disk on which every sync fails from some point on is the one that most seldom
            // comes to a truncation: only runs that fail late do.
            assert!(failed > 4 && counts.truncations > failed / 3, "{what}: {counts:?}");
        }
    }
}
