//! The change feed: every revision of every document, in commit order, out of the log.
//!
//! Reads the log and nothing else, so it works the same in the store's own process and beside
//! its writer, and it can be resumed at any LSN that the log holds. It begins in the segment of
//! that LSN; what the collections are called may be said before, so that the log is read from its
//! beginning when a change of a collection comes whose name was not read. Only durable commits are
//! shown (L2).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, Seq, Timestamp};
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
    dir: PathBuf,
    runtime: Runtime,
    /// Asked for the durable LSN; without it, the log's claims decide.
    store: Option<Store>,
    since: Lsn,
    collections: Option<BTreeSet<String>>,
    /// The collections of the keyspaces met in the log so far; `None` for a keyspace that is none.
    names: BTreeMap<KeyspaceId, Option<String>>,
    /// The log was read from its beginning for them.
    read_names: bool,
    /// The oldest commit of a log without its beginning, where other names may have been.
    names_lost: Option<Lsn>,
    ready: VecDeque<Change>,
}

impl Changes {
    /// The changes after `since` of the store in `dir`, which another process may be writing.
    ///
    /// # Errors
    /// `Expired` when the log no longer holds the commit after `since`; the error says which one
    /// is the oldest. `NotFound`, `Io`, `Corrupt`, `Unsupported`.
    ///
    /// # Cost
    /// Reads from the segment on that holds `since`, and the log before it once, for the names of
    /// the collections.
    pub fn follow(dir: &Path, runtime: &Runtime, since: Lsn) -> Result<Self> {
        Self::begin(dir, runtime, None, since)
    }

    pub(super) fn of_open_store(store: &Store, since: Lsn) -> Result<Self> {
        Self::begin(store.path(), store.runtime(), Some(store.clone()), since)
    }

    fn begin(dir: &Path, runtime: &Runtime, store: Option<Store>, since: Lsn) -> Result<Self> {
        Ok(Self {
            reader: LogReader::open_after(dir, runtime, since)?,
            dir: dir.to_owned(),
            runtime: runtime.clone(),
            store,
            since,
            collections: None,
            names: BTreeMap::new(),
            read_names: false,
            names_lost: None,
            ready: VecDeque::new(),
        })
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
    /// `Io`, `Corrupt`, `Unsupported` from the log; `Expired` when it no longer holds what comes
    /// next, or the name of its collection; `Diverged` when changes that were given are taken back.
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
            let Some(collection) = &self.name_of(entry.keyspace, record)? else { continue };
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

    /// The collection of a change in `record`; `None` for what is no document.
    fn name_of(&mut self, keyspace: KeyspaceId, record: &OwnedRecord) -> Result<Option<String>> {
        if keyspace == DIRECTORY {
            return Ok(None);
        }
        if !self.names.contains_key(&keyspace) && !self.read_names {
            self.read_names_before(record.header.seq)?;
            self.read_names = true;
        }
        let name = self.names.get(&keyspace).cloned();
        match self.names_lost {
            Some(oldest) if name.is_none() => {
                let what = "the log no longer holds the name of the collection that a change is \
                            in; read the documents, and follow them from then on";
                Err(Error::new(ErrorKind::Expired, what).at_lsn(oldest))
            }
            _ => Ok(name.flatten()),
        }
    }

    /// Reads the names that the log holds before its record `seq`.
    fn read_names_before(&mut self, seq: Seq) -> Result<()> {
        let mut reader = LogReader::open(&self.dir, &self.runtime)?.with_taken_back();
        let before = reader.position().lsn;
        self.names_lost = (before > Lsn::ZERO).then(|| before.next());
        let mut earlier = BTreeMap::new();
        std::mem::swap(&mut earlier, &mut self.names);
        while let Some(record) = reader.next(Limit::Everything)?.filter(|one| one.header.seq < seq)
        {
            if record.header.kind == Kind::Commit
                && let Ok(decoded) = decode(&record.payload)
            {
                self.learn_names(&decoded);
            }
        }
        self.names.append(&mut earlier);
        Ok(())
    }

    fn learn_names(&mut self, decoded: &Decoded<'_>) {
        for entry in decoded.entries.iter().filter(|entry| entry.keyspace == DIRECTORY) {
            if let Stored::Put(value) = entry.change
                && let Some((keyspace, id)) = parse_directory_entry(entry.key, value)
            {
                let is_collection = keyspace.namespace() == Namespace::Collection;
                self.names.insert(id, is_collection.then(|| keyspace.name().to_owned()));
            }
        }
    }
}
