//! Times of commits, in buckets at most 1/64 wide.

use std::time::Duration;

/// Buckets for each doubling.
const FINE: u64 = 64;

/// How often each time was seen, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

/// Up to `FINE` the time itself; then `FINE` buckets for each power of two.
fn bucket(nanos: u64) -> u64 {
    let doublings = u64::from((nanos / FINE).checked_ilog2().map_or(0, |log| log + 1));
    let shift = doublings.saturating_sub(1);
    shift * FINE + (nanos >> shift)
}

/// The largest time in a bucket.
fn upper(bucket: u64) -> u64 {
    let shift = (bucket / FINE).saturating_sub(1);
    ((bucket - shift * FINE + 1) << shift) - 1
}

impl Histogram {
    pub const fn new() -> Self {
        Self { counts: Vec::new(), total: 0 }
    }

    /// One commit took `time`.
    pub fn add(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX >> 1);
        let at = usize::try_from(bucket(nanos)).unwrap_or(0);
        if self.counts.len() <= at {
            self.counts.resize(at + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.total += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), 0);
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The time that `percent` of the commits took at most, in microseconds.
    pub fn percentile(&self, percent: u64) -> f64 {
        self.per_mille(10 * percent)
    }

    /// How many took longer than `time`, or a 64th less.
    pub fn longer_than(&self, time: Duration) -> u64 {
        let at = usize::try_from(bucket(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX >> 1)));
        self.counts.iter().skip(at.unwrap_or(usize::MAX)).sum()
    }

    /// The time that so many in a thousand took at most, in microseconds; of 1000, the longest.
    pub fn per_mille(&self, part: u64) -> f64 {
        let wanted = (self.total * part).div_ceil(1000).max(1);
        let mut seen = 0;
        for (at, count) in (0..).zip(&self.counts) {
            seen += count;
            if seen >= wanted {
                return crate::numbers::float(upper(at)) / 1000.0;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_in_its_bucket_and_is_told_at_most_a_64th_too_high() {
        for nanos in (0..5000).chain([92_000, 1 << 33, (1 << 33) + 1, 987_654_321]) {
            let told = upper(bucket(nanos));
            assert!(told >= nanos && told <= nanos + nanos / FINE, "{nanos} is told as {told}");
            assert!(bucket(nanos) == 0 || upper(bucket(nanos) - 1) < nanos, "{nanos}");
        }
    }

    #[test]
    fn percentiles_are_of_all_that_was_merged() {
        let mut all = Histogram::new();
        for part in [1..=50, 51..=100] {
            let mut half = Histogram::new();
            part.for_each(|nanos| half.add(Duration::from_nanos(nanos)));
            all.merge(&half);
        }
        assert!((all.percentile(50) - 0.05).abs() < 0.001);
        assert!((all.percentile(99) - 0.099).abs() < 0.002);
        assert!((all.per_mille(1000) - 0.1).abs() < 0.002);
        assert_eq!(all.longer_than(Duration::from_nanos(60)), 41);
    }
}
