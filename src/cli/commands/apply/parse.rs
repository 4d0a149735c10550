//! From a line to what it asks for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::base::{Error, ErrorKind, Result};
use crate::doc::{Condition, Operation, json};

/// What a line asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// Wait for all earlier lines, and make everything durable.
    Sync,
    /// Wait for all earlier lines, and write everything into tables.
    Checkpoint,
    /// Operations that happen together.
    Write {
        operations: Vec<Operation>,
        /// Makes a retry safe.
        request: Option<String>,
        /// Whether the answer has a list of results.
        is_batch: bool,
    },
}

/// Reads a line.
///
/// # Errors
/// `Invalid`: it is no JSON object, or has an operation or member that is not known.
pub(super) fn parse(line: &[u8]) -> Result<Asked> {
    if line.trim_ascii().is_empty() {
        return Err(invalid("the line is blank; give one JSON operation a line"));
    }
    let mut members = Members::of(json::parse(line)?)?;
    let op = members.text("op")?;
    let asked = match op.as_str() {
        "sync" => Asked::Sync,
        "checkpoint" => Asked::Checkpoint,
        "batch" => {
            let Value::Array(operations) = members.any("ops")? else {
                return Err(invalid("the member \"ops\" is not an array of operations"));
            };
            let operations = (1..).zip(operations).map(|(number, value)| {
                inner(value).map_err(|error| error.within(&format!("operation {number}")))
            });
            let operations = operations.collect::<Result<_>>()?;
            Asked::Write { operations, request: members.maybe_text("request")?, is_batch: true }
        }
        _ => {
            let request = members.maybe_text("request")?;
            let operations = vec![operation(&op, &mut members)?];
            Asked::Write { operations, request, is_batch: false }
        }
    };
    members.finish(&op)?;
    Ok(asked)
}

fn inner(value: Value) -> Result<Operation> {
    let mut members = Members::of(value)?;
    let op = members.text("op")?;
    let operation = operation(&op, &mut members)?;
    members.finish(&op)?;
    Ok(operation)
}

fn operation(op: &str, members: &mut Members) -> Result<Operation> {
    Ok(match op {
        "put" => Operation::Put {
            collection: members.text("collection")?,
            id: members.maybe_text("id")?,
            doc: members.any("doc")?,
            condition: members.condition()?,
        },
        "patch" => Operation::Patch {
            collection: members.text("collection")?,
            id: members.text("id")?,
            patch: members.any("patch")?,
            condition: members.condition()?,
        },
        "delete" => Operation::Delete {
            collection: members.text("collection")?,
            id: members.text("id")?,
            condition: members.condition()?,
        },
        "kv_put" => Operation::KeyPut {
            keyspace: members.text("keyspace")?,
            key: members.bytes("key")?,
            value: members.bytes("value")?,
        },
        "kv_delete" => {
            Operation::KeyDelete { keyspace: members.text("keyspace")?, key: members.bytes("key")? }
        }
        "batch" | "sync" | "checkpoint" => {
            return Err(invalid(format!("{op:?} cannot be part of a batch")));
        }
        _ => {
            return Err(invalid(format!(
                "{op:?} is not an operation; use put, patch, delete, kv_put, kv_delete, batch, \
                 sync or checkpoint"
            )));
        }
    })
}

/// The members of an operation that nobody has taken yet.
struct Members(Map<String, Value>);

