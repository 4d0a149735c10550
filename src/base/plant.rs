//! Planted bugs: mistakes that the crash lab must find, or it is not believed.
//!
//! Each plant has exactly one branch, at the place where somebody could really make the mistake.
//! Without the feature `planted-bugs`, [`is_planted`] is the constant false and the branches are
//! gone; with it, one plant at a time is chosen while the program runs, so that one build serves
//! all of them. Plants are global to the process: attack with one, then choose the next.

/// Makes the enum of the plants, their names, and a flag for each.
macro_rules! plants {
    ($($(#[doc = $doc:literal])+ $plant:ident = $name:literal,)+) => {
        /// A planted bug: what is wrong, where, and the rules of the oracle that it may break.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Plant {
            $($(#[doc = $doc])+ $plant,)+
        }

        impl Plant {
            /// Every plant.
            pub const ALL: &[Self] = &[$(Self::$plant,)+];

            /// The name a command line knows it by.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$plant => $name,)+
                }
            }

            /// Whether it needs threads to happen: the lab, which has one, does not look for it.
            #[must_use]
            pub const fn needs_threads(self) -> bool {
                matches!(
                    self,
                    Self::LeaderNotByGroup
                        | Self::NextLeaderNotWoken
                        | Self::FollowersLeftBehind
                        | Self::FailedPreparationNotTold
                        | Self::ClosingNotSeen
                        | Self::ConditionBeforeRoom
                        | Self::KeeperNotTold
                        | Self::ConflictToldEarly
                        | Self::HandleNotWoken
                )
            }

            #[cfg(feature = "planted-bugs")]
            fn flag(self) -> &'static std::sync::atomic::AtomicBool {
                use std::sync::atomic::AtomicBool;
                match self {
                    $(Self::$plant => {
                        static CHOSEN: AtomicBool = AtomicBool::new(false);
                        &CHOSEN
                    })+
                }
            }
        }
    };
}

