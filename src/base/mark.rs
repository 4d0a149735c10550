//! Reachability marks: places that are seldom passed, and that an attack must have passed to be
//! worth anything.
//!
//! Without the feature `sim`, [`hit`] is nothing. With it, each mark counts; the crash lab reports
//! those that were never hit, because what is not reached is not tested.

/// Makes the enum of the marks, their names, and a counter for each.
macro_rules! marks {
    ($($(#[doc = $doc:literal])+ $mark:ident = $name:literal,)+) => {
        /// A place that is seldom passed.
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mark {
            $($(#[doc = $doc])+ $mark,)+
        }

        impl Mark {
            /// Every mark.
            pub const ALL: &[Self] = &[$(Self::$mark,)+];

            /// The name that reports show.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mark => $name,)+
                }
            }

            #[cfg(feature = "sim")]
            fn counter(self) -> &'static std::sync::atomic::AtomicU64 {
                use std::sync::atomic::AtomicU64;
                match self {
                    $(Self::$mark => {
                        static COUNT: AtomicU64 = AtomicU64::new(0);
                        &COUNT
                    })+
                }
            }
        }
    };
}

marks! {
    /// Recovery made a new store.
    CaseA = "recovery @A: created",
    /// Recovery finished a creation.
    CaseB = "recovery @B: creation finished",
    /// Recovery refused records without an identity.
    CaseC = "recovery @C: identity missing",
    /// Recovery refused somebody else's directory.
    CaseD = "recovery @D: not a store",
    /// Recovery refused a damaged identity.
    CaseE = "recovery @E: identity damaged",
    /// Recovery refused a log without its first segment.
    CaseF = "recovery @F: first segment missing",
    /// Recovery refused a log without a named segment.
    CaseG = "recovery @G: successor missing",
    /// Recovery refused a damaged segment header.
    CaseH = "recovery @H: header damaged",
    /// Recovery refused a hole that a later record claims.
    CaseI = "recovery @I: rot",
    /// Recovery continued in place.
    CaseJ = "recovery @J: clean",
    /// Recovery cut a log whose end is not torn.
    CaseK = "recovery @K: cut, nothing torn",
    /// Recovery cut a torn log.
    CaseL = "recovery @L: cut, torn",
    /// Recovery refused a last segment that is too short.
    CaseM = "recovery @M: tail cut short",
    /// Recovery refused a segment whose header is that of another.
    CaseN = "recovery @N: header of another",
    /// Recovery refused a segment whose file is too long.
    CaseO = "recovery @O: file too long",
    /// Recovery refused a log whose salvage did not end.
    CaseP = "recovery @P: salvage begun",
    /// Recovery went on where one was interrupted while it wrote the tail again.
    SavedTailUsed = "recovery: a saved tail was laid over",
    /// A group was written through to the disk.
    WrittenThrough = "commit: a group was written through",
    /// The unproven tail that is written again lies in two segments or more.
    RewriteSpansSegments = "recovery: the tail written again spans segments",
    /// The segment that is cut has no record yet, not even its start.
    TailWithoutStart = "recovery: the tail has no start",
    /// Recovery removed a segment or a file that nobody names.
    LeftoverRemoved = "recovery: a leftover was removed",
    /// A segment was ended in the middle of a group.
    RotationInGroup = "commit: a rotation inside a group",
    /// A leader found nothing to write.
    NothingToWrite = "commit: a leader with nothing to write",
    /// A commit had to prepare a segment itself.
    PoolMiss = "commit: no segment was prepared",
    /// What only takes away, or keeps the log in order, used the room kept for a full disk.
    ReserveUsed = "commit: the reserve was used",
    /// A segment was prepared although another one was already.
    SpareBehindSpare = "pool: a spare behind a spare",
    /// A segment that was prepared in vain was removed.
    SpareDropped = "pool: a spare was dropped",
    /// A commit was answered from memory alone.
    AnsweredFromMemory = "commit: answered from memory",
    /// A group begins with bytes of the group before.
    PageCarried = "commit: a partial page was carried over",
    /// A sealed segment was synced once more.
    SealedConfirmed = "commit: a sealed segment was confirmed",
    /// A commit's outcome is unknown.
    OutcomeUnknown = "commit: outcome unknown",
    /// A call was refused because the log had failed before.
    Poisoned = "commit: poisoned",
    /// The keeper claimed an idle log.
    ClaimByKeeper = "keeper: claimed an idle log",
    /// The keeper synced what nobody asked to be synced.
    SyncByKeeper = "keeper: synced",
    /// The log begins behind what was released.
    BegunLater = "recovery: the log begins behind what was released",
    /// A segment was made of the file of a released one.
    Recycled = "pool: a file was used again",
    /// A reader found that what it reads was released.
    ReaderExpired = "reader: expired",
    /// A segment could not be prepared.
    PreparationFailed = "segment: preparation failed",
    /// The gap in a sector was too small for a record.
    FillerOverSector = "close: the filler reaches into the next sector",
    /// The clock showed an earlier time than the log's.
    ClockWentBack = "clock: went back",
    /// The clock leapt ahead and was not believed.
    ClockSuspect = "clock: suspect",
    /// A conflict with another writer was decided again.
    ConflictRetried = "store: a conflict was retried",
    /// A request was answered from the first time.
    RequestRepeated = "store: a request was repeated",
    /// A key was forgotten after its deletion.
    KeyForgotten = "store: a deleted key was forgotten",
    /// An old version was kept because somebody may read it.
    VersionHeld = "store: an old version was held",
    /// A checkpoint was written.
    CheckpointWritten = "checkpoint: written",
    /// Tables were merged.
    Merged = "checkpoint: tables were merged",
    /// Replay began in the segment of a checkpoint.
    ReplayBegunBehind = "recovery: replay begun behind a checkpoint",
    /// Replay could not begin in the segment of a checkpoint.
    ReplayFellBack = "recovery: replay fell back to the whole log",
    /// A manifest was full, and the next was made.
    ManifestRotated = "manifest: a new one was made of a full one",
    /// A key was read in a memtable that is being written into tables.
    FrozenRead = "store: a frozen memtable was read",
    /// A snapshot read tables that hold what it does not show.
    NewerTableRead = "store: a snapshot read tables newer than it",
    /// A table that no manifest names was set aside.
    OrphanSetAside = "checkpoint: an orphan was set aside",
    /// A merge left out a version that nobody could ask for.
    VersionMergedAway = "checkpoint: an old version was merged away",
    /// A merge left out a deletion that hid nothing.
    DeletionMergedAway = "checkpoint: a deletion was merged away",
    /// A backup had nothing new to copy.
    NothingToCopy = "copy: nothing new",
    /// A restore left commits of the copy out.
    RestoredPast = "copy: restored to an earlier commit",
    /// The disk told of a failed sync one call late.
    LateSyncTold = "disk: a late sync was told",
    /// The disk took fewer bytes than it was given.
    ShortWrite = "disk: a short write",
    /// The disk interrupted a call.
    Interrupted = "disk: an interrupted call",
}

impl Mark {
    /// The mark of a row of recovery's table, by its label.
    #[must_use]
    pub fn of_case(label: &str) -> Option<Self> {
        let cases = Self::ALL.iter().copied().filter(|mark| mark.name().starts_with("recovery @"));
        let of = |mark: &Self| mark.name().split([' ', ':']).nth(1) == Some(label);
        cases.clone().find(of)
    }

    /// How often it was hit since the process began.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn count(self) -> u64 {
        self.counter().load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Counts that the place of `mark` was passed; nothing without the feature `sim`.
#[cfg(not(feature = "sim"))]
#[inline]
pub const fn hit(_mark: Mark) {}

/// Counts that the place of `mark` was passed; nothing without the feature `sim`.
#[cfg(feature = "sim")]
#[inline]
pub fn hit(mark: Mark) {
    mark.counter().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

/// Counts that recovery decided by the row with this label; nothing without the feature `sim`.
#[cfg(not(feature = "sim"))]
#[inline]
pub const fn hit_case(_label: &str) {}

/// Counts that recovery decided by the row with this label; nothing without the feature `sim`.
#[cfg(feature = "sim")]
pub fn hit_case(label: &str) {
    if let Some(mark) = Mark::of_case(label) {
        hit(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_has_the_mark_with_its_label() {
        assert_eq!(Mark::of_case("@A"), Some(Mark::CaseA));
        assert_eq!(Mark::of_case("@O"), Some(Mark::CaseO));
        assert_eq!(Mark::of_case("@?"), None);
    }
}
