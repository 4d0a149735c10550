//! The lines of an export: documents as other programs want to read them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::line::Line;
use crate::base::{Error, ErrorKind, Result};

/// The columns of a CSV before those of the documents' members.
const COLUMNS: [&str; 3] = ["collection", "id", "rev"];

/// `{"collection","id","rev","doc"}`, without a newline; `doc` is canonical bytes.
#[must_use]
pub fn json_line(collection: &str, id: &str, rev: u64, doc: &[u8]) -> Vec<u8> {
    Line::new()
        .text("collection", collection)
        .text("id", id)
        .number("rev", rev)
        .raw("doc", doc)
        .finish()
}

/// A table of documents by RFC 4180: a column for each member that any of them has.
///
/// Strings are written as they are, other values as JSON; a member that is not there is empty.
#[derive(Clone, Debug, Default)]
pub struct Csv {
    members: BTreeSet<String>,
}

impl Csv {
    /// Gives the table a column for each member of `doc`.
    ///
    /// # Errors
    /// `Invalid` for a document that is no object: it has no members, and would be dropped.
    pub fn observe(&mut self, doc: &Value) -> Result<()> {
        for name in members(doc)?.keys() {
            if !self.members.contains(name) {
                self.members.insert(name.clone());
            }
        }
        Ok(())
    }

    /// The first line, with its line end.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let members = self.members.iter().map(String::as_str);
        row(COLUMNS.into_iter().chain(members).map(str::to_owned))
    }

    /// The line of a document, with its line end.
    ///
    /// # Errors
    /// `Conflict` for a member that no document had when the columns were chosen, `Invalid` as
    /// [`Csv::observe`].
    pub fn line(&self, collection: &str, id: &str, rev: u64, doc: &Value) -> Result<Vec<u8>> {
        let members = members(doc)?;
        if let Some(new) = members.keys().find(|name| !self.members.contains(*name)) {
            let what =
                format!("the member {new:?} came into being during the export; export again");
            return Err(Error::new(ErrorKind::Conflict, what));
        }
        let head = [collection.to_owned(), id.to_owned(), rev.to_string()].into_iter();
        let cells =
            self.members.iter().map(|name| members.get(name).map_or_else(String::new, cell));
        Ok(row(head.chain(cells)))
    }
}

fn members(doc: &Value) -> Result<&serde_json::Map<String, Value>> {
    doc.as_object().ok_or_else(|| {
        let what = "a document that is no object has no columns; export it as jsonl or json";
        Error::new(ErrorKind::Invalid, what)
    })
}

fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn row(cells: impl Iterator<Item = String>) -> Vec<u8> {
    let mut line = cells.map(|cell| quoted(&cell)).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line.into_bytes()
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_a_column_for_every_member_and_quotes_what_would_break_it() {
        let docs = [json!({"b": "x,\"y\"", "a": [1, {"c": "d"}]}), json!({"c": null, "b": "\n"})];
        let mut csv = Csv::default();
        docs.iter().try_for_each(|doc| csv.observe(doc)).unwrap();
        let mut text = csv.header();
        for (id, doc) in ["1", "2"].into_iter().zip(&docs) {
            text.extend(csv.line("pots", id, 3, doc).unwrap());
        }
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "collection,id,rev,a,b,c\r\n\
             pots,1,3,\"[1,{\"\"c\"\":\"\"d\"\"}]\",\"x,\"\"y\"\"\",\r\n\
             pots,2,3,,\"\n\",null\r\n"
        );
    }

    #[test]
    fn a_table_refuses_what_it_would_have_to_drop() {
        let mut csv = Csv::default();
        assert_eq!(csv.observe(&json!([1])).unwrap_err().kind(), ErrorKind::Invalid);
        let late = csv.line("pots", "1", 1, &json!({"late": 1})).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn a_json_line_holds_the_document_as_it_is_stored() {
        let line = json_line("c", "a\"b", 2, b"{\"x\":1}");
        let expected = r#"{"collection":"c","id":"a\"b","rev":2,"doc":{"x":1}}"#;
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }
}