plants! {
    // The commit path.

    /// `wal::segment`: the log is never synced. R1.
    LogNotSynced = "log-not-synced",
    /// `wal::commit`: a synced commit is answered when it was only written. R1.
    AnsweredBeforeSync = "answered-before-sync",
    /// `wal::segment`: a failed sync is tried again, and the second answer believed (L3). R1.
    FailedSyncRetried = "failed-sync-retried",
    /// `wal::segment`: a failed sync is taken for a success. R1.
    FailedSyncIgnored = "failed-sync-ignored",
    /// `wal::commit`: after a failure the next commits go on (C3). R6.
    FailureForgotten = "failure-forgotten",
    /// `wal::commit`: a commit can be seen as soon as it is appended (C2). R6.
    VisibleTooEarly = "visible-too-early",
    /// `wal::group`: of a group in two segments, only the last is synced. R1, R7.
    OnlyLastSegmentSynced = "only-last-segment-synced",
    /// `wal::group`: a sealed segment is not synced once more, so a late report is missed. R1.
    SealedNotConfirmed = "sealed-not-confirmed",
    /// `wal::group`: a claim names what was appended, not what was synced (W2). R7.
    ClaimTooEarly = "claim-too-early",
    /// `wal::group`: the partial page is copied before the claim is stamped into it, so the page
    /// is written a second time with other bytes. R1, R8.
    PageCopiedEarly = "page-copied-early",
    /// `wal::group`: the partial page is not carried into the next group (G2). R1.
    PageNotCarried = "page-not-carried",
    /// `wal::group`: with padded tails, a group begins on the page of the one before. R1.
    TailNotPadded = "tail-not-padded",
    /// `wal::group`: a segment is filled without leaving room for its end. R1, R7.
    NoRoomForEnd = "no-room-for-end",
    /// `wal::keeper`: an idle log is never claimed, so rot in its last group is cut as torn. R8.
    IdleNeverClaimed = "idle-never-claimed",
    /// `wal::log`: the clean close is written before what it closes is synced. R5.
    CloseTooEarly = "close-too-early",
    /// `wal::group`: the next life claims the clean close that it found, whose sync was the last of
    /// its life and may have failed unheard. R7.
    CloseClaimedEarly = "close-claimed-early",
    /// `wal::truncation`: who resumed behind what is taken back is not told. R7.
    ResumedNotTold = "resumed-not-told",
    /// `wal::ticker`: a commit's time follows the clock alone, also back. Panic, R7.
    TimeGoesBack = "time-goes-back",

    // Files.

    /// `wal::segment`: a segment is named before its bytes are synced. R7.
    SegmentNotSynced = "segment-not-synced",
    /// `wal::segment`: the name of a prepared segment is not synced (W4). R1, R7.
    SegmentNameNotSynced = "segment-name-not-synced",
    /// `wal::pool`: a file that is used again keeps its salt, so its old records verify. R2, R7.
    RecycledSaltKept = "recycled-salt-kept",
    /// `wal::release`: released segments go before the log durably begins behind them. R7.
    ReleasedBeforeDurable = "released-before-durable",
    /// `wal::pool`: files below a beginning that may not be durable are used again at open. R7.
    AdoptedBeforeDurable = "adopted-before-durable",
    /// `vfs::replace`: the replacing file is not synced before it is renamed. R7, R12.
    ReplacementNotSynced = "replacement-not-synced",
    /// `vfs::replace`: the rename is not synced. R1, R7.
    ReplacementNameNotSynced = "replacement-name-not-synced",
    /// `vfs::fs`: a write that took fewer bytes is taken for whole. R1.
    ShortWriteIgnored = "short-write-ignored",
    /// `vfs::fs`: an interrupted write is an error. R11.
    InterruptedIsError = "interrupted-is-error",
    /// `wal::open`: the store's lock is not taken. R11.
    LockNotTaken = "lock-not-taken",
    /// `wal::open`: the identity is published before there is a first segment. R7.
    IdentityTooEarly = "identity-too-early",
    /// `wal::open`: the names on the way to a store whose creation was killed stay unsynced. R5.
    WayNotSynced = "way-not-synced",

    // Recovery.

    /// `wal::open`: appending goes on in place after an unclean end (W3, W5). R5.
    UncleanContinued = "unclean-continued",
    /// `wal::mend`: the unproven tail is not written again before it is served (W5). R5.
    TailNotWritten = "tail-not-written",
    /// `wal::mend`: the tail is written again but not synced (W5). R5.
    TailNotSynced = "tail-not-synced",
    /// `wal::saved`: with padded tails, the tail is written again without being saved first. R1.
    TailNotSaved = "tail-not-saved",
    /// `wal::mend`: the torn segment is shortened before its end is durable. R7.
    TailShortenedEarly = "tail-shortened-early",
    /// `wal::walk`: one claim is taken for a proof, where a sync may fail a call late. R1, R5.
    OneClaimTrusted = "one-claim-trusted",
    /// `wal::walk`: the log ends where its first segment does. R1.
    ReplayStopsAtSegment = "replay-stops-at-segment",
    /// `wal::walk`: claims after a hole are not looked for, so rot is cut as torn (L4). R8.
    RotCutAsTorn = "rot-cut-as-torn",
    /// `wal::scan`: a record counts although its payload is not what was written. R3, R7, R8.
    PayloadNotChecked = "payload-not-checked",
    /// `wal::format`: the checksum begins without salt and offset, so a payload can imitate a
    /// record. R7.
    ChecksumNotSeeded = "checksum-not-seeded",
    /// `wal::format`: the header's checksum is not compared. R7.
    ChecksumNotCompared = "checksum-not-compared",

    // Batches, requests, conditions.

    /// `store::write`: a batch becomes two records. R3.
    BatchSplit = "batch-split",
    /// `store::write`: a commit that was only written is answered as durable. R1.
    BufferedCalledDurable = "buffered-called-durable",
    /// `store::write`: a deletion is not applied at replay. R3.
    DeletionNotReplayed = "deletion-not-replayed",
    /// `store::write`: answers to requests are not rebuilt at replay. R6.
    RequestsNotReplayed = "requests-not-replayed",
    /// `store::snapshot`: old versions go although a snapshot holds them. R3.
    SnapshotNotPinned = "snapshot-not-pinned",
    /// `doc::write`: a condition on a revision is not checked. R6.
    ConditionIgnored = "condition-ignored",

    // Tables.

    /// `table::writer`: the manifest names tables that were not synced. R7.
    ManifestBeforeTableSync = "manifest-before-table-sync",
    /// `checkpoint::tables`: the names of new tables are not synced. R7.
    DirectoryOfTablesNotSynced = "directory-of-tables-not-synced",
    /// `checkpoint::tables`: merged tables are removed before the edit is durable (C4). R7.
    TableRemovedEarly = "table-removed-early",
    /// `checkpoint::tables`: orphans are set aside before the manifest is compared. R8.
    OrphansSweptEarly = "orphans-swept-early",
    /// `checkpoint::tables`: the oldest run above the first level is taken for the newest (C3).
    /// R3, R6.
    LevelsInWrongOrder = "levels-in-wrong-order",
    /// `checkpoint::merge`: a deletion goes though an older run holds its key. R3, R6.
    DeletionMergedAwayAbove = "deletion-merged-away-above",
    /// `checkpoint::merge`: versions go that a snapshot reads. R3.
    HorizonIgnored = "horizon-ignored",
    /// `store::checkpointer`: tables are written of what is not durable in the log (C2). R7.
    CheckpointAboveDurable = "checkpoint-above-durable",
    /// `store::checkpointer`: a checkpoint counts records that are not durable, because they are no
    /// commits. R11.
    CheckpointCountsUnsynced = "checkpoint-counts-unsynced",
    /// `store::checkpointer`: the log is released before the manifest names the tables. R7.
    LogReleasedBeforeManifest = "log-released-before-manifest",
    /// `store::checkpointer`: a merge leaves the log at its clean close. R7.
    BeginWorkSkipped = "begin-work-skipped",
    /// `store::builder`: replay leaves out the first commit behind the checkpoint. R1, R3.
    ReplayBoundaryTooHigh = "replay-boundary-too-high",

    // Copies.

    /// `archive::backup`: a copy takes what no claim covers yet. R12.
    BackupBeyondClaims = "backup-beyond-claims",
    /// `archive::backup`: a copied commit whose claim a power cut took is taken for another
    /// history. R12.
    CopiedUnclaimedDiverges = "copied-unclaimed-diverges",
    /// `archive::restore`: the commit that was asked for is left out. R12.
    RestoreOneShort = "restore-one-short",

    // Orders of threads: found by schedules and rehearsals, because the lab has one thread.

    /// `wal::turn`: one name for the leader-to-be, whichever group it is of. A thread is left.
    LeaderNotByGroup = "leader-not-by-group",
    /// `wal::turn`: the leader-to-be is not woken. A thread is left.
    NextLeaderNotWoken = "next-leader-not-woken",
    /// `wal::turn`: after a failure only the group that failed is woken. A thread is left.
    FollowersLeftBehind = "followers-left-behind",
    /// `wal::commit`: who waits for a segment is not told that there will be none. A thread is
    /// left.
    FailedPreparationNotTold = "failed-preparation-not-told",
    /// `wal::turn`: a commit goes on beside a close that has begun. R1, R5.
    ClosingNotSeen = "closing-not-seen",
    /// `wal::commit`: a condition is decided before waiting for a segment. R6.
    ConditionBeforeRoom = "condition-before-room",
    /// `wal::log`: a close does not wake the keeper. A thread is left.
    KeeperNotTold = "keeper-not-told",
    /// `store::write`: a conflict is told before what it lost to is durable. R1.
    ConflictToldEarly = "conflict-told-early",
    /// `wal::asynchronous`: who awaits a handle is not woken. A thread is left.
    HandleNotWoken = "handle-not-woken",

    // The lab itself.

    /// `sim::oracle`: expects a commit that was never acknowledged. A lab that does not fail
    /// with it cannot fail at all. R1.
    Canary = "canary",
}

impl std::fmt::Display for Plant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Plant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().copied().find(|plant| plant.name() == name);
        found.ok_or_else(|| format!("no bug is planted under the name {name:?}"))
    }
}

/// Whether `plant` is the chosen one: never, without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
#[must_use]
pub const fn is_planted(_plant: Plant) -> bool {
    false
}

/// Whether `plant` is the chosen one: never, without the feature `planted-bugs`.
#[cfg(feature = "planted-bugs")]
#[inline]
#[must_use]
pub fn is_planted(plant: Plant) -> bool {
    plant.flag().load(std::sync::atomic::Ordering::Relaxed)
}

/// Plants one bug in the whole process, in place of any other, or none.
#[cfg(feature = "planted-bugs")]
pub fn choose(chosen: Option<Plant>) {
    for plant in Plant::ALL {
        plant.flag().store(chosen == Some(*plant), std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_are_read_back() {
        for plant in Plant::ALL {
            assert_eq!(plant.name().parse(), Ok(*plant));
        }
        assert!("no-such-bug".parse::<Plant>().is_err());
    }
}
