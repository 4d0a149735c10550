//! The documents that the log has made up to the checkpoint, against those in the tables. Pure.

use std::collections::{BTreeMap, btree_map};
use std::iter::Peekable;

use crate::base::KeyspaceId;
use crate::doc::Revision;

use super::content::name_of;

/// The last revision of every document, by keyspace and id.
pub(super) type Latest = BTreeMap<(KeyspaceId, Vec<u8>), Revision>;

/// More differences than anyone reads; what follows is only counted.
const TOLD_MAX: usize = 100;

/// Meets the documents of the tables in their order, which is that of the log's.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    rest: Peekable<btree_map::Iter<'a, (KeyspaceId, Vec<u8>), Revision>>,
    differences: Vec<String>,
    more: u64,
}

impl<'a> Comparison<'a> {
    pub(super) fn with(latest: &'a Latest) -> Self {
        Self { rest: latest.iter().peekable(), differences: Vec::new(), more: 0 }
    }

    /// Takes the next document of the tables; `None` is one that is deleted.
    pub(super) fn meet(&mut self, at: (KeyspaceId, &[u8]), found: Option<Revision>) {
        let is_before =
            |((keyspace, key), _): &(&(KeyspaceId, Vec<u8>), _)| (*keyspace, key.as_slice()) < at;
        while let Some(((_, key), _)) = self.rest.next_if(is_before) {
            self.differ(key, "is in no table");
        }
        let is_it =
            |((keyspace, key), _): &(&(KeyspaceId, Vec<u8>), _)| (*keyspace, key.as_slice()) == at;
        let logged = self.rest.next_if(is_it).map(|(_, revision)| *revision);
        match (logged, found) {
            (Some(_), None) => self.differ(at.1, "is deleted in the tables"),
            (None, Some(_)) => self.differ(at.1, "is in a table, and the log has none"),
            (logged, found) if logged != found => {
                self.differ(at.1, "has another revision in the tables than in the log");
            }
            _ => {}
        }
    }

    fn differ(&mut self, key: &[u8], how: &str) {
        if self.differences.len() < TOLD_MAX {
            self.differences.push(format!("the document {:?} {how}", name_of(key)));
        } else {
            self.more += 1;
        }
    }

    /// What is not the same.
    pub(super) fn finish(mut self) -> Vec<String> {
        while let Some(((_, key), _)) = self.rest.next() {
            self.differ(key, "is in no table");
        }
        if self.more > 0 {
            self.differences.push(format!("and so do {} documents more", self.more));
        }
        self.differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doc::Sha256;

    const KEYSPACE: KeyspaceId = KeyspaceId(3);

    fn revision(rev: u64) -> Revision {
        Revision { rev, sha256: Sha256::of(b"{}") }
    }

    fn told(latest: &[(&str, u64)], tables: &[(&str, Option<u64>)]) -> Vec<String> {
        let at = |key: &str| (KEYSPACE, key.as_bytes().to_vec());
        let latest = latest.iter().map(|(key, rev)| (at(key), revision(*rev))).collect();
        let mut comparison = Comparison::with(&latest);
        for (key, rev) in tables {
            comparison.meet((KEYSPACE, key.as_bytes()), rev.map(revision));
        }
        comparison.finish()
    }

    #[test]
    fn the_same_documents_differ_in_nothing_and_deleted_ones_do_not_count() {
        let tables = [("a", Some(1)), ("b", None), ("c", Some(2))];
        assert_eq!(told(&[("a", 1), ("c", 2)], &tables), [""; 0]);
        assert_eq!(told(&[], &[]), [""; 0]);
    }

    #[test]
    fn every_difference_is_told_once() {
        let tables = [("b", Some(1)), ("c", None), ("d", Some(3))];
        let logged = [("a", 1), ("c", 1), ("d", 2), ("e", 1)];
        assert_eq!(
            told(&logged, &tables),
            [
                "the document \"a\" is in no table",
                "the document \"b\" is in a table, and the log has none",
                "the document \"c\" is deleted in the tables",
                "the document \"d\" has another revision in the tables than in the log",
                "the document \"e\" is in no table",
            ]
        );
    }

    #[test]
    fn what_nobody_reads_is_only_counted() {
        let names: Vec<String> = (0..TOLD_MAX + 7).map(|number| format!("{number:03}")).collect();
        let logged: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let told = told(&logged, &[]);
        assert_eq!(told.len(), TOLD_MAX + 1);
        assert_eq!(told.last().unwrap(), "and so do 7 documents more");
    }
}
