//! JSON text to documents, with a line and a column in every refusal.
//!
//! Stricter than `serde_json` where leniency would lose or change something: a member given
//! twice, and a number beyond 2^53-1, are refused. Columns count bytes from 1.

use std::fmt;
use std::sync::OnceLock;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess};
use serde_json::{Map, Number, Value};

use super::canonical::{INTEGER_MAX, is_safe};
use crate::base::limits::DOCUMENT_DEPTH_MAX;
use crate::base::{Error, ErrorKind, Result};

/// How a text holds its values.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The whole text is one value, or is damaged.
    One,
    /// Every line that is not blank is a value of its own.
    Lines,
}

/// Parses a text that is one document.
///
/// # Errors
/// `Invalid`, with line and column: not UTF-8, not JSON, something after the value, a member
/// given twice, a number beyond 2^53-1, or nesting beyond [`DOCUMENT_DEPTH_MAX`].
pub fn parse(text: &[u8]) -> Result<Value> {
    parse_at(text, 1)
}

/// Parses JSON Lines: each line that is not blank, with its number from 1.
///
/// A bad line is an error of its own; the lines after it are still read.
pub fn parse_lines(text: &[u8]) -> impl Iterator<Item = (usize, Result<Value>)> + '_ {
    full_lines(text).map(|(number, line)| (number, parse_at(line, number)))
}

/// Tells one value from JSON Lines.
///
/// A text is lines when its first line is a complete value and another value follows: no text
/// like that can be one value, so nothing is guessed. A text of one line is one value.
#[must_use]
pub fn form(text: &[u8]) -> Form {
    let mut lines = full_lines(text);
    match (lines.next(), lines.next()) {
        (Some((_, first)), Some(_)) if is_complete(first) => Form::Lines,
        _ => Form::One,
    }
}

/// Whether `text` is JSON at all, by syntax alone.
pub(super) fn is_complete(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

fn full_lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> + '_ {
    (1..).zip(text.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.trim_ascii().is_empty())
}

fn parse_at(text: &[u8], first_line: usize) -> Result<Value> {
    let text = std::str::from_utf8(text)
        .map_err(|error| not_utf8(text, error.valid_up_to(), first_line))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let refuse = |error: serde_json::Error| refused(&error, first_line);
    let value = Reader.deserialize(&mut json).map_err(refuse)?;
    json.end().map_err(refuse)?;
    Ok(value)
}

fn refused(error: &serde_json::Error, first_line: usize) -> Error {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let mut what = text.strip_suffix(&position).unwrap_or(&text).to_owned();
    if what == "recursion limit exceeded" {
        what = format!(
            "more than {DOCUMENT_DEPTH_MAX} arrays and objects inside each other; flatten the \
             document"
        );
    }
    at(first_line + error.line().saturating_sub(1), error.column(), &what)
}

fn not_utf8(text: &[u8], good: usize, first_line: usize) -> Error {
    let before = text.get(..good).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count();
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    at(first_line + line, column, "the bytes are not UTF-8; save the text as UTF-8")
}

fn at(line: usize, column: usize, what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("line {line}, column {column}: {what}"))
}

/// The line that a refusal of this file names, if `error` is one.
#[must_use]
pub fn line_of(error: &Error) -> Option<usize> {
    let rest = error.message().strip_prefix("line ")?;
    rest.split_once(", column ")?.0.parse().ok()
}

/// Reads any value by our rules; `serde_json` adds the position to what it refuses.
#[derive(Clone, Copy)]
struct Reader;

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> serde::de::Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        number(Number::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        number(Number::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map_or_else(|| Err(too_large(&value)), number)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.is_empty() && name == NUMBER_MARK && numbers_come_as_text() {
                return number_of_text(&members.next_value::<String>()?);
            }
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the member {name:?} is given twice in one object; remove or rename one"
                )));
            }
            object.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

fn number<E: serde::de::Error>(number: Number) -> Result<Value, E> {
    if is_safe(&number) { Ok(Value::Number(number)) } else { Err(too_large(&number)) }
}

fn too_large<E: serde::de::Error>(number: &dyn fmt::Display) -> E {
    E::custom(format_args!(
        "the number {number} is beyond {INTEGER_MAX} (2^53-1) and would not be kept exactly; \
         store it as a string"
    ))
}

/// The name under which `serde_json` passes a number as text when any crate of the program turns
/// its feature `arbitrary_precision` on.
const NUMBER_MARK: &str = "$serde_json::private::Number";

/// Whether that feature is on, which no `cfg` of ours can tell. Without it no `Number` is that
/// large; with it the mark is reserved by `serde_json` and cannot be a member's name.
fn numbers_come_as_text() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| serde_json::from_str::<Number>("1e999").is_ok())
}

