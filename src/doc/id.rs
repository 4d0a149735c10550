//! Names of documents and collections: what is allowed, and how a document gets one.

use crate::base::limits::DOCUMENT_ID_BYTES_MAX;
use crate::base::{Error, ErrorKind, Result, Timestamp};
use crate::store::{Keyspace, Namespace};

/// Checks the id of a document: 1 to [`DOCUMENT_ID_BYTES_MAX`] bytes of UTF-8.
///
/// # Errors
/// `Invalid` when it breaks that rule.
pub fn check_id(id: &str) -> Result<()> {
    let len = id.len();
    if (1..=DOCUMENT_ID_BYTES_MAX).contains(&len) {
        return Ok(());
    }
    let what =
        format!("the id of a document has {len} bytes; give it 1 to {DOCUMENT_ID_BYTES_MAX}");
    Err(Error::new(ErrorKind::Invalid, what))
}

/// Checks the name of a collection, by the rule for every keyspace.
///
/// # Errors
/// `Invalid` when it breaks that rule.
pub fn check_collection(name: &str) -> Result<()> {
    Keyspace::in_namespace(Namespace::Collection, name).map(drop)
}

/// The digits of Crockford's base 32, in lower case: no i, l, o or u to misread.
const DIGITS: &str = "0123456789abcdefghjkmnpqrstvwxyz";

/// A new id of 26 characters: 48 bits of `time` in milliseconds, then 80 bits of `random`, as in
/// a ULID but in lower case. Ids made in different milliseconds sort by time as bytes.
#[must_use]
pub fn generate_id(time: Timestamp, random: [u8; 10]) -> String {
    let millis = (time.0 / 1000).min((1 << 48) - 1);
    let bits = random.iter().fold(u128::from(millis), |bits, byte| bits << 8 | u128::from(*byte));
    (0..26u32)
        .rev()
        .filter_map(|digit| usize::try_from(bits >> (5 * digit) & 31).ok())
        .filter_map(|digit| DIGITS.chars().nth(digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_between_1_and_1024_bytes() {
        assert!(check_id("a").is_ok());
        assert!(check_id(&"é".repeat(512)).is_ok());
        assert_eq!(check_id("").unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(
            check_id(&"x".repeat(1025)).unwrap_err().message(),
            "the id of a document has 1025 bytes; give it 1 to 1024"
        );
    }

    #[test]
    fn a_collection_has_a_name_without_control_characters() {
        assert!(check_collection("work_orders").is_ok());
        assert!(check_collection(&"x".repeat(255)).is_ok());
        for bad in ["", "a\nb", "a\u{85}", &"x".repeat(256)] {
            assert_eq!(check_collection(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn an_id_spells_the_published_time_of_a_ulid() {
        // 01ARZ3NDEK is the time part of the specification's example, 1469922850259 ms.
        let id = generate_id(Timestamp(1_469_922_850_259_999), [0xff; 10]);
        assert_eq!(id, "01arz3ndekzzzzzzzzzzzzzzzz");
        assert_eq!(generate_id(Timestamp::ZERO, [0; 10]), "0".repeat(26));
    }

    #[test]
    fn a_later_id_sorts_later_and_randomness_tells_ids_of_one_time_apart() {
        let time = Timestamp(1_800_000_000_000_000);
        assert!(generate_id(time, [0xff; 10]) < generate_id(time.plus_micros(1000), [0; 10]));
        let mut random = [7; 10];
        let first = generate_id(time, random);
        random[9] += 1;
        assert!(first < generate_id(time, random));
    }

    #[test]
    fn a_time_beyond_48_bits_keeps_the_length() {
        assert_eq!(generate_id(Timestamp(u64::MAX), [0xff; 10]), format!("7{}", "z".repeat(25)));
    }
}
