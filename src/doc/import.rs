//! Import: which documents a parsed text holds, under which ids, in which collections.
//!
//! No rule names a particular file. What the members of a document are about is the caller's to
//! know: it passes `recognise`, which names the collection of a document it recognises.

use serde_json::{Map, Value};

use super::canonical::{Canonical, canonical_bytes};
use super::id::{check_collection, check_id};
use crate::base::Result;

/// Where a document goes that nothing else places.
pub const COLLECTION_DEFAULT: &str = "documents";
/// Where the members of a bundle go that are not documents themselves.
pub const COLLECTION_OF_REMAINDERS: &str = "imports";

/// The members that identify a document, the first that is a string or a number counting.
/// `repo` and `number` together stand between the two halves.
const ID_MEMBERS: [&str; 5] = ["id", "receipt_id", "work_order_id", "andon_id", "cve_id"];
const ID_MEMBERS_AFTER_REPO: [&str; 2] = ["git_sha", "build_id"];

/// Hex digits of its hash that identify a document with none of those members.
const HASH_ID_DIGITS: usize = 32;

/// Names the collection of a document by its members, or nothing.
pub type Recognise<'a> = dyn Fn(&Value) -> Option<&'static str> + 'a;

/// A document ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The collection it belongs to.
    pub collection: String,
    /// Its id.
    pub id: String,
    /// The document, unchanged.
    pub doc: Value,
}

/// Splits the value of a text into its documents; `stem` is the name of the file without its
/// extension, and `collection`, if given, is where every document goes.
///
/// - An array: each element is a document.
/// - A bundle: an object that is not a document itself (it is not recognised and has no member
///   that identifies it) and has a member that is an array of one or more objects and nothing
///   else. Each element of each such member is a document, in the collection of the member's
///   name unless it is recognised. The other members together form one document in `imports`
///   with `stem` as its id, so that nothing is dropped.
/// - Anything else is one document.
///
/// A document that breaks a rule is an error in its place, naming the element; the others stand.
#[must_use]
pub fn split(
    value: Value,
    stem: &str,
    collection: Option<&str>,
    recognise: &Recognise<'_>,
) -> Vec<Result<Candidate>> {
    let is_bundle = is_bundle(&value, recognise);
    match value {
        Value::Array(elements) => numbered(elements)
            .map(|(number, element)| {
                single(element, collection, recognise)
                    .map_err(|error| error.within(&format!("element {number}")))
            })
            .collect(),
        Value::Object(members) if is_bundle => split_bundle(members, stem, collection, recognise),
        other => vec![single(other, collection, recognise)],
    }
}

/// A value that is one document and never split: an element, or a line of JSON Lines.
///
/// # Errors
/// `Invalid` when its id or collection breaks a rule.
pub fn single(
    doc: Value,
    collection: Option<&str>,
    recognise: &Recognise<'_>,
) -> Result<Candidate> {
    candidate(doc, COLLECTION_DEFAULT, collection, recognise)
}

fn split_bundle(
    members: Map<String, Value>,
    stem: &str,
    collection: Option<&str>,
    recognise: &Recognise<'_>,
) -> Vec<Result<Candidate>> {
    let mut candidates = Vec::new();
    let mut remainder = Map::new();
    for (name, member) in members {
        match member {
            Value::Array(elements) if are_documents(&elements) => {
                candidates.extend(numbered(elements).map(|(number, element)| {
                    candidate(element, &name, collection, recognise)
                        .map_err(|error| error.within(&format!("{name:?}, element {number}")))
                }));
            }
            other => drop(remainder.insert(name, other)),
        }
    }
    if !remainder.is_empty() {
        let collection = collection.unwrap_or(COLLECTION_OF_REMAINDERS);
        candidates.push(checked(collection, stem.to_owned(), Value::Object(remainder)));
    }
    candidates
}

fn numbered(elements: Vec<Value>) -> impl Iterator<Item = (usize, Value)> {
    (1..).zip(elements)
}

fn is_bundle(value: &Value, recognise: &Recognise<'_>) -> bool {
    let holds_documents = |member: &Value| member.as_array().is_some_and(|e| are_documents(e));
    let may_be = |members: &Map<String, Value>| {
        named_id(members).is_none() && members.values().any(holds_documents)
    };
    value.as_object().is_some_and(may_be) && recognise(value).is_none()
}

fn are_documents(elements: &[Value]) -> bool {
    !elements.is_empty() && elements.iter().all(Value::is_object)
}

fn candidate(
    doc: Value,
    default: &str,
    collection: Option<&str>,
    recognise: &Recognise<'_>,
) -> Result<Candidate> {
    let collection = collection.or_else(|| recognise(&doc)).unwrap_or(default);
    let id = match doc.as_object().and_then(named_id) {
        Some(id) => id,
        None => Canonical::of(&doc)?.sha256.to_string().chars().take(HASH_ID_DIGITS).collect(),
    };
    checked(collection, id, doc)
}

fn checked(collection: &str, id: String, doc: Value) -> Result<Candidate> {
    check_collection(collection)?;
    check_id(&id)?;
    Ok(Candidate { collection: collection.to_owned(), id, doc })
}

/// The id that an object carries in its members. An empty string is one, and is refused later:
/// to make up another id would hide the defect.
fn named_id(members: &Map<String, Value>) -> Option<String> {
    let member = |name: &&str| members.get(*name).and_then(id_text);
    let issue = || {
        let repo = members.get("repo").and_then(Value::as_str)?;
        let number = members.get("number").and_then(id_text)?;
        Some(format!("{repo}#{number}"))
    };
    let first = |names: &[&str]| names.iter().find_map(member);
    first(&ID_MEMBERS).or_else(issue).or_else(|| first(&ID_MEMBERS_AFTER_REPO))
}

