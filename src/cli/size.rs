//! Sizes as people write them.

/// Bytes as a number, or a number with `KiB`, `MiB` or `GiB`.
pub(super) fn parse(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)];
    let split = |(unit, bytes): &(&str, usize)| Some((text.strip_suffix(unit)?, *bytes));
    let (digits, unit) = units.iter().find_map(split).unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { digits.parse::<usize>().ok() } else { None };
    number.and_then(|number| number.checked_mul(unit)).ok_or_else(|| {
        "give bytes as a number, or a number with KiB, MiB or GiB behind it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::MEMORY_LIMIT_DEFAULT;

    #[test]
    fn a_size_is_a_number_of_bytes_or_of_a_unit() {
        // What the options of every command say.
        assert_eq!(parse("256MiB"), Ok(MEMORY_LIMIT_DEFAULT));
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("65536"), Ok(1 << 16));
        assert_eq!(parse("64KiB"), Ok(1 << 16));
        assert_eq!(parse("3MiB"), Ok(3 << 20));
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        for text in ["", "MiB", "1MB", "-1", "+1", "1 MiB", "1.5GiB", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("{}GiB", usize::MAX)).is_err());
    }
}
