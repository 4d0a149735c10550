//! The model: what documents and keys a store would hold if every step just worked.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::base::checksum::hash64;
use crate::base::{ErrorKind, Lsn, Result, Seq, Term, Timestamp};
use crate::doc::{Condition, Documents, DocumentsAt, Operation, dump};
use crate::store::Snapshot;
use crate::wal::format::{Kind, RECORDS_START, RecordHeader, Salt};

use super::case::{Part, PartKind};

/// A document, small enough to compare by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Doc {
    rev: u64,
    step: u64,
    part: usize,
    len: u16,
    patched: Option<u64>,
}

impl Doc {
    fn canonical(&self) -> String {
        let patched = self.patched.map_or(String::new(), |step| format!("\"patched\":{step},"));
        let text = text(self.len);
        format!("{{\"part\":{},{patched}\"step\":{},\"text\":\"{text}\"}}", self.part, self.step)
    }
}

fn text(len: u16) -> String {
    "kaizen ".chars().cycle().take(usize::from(len)).collect()
}

/// The whole content after some commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    docs: BTreeMap<(u8, u8), Rc<Doc>>,
    values: BTreeMap<(u8, u8), (u64, u16)>,
    /// Sum of the hashes of the dump's lines: equal for equal content, and cheap to keep.
    pub(super) hash: u64,
}

pub(super) fn collection(space: u8) -> String {
    format!("c{space}")
}

fn id(key: u8) -> String {
    format!("d{key}")
}

pub(super) fn keyspace(space: u8) -> String {
    format!("k{space}")
}

impl Model {
    fn doc_line((space, key): (u8, u8), doc: &Doc) -> u64 {
        let canonical = doc.canonical();
        let line = dump::document_line(&collection(space), &id(key), doc.rev, canonical.as_bytes());
        hash64(&line)
    }

    fn value_line((space, key): (u8, u8), (step, len): (u64, u16)) -> u64 {
        hash64(&dump::value_line(&[key], &keyspace(space), &value_bytes(step, len)))
    }

    fn set_doc(&mut self, at: (u8, u8), doc: Option<Doc>) {
        if let Some(old) = self.docs.remove(&at) {
            self.hash = self.hash.wrapping_sub(Self::doc_line(at, &old));
        }
        if let Some(doc) = doc {
            self.hash = self.hash.wrapping_add(Self::doc_line(at, &doc));
            self.docs.insert(at, Rc::new(doc));
        }
    }

    fn set_value(&mut self, at: (u8, u8), value: Option<(u64, u16)>) {
        if let Some(old) = self.values.remove(&at) {
            self.hash = self.hash.wrapping_sub(Self::value_line(at, old));
        }
        if let Some(value) = value {
            self.hash = self.hash.wrapping_add(Self::value_line(at, value));
            self.values.insert(at, value);
        }
    }

    /// The model after a batch, or the kind of error it must be refused with.
    pub(super) fn after(&self, step: u64, parts: &[Part]) -> Result<Self, ErrorKind> {
        let mut next = self.clone();
        for (number, part) in parts.iter().enumerate() {
            let at = (part.space, part.key);
            let known = next.docs.get(&at).cloned();
            let rev = known.as_ref().map_or(0, |doc| doc.rev);
            let is_doc = !matches!(part.what, PartKind::KeyPut | PartKind::KeyDelete);
            if is_doc && part.condition.is_some_and(|off| off != 0) {
                return Err(ErrorKind::Conflict);
            }
            match (part.what, known) {
                (PartKind::Put, _) => {
                    let (len, rev) = (part.len, rev + 1);
                    next.set_doc(at, Some(Doc { rev, step, part: number, len, patched: None }));
                }
                (PartKind::Patch, Some(doc)) => {
                    let doc = Doc { rev: rev + 1, patched: Some(step), ..(*doc).clone() };
                    next.set_doc(at, Some(doc));
                }
                (PartKind::Delete, Some(_)) => next.set_doc(at, None),
                // A condition that holds for an absent document asks that it is absent.
                (PartKind::Patch | PartKind::Delete, None) => return Err(ErrorKind::NotFound),
                (PartKind::KeyPut, _) => next.set_value(at, Some((step, part.len))),
                (PartKind::KeyDelete, _) => next.set_value(at, None),
            }
        }
        Ok(next)
    }