/// A string as it is, a number as its canonical text; no other value identifies anything.
fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) => String::from_utf8(canonical_bytes(value).ok()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::base::ErrorKind;

    fn bells(doc: &Value) -> Option<&'static str> {
        doc.get("rings").map(|_| "bells")
    }

    fn places(value: Value) -> Vec<String> {
        split(value, "stem", None, &bells)
            .into_iter()
            .map(|one| one.unwrap())
            .map(|one| format!("{}/{}", one.collection, one.id))
            .collect()
    }

    #[test]
    fn each_element_of_an_array_is_a_document_of_any_type() {
        let value = json!([{"id": "a"}, {"id": "b", "rings": 1}, 7]);
        // The first 32 digits of the SHA-256 of "7".
        let seven = "documents/7902699be42c8a8e46fbbb4501726517";
        assert_eq!(places(value), ["documents/a", "bells/b", seven]);
        assert!(places(json!([])).is_empty());
    }

    #[test]
    fn a_bundle_is_split_and_its_other_members_are_kept() {
        let value = json!({
            "brass": [{"id": 1}, {"id": 2, "rings": 1}],
            "empty": [],
            "mixed": [{"id": 3}, 4],
            "summary": {"total": 2},
        });
        assert_eq!(places(value.clone()), ["brass/1", "bells/2", "imports/stem"]);
        let last = split(value, "stem", None, &bells).pop().unwrap().unwrap();
        assert_eq!(
            last.doc,
            json!({"empty": [], "mixed": [{"id": 3}, 4], "summary": {"total": 2}})
        );
    }

    #[test]
    fn a_bundle_without_other_members_leaves_no_remainder() {
        assert_eq!(places(json!({"brass": [{"id": "a"}]})), ["brass/a"]);
    }

    #[test]
    fn an_object_with_an_id_of_its_own_or_recognised_stays_one_document() {
        let steps = json!([{"name": "turn"}, {"name": "polish"}]);
        assert_eq!(places(json!({"id": "wo-1", "steps": steps})), ["documents/wo-1"]);
        assert_eq!(places(json!({"build_id": 9, "steps": steps})), ["documents/9"]);
        let recognised = places(json!({"rings": 3, "steps": steps}));
        assert_eq!(recognised.len(), 1);
        assert!(recognised[0].starts_with("bells/"), "{recognised:?}");
    }

    #[test]
    fn an_object_without_arrays_of_objects_stays_one_document() {
        let value = json!({"git_sha": "25a2", "gates": {"ct": {}}, "blockers": ["ct"]});
        assert_eq!(places(value), ["documents/25a2"]);
        assert_eq!(places(json!({"tags": ["a"], "rows": [[1]]})).len(), 1);
    }

    #[test]
    fn the_first_member_that_identifies_counts_and_numbers_become_their_text() {
        for (doc, id) in [
            (json!({"receipt_id": "r", "id": "i"}), "i"),
            (json!({"id": null, "receipt_id": "r", "work_order_id": "w"}), "r"),
            (json!({"id": {"x": 1}, "work_order_id": "w", "andon_id": "a"}), "w"),
            (json!({"andon_id": "a", "cve_id": "c"}), "a"),
            (json!({"cve_id": "c", "repo": "o/r", "number": 4}), "c"),
            (json!({"repo": "o/r", "number": 4, "git_sha": "g"}), "o/r#4"),
            (json!({"repo": "o/r", "git_sha": "g", "build_id": "b"}), "g"),
            (json!({"build_id": "b"}), "b"),
            (json!({"id": 12.0}), "12"),
            (json!({"id": -3}), "-3"),
        ] {
            assert_eq!(single(doc, None, &bells).unwrap().id, id);
        }
    }

    #[test]
    fn an_id_by_hash_does_not_depend_on_the_order_of_members() {
        let one = single(json!({"a": 1, "b": 2}), None, &bells).unwrap();
        let other = single(json!({"b": 2.0, "a": 1}), None, &bells).unwrap();
        assert_eq!(one.id, other.id);
        assert_eq!(one.id.len(), 32);
    }

    #[test]
    fn a_given_collection_goes_before_every_rule() {
        let value = json!({"brass": [{"id": "a"}, {"id": "b", "rings": 1}], "note": "x"});
        let all: Vec<_> = split(value, "stem", Some("mine"), &bells)
            .into_iter()
            .map(|one| one.unwrap().collection)
            .collect();
        assert_eq!(all, ["mine", "mine", "mine"]);
    }

    #[test]
    fn a_line_is_one_document_even_if_it_looks_like_a_bundle() {
        let line = single(json!({"brass": [{"id": "a"}]}), None, &bells).unwrap();
        assert_eq!(line.collection, "documents");
        assert_eq!(line.doc, json!({"brass": [{"id": "a"}]}));
    }

    #[test]
    fn a_document_that_breaks_a_rule_is_named_and_the_others_stand() {
        let all = split(json!({"brass": [{"id": ""}, {"id": "b"}]}), "stem", None, &bells);
        let error = all[0].as_ref().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().starts_with("\"brass\", element 1: the id of a document"));
        assert_eq!(all[1].as_ref().unwrap().id, "b");
        let control = split(json!({"a\nb": [{"id": "c"}]}), "stem", None, &bells);
        assert!(control[0].is_err());
    }
}
