//! How often each value came: counts in buckets that are fixed, fine for small values and coarse
//! for large ones.
//!
//! Log-linear: every power of two is cut into 32 equal buckets, so a percentile is at most 1/32
//! above the exact one, whatever the values are, and at most 15 KiB hold any number of them.
//! Rejected: keeping the values and sorting them, which grows with time; a crate, for forty lines.

use super::codec::{to_u64, to_usize};

/// Buckets of each power of two.
const FINE: u64 = 32;
/// Values below twice this many have a bucket each.
const FINE_BITS: u32 = FINE.trailing_zeros();

/// Counts of values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Up to that of the largest value.
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// Counts `value`.
    ///
    /// # Cost
    /// A shift and two additions; an allocation when the value is much larger than all before.
    pub fn add(&mut self, value: u64) {
        let index = to_usize(bucket_of(value));
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        if let Some(bucket) = self.buckets.get_mut(index) {
            *bucket += 1;
        }
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Counts all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), 0);
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The largest value; 0 before the first.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The value that `permille` of 1000 values do not exceed, or up to 1/32 more; 0 before the
    /// first value.
    #[must_use]
    pub fn permille(&self, permille: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return last_of(to_u64(index)).min(self.max);
            }
        }
        self.max
    }

    /// The buckets that hold something: the largest value of each, and how many came.
    pub fn filled(&self) -> impl Iterator<Item = (u64, u64)> {
        let filled = self.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, count)| (last_of(to_u64(index)), *count))
    }
}

fn bucket_of(value: u64) -> u64 {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS + 1);
    u64::from(shift) * FINE + (value >> shift)
}

/// The largest value of a bucket.
fn last_of(bucket: u64) -> u64 {
    let shift = (bucket / FINE).saturating_sub(1);
    ((bucket - shift * FINE) << shift) + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as the largest value needs.
    const BUCKETS: usize = 1920;

    /// Values of all sizes, the same every time.
    fn values() -> Vec<u64> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> (state >> 58)
        };
        (0..10_000).map(|_| next()).collect()
    }

    #[test]
    fn a_percentile_is_at_most_a_thirty_second_above_the_exact_one() {
        let mut histogram = Histogram::default();
        let mut sorted = values();
        sorted.iter().for_each(|value| histogram.add(*value));
        sorted.sort_unstable();
        for permille in [1, 10, 250, 500, 900, 990, 999, 1000] {
            let rank = (to_u64(sorted.len()) * permille).div_ceil(1000).max(1);
            let exact = sorted[to_usize(rank - 1)];
            let told = histogram.permille(permille);
            let above = told.checked_sub(exact).unwrap();
            assert!(above <= exact / 32, "{permille}: {told} for {exact}");
        }
        assert_eq!(histogram.max(), sorted[sorted.len() - 1]);
    }

    #[test]
    fn every_value_falls_into_the_bucket_that_ends_at_or_after_it() {
        let edges = (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        for value in edges.chain([u64::MAX - 1, u64::MAX]).chain(values()) {
            let bucket = bucket_of(value);
            assert!(to_usize(bucket) < BUCKETS, "{value}");
            assert!(last_of(bucket) >= value, "{value}");
            assert!(bucket == 0 || last_of(bucket - 1) < value, "{value}");
        }
        assert_eq!(to_usize(bucket_of(u64::MAX)), BUCKETS - 1);
    }

    #[test]
    fn two_halves_merged_are_the_whole() {
        let (mut whole, mut one, mut other) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for (index, value) in values().into_iter().enumerate() {
            whole.add(value);
            if index % 2 == 0 { &mut one } else { &mut other }.add(value);
        }
        one.merge(&other);
        assert_eq!(one, whole);
        assert_eq!(one.filled().map(|(_, count)| count).sum::<u64>(), 10_000);
    }

    #[test]
    fn nothing_has_no_percentile_and_one_value_has_all() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.permille(500), histogram.max()), (0, 0));
        histogram.add(1_000_003);
        assert_eq!((histogram.permille(1), histogram.permille(999)), (1_000_003, 1_000_003));
    }
}
