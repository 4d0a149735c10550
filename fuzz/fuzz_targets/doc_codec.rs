//! Input: any bytes as a document, as JSON Lines, and as two documents split at a line.
//!
//! Oracle: no panic; the canonical form is a fixed point and means the same value; what is read
//! is what the JSON library reads, where ours reads it; a patch keeps what it does not name.
#![no_main]

use std::cmp::Ordering;

use jidoka::doc::json::{self, Form};
use jidoka::doc::{Canonical, Sha256, compare, patch};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = json::parse(bytes) {
        let canonical = Canonical::of(&value).expect("a parsed document has a canonical form");
        assert_eq!(Sha256::of(&canonical.bytes), canonical.sha256);
        let again = json::parse(&canonical.bytes).expect("the canonical form is a document");
        assert_eq!(Canonical::of(&again).expect("it was canonical"), canonical);
        assert_eq!(compare(&value, &again), Ordering::Equal);
        let library: Value = serde_json::from_slice(bytes).expect("the library is no stricter");
        assert_eq!(library, value);
        let mut patched = value.clone();
        patch::merge(&mut patched, Value::Object(serde_json::Map::new()));
        assert!(!value.is_object() || patched == value, "an empty patch changes nothing");
    }
    let lines: Vec<_> = json::parse_lines(bytes).collect();
    if json::form(bytes) == Form::Lines {
        assert!(lines.len() > 1 && json::parse(bytes).is_err());
    }
    for (number, line) in &lines {
        if let Err(error) = line {
            assert_eq!(json::line_of(error), Some(*number));
        }
    }
    let mut values = lines.into_iter().filter_map(|(_, line)| line.ok());
    if let (Some(left), Some(right)) = (values.next(), values.next()) {
        pair(&left, &right);
    }
});

fn pair(left: &Value, right: &Value) {
    let canonical = |value: &Value| Canonical::of(value).expect("a parsed document");
    let same = canonical(left) == canonical(right);
    assert_eq!(compare(left, right).is_eq(), same, "equal means the same value");
    assert_eq!(compare(left, right), compare(right, left).reverse());
    let mut patched = left.clone();
    patch::merge(&mut patched, right.clone());
    let once = patched.clone();
    patch::merge(&mut patched, right.clone());
    assert_eq!(patched, once, "a patch that is repeated changes nothing");
}
