//! One condition on a document: `FIELD OP VALUE`.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

use super::canonical::check_value;
use super::field::Field;
use super::json::{is_complete, parse};
use super::order::{compare, rank};
use crate::base::{Error, ErrorKind, Result};

/// How a field is compared with a value.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`: the same value, of any type.
    Equal,
    /// `!=`: everything else, a missing field included.
    NotEqual,
    /// `<`, among values of one type.
    Less,
    /// `<=`, among values of one type.
    LessOrEqual,
    /// `>`, among values of one type.
    Greater,
    /// `>=`, among values of one type.
    GreaterOrEqual,
    /// `^=`: a string that begins with the value.
    Prefix,
}

/// The spellings, the longer before the shorter that begins it.
const SPELLINGS: [(&str, Op); 7] = [
    ("!=", Op::NotEqual),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    ("^=", Op::Prefix),
    ("=", Op::Equal),
    ("<", Op::Less),
    (">", Op::Greater),
];

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SPELLINGS.iter().filter(|(_, op)| op == self).try_for_each(|(text, _)| f.write_str(text))
    }
}

/// A condition on one field.
///
/// `=` and `!=` compare by value, numbers as numbers (1 equals 1.0). The ordering operators hold
/// only between two values of the same type among null, bool, number and string: a price
/// stored as text is not "less than 10". A missing field matches nothing except `!=`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    field: Field,
    op: Op,
    value: Value,
}

impl Filter {
    /// A condition of its parts.
    ///
    /// # Errors
    /// `Invalid` when the condition could never hold by its types (a prefix that is no string,
    /// an order among arrays or objects), or the value cannot be in a document.
    pub fn new(field: Field, op: Op, value: Value) -> Result<Self> {
        check_value(&value)?;
        let is_order = matches!(op, Op::Less | Op::LessOrEqual | Op::Greater | Op::GreaterOrEqual);
        if op == Op::Prefix && !value.is_string() {
            return Err(invalid(format!("{field} {op} {value}: a prefix must be a string")));
        }
        if is_order && (value.is_array() || value.is_object()) {
            return Err(invalid(format!(
                "{field} {op} {value}: arrays and objects have no order; use = or !="
            )));
        }
        Ok(Self { field, op, value })
    }

    /// Reads `FIELD OP VALUE`; spaces around OP are optional.
    ///
    /// OP is the first of `= != < <= > >= ^=` in the text, the longer one where two begin
    /// together. VALUE is JSON if it is JSON, else a string as it stands; quote it to get the
    /// string `"10"`. After `^=` it is always a string, so that `at ^= 2026` does what it says.
    ///
    /// # Errors
    /// `Invalid` when there is no OP or no FIELD, when [`Filter::new`] refuses the parts, or
    /// when VALUE is JSON that no document can hold.
    pub fn parse(text: &str) -> Result<Self> {
        let (field, op, value) = split_at_op(text).ok_or_else(|| {
            invalid(format!(
                "{text:?} is not a condition; give FIELD OP VALUE with one of = != < <= > >= ^="
            ))
        })?;
        let value = match parse(value.as_bytes()) {
            Ok(value) if op != Op::Prefix || value.is_string() => value,
            Err(error) if op != Op::Prefix && is_complete(value.as_bytes()) => {
                return Err(error.within(text));
            }
            _ => Value::String(value.to_owned()),
        };
        Self::new(Field::parse(field).map_err(|error| error.within(text))?, op, value)
    }

    /// Whether `document` meets this condition.
    #[must_use]
    pub fn matches(&self, document: &Value) -> bool {
        let found = self.field.find(document);
        let order = found
            .filter(|found| rank(found) == rank(&self.value))
            .map(|found| compare(found, &self.value));
        match self.op {
            Op::Equal => order.is_some_and(Ordering::is_eq),
            Op::NotEqual => !order.is_some_and(Ordering::is_eq),
            Op::Less => order.is_some_and(Ordering::is_lt),
            Op::LessOrEqual => order.is_some_and(Ordering::is_le),
            Op::Greater => order.is_some_and(Ordering::is_gt),
            Op::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            Op::Prefix => found.is_some_and(|found| begins_with(found, &self.value)),
        }
    }
}

fn begins_with(found: &Value, prefix: &Value) -> bool {
    match (found, prefix) {
        (Value::String(found), Value::String(prefix)) => found.starts_with(prefix),
        _ => false,
    }
}