impl Members {
    fn of(value: Value) -> Result<Self> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(invalid("an operation is a JSON object with a member \"op\"")),
        }
    }

    fn any(&mut self, name: &str) -> Result<Value> {
        self.0.remove(name).ok_or_else(|| invalid(format!("the member {name:?} is missing")))
    }

    fn text(&mut self, name: &str) -> Result<String> {
        match self.any(name)? {
            Value::String(text) => Ok(text),
            _ => Err(invalid(format!("the member {name:?} is not a string"))),
        }
    }

    fn maybe_text(&mut self, name: &str) -> Result<Option<String>> {
        if self.0.contains_key(name) { self.text(name).map(Some) } else { Ok(None) }
    }

    /// Text, or `{"base64":"…"}`.
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let bad =
            || invalid(format!("the member {name:?} is neither a string nor {{\"base64\":\"…\"}}"));
        match self.any(name)? {
            Value::String(text) => Ok(text.into_bytes()),
            Value::Object(members) if members.len() == 1 => {
                let text = members.get("base64").and_then(Value::as_str).ok_or_else(bad)?;
                STANDARD.decode(text).map_err(|error| {
                    invalid(format!("the member {name:?} is not padded standard base64: {error}"))
                })
            }
            _ => Err(bad()),
        }
    }

    fn condition(&mut self) -> Result<Condition> {
        let if_absent = match self.0.remove("if_absent") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(_) => return Err(invalid("the member \"if_absent\" is not true or false")),
        };
        match self.0.remove("if_rev") {
            None if if_absent => Ok(Condition::Absent),
            None => Ok(Condition::None),
            Some(_) if if_absent => {
                Err(invalid("\"if_rev\" and \"if_absent\" contradict each other; give one"))
            }
            Some(value) => value.as_u64().map(Condition::Revision).ok_or_else(|| {
                invalid("the member \"if_rev\" is not a revision, a whole number from 1")
            }),
        }
    }

    /// Refuses what nobody took: a misspelt condition must not be passed over.
    fn finish(&self, op: &str) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid(format!("{op:?} has no member {name:?}; remove it"))),
        }
    }
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, what)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation_of_the_contract_is_read() {
        let line = br#"{"op":"batch","request":"r","ops":[
            {"op":"put","collection":"c","id":"a","doc":{"x":1},"if_rev":3},
            {"op":"put","collection":"c","doc":null,"if_absent":true},
            {"op":"patch","collection":"c","id":"a","patch":[]},
            {"op":"delete","collection":"c","id":"a"},
            {"op":"kv_put","keyspace":"k","key":{"base64":"/w=="},"value":"v"},
            {"op":"kv_delete","keyspace":"k","key":"x"}]}"#;
        let (collection, id) = ("c".to_owned(), "a".to_owned());
        let keyspace = "k".to_owned();
        let expected = vec![
            Operation::Put {
                collection: collection.clone(),
                id: Some(id.clone()),
                doc: json!({"x": 1}),
                condition: Condition::Revision(3),
            },
            Operation::Put {
                collection: collection.clone(),
                id: None,
                doc: Value::Null,
                condition: Condition::Absent,
            },
            Operation::Patch {
                collection: collection.clone(),
                id: id.clone(),
                patch: json!([]),
                condition: Condition::None,
            },
            Operation::Delete { collection, id, condition: Condition::None },
            Operation::KeyPut { keyspace: keyspace.clone(), key: vec![255], value: b"v".to_vec() },
            Operation::KeyDelete { keyspace, key: b"x".to_vec() },
        ];
        let request = Some("r".to_owned());
        assert_eq!(
            parse(line).unwrap(),
            Asked::Write { operations: expected, request, is_batch: true }
        );
        assert_eq!(parse(br#"{"op":"sync"}"#).unwrap(), Asked::Sync);
        assert_eq!(parse(br#"{"op":"checkpoint"}"#).unwrap(), Asked::Checkpoint);
    }

    #[test]
    fn a_line_that_is_no_operation_is_refused_with_what_is_wrong() {
        for (line, expected) in [
            ("  ", "the line is blank"),
            ("{", "line 1, column 1: EOF"),
            ("[]", "an operation is a JSON object"),
            ("{}", "the member \"op\" is missing"),
            (r#"{"op":"drop"}"#, "\"drop\" is not an operation"),
            (r#"{"op":"put","collection":"c"}"#, "the member \"doc\" is missing"),
            (r#"{"op":"put","collection":7,"doc":1}"#, "the member \"collection\" is not a string"),
            (r#"{"op":"sync","x":1}"#, "\"sync\" has no member \"x\""),
            (r#"{"op":"delete","collection":"c","id":"a","if_reb":1}"#, "\"delete\" has no member"),
            (
                r#"{"op":"kv_put","keyspace":"k","key":1,"value":""}"#,
                "the member \"key\" is neither",
            ),
            (
                r#"{"op":"kv_delete","keyspace":"k","key":{"base64":"/w"}}"#,
                "the member \"key\" is not padded",
            ),
            (r#"{"op":"batch","ops":[{"op":"sync"}]}"#, "operation 1: \"sync\" cannot be part"),
            (
                r#"{"op":"put","collection":"c","doc":1,"if_rev":1,"if_absent":true}"#,
                "\"if_rev\" and \"if_absent\" contradict",
            ),
        ] {
            let error = parse(line.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{line}");
            assert!(error.message().starts_with(expected), "{line}: {error}");
        }
    }
}
