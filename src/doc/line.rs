//! One JSON object on one line, written member by member in the order given.
//!
//! What programs read has the same order of members every time, and a document's canonical bytes
//! go into it as they are, without being parsed.

use serde_json::Value;

use super::dump::{put_bytes, put_string};

/// An object that is being written.
#[derive(Clone, Debug)]
pub struct Line(Vec<u8>);

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl Line {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self(vec![b'{'])
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        put_string(&mut self.0, name);
        self.0.push(b':');
    }

    /// Adds a member whose value is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &[u8]) -> Self {
        self.name(name);
        self.0.extend_from_slice(json);
        self
    }

    /// Adds a string.
    #[must_use]
    pub fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name);
        put_string(&mut self.0, text);
        self
    }

    /// Adds bytes: a string if they are UTF-8, else `{"base64":"…"}`.
    #[must_use]
    pub fn bytes(mut self, name: &str, bytes: &[u8]) -> Self {
        self.name(name);
        put_bytes(&mut self.0, bytes);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, name: &str, number: u64) -> Self {
        self.raw(name, number.to_string().as_bytes())
    }

    /// Adds a boolean.
    #[must_use]
    pub fn flag(self, name: &str, flag: bool) -> Self {
        self.raw(name, if flag { b"true" } else { b"false" })
    }

    /// Adds any value.
    #[must_use]
    pub fn value(self, name: &str, value: &Value) -> Self {
        self.raw(name, value.to_string().as_bytes())
    }

    /// Adds an object.
    #[must_use]
    pub fn object(self, name: &str, object: Self) -> Self {
        self.raw(name, &object.finish())
    }

    /// Adds an array of objects.
    #[must_use]
    pub fn array(mut self, name: &str, objects: impl IntoIterator<Item = Self>) -> Self {
        self.name(name);
        self.0.push(b'[');
        for (index, object) in objects.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            self.0.extend_from_slice(&object.finish());
        }
        self.0.push(b']');
        self
    }

    /// The object's bytes, without a newline.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_keep_their_order_and_every_value_is_escaped() {
        let inner = Line::new().flag("z", true);
        let line = Line::new()
            .text("b\"", "\n")
            .number("a", 7)
            .bytes("key", b"\xff")
            .value("v", &json!([null, 0.5]))
            .raw("doc", b"{\"x\":1}")
            .array("list", [inner.clone(), Line::new()])
            .object("o", inner)
            .finish();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"{"b\"":"\n","a":7,"key":{"base64":"/w=="},"v":[null,0.5],"doc":{"x":1},"#,
                r#""list":[{"z":true},{}],"o":{"z":true}}"#
            )
        );
    }
}
