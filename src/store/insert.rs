//! From a decoded commit into the tree: for live commits and for replay alike (L5).

use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Timestamp, Value, Version};

use super::directory::{DIRECTORY, Directory};
use super::format::{Change, DecodeFault, Entry, Request};
use super::key::Key;
use super::memtable::Memtable;
use super::requests::{Answer, Requests};

/// What a commit does to one key, in memory of its own: made before anybody holds a lock, so that
/// under it nothing is decoded and nothing allocated but places in the tree.
#[derive(Debug)]
pub(super) struct Insert {
    pub(super) keyspace: KeyspaceId,
    pub(super) key: Key,
    value: Option<Value>,
}

impl From<Entry<'_>> for Insert {
    fn from(entry: Entry<'_>) -> Self {
        let value = match entry.change {
            Change::Put(value) => Some(value.into()),
            Change::Delete(_) => None,
        };
        Self { keyspace: entry.keyspace, key: entry.key.into(), value }
    }
}

impl Insert {
    /// The version that it makes of its key; learns of a keyspace that it creates.
    pub(super) fn version(
        self,
        (lsn, time): (Lsn, Timestamp),
        directory: &Directory,
    ) -> (Key, Version) {
        let Self { keyspace, key, value } = self;
        if keyspace == DIRECTORY
            && let Some(value) = &value
        {
            directory.learn((key.bytes(), value), lsn);
        }
        (key, Version { lsn, time, value })
    }
}

/// Puts a commit into the tree.
pub(super) fn apply(
    inserts: impl Iterator<Item = Insert>,
    at: (Lsn, Timestamp),
    horizon: Lsn,
    memtable: &mut Memtable,
    directory: &Directory,
) {
    for insert in inserts {
        let keyspace = insert.keyspace;
        let (key, version) = insert.version(at, directory);
        memtable.apply(keyspace, key, version, horizon);
    }
    memtable.forget_deleted(horizon);
}

/// Keeps what the request of a commit was answered, for whoever repeats it.
pub(super) fn keep_answer(
    request: Request<'_>,
    (lsn, time): (Lsn, Timestamp),
    requests: &mut Requests,
) {
    requests.keep(request.id, Answer { lsn, time, reply: request.reply.into() });
}

/// What is wrong with a log that holds such a payload.
pub(super) fn undecodable(fault: DecodeFault, lsn: Lsn) -> Error {
    match fault {
        DecodeFault::Newer(what) => {
            let what = format!("{what}, which this version of jidoka does not know; upgrade");
            Error::new(ErrorKind::Unsupported, what)
        }
        DecodeFault::Malformed(malformed) => {
            let what = format!(
                "the commit's checks hold but its payload is not a batch ({} at byte {}); \
                 report this",
                malformed.what, malformed.offset
            );
            Error::new(ErrorKind::Corrupt, what)
        }
    }
    .at_lsn(lsn)
}
