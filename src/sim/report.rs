//! What an attack counts.

use std::collections::BTreeMap;

use crate::base::mark::Mark;

/// Counts of an attack, or of a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cases played.
    pub runs: u64,
    /// Crash images that were new and had something pending, reopened and compared.
    pub images: u64,
    /// Those of them that are crashes of a recovery.
    pub recovery_images: u64,
    /// Images that showed what one before showed, and were not counted.
    pub repeated: u64,
    /// Damaged stores opened and compared.
    pub damaged: u64,
    /// Operations of the disk that were crash points.
    pub crash_points: u64,
    /// Truncations of the log alone.
    pub truncations: u64,
    /// Faults planned in the cases played, by name, whether or not each came to happen; writes
    /// lost and misdirected in a sweep are counted when they happened.
    pub faults: BTreeMap<String, u64>,
    /// Hash of everything that happened, in order.
    pub trace: u64,
}

impl Counts {
    /// Adds those of another part.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.images += other.images;
        self.recovery_images += other.recovery_images;
        self.repeated += other.repeated;
        self.damaged += other.damaged;
        self.crash_points += other.crash_points;
        self.truncations += other.truncations;
        for (name, count) in &other.faults {
            *self.faults.entry(name.clone()).or_default() += count;
        }
        self.trace ^= other.trace;
    }
}

/// The names of the marks that nothing in this process has hit yet: what was not attacked.
#[must_use]
pub fn marks_missing() -> Vec<&'static str> {
    let missing = Mark::ALL.iter().filter(|mark| mark.count() == 0);
    missing.map(|mark| mark.name()).collect()
}
