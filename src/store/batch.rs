//! A caller's atomic set of changes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits::{BATCH_OPERATIONS_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::wal::Durability;

use super::format::{Change, Origin, Request, origin_fault, request_fault};
use super::staged::Staged;

/// Keyspaces and collections are separate namespaces over the same tree.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespace {
    /// Collections of documents.
    Collection,
    /// Plain keys and values.
    Keyspace,
}

/// A named, ordered set of keys. Only a name: making one reads and writes nothing, and the
/// keyspace comes into being with the first batch that puts something into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keyspace {
    namespace: Namespace,
    name: Arc<str>,
}

impl Keyspace {
    /// The keyspace called `name`.
    ///
    /// # Errors
    /// `Invalid` when the name is empty, longer than 255 bytes, or holds control characters.
    pub fn new(name: &str) -> Result<Self> {
        Self::in_namespace(Namespace::Keyspace, name)
    }

    /// The keyspace called `name` in `namespace`.
    ///
    /// # Errors
    /// As [`Keyspace::new`].
    pub fn in_namespace(namespace: Namespace, name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            let what = format!(
                "a name has 1 to {NAME_BYTES_MAX} bytes and no control characters, and {name:?} \
                 does not; choose another"
            );
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        Ok(Self { namespace, name: name.into() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace.
    #[must_use]
    pub const fn namespace(&self) -> Namespace {
        self.namespace
    }
}

/// What a batch requires of a key before anything of it is written.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The key has no value.
    Absent,
    /// The key's value was written by this commit.
    Version(Lsn),
}

pub(super) type Address = (Keyspace, Vec<u8>);

/// Changes that happen together or not at all. A later change of a key replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) changes: Staged,
    pub(super) expected: BTreeMap<Address, Expect>,
    pub(super) origin: Origin,
    pub(super) request: Option<(String, Vec<u8>)>,
    pub(super) durability: Durability,
    pub(super) patience: Option<Duration>,
}

impl Batch {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `key` the value `value`.
    pub fn put(&mut self, keyspace: &Keyspace, key: &[u8], value: &[u8]) -> &mut Self {
        self.changes.stage(keyspace, key, Change::Put(value));
        self
    }

    /// Takes the value of `key` away, if it has one.
    pub fn delete(&mut self, keyspace: &Keyspace, key: &[u8]) -> &mut Self {
        self.delete_with_note(keyspace, key, &[])
    }

    /// [`Batch::delete`], leaving a note of the old value in the log for the change feed.
    pub fn delete_with_note(&mut self, keyspace: &Keyspace, key: &[u8], note: &[u8]) -> &mut Self {
        self.changes.stage(keyspace, key, Change::Delete(note));
        self
    }

    /// Lets the batch happen only if `key` is as expected in the latest appended version.
    pub fn expect(&mut self, keyspace: &Keyspace, key: &[u8], expect: Expect) -> &mut Self {
        self.expected.insert((keyspace.clone(), key.to_vec()), expect);
        self
    }

    /// Says who makes the commit, and why.
    pub fn origin(&mut self, origin: Origin) -> &mut Self {
        self.origin = origin;
        self
    }

    /// Makes the batch safe to repeat: a second batch with the same request id, also after a
    /// crash, changes nothing and gets the first one's commit and `reply`.
    pub fn request(&mut self, id: &str, reply: &[u8]) -> &mut Self {
        self.request = Some((id.to_owned(), reply.to_vec()));
        self
    }

    /// How durable the commit is when [`Store::commit`](super::Store::commit) returns.
    pub const fn durability(&mut self, durability: Durability) -> &mut Self {
        self.durability = durability;
        self
    }

    /// How long [`Store::commit`](super::Store::commit) waits for the disk, counted from its call;
    /// as long as it takes, unless told otherwise.
    ///
    /// Past it the commit is told as `OutcomeUnknown`: it is in the log and may still happen, so
    /// repeat it only under a request id. What cannot be interrupted is not: a thread that is in
    /// a system call for its group, or waits for room in the log, returns when that ends.
    pub const fn deadline(&mut self, patience: Duration) -> &mut Self {
        self.patience = Some(patience);
        self
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The batch with its changes in order, as it is committed.
    pub(super) fn ordered(&self) -> Cow<'_, Self> {
        if self.changes.is_ordered() {
            return Cow::Borrowed(self);
        }
        let mut ordered = self.clone();
        ordered.changes.order();
        Cow::Owned(ordered)
    }

    /// Checks everything that does not depend on the store; the changes are in order.
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::new(ErrorKind::Invalid, what));
        if self.changes.is_empty() {
            return invalid("the batch changes nothing; put or delete something".to_owned());
        }
        if self.changes.len() >= BATCH_OPERATIONS_MAX {
            return invalid(format!("a batch has fewer than {BATCH_OPERATIONS_MAX} changes"));
        }
        if let Some((keyspace, key, _)) =
            self.changes.iter().find(|(_, key, _)| key.len() > KEY_BYTES_MAX)
        {
            return invalid(format!(
                "a key in {:?} has {} bytes; the limit is {KEY_BYTES_MAX}",
                keyspace.name(),
                key.len()
            ));
        }
        let request = self.request.as_ref();
        let fault = origin_fault(&self.origin)
            .or_else(|| request.and_then(|(id, reply)| request_fault(&Request { id, reply })));
        fault.map_or(Ok(()), |fault| invalid(fault.to_owned()))
    }
}
