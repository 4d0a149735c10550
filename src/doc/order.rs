//! The order of values, and of documents by one field.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use super::canonical::canonical_bytes;
use super::field::Field;
use crate::base::Result;

/// The total order of values: null < bool < number < string < array < object.
///
/// Numbers compare as numbers (1 equals 1.0), strings by their bytes, arrays and objects by
/// their canonical bytes; so `Equal` means the same value.
#[must_use]
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => {
            // Numbers of a document are finite and exact as doubles, so they do compare.
            left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => {
            // Every value of a document has canonical bytes.
            canonical_bytes(left).ok().cmp(&canonical_bytes(right).ok())
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// The place of a value's type in the order.
pub(super) const fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        Value::String(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// An order of documents by one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    field: Field,
    descending: bool,
}

impl Sort {
    /// Reads `FIELD`, `FIELD:asc` or `FIELD:desc`.
    ///
    /// # Errors
    /// `Invalid` when FIELD is not a field.
    pub fn parse(text: &str) -> Result<Self> {
        let (field, descending) = match (text.strip_suffix(":desc"), text.strip_suffix(":asc")) {
            (Some(field), _) => (field, true),
            (None, field) => (field.unwrap_or(text), false),
        };
        Ok(Self { field: Field::parse(field)?, descending })
    }

    /// Compares two documents: by the field, missing last in both directions, ties by id (bytes,
    /// ascending in both directions).
    #[must_use]
    pub fn compare(&self, left: (&str, &Value), right: (&str, &Value)) -> Ordering {
        let fields = match (self.field.find(left.1), self.field.find(right.1)) {
            (Some(left), Some(right)) if self.descending => compare(right, left),
            (Some(left), Some(right)) => compare(left, right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        };
        fields.then_with(|| left.0.cmp(right.0))
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.field, if self.descending { ":desc" } else { ":asc" })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_come_before_values() {
        let ordered = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1),
            json!(0.5),
            json!(10),
            json!(""),
            json!("10"),
            json!("9"),
            json!("é"),
            json!([10]),
            json!([2]),
            json!({"a": 1}),
        ];
        for (i, left) in ordered.iter().enumerate() {
            for (j, right) in ordered.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "{left} {right}");
            }
        }
    }

    #[test]
    fn equal_means_the_same_value_however_it_is_spelled() {
        assert_eq!(compare(&json!(1), &json!(1.0)), Ordering::Equal);
        assert_eq!(compare(&json!(0), &json!(-0.0)), Ordering::Equal);
        assert_eq!(compare(&json!({"a": [1]}), &json!({"a": [1.0]})), Ordering::Equal);
    }

    fn sorted(sort: &str) -> Vec<&'static str> {
        let mut rows = [
            ("d", json!({"n": 2})),
            ("c", json!({"n": 1})),
            ("b", json!({})),
            ("a", json!({"n": 2.0})),
            ("e", json!({"n": null})),
        ];
        let sort = Sort::parse(sort).unwrap();
        rows.sort_by(|left, right| sort.compare((left.0, &left.1), (right.0, &right.1)));
        rows.iter().map(|row| row.0).collect()
    }

    #[test]
    fn missing_is_last_and_ties_go_by_id_in_both_directions() {
        assert_eq!(sorted("n"), ["e", "c", "a", "d", "b"]);
        assert_eq!(sorted("n:asc"), ["e", "c", "a", "d", "b"]);
        assert_eq!(sorted("n:desc"), ["a", "d", "c", "e", "b"]);
    }

    #[test]
    fn a_sort_reads_what_it_displays() {
        for (text, shown) in [("a.b", "a.b:asc"), ("a:desc", "a:desc"), ("a:b", "a:b:asc")] {
            let sort = Sort::parse(text).unwrap();
            assert_eq!(sort.to_string(), shown);
            assert_eq!(Sort::parse(shown).unwrap(), sort);
        }
        assert!(Sort::parse(":desc").is_err());
    }
}
