//! The documents of a store: its public face.

use std::path::Path;

use serde_json::Value;

use crate::base::{Error, ErrorKind, Result};
use crate::store::{Keyspace, Namespace, Store};

use super::canonical::Sha256;
use super::feed::Changes;
use super::id::check_id;
use super::operation::{Applied, Condition, Operation, Outcome, WriteOptions, Written};
use super::query::Query;
use super::stored::Document;
use super::view::{DocumentsAt, Listed, Listing, ParsedDocument};
use super::write;
use crate::base::Lsn;

/// Collections of JSON documents over a [`Store`]. A cheap handle, like the store's.
#[derive(Clone, Debug)]
pub struct Documents {
    store: Store,
}

impl Documents {
    /// Opens the store in `path`, or creates one there.
    ///
    /// # Errors
    /// As [`StoreBuilder::open`](crate::store::StoreBuilder::open).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Store::open(path).map(Self::over)
    }

    /// The documents of an open store.
    #[must_use]
    pub const fn over(store: Store) -> Self {
        Self { store }
    }

    /// The store below.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Stores `doc` under `id` as its next revision.
    ///
    /// # Durability
    /// `Ok` means that the revision survives a crash of the process, the kernel and the power.
    ///
    /// # Errors
    /// - `Invalid`: the id, the collection's name or the document breaks a rule.
    /// - `Conflict`: the condition does not hold; what it lost to is durable.
    /// - Whatever [`Store::commit`] says.
    ///
    /// # Cost
    /// One canonical form and one SHA-256; one write and one sync shared with other committers.
    pub fn put(
        &self,
        collection: &str,
        id: &str,
        doc: &Value,
        condition: Condition,
    ) -> Result<Written> {
        let (collection, id) = (collection.to_owned(), Some(id.to_owned()));
        self.one(Operation::Put { collection, id, doc: doc.clone(), condition })
    }

    /// Stores `doc` under a new id that sorts after those made earlier.
    ///
    /// # Errors
    /// As [`Documents::put`].
    pub fn insert(&self, collection: &str, doc: &Value) -> Result<Written> {
        let (collection, condition) = (collection.to_owned(), Condition::Absent);
        self.one(Operation::Put { collection, id: None, doc: doc.clone(), condition })
    }

    /// Changes a document by RFC 7396 merge patch.
    ///
    /// # Errors
    /// `NotFound` when there is no document, else as [`Documents::put`].
    pub fn patch(
        &self,
        collection: &str,
        id: &str,
        patch: &Value,
        condition: Condition,
    ) -> Result<Written> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        self.one(Operation::Patch { collection, id, patch: patch.clone(), condition })
    }

    /// Deletes a document; tells the revision that was deleted.
    ///
    /// # Errors
    /// `NotFound` when there is no document, else as [`Documents::put`].
    pub fn delete(&self, collection: &str, id: &str, condition: Condition) -> Result<Written> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        self.one(Operation::Delete { collection, id, condition })
    }

    fn one(&self, operation: Operation) -> Result<Written> {
        let applied = self.apply(&[operation], &WriteOptions::default())?;
        match applied.outcomes.into_iter().next() {
            Some(Outcome::Document { id, rev, sha256, .. }) => {
                Ok(Written { id, rev, lsn: applied.lsn, at: applied.at, sha256 })
            }
            _ => Err(Error::new(ErrorKind::Bug, "a document was written without an outcome")),
        }
    }

    /// Makes all of `operations` happen in one commit, or none; each sees those before it.
    ///
    /// # Errors
    /// Of the first operation that is refused, or of [`Store::commit`].
    pub fn apply(&self, operations: &[Operation], options: &WriteOptions) -> Result<Applied> {
        write::apply(&self.store, operations, options)
    }

    /// The document under `id`.
    ///
    /// # Errors
    /// `Invalid` for an id or name that breaks a rule, `Corrupt` for a stored value that is none.
    pub fn get(&self, collection: &str, id: &str) -> Result<Option<Document>> {
        check_id(id)?;
        let found = self.store.get(&keyspace(collection)?, id.as_bytes())?;
        found.as_ref().map(Document::from_stored).transpose()
    }

    /// Everything that can be read, as it is now and stays.
    #[must_use]
    pub fn now(&self) -> DocumentsAt {
        DocumentsAt::over(self.store.snapshot())
    }

    /// The documents of a collection in the order of their ids, as they are now.
    ///
    /// # Errors
    /// `Invalid` for a name that breaks a rule.
    pub fn list(&self, collection: &str, listing: &Listing) -> Result<Listed> {
        self.now().list(collection, listing)
    }

    /// The documents of a collection that `query` asks for, by reading all of them.
    ///
    /// # Errors
    /// `Invalid` for a name that breaks a rule; reading errors are among the results.
    pub fn query<'q>(
        &self,
        collection: &str,
        query: &'q Query,
    ) -> Result<Box<dyn Iterator<Item = Result<ParsedDocument>> + 'q>> {
        self.now().query(collection, query)
    }

    /// The collections that hold documents or did, by name.
    #[must_use]
    pub fn collections(&self) -> Vec<String> {
        self.now().collections()
    }

    /// Every change of documents after the commit `since`, durable ones only.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Unsupported` from the log.
    pub fn changes(&self, since: Lsn) -> Result<Changes> {
        Changes::of_open_store(&self.store, since)
    }

    /// Each line of the store's logical content as it is now; see [`DocumentsAt::dump`].
    ///
    /// # Errors
    /// As [`DocumentsAt::dump`].
    pub fn dump(&self, line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.now().dump(line)
    }

    /// [`DocumentsAt::digest`] of the store as it is now.
    ///
    /// # Errors
    /// As [`DocumentsAt::dump`].
    pub fn digest(&self) -> Result<(Sha256, u64)> {
        self.now().digest()
    }
}

/// The keyspace of a collection.
///
/// # Errors
/// `Invalid` for a name that breaks a rule.
pub(super) fn keyspace(collection: &str) -> Result<Keyspace> {
    Keyspace::in_namespace(Namespace::Collection, collection)
}
