//! Conversions that lose at most what a table does not show, and medians.
#![expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures for a table: the 54th bit of a count is not printed"
)]

use std::time::Duration;

/// A count as a number to divide with.
pub const fn float(count: u64) -> f64 {
    count as f64
}

/// `part` of `whole`, 0 of nothing.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

pub const fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The middle of `values`, and the two that bound it with a confidence of 95 %: those of the order
/// whose ranks are half of them ± 0.98 times the root of their number. `None` of nothing.
pub fn median(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let away = (0..).find(|away| float(*away) >= 0.98 * float(sorted.len() as u64).sqrt())?;
    let away = usize::try_from(away).ok()?;
    let half = sorted.len() / 2;
    let (low, high) = (half.saturating_sub(away), (half + away).min(last));
    let middle = match sorted.len() % 2 {
        0 => f64::midpoint(*sorted.get(half - 1)?, *sorted.get(half)?),
        _ => *sorted.get(half)?,
    };
    Some((middle, *sorted.get(low)?, *sorted.get(high)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_its_bounds_hold_it() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]).map(|(middle, ..)| middle), Some(3.0));
        assert_eq!(median(&[4.0, 1.0]).map(|(middle, ..)| middle), Some(2.5));
        let many: Vec<f64> = (0..101).map(float).collect();
        assert_eq!(median(&many), Some((50.0, 40.0, 60.0)));
    }
}