    /// The batch as the store is asked for it. Conditions are those of the model at its place in
    /// the batch.
    pub(super) fn operations(&self, step: u64, parts: &[Part]) -> Vec<Operation> {
        let mut so_far = self.clone();
        parts
            .iter()
            .enumerate()
            .map(|(number, part)| {
                let rev = so_far.docs.get(&(part.space, part.key)).map(|doc| doc.rev);
                let operation = operation(step, number, part, rev);
                so_far = so_far.after(step, std::slice::from_ref(part)).unwrap_or(so_far.clone());
                operation
            })
            .collect()
    }
}

/// The value of a key: as many bytes as fit of a record that claims everything, at every alignment
/// a record can have. Only the log's salts tell it from one.
pub(super) fn value_bytes(step: u64, len: u16) -> Vec<u8> {
    let header = RecordHeader {
        length: 0,
        seq: Seq(u64::MAX - 1),
        lsn: Lsn::ZERO,
        term: Term(0),
        leader: 0,
        kind: Kind::TimeMark,
        time: Timestamp::ZERO,
        chain: 0,
        payload_hash: hash64(&[]),
        claim: Seq(u64::MAX - 2),
    };
    let mut imitation = Vec::new();
    header.encode(Salt(1), RECORDS_START, &mut imitation);
    imitation.push(0);
    let mut bytes = step.to_le_bytes().to_vec();
    bytes.extend(imitation.iter().cycle().take(usize::from(len)));
    bytes
}

fn condition(part: &Part, rev: Option<u64>) -> Condition {
    match (part.condition, rev) {
        (None, _) => Condition::None,
        (Some(0), None) => Condition::Absent,
        (Some(off), rev) => {
            Condition::Revision(rev.unwrap_or(0).saturating_add_signed(i64::from(off)))
        }
    }
}

fn operation(step: u64, number: usize, part: &Part, rev: Option<u64>) -> Operation {
    let condition = condition(part, rev);
    let (collection, id) = (collection(part.space), id(part.key));
    match part.what {
        PartKind::Put => {
            let doc: Value = json!({"part": number, "step": step, "text": text(part.len)});
            Operation::Put { collection, id: Some(id), doc, condition }
        }
        PartKind::Patch => {
            Operation::Patch { collection, id, patch: json!({"patched": step}), condition }
        }
        PartKind::Delete => Operation::Delete { collection, id, condition },
        PartKind::KeyPut => Operation::KeyPut {
            keyspace: keyspace(part.space),
            key: vec![part.key],
            value: value_bytes(step, part.len),
        },
        PartKind::KeyDelete => {
            Operation::KeyDelete { keyspace: keyspace(part.space), key: vec![part.key] }
        }
    }
}

/// What an open store shows: its last commit, and the hash of its content.
pub(super) fn observe(docs: &Documents) -> Result<(Lsn, u64)> {
    let snapshot = docs.store().snapshot();
    Ok((snapshot.lsn(), content(&snapshot)?))
}

/// The hash of the content that a snapshot shows.
pub(super) fn content(snapshot: &Snapshot) -> Result<u64> {
    let mut hash = 0_u64;
    DocumentsAt::over(snapshot.clone()).dump(&mut |line| {
        hash = hash.wrapping_add(hash64(line));
        Ok(())
    })?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::WriteOptions;
    use crate::store::Store;
    use crate::vfs::memory::{MemoryVfs, runtime};

    #[test]
    fn the_model_and_a_store_agree() {
        let store = Store::builder("/s").segment_bytes(64 << 10);
        let store = store.runtime(runtime(&MemoryVfs::new(), 1)).open().unwrap();
        let docs = Documents::over(store);
        let mut model = Model::default();
        let mut applied = 0;
        for step in 0..300 {
            let case = super::super::generate(step, 4);
            for planned in case.steps {
                let super::super::case::Action::Write { parts, .. } = planned.action else {
                    continue;
                };
                let operations = model.operations(step, &parts);
                let result = docs.apply(&operations, &WriteOptions::default());
                match model.after(step, &parts) {
                    Ok(next) => {
                        result.unwrap();
                        model = next;
                        applied += 1;
                    }
                    Err(kind) => assert_eq!(result.unwrap_err().kind(), kind),
                }
                assert_eq!(observe(&docs).unwrap().1, model.hash, "step {step}");
            }
        }
        assert!(applied > 100, "{applied}");
    }
}
