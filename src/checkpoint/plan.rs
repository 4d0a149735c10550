//! Which runs to merge next.
//!
//! Pure. Runs are in the order of their age, the newest first, each with its bytes. Every merge
//! takes some of them that are neighbours, so that the order of age stays.
//!
//! 1. **Many runs.** The newest run is taken with each next one that is not larger than all before
//!    it together. [`RUNS_ALIKE`] or more of them are merged, so that a byte is written again about
//!    as often as the store doubles. With [`RUNS_MAX`] or more in all, as many are merged as it
//!    takes to have fewer.
//! 2. **Space.** While nobody writes: when everything above the oldest run is more than a quarter
//!    of it, all are merged. What old versions take is then at most about that quarter.

/// Runs of about the same size that are worth a merge.
pub(super) const RUNS_ALIKE: usize = 4;
/// Runs that are too many: each read asks each run's filter.
pub(super) const RUNS_MAX: usize = 10;

/// Bytes below which a run is not worth a rule of space.
const SMALL: u64 = if cfg!(any(test, feature = "sim")) { 1 << 10 } else { 4 << 20 };

/// How much reason a merge needs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The first rule: others write meanwhile.
    Busy,
    /// Both rules.
    Idle,
    /// None: everything becomes one run.
    Everything,
}

/// How many of the newest runs to merge; `None`: nothing to do.
#[must_use]
pub(super) fn runs_to_merge(sizes: &[u64], extent: Extent) -> Option<usize> {
    if extent == Extent::Everything {
        return Some(sizes.len()).filter(|count| *count > 1);
    }
    let mut sum: u64 = 0;
    let alike = sizes.iter().take_while(|size| {
        let is_alike = sum == 0 || **size <= sum;
        sum = sum.saturating_add(**size);
        is_alike
    });
    let (alike, too_many) = (alike.count(), (sizes.len() + 2).saturating_sub(RUNS_MAX));
    if alike >= RUNS_ALIKE || too_many >= 2 {
        return Some(alike.max(too_many));
    }
    let (oldest, newer) = sizes.split_last()?;
    let above: u64 = newer.iter().sum();
    (extent == Extent::Idle && above > SMALL && above > oldest / 4).then_some(sizes.len())
}

/// The level that the newest `count` runs are merged into, given the levels of all runs, and how
/// many runs that takes: the deepest of theirs, or a free one between them and the next.
#[must_use]
pub(super) fn level_of_output(levels: &[u8], count: usize) -> (usize, u8) {
    let own = levels.get(..count).and_then(<[u8]>::last).copied().unwrap_or(0);
    if own > 0 {
        return (count, own);
    }
    match levels.get(count).copied() {
        // The tables of level 0 are in the order of their numbers, so none of them may be older.
        Some(0) => level_of_output(levels, count + 1),
        // No level is free in between: the next run is merged as well.
        Some(1) => (count + 1, 1),
        Some(next) => (count, next - 1),
        None => (count, LEVEL_OF_THE_FIRST),
    }
}

/// Where the first merged run goes: levels above it are for newer runs, which are few.
const LEVEL_OF_THE_FIRST: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_and_little_above_a_large_one_are_left_alone() {
        for sizes in [&[][..], &[9], &[10_000, 50_000], &[100, 100], &[5_000, 5_000, 90_000]] {
            assert_eq!(runs_to_merge(sizes, Extent::Idle), None, "{sizes:?}");
        }
    }

    #[test]
    fn too_much_above_the_oldest_is_merged_into_it() {
        assert_eq!(runs_to_merge(&[30_000, 100_000], Extent::Idle), Some(2));
        assert_eq!(runs_to_merge(&[9_000, 9_000, 9_000], Extent::Idle), Some(3));
        assert_eq!(runs_to_merge(&[9_000, 9_000, 9_000], Extent::Busy), None, "while others write");
    }

    #[test]
    fn runs_alike_are_merged_and_those_that_are_too_many() {
        let merged = |sizes: &[u64]| runs_to_merge(sizes, Extent::Busy);
        assert_eq!(merged(&[10, 10, 10]), None);
        assert_eq!(merged(&[10, 10, 10, 10]), Some(4));
        assert_eq!(merged(&[10, 10, 10, 10, 40, 1_000]), Some(5));
        assert_eq!(merged(&[10, 10, 10, 100, 1_000]), None);
        let doubling: Vec<u64> = (1..11).map(|run| 3_u64.pow(run)).collect();
        assert_eq!(merged(&doubling[1..]), None);
        assert_eq!(merged(&doubling), Some(2));
    }

    #[test]
    fn what_is_merged_goes_below_what_is_newer_and_above_what_is_older() {
        assert_eq!(level_of_output(&[0, 0], 2), (2, 15));
        assert_eq!(level_of_output(&[0, 0, 15], 2), (2, 14));
        assert_eq!(level_of_output(&[0, 0, 14, 15], 3), (3, 14));
        assert_eq!(level_of_output(&[0, 0, 1, 15], 2), (3, 1));
        assert_eq!(level_of_output(&[0, 0, 0, 15], 2), (3, 14));
    }

    /// Flushes of 10,000 bytes, merged whenever the rules say so; what is written for each byte.
    #[test]
    fn a_byte_is_written_again_as_often_as_the_store_doubles() {
        let (mut sizes, mut written, mut most) = (Vec::new(), 0_u64, 0);
        let flushes = 1024;
        for _ in 0..flushes {
            sizes.insert(0, 10_000);
            while let Some(count) = runs_to_merge(&sizes, Extent::Busy) {
                assert!((2..=sizes.len()).contains(&count), "{count} of {sizes:?}");
                let sum: u64 = sizes.drain(..count).sum();
                sizes.insert(0, sum);
                written += sum;
            }
            most = most.max(sizes.len());
        }
        let times = written / (flushes * 10_000);
        assert!(most < RUNS_MAX && times <= 10, "{most} runs, each byte merged {times} times");
    }
}
