//! Times as text: RFC 3339.

use crate::base::{Error, ErrorKind, Result, Timestamp};

/// The time in UTC, with exactly six decimals and `Z`.
pub(super) fn format(time: Timestamp) -> String {
    time.to_string()
}

/// Reads a time that says where it is: with `Z` or an offset.
///
/// Commits have whole microseconds. Digits below are cut, or with `exclusive` rounded up, so that
/// the commits before the time stay the same.
///
/// # Errors
/// `Invalid` when it is not such a time.
pub(super) fn parse(text: &str, exclusive: bool) -> Result<Timestamp> {
    let parsed: jiff::Timestamp = match text.parse() {
        Ok(parsed) => parsed,
        Err(error) => return out_of_range(text).ok_or_else(|| invalid(text, &error)),
    };
    let nanos = parsed.as_nanosecond();
    let up = i128::from(exclusive && nanos.rem_euclid(1000) != 0);
    // Nothing was committed before 1970, so every earlier time is the same.
    Ok(Timestamp(u64::try_from(nanos.div_euclid(1000) + up).unwrap_or(0)))
}

/// A complete time that only the calculation has no room for: later, or earlier, than any commit.
fn out_of_range(text: &str) -> Option<Timestamp> {
    let pieces = jiff::fmt::temporal::Pieces::parse(text).ok()?;
    pieces.time()?;
    pieces.to_numeric_offset()?;
    Some(if pieces.date().year() > 0 { Timestamp(u64::MAX) } else { Timestamp::ZERO })
}

fn invalid(text: &str, error: &jiff::Error) -> Error {
    let what = format!(
        "{text:?} is not a time ({error}); write it like 2026-03-09T16:30:00Z or with an offset \
         such as +01:00"
    );
    Error::new(ErrorKind::Invalid, what)
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
            assert_eq!(parse(text, false).unwrap(), Timestamp(micros));
        }
    }

    #[test]
    fn a_time_needs_to_say_where_it_is() {
        let at = |text: &str| parse(text, false).unwrap();
        assert_eq!(at("2026-03-09T17:30:00+01:00"), at("2026-03-09T16:30:00Z"));
        assert_eq!(at("2026-03-09T16:30:00.0000019Z"), at("2026-03-09T16:30:00.000001Z"));
        assert_eq!(at("1969-12-31T23:59:59Z"), Timestamp::ZERO);
        for bad in ["2026-03-09T16:30:00", "2026-03-09", "yesterday", "", "1773073800"] {
            let error = parse(bad, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_time_between_two_microseconds_divides_the_commits_where_it_is() {
        let text = "2026-03-09T16:30:00.0000019Z";
        let (before, after) = (parse(text, false).unwrap(), parse(text, true).unwrap());
        assert_eq!(after, before.next());
        let whole = "2026-03-09T16:30:00.000001Z";
        assert_eq!(parse(whole, true).unwrap(), parse(whole, false).unwrap());
    }

    #[test]
    fn the_last_second_of_the_last_year_is_a_time() {
        assert_eq!(parse("9999-12-31T23:59:59Z", false).unwrap(), Timestamp(u64::MAX));
        assert!(parse("9999-12-31T23:59:59", false).is_err());
    }
}
