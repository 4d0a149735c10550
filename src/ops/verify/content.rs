//! What a value must look like, wherever it is kept. Pure.

use std::collections::BTreeMap;

use crate::base::KeyspaceId;
use crate::base::limits::{REPLY_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::doc::{Canonical, Revision, Sha256, id, json};
use crate::store::{Keyspace, Namespace, parse_directory_entry};

/// The directory of keyspaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeMap<KeyspaceId, Keyspace>);

impl Names {
    /// Takes an entry; says what is wrong with it.
    pub(super) fn learn(&mut self, key: &[u8], value: &[u8]) -> Option<String> {
        let Some((keyspace, id)) = parse_directory_entry(key, value) else {
            return Some("an entry of the directory of keyspaces is not one".to_owned());
        };
        let taken = self.0.values().any(|known| *known == keyspace);
        if taken || self.0.insert(id, keyspace).is_some() {
            return Some(format!("keyspace {id} was created twice"));
        }
        None
    }

    pub(super) fn namespace(&self, keyspace: KeyspaceId) -> Option<Namespace> {
        self.0.get(&keyspace).map(Keyspace::namespace)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The name of a document in messages.
pub(super) fn name_of(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The revision that a document's value or note begins with; else what is wrong.
pub(super) fn revision(key: &[u8], stored: &[u8]) -> Result<Revision, String> {
    let name = name_of(key);
    let Some(revision) = Revision::decode(stored) else {
        return Err(format!("the document {name:?} has no revision"));
    };
    check_id(key).map_or(Ok(revision), Err)
}

/// What is wrong with the id of a document.
pub(super) fn check_id(key: &[u8]) -> Option<String> {
    let is_one = std::str::from_utf8(key).is_ok_and(|name| id::check_id(name).is_ok());
    (!is_one).then(|| format!("the id {:?} breaks the rules for ids", name_of(key)))
}

/// What is wrong with the content of a document.
pub(super) fn check_document(key: &[u8], stored: &[u8], revision: &Revision) -> Option<String> {
    let bytes = stored.get(revision.encode().len()..).unwrap_or_default();
    if Sha256::of(bytes) != revision.sha256 {
        return Some(format!("the document {:?} is not what its hash says", name_of(key)));
    }
    let canonical = json::parse(bytes).and_then(|value| Canonical::of(&value));
    if canonical.is_ok_and(|canonical| canonical.bytes == bytes) {
        return None;
    }
    Some(format!("the document {:?} is not stored in canonical form", name_of(key)))
}

/// What is wrong with an answer that tables keep for a request.
pub(super) fn check_answer(key: &[u8], value: Option<&[u8]>) -> Option<String> {
    let is_id = !key.is_empty() && key.len() <= REQUEST_BYTES_MAX;
    if !is_id || std::str::from_utf8(key).is_err() {
        return Some(format!("the request {:?} breaks the rules for requests", name_of(key)));
    }
    let is_answer = value.is_some_and(|value| value.len() <= REPLY_BYTES_MAX);
    (!is_answer).then(|| format!("what is kept for the request {:?} is no answer", name_of(key)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::directory_key;

    #[test]
    fn a_document_is_its_canonical_bytes_behind_their_hash() {
        let canonical = Canonical::of(&json!({"b": 1, "a": 2})).unwrap();
        let stored = |bytes: &[u8]| {
            let head = Revision { rev: 4, sha256: Sha256::of(bytes) };
            (head, [head.encode().as_slice(), bytes].concat())
        };
        let (head, whole) = stored(&canonical.bytes);
        assert_eq!(revision(b"d", &whole), Ok(head));
        assert_eq!(check_document(b"d", &whole, &head), None);
        let told = |stored: &[u8], head| check_document(b"d", stored, head).unwrap();
        let (other, spaced) = stored(b"{ \"a\":2}");
        assert!(told(&spaced, &other).contains("canonical form"));
        assert!(told(&spaced, &head).contains("what its hash says"));
        assert!(revision(b"d", b"").unwrap_err().contains("no revision"));
        assert!(revision(b"", &whole).unwrap_err().contains("rules for ids"));
        assert!(revision(&[0xff], &whole).unwrap_err().contains("rules for ids"));
    }

    #[test]
    fn a_name_is_learned_once() {
        let mut names = Names::default();
        let key = directory_key(&Keyspace::new("parts").unwrap());
        assert_eq!(names.learn(&key, &3_u32.to_le_bytes()), None);
        assert_eq!(names.namespace(KeyspaceId(3)), Some(Namespace::Keyspace));
        let other = directory_key(&Keyspace::new("tools").unwrap());
        for (key, number) in [(&key, 4_u32), (&other, 3)] {
            assert!(names.clone().learn(key, &number.to_le_bytes()).unwrap().contains("twice"));
        }
        assert!(names.learn(b"", b"").unwrap().contains("is not one"));
    }

    #[test]
    fn an_answer_has_a_request_and_a_length_within_their_limits() {
        assert_eq!(check_answer(b"r", Some(b"")), None);
        let long = vec![b'r'; REQUEST_BYTES_MAX + 1];
        for key in [&b""[..], &long, &[0xff]] {
            assert!(check_answer(key, Some(b"")).unwrap().contains("rules for requests"));
        }
        for value in [None, Some(&vec![0; REPLY_BYTES_MAX + 1][..])] {
            assert!(check_answer(b"r", value).unwrap().contains("no answer"));
        }
    }
}
