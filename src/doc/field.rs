//! The path to a value inside a document.

use std::fmt;

use serde_json::Value;

use crate::base::{Error, ErrorKind, Result};

/// A dotted path: `details.stage`, or `steps.0.name` for the first element of an array.
///
/// A name that itself contains a dot, `=`, `<` or `>`, or begins or ends with a space, cannot be
/// written as a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field(String);

impl Field {
    /// Reads a dotted path.
    ///
    /// # Errors
    /// `Invalid` when a name between the dots is empty or the path has `=`, `<` or `>`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.contains(['=', '<', '>']) || text.split('.').any(str::is_empty) {
            let what = format!(
                "{text:?} is not a field; give names joined by dots, without =, < and >, such as \
                 details.stage"
            );
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        Ok(Self(text.to_owned()))
    }

    /// The value at this path, if `document` has one.
    #[must_use]
    pub fn find<'v>(&self, document: &'v Value) -> Option<&'v Value> {
        self.0.split('.').try_fold(document, |value, name| match value {
            Value::Object(members) => members.get(name),
            Value::Array(elements) => elements.get(index(name)?),
            _ => None,
        })
    }
}

/// An index in its one spelling: decimal digits, no sign, no leading zero.
fn index(name: &str) -> Option<usize> {
    let index = name.parse::<usize>().ok()?;
    (index.to_string() == name).then_some(index)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_goes_through_objects_and_arrays() {
        let document = json!({"a": {"b": [1, {"c": 2}]}, "0": "zero"});
        let find = |path| Field::parse(path).unwrap().find(&document).cloned();
        assert_eq!(find("a.b.1.c"), Some(json!(2)));
        assert_eq!(find(" 0 "), Some(json!("zero")));
        for missing in ["a.c", "a.b.2", "a.b.-1", "a.b.+1", "a.b.01", "a.b.0.c", "b"] {
            assert_eq!(find(missing), None, "{missing}");
        }
    }

    #[test]
    fn a_path_with_an_empty_name_or_an_operator_is_refused() {
        for bad in ["", " ", ".", "a.", ".a", "a..b", "a=b", "a<b", "a>b"] {
            assert_eq!(Field::parse(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
