//! Times as text: RFC 3339.

use crate::base::{Error, ErrorKind, Result, Timestamp};

/// The time in UTC, with exactly six decimals and `Z`.
pub(super) fn format(time: Timestamp) -> String {
    let known = i64::try_from(time.0).ok();
    match known.and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok()) {
        Some(time) => format!("{time:.6}"),
        // Beyond the year 9999 there is no spelling; the number is still the truth.
        None => time.to_string(),
    }
}

/// Reads a time that says where it is: with `Z` or an offset. Digits below a microsecond are cut.
///
/// # Errors
/// `Invalid` when it is not such a time.
pub(super) fn parse(text: &str) -> Result<Timestamp> {
    let parsed: jiff::Timestamp = text.parse().map_err(|error| {
        let what = format!(
            "{text:?} is not a time ({error}); write it like 2026-03-09T16:30:00Z or with an \
             offset such as +01:00"
        );
        Error::new(ErrorKind::Invalid, what)
    })?;
    // Nothing was committed before 1970, so every earlier time is the same.
    Ok(Timestamp(u64::try_from(parsed.as_microsecond()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_exactly_six_decimals_and_is_read_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_773_073_800_000_000, "2026-03-09T16:30:00.000000Z"),
            (1_773_073_800_120_003, "2026-03-09T16:30:00.120003Z"),
        ] {
            assert_eq!(format(Timestamp(micros)), text);
            assert_eq!(parse(text).unwrap(), Timestamp(micros));
        }
        assert_eq!(format(Timestamp(u64::MAX)), Timestamp(u64::MAX).to_string());
    }

    #[test]
    fn a_time_needs_to_say_where_it_is() {
        let at = |text: &str| parse(text).unwrap();
        assert_eq!(at("2026-03-09T17:30:00+01:00"), at("2026-03-09T16:30:00Z"));
        assert_eq!(at("2026-03-09T16:30:00.0000019Z"), at("2026-03-09T16:30:00.000001Z"));
        assert_eq!(at("1969-12-31T23:59:59Z"), Timestamp::ZERO);
        for bad in ["2026-03-09T16:30:00", "2026-03-09", "yesterday", "", "1773073800"] {
            let error = parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