/// The number we would have been given without `arbitrary_precision`.
fn number_of_text<E: serde::de::Error>(text: &str) -> Result<Value, E> {
    if let Ok(integer) = text.parse::<i64>() {
        return number(Number::from(integer));
    }
    match text.parse().ok().and_then(Number::from_f64) {
        Some(float) => number(float),
        None => Err(too_large(&text)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(text: impl AsRef<[u8]>) -> String {
        let error = parse(text.as_ref()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.message().to_owned()
    }

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_document_is_any_json_value() {
        let text = br#" {"a":[1,-2,0.5,null,true,"\u00e9"],"b":{}} "#;
        assert_eq!(parse(text).unwrap(), json!({"a": [1, -2, 0.5, null, true, "é"], "b": {}}));
        assert_eq!(parse(b"7").unwrap(), json!(7));
    }

    #[test]
    fn a_syntax_error_names_its_line_and_column() {
        assert_eq!(refusal("{\n  \"a\": x\n}"), "line 2, column 8: expected value");
    }

    #[test]
    fn a_member_given_twice_is_named_with_its_place() {
        let message = refusal("{\"a\":1,\n\"b\":{\"c\":1,\"c\":1}}");
        assert!(message.starts_with("line 2, column 1"), "{message}");
        assert!(message.contains("\"c\" is given twice"), "{message}");
    }

    #[test]
    fn an_escaped_spelling_of_the_same_member_is_the_same_member() {
        assert!(refusal(r#"{"a":1,"\u0061":2}"#).contains("given twice"));
    }

    #[test]
    fn numbers_are_kept_up_to_2_pow_53_minus_1_and_refused_beyond() {
        for good in ["9007199254740991", "-9007199254740991", "9007199254740991.0", "5e-324"] {
            assert!(parse(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "9007199254740992",
            "-9007199254740992",
            "9007199254740992.0",
            "1e20",
            "-1e300",
            "18446744073709551615",
            "123456789012345678901234567890",
        ] {
            let message = refusal(format!("[1,\n{bad}]"));
            assert!(message.starts_with("line 2"), "{message}");
            assert!(message.ends_with("store it as a string"), "{message}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused() {
        for bad in ["1e999", "-1e999", "NaN", "Infinity"] {
            assert!(refusal(bad).starts_with("line 1, column"), "{bad}");
        }
    }

    #[test]
    fn numbers_that_come_as_text_are_the_same_numbers() {
        let value = |text| number_of_text::<serde_json::Error>(text);
        assert_eq!(value("12").unwrap(), json!(12));
        assert_eq!(value("1.50").unwrap(), json!(1.5));
        assert_eq!(value("1e2").unwrap(), json!(100.0));
        assert!(value("9007199254740992").is_err());
        assert!(value("1e999").is_err());
    }

    #[test]
    fn nesting_is_kept_to_the_limit_and_refused_beyond() {
        assert!(parse(nested(DOCUMENT_DEPTH_MAX).as_bytes()).is_ok());
        let message = refusal(nested(DOCUMENT_DEPTH_MAX + 1));
        assert!(message.contains("more than 127 arrays and objects"), "{message}");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused_with_their_place() {
        let message = refusal(b"{\n\"a\": \"\xff\"}");
        assert!(message.starts_with("line 2, column 7: the bytes are not UTF-8"), "{message}");
    }

    #[test]
    fn half_a_surrogate_pair_is_refused() {
        assert!(refusal(r#""\ud83d""#).starts_with("line 1"));
    }

    #[test]
    fn something_after_the_value_is_refused() {
        assert_eq!(refusal("{}\n{}"), "line 2, column 1: trailing characters");
    }

    #[test]
    fn lines_are_numbered_and_a_bad_one_does_not_stop_the_others() {
        let lines: Vec<_> = parse_lines(b"1\r\n\n  \n{\"a\":}\n\"x\"").collect();
        let numbers: Vec<_> = lines.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 4, 5]);
        let message = lines[1].1.as_ref().unwrap_err().message();
        assert!(message.starts_with("line 4, column 6"), "{message}");
        assert_eq!(lines[2].1.as_ref().unwrap(), &json!("x"));
    }

    #[test]
    fn lines_are_told_from_one_value() {
        for one in ["", "{\n\"a\":1}\n\n", "{\"a\":1}\n \n", "[1,\n2]", "{\"a\":\n{}}\n{}", "1 2"] {
            assert_eq!(form(one.as_bytes()), Form::One, "{one}");
        }
        for lines in ["{}\n{}", "\n1\n2", "{\"a\":1,\"a\":1}\n{}\n", "{}\r\n{\"torn"] {
            assert_eq!(form(lines.as_bytes()), Form::Lines, "{lines}");
        }
    }
}
