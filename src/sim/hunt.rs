//! Hunts: with which seeds the lab must find which planted bug.

use crate::base::plant::Plant;

use super::attack::attack_seed;
use super::case::Case;
use super::oracle::Failure;

/// The seeds a plant is hunted with. They belong to the kind of attack that can see it; a hunt may
/// begin at the first of them, or a whole hunt later, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// For people: the kind of attack.
    pub attack: &'static str,
    /// The first seed.
    pub first: u64,
    /// Every so many seeds one is of the kind.
    pub every: u64,
    /// Seeds within which the plant must be found.
    pub bound: u64,
}

/// What a hunt found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The seed that finds it.
    pub seed: u64,
    /// Which of the hunt's seeds it is, counted from 1.
    pub tried: u64,
    /// The case, as it was generated.
    pub case: Case,
    /// The rule that was broken.
    pub failure: Failure,
}

impl Hunt {
    /// Crash images at every operation.
    const IMAGES: Self = Self { attack: "images", first: 5, every: 1, bound: 100 };
    /// Long cases without crash images.
    const WALKS: Self = Self { attack: "walks", first: 4, every: 4, bound: 250 };
    /// Damaged bytes of a store that was closed, or left idle: which of the two sees a plant
    /// depends on the plant, so both are tried.
    const DAMAGE: Self = Self { attack: "damage", first: 2, every: 1, bound: 2 };

    /// The same kinds, of the seeds with small tables and many checkpoints.
    const TABLE_IMAGES: Self = Self { first: 22, every: 48, bound: 32, ..Self::IMAGES };
    const TABLE_WALKS: Self = Self { first: 20, every: 48, bound: 64, ..Self::WALKS };
    const TABLE_DAMAGE: Self = Self { first: 18, every: 48, bound: 8, ..Self::DAMAGE };

    /// One operation failing after the other: by the number of the fault in `FaultSpec::KINDS`.
    const fn failing(kind: u64) -> Self {
        Self { attack: "failures", first: 16 * kind + 1, every: 14 * 16, bound: 12 }
    }

    /// The hunt for `plant`.
    #[must_use]
    pub const fn of(plant: Plant) -> Self {
        use Plant as P;
        match plant {
            P::FailedSyncRetried | P::FailedSyncIgnored => Self::failing(5),
            P::ShortWriteIgnored => Self::failing(2),
            P::InterruptedIsError => Self::failing(4),
            P::FailureForgotten | P::VisibleTooEarly => Self::failing(0),
            P::RotCutAsTorn | P::IdleNeverClaimed => Self::DAMAGE,
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
            | P::TimeGoesBack => Self::WALKS,
            P::RecycledSaltKept | P::ReleasedBeforeDurable | P::ResumedNotTold => {
                Self { attack: "the log alone", first: 14, every: 16, bound: 4 }
            }
            P::ManifestBeforeTableSync
            | P::DirectoryOfTablesNotSynced
            | P::TableRemovedEarly
            | P::CheckpointAboveDurable
            | P::CheckpointCountsUnsynced
            | P::LogReleasedBeforeManifest
            | P::BeginWorkSkipped => Self::TABLE_IMAGES,
            P::LevelsInWrongOrder
            | P::DeletionMergedAwayAbove
            | P::HorizonIgnored
            | P::ReplayBoundaryTooHigh => Self::TABLE_WALKS,
            P::OrphansSweptEarly => Self { first: 18, bound: 4, ..Self::TABLE_DAMAGE },
            P::OneClaimTrusted => Self::failing(7),
            // The sync of a directory fails, and the next life finds what it had renamed.
            P::AdoptedBeforeDurable => Self::failing(10),
            P::CloseClaimedEarly => Self { attack: "late closes", first: 13, every: 16, bound: 12 },
            // Two backups with nothing but a power cut between them.
            P::CopiedUnclaimedDiverges => Self { bound: 2_000, ..Self::WALKS },
            // The sync that lies must be the last of a segment.
            P::SealedNotConfirmed => Self { bound: 1_000, ..Self::WALKS },
            _ => Self::IMAGES,
        }
    }

    /// Looks for a broken rule with the seeds of the hunt that begins `start` hunts later.
    #[must_use]
    pub fn find(&self, start: u64) -> Option<Found> {
        // Of the sweeps over damaged bytes there are two among sixteen seeds.
        let apart = if *self == Self::DAMAGE { 16 } else { self.every * self.bound };
        let first = self.first + start * apart;
        (0..self.bound).find_map(|number| {
            let seed = first + number * self.every;
            let (case, failure) = attack_seed(seed).1?;
            Some(Found { seed, tried: number + 1, case, failure })
        })
    }
}
