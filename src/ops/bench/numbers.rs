//! What a measurement says, and the arithmetic behind it.

use std::time::Duration;

use crate::base::Histogram;

/// The disk's own figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Raw {
    /// Median, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// Operations in a second.
    pub ops_per_s: f64,
}

/// What recovery came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Bytes of log that were read.
    pub log_bytes: u64,
    /// Bytes in a second.
    pub bytes_per_s: f64,
    /// From the start to the first answer, in milliseconds.
    pub first_get_ms: f64,
}

/// What batches cost beside their time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ingested {
    /// Bytes written to the disk, zeroes and the file system's own included, for each byte of
    /// values; `None` where the disk does not count. Others' writes are counted too.
    pub device_bytes_per_byte: Option<f64>,
    /// Of them, zeroes for segments that are made anew, for each byte of values.
    pub zeroed_bytes_per_byte: f64,
    /// Segments that were made anew.
    pub filled: u64,
    /// Segments that were made of the file of a released one.
    pub recycled: u64,
}

/// One measurement.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measurement {
    /// Which one.
    pub bench: &'static str,
    /// For `calibrate`: how it synced, and what file it wrote to.
    pub way: Option<(&'static str, &'static str)>,
    /// Threads at work.
    pub threads: u64,
    /// Bytes of each value.
    pub value_bytes: u64,
    /// Operations done.
    pub ops: u64,
    /// Time they took.
    pub seconds: f64,
    /// Operations in a second.
    pub ops_per_s: f64,
    /// Median, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 took no longer.
    pub p99_us: f64,
    /// 999 of 1000 took no longer.
    pub p999_us: f64,
    /// Syncs they needed.
    pub syncs: u64,
    /// The disk's own figures, measured in turns with these.
    pub raw: Raw,
    /// For a latency its median to the raw one's, else throughput to raw throughput.
    pub ratio: f64,
    /// For `ingest` and `recover`: it was the log by itself.
    pub log_alone: bool,
    /// For `ingest` and `recover`: with a pool, or a page cache, that holds nothing of use.
    pub cold: bool,
    /// For `ingest`.
    pub ingested: Option<Ingested>,
    /// For `recover`.
    pub recovered: Option<Recovered>,
}

/// The times of operations, and how long all of them took.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    pub(super) nanos: Histogram,
    pub(super) elapsed: Duration,
}

impl Times {
    /// Counts an operation of one who works alone.
    pub(super) fn add(&mut self, time: Duration) {
        self.nanos.add(nanos(time));
        self.elapsed += time;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.nanos.merge(&other.nanos);
        self.elapsed += other.elapsed;
    }

    pub(super) fn p50_us(&self) -> f64 {
        self.micros(500)
    }

    fn micros(&self, permille: u64) -> f64 {
        tenths(real(self.nanos.permille(permille)) / 1000.0)
    }

    pub(super) fn ops_per_s(&self) -> f64 {
        tenths(ratio(real(self.nanos.count()), self.elapsed.as_secs_f64()))
    }

    /// These times as the disk's own.
    pub(super) fn raw(&self) -> Raw {
        let (p50_us, p99_us) = (self.p50_us(), self.micros(990));
        Raw { p50_us, p99_us, ops_per_s: self.ops_per_s() }
    }

    /// A measurement with these times; its name, ratio and syncs are the caller's to say.
    pub(super) fn measurement(&self, threads: u64, value_bytes: u64) -> Measurement {
        Measurement {
            threads,
            value_bytes,
            ops: self.nanos.count(),
            seconds: self.elapsed.as_secs_f64(),
            ops_per_s: self.ops_per_s(),
            p50_us: self.p50_us(),
            p99_us: self.micros(990),
            p999_us: self.micros(999),
            ..Measurement::default()
        }
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The number as a real one; above 2^53 the nearest.
pub(super) fn real(number: u64) -> f64 {
    let half = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    half(number >> 32) * 4_294_967_296.0 + half(number & 0xffff_ffff)
}

/// `one` to `other`; 0 when there is no other.
pub(super) fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

/// Rounded to a tenth: what follows is noise.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The median, rounded to a thousandth; 0 of nothing.
pub(super) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let median = numbers.get(numbers.len() / 2).copied().unwrap_or_default();
    (median * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_become_real_ones_without_loss_up_to_53_bits() {
        assert_eq!(real(0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(real(u64::from(u32::MAX) + 2).to_bits(), 4_294_967_297.0_f64.to_bits());
        assert_eq!(real((1 << 53) - 1).to_bits(), 9_007_199_254_740_991.0_f64.to_bits());
    }

    #[test]
    fn figures_are_the_ones_of_the_operations() {
        let mut times = Times::default();
        for micros in [10, 20, 30, 40_000] {
            times.add(Duration::from_micros(micros));
        }
        let said = times.measurement(1, 256);
        assert_eq!((said.ops, said.threads, said.value_bytes), (4, 1, 256));
        assert!((20.0..=20.7).contains(&said.p50_us), "{said:?}");
        assert!((said.p999_us - 40_000.0).abs() < 0.1 && (said.ops_per_s - 99.9).abs() < 0.1);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!(median(Vec::new()).abs() < 1e-9 && ratio(1.0, 0.0).abs() < 1e-9);
    }
}
