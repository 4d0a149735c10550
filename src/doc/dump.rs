//! The lines of a dump: RFC 8785 bytes, written without building or parsing a value.
//!
//! A dump is compared byte by byte and hashed, so a line has exactly one spelling. The members of
//! both kinds of line are written in canonical order; a test holds that against the canonicalizer.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The line of a document, without its newline: `{"collection","doc","id","rev"}`.
///
/// `doc` must be canonical bytes; they go into the line as they are.
#[must_use]
pub fn document_line(collection: &str, id: &str, rev: u64, doc: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(collection.len() + id.len() + doc.len() + 64);
    line.extend_from_slice(b"{\"collection\":");
    put_string(&mut line, collection);
    line.extend_from_slice(b",\"doc\":");
    line.extend_from_slice(doc);
    line.extend_from_slice(b",\"id\":");
    put_string(&mut line, id);
    line.extend_from_slice(b",\"rev\":");
    line.extend_from_slice(rev.to_string().as_bytes());
    line.push(b'}');
    line
}

/// The line of a key and its value in a keyspace, without its newline:
/// `{"key","keyspace","value"}`, where key and value are strings if they are UTF-8 and
/// `{"base64":"…"}` otherwise.
#[must_use]
pub fn value_line(key: &[u8], keyspace: &str, value: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(key.len() + keyspace.len() + value.len() + 64);
    line.extend_from_slice(b"{\"key\":");
    put_bytes(&mut line, key);
    line.extend_from_slice(b",\"keyspace\":");
    put_string(&mut line, keyspace);
    line.extend_from_slice(b",\"value\":");
    put_bytes(&mut line, value);
    line.push(b'}');
    line
}

pub(super) fn put_bytes(line: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        put_string(line, text);
    } else {
        line.extend_from_slice(b"{\"base64\":\"");
        line.extend_from_slice(STANDARD.encode(bytes).as_bytes());
        line.extend_from_slice(b"\"}");
    }
}

/// Writes `text` as RFC 8785 section 3.2.2.2 says: the shortest escape, and none where JSON
/// needs none.
pub(super) fn put_string(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    for byte in text.bytes() {
        let escape = match byte {
            b'"' => Cow::Borrowed("\\\""),
            b'\\' => Cow::Borrowed("\\\\"),
            0x08 => Cow::Borrowed("\\b"),
            b'\t' => Cow::Borrowed("\\t"),
            b'\n' => Cow::Borrowed("\\n"),
            0x0c => Cow::Borrowed("\\f"),
            b'\r' => Cow::Borrowed("\\r"),
            0x00..0x20 => Cow::Owned(format!("\\u{byte:04x}")),
            _ => {
                line.push(byte);
                continue;
            }
        };
        line.extend_from_slice(escape.as_bytes());
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::canonical::canonical_bytes;
    use super::*;

    fn assert_canonical(line: &[u8], value: &Value) {
        let expected = canonical_bytes(value).unwrap();
        assert_eq!(String::from_utf8_lossy(line), String::from_utf8_lossy(&expected));
    }

    fn every_kind_of_character() -> String {
        ('\0'..='\u{ff}').chain("€\u{2028}\u{fb33}😀/".chars()).collect()
    }

    #[test]
    fn a_document_line_is_what_the_canonicalizer_writes() {
        let text = every_kind_of_character();
        let doc = json!({"b": [1.0, null, text], "a": {"😀": 1, "\u{fb33}": 2}});
        let line = document_line(&text, &text, 7, &canonical_bytes(&doc).unwrap());
        let value = json!({"rev": 7, "id": text, "doc": doc, "collection": text});
        assert_canonical(&line, &value);
    }

    #[test]
    fn a_value_line_is_what_the_canonicalizer_writes() {
        let text = every_kind_of_character();
        assert_canonical(
            &value_line(text.as_bytes(), &text, b"v"),
            &json!({"key": text, "keyspace": text, "value": "v"}),
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_padded_standard_base64() {
        assert_eq!(
            String::from_utf8(value_line(&[0xff, 0xfe, 0xfb, 0xf0], "k", b"\xff")).unwrap(),
            r#"{"key":{"base64":"//778A=="},"keyspace":"k","value":{"base64":"/w=="}}"#
        );
    }
}
