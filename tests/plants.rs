//! Testing the tester: every planted bug is found by the crash lab, within so many seeds.
//!
//! Plants are global to the process, so they are planted one after the other in one test.
#![expect(clippy::disallowed_methods, reason = "the report says how long each hunt took")]

use std::time::Instant;

use jidoka::base::plant::{Plant, choose};
use jidoka::sim::{Failure, attack_seed};

/// Which seeds a plant is looked for with: the first, every how many, and how many at most.
struct Hunt(u64, u64, u64);

impl Hunt {
    /// Cases with crash images at every operation.
    const IMAGES: Self = Self(5, 1, 100);
    /// Long cases without crash images.
    const WALKS: Self = Self(4, 4, 250);
    /// Damage of every byte of a store at rest.
    const DAMAGE: Self = Self(2, 1, 2);
    /// One operation failing after the other: by the number of the fault in `FaultSpec::KINDS`.
    const fn failing(kind: u64) -> Self {
        Self(16 * kind + 1, 14 * 16, 12)
    }

    fn find(&self) -> Option<(u64, Failure)> {
        let seeds = (0..self.2).map(|number| self.0 + number * self.1);
        seeds.filter_map(|seed| attack_seed(seed).1.map(|(_, failure)| (seed, failure))).next()
    }
}

fn hunt(plant: Plant) -> Hunt {
    use Plant as P;
    match plant {
        P::FailedSyncRetried | P::FailedSyncIgnored => Hunt::failing(5),
        P::ShortWriteIgnored => Hunt::failing(2),
        P::InterruptedIsError => Hunt::failing(4),
        P::FailureForgotten | P::VisibleTooEarly => Hunt::failing(0),
        P::RotCutAsTorn | P::IdleNeverClaimed => Hunt::DAMAGE,
        P::OnlyLastSegmentSynced
        | P::NoRoomForEnd
        | P::LockNotTaken
        | P::BatchSplit
        | P::BufferedCalledDurable
        | P::DeletionNotReplayed
        | P::RequestsNotReplayed
        | P::SnapshotNotPinned
        | P::ConditionIgnored
        | P::BackupBeyondClaims
        | P::RestoreOneShort
        | P::TimeGoesBack => Hunt::WALKS,
        P::OneClaimTrusted => Hunt::failing(7),
        // One walk in a thousand: the sync that lies must be the last of a segment.
        P::SealedNotConfirmed => Hunt(4, 4, 10_000),
        _ => Hunt::IMAGES,
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for plant in Plant::ALL.iter().filter(|plant| !plant.needs_threads()) {
        choose(Some(*plant));
        let started = Instant::now();
        let found = hunt(*plant).find();
        let seconds = started.elapsed().as_secs_f64();
        match found {
            Some((seed, failure)) => {
                let (rule, site) = (failure.rule, failure.site);
                println!("{:28} seed {seed:4} {seconds:7.2} s  {rule} at {site}", plant.name());
            }
            None => {
                println!("{:28} missed    {seconds:7.2} s", plant.name());
                missed.push(*plant);
            }
        }
    }
    choose(None);
    assert_eq!(missed, [], "the lab does not see these");
}
