//! The change feed: every revision of every document, in commit order, out of the log.
//!
//! Reads the log and nothing else, so it works the same in the store's own process and beside
//! its writer, and it can be resumed at any LSN. Only durable commits are shown (L2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, Timestamp};
use crate::store::format::{Change as Stored, Decoded, decode};
use crate::store::{DIRECTORY, Namespace, Origin, Store, parse_directory_entry};
use crate::vfs::Runtime;
use crate::wal::LogReader;
use crate::wal::format::Kind;
use crate::wal::reader::{Limit, OwnedRecord};

use super::canonical::Sha256;
use super::stored::Revision;

/// What happened to a document.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was stored.
    Put,
    /// It was deleted.
    Delete,
}

/// One change of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The commit; all changes of one batch share it.
    pub lsn: Lsn,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: ChangeKind,
    /// Where.
    pub collection: String,
    /// Which document.
    pub id: String,
    /// The revision stored or deleted.
    pub rev: u64,
    /// The hash of its content.
    pub sha256: Sha256,
    /// The content's RFC 8785 bytes; a deleted document has none.
    pub doc: Option<Vec<u8>>,
    /// Who made the commit, and why.
    pub origin: Origin,
}

/// A cursor over the changes.
#[derive(Debug)]
pub struct Changes {
    reader: LogReader,
    /// Asked for the durable LSN; without it, the log's claims decide.
    store: Option<Store>,
    since: Lsn,
    collections: Option<BTreeSet<String>>,
    /// The collections of the keyspaces met in the log so far.
    names: BTreeMap<KeyspaceId, String>,
    ready: VecDeque<Change>,
}

impl Changes {
    /// The changes after `since` of the store in `dir`, which another process may be writing.
    ///
    /// # Errors
    /// `NotFound`, `Io`, `Corrupt`, `Unsupported`.
    pub fn follow(dir: &Path, runtime: &Runtime, since: Lsn) -> Result<Self> {
        Ok(Self::new(LogReader::open(dir, runtime)?, None, since))
    }

    pub(super) fn of_open_store(store: &Store, since: Lsn) -> Result<Self> {
        let reader = LogReader::open(store.path(), store.runtime())?;
        Ok(Self::new(reader, Some(store.clone()), since))
    }

    fn new(reader: LogReader, store: Option<Store>, since: Lsn) -> Self {
        let (names, ready) = (BTreeMap::new(), VecDeque::new());
        Self { reader, store, since, collections: None, names, ready }
    }

    /// Only changes in these collections.
    #[must_use]
    pub fn only(mut self, collections: impl IntoIterator<Item = String>) -> Self {
        self.collections = Some(collections.into_iter().collect());
        self
    }

    /// The next change; `None` when there is none yet. Ask again to follow.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Unsupported` from the log.
    pub fn next_change(&mut self) -> Result<Option<Change>> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            let limit = self.store.as_ref().map_or(Limit::Claims, |s| Limit::Durable(s.durable()));
            match self.reader.next(limit)? {
                Some(record) if record.header.kind == Kind::Commit => self.take(&record)?,
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Decides, where there are no more changes, whether the log ends there or is damaged.
    ///
    /// # Errors
    /// `Corrupt` with the place.
    pub fn check_end(&mut self) -> Result<()> {
        self.reader.check_end()
    }

    fn take(&mut self, record: &OwnedRecord) -> Result<()> {
        let lsn = record.header.lsn;
        let bad = |what: String| Error::new(ErrorKind::Corrupt, what).at_lsn(lsn);
        let decoded = decode(&record.payload).map_err(|fault| bad(format!("{fault:?}")))?;
        self.learn_names(&decoded);
        if lsn <= self.since {
            return Ok(());
        }
        for entry in &decoded.entries {
            let Some(collection) = self.names.get(&entry.keyspace) else { continue };
            if self.collections.as_ref().is_some_and(|only| !only.contains(collection)) {
                continue;
            }
            let (kind, stored) = match entry.change {
                Stored::Put(stored) => (ChangeKind::Put, stored),
                Stored::Delete(note) => (ChangeKind::Delete, note),
            };
            let head = Revision::decode(stored);
            let Revision { rev, sha256 } = head.ok_or_else(|| {
                bad(format!("a change in {collection:?} has no revision; run verify"))
            })?;
            let id = String::from_utf8(entry.key.to_vec())
                .map_err(|_| bad("a stored id is not UTF-8".to_owned()))?;
            let body = stored.get(Revision { rev, sha256 }.encode().len()..);
            self.ready.push_back(Change {
                lsn,
                at: record.header.time,
                kind,
                collection: collection.clone(),
                id,
                rev,
                sha256,
                doc: body.filter(|_| kind == ChangeKind::Put).map(<[u8]>::to_vec),
                origin: decoded.origin.clone(),
            });
        }
        Ok(())
    }

    fn learn_names(&mut self, decoded: &Decoded<'_>) {
        for entry in decoded.entries.iter().filter(|entry| entry.keyspace == DIRECTORY) {
            if let Stored::Put(value) = entry.change
                && let Some((keyspace, id)) = parse_directory_entry(entry.key, value)
                && keyspace.namespace() == Namespace::Collection
            {
                self.names.insert(id, keyspace.name().to_owned());
            }
        }
    }
}