/// Splits at the first operator, the longest that begins there.
fn split_at_op(text: &str) -> Option<(&str, Op, &str)> {
    text.char_indices().find_map(|(at, _)| {
        let (field, rest) = text.split_at_checked(at)?;
        let (op, value) = SPELLINGS
            .iter()
            .find_map(|(spelling, op)| Some((*op, rest.strip_prefix(spelling)?)))?;
        Some((field.trim(), op, value.trim()))
    })
}

fn invalid(what: String) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

impl fmt::Display for Filter {
    /// Writes what [`Filter::parse`] reads back as the same filter.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.field, self.op, self.value)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(filter: &str, document: &Value) -> bool {
        Filter::parse(filter).unwrap().matches(document)
    }

    #[test]
    fn spaces_are_optional_and_the_first_and_longest_operator_counts() {
        for (text, shown) in [
            ("a=1", "a = 1"),
            ("a = 1", "a = 1"),
            ("a<=1", "a <= 1"),
            (" a!=b=c ", "a != \"b=c\""),
            ("a.b ^= x>y", "a.b ^= \"x>y\""),
            ("a=", "a = \"\""),
            ("a=<1", "a = \"<1\""),
            ("a ^= 2026", "a ^= \"2026\""),
            ("a = \"10\"", "a = \"10\""),
            ("a = 1.2.3", "a = \"1.2.3\""),
            ("a = [1, 2]", "a = [1,2]"),
            ("a! = null", "a! = null"),
        ] {
            let filter = Filter::parse(text).unwrap();
            assert_eq!(filter.to_string(), shown, "{text}");
            assert_eq!(Filter::parse(shown).unwrap(), filter, "{text}");
        }
    }

    #[test]
    fn a_displayed_filter_reads_back_as_itself_whatever_its_value() {
        for value in
            [json!("a = \"b\"\n"), json!(1.0), json!(-0.5), json!({"=": [null]}), json!("1")]
        {
            let field = Field::parse("x.0").unwrap();
            let filter = Filter::new(field, Op::Equal, value).unwrap();
            assert_eq!(Filter::parse(&filter.to_string()).unwrap(), filter);
        }
    }

    #[test]
    fn what_is_not_a_condition_is_refused() {
        for bad in [
            "",
            "a",
            "= 1",
            "a..b = 1",
            "a < [1]",
            "a >= {}",
            "a = 9007199254740993",
            "a = {\"b\":1,\"b\":2}",
        ] {
            assert_eq!(Filter::parse(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        let field = Field::parse("a").unwrap();
        assert!(Filter::new(field, Op::Prefix, json!(1)).is_err());
    }

    #[test]
    fn equality_is_by_value() {
        let document = json!({"n": 1, "s": "x", "l": [1, {"a": 2}], "z": null});
        for yes in
            ["n = 1.0", "s = x", "l = [1.0,{\"a\":2}]", "z = null", "l.1.a = 2", "n != \"1\""]
        {
            assert!(holds(yes, &document), "{yes}");
        }
        for no in ["n = \"1\"", "n != 1.0", "s = X", "l = [1]", "z != null"] {
            assert!(!holds(no, &document), "{no}");
        }
    }

    #[test]
    fn order_is_only_among_values_of_one_type() {
        let document = json!({"n": 5, "s": "5", "b": true, "l": [1]});
        for yes in ["n < 10", "n >= 5", "s < \"6\"", "s > \"10\"", "b > false", "b <= true"] {
            assert!(holds(yes, &document), "{yes}");
        }
        for no in ["n < \"6\"", "n > null", "s > 1", "s < 6", "n > 5", "l > 0", "b < true"] {
            assert!(!holds(no, &document), "{no}");
        }
    }

    #[test]
    fn a_missing_field_matches_nothing_except_not_equal() {
        for no in ["a = null", "a < 1", "a <= null", "a > null", "a >= false", "a ^= x"] {
            assert!(!holds(no, &json!({})), "{no}");
        }
        assert!(holds("a != null", &json!({})));
        assert!(holds("a != 1", &json!({})));
    }

    #[test]
    fn a_prefix_matches_strings_only() {
        assert!(holds("a ^= wo-", &json!({"a": "wo-1"})));
        assert!(holds("a ^= 20", &json!({"a": "2026-01-28"})));
        assert!(!holds("a ^= 20", &json!({"a": 2026})));
        assert!(!holds("a ^= wo-", &json!({"a": "WO-1"})));
    }
}
