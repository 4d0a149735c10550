//! The documents of a store as of one snapshot: everything that reads, and nothing that writes.

use serde_json::Value;

use crate::base::Result;
use crate::store::{Iter, Keyspace, Namespace, Snapshot};

use super::canonical::{Hasher, Sha256};
use super::documents::keyspace;
use super::dump;
use super::id::check_id;
use super::query::{Query, Row};
use super::stored::Document;

/// Which documents of a collection to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Only ids that begin with this.
    pub prefix: String,
    /// Only ids after this one.
    pub after: Option<String>,
}

/// A document with its value parsed, as a query sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedDocument {
    /// The document.
    pub document: Document,
    /// Its value.
    pub value: Value,
}

impl Row for ParsedDocument {
    fn id(&self) -> &str {
        &self.document.id
    }

    fn doc(&self) -> &Value {
        &self.value
    }
}

/// The documents of a store as they were at one commit; of an open store
/// ([`Documents::now`](super::Documents::now)), or of one that is only looked at
/// ([`ReadOnlyStore`](crate::store::ReadOnlyStore)). A cheap handle, like the snapshot's.
#[derive(Clone, Debug)]
pub struct DocumentsAt {
    snapshot: Snapshot,
}

impl DocumentsAt {
    /// The documents in a snapshot.
    #[must_use]
    pub const fn over(snapshot: Snapshot) -> Self {
        Self { snapshot }
    }

    /// The snapshot below.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The document under `id`.
    ///
    /// # Errors
    /// `Invalid` for an id or name that breaks a rule, `Corrupt` for a stored value that is none.
    pub fn get(&self, collection: &str, id: &str) -> Result<Option<Document>> {
        check_id(id)?;
        let found = self.snapshot.get(&keyspace(collection)?, id.as_bytes())?;
        found.as_ref().map(Document::from_stored).transpose()
    }

    /// The documents of a collection in the order of their ids.
    ///
    /// # Errors
    /// `Invalid` for a name that breaks a rule.
    pub fn list(&self, collection: &str, listing: &Listing) -> Result<Listed> {
        self.list_in(&keyspace(collection)?, listing)
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
        let rows = self.list(collection, &Listing::default())?.map(|document| {
            let document = document?;
            Ok(ParsedDocument { value: document.value()?, document })
        });
        Ok(query.run(rows))
    }

    /// The collections that hold documents or did, by name.
    #[must_use]
    pub fn collections(&self) -> Vec<String> {
        self.names(Namespace::Collection)
    }

    /// Gives `line` each line of the store's logical content, without newlines: documents by
    /// collection and id, then values by keyspace and key. Equal content, equal lines.
    ///
    /// # Errors
    /// `Corrupt` for a stored value that is no document, and what `line` says.
    pub fn dump(&self, line: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for name in self.names(Namespace::Collection) {
            for document in self.list(&name, &Listing::default())? {
                let document = document?;
                let (id, rev) = (&document.id, document.rev);
                line(&dump::document_line(&name, id, rev, document.canonical()))?;
            }
        }
        for name in self.names(Namespace::Keyspace) {
            for found in self.snapshot.range(&Keyspace::new(&name)?, ..) {
                let found = found?;
                line(&dump::value_line(&found.key, &name, &found.value))?;
            }
        }
        Ok(())
    }

    /// SHA-256 over the dump's lines with their newlines, and how many there are.
    ///
    /// # Errors
    /// As [`DocumentsAt::dump`].
    pub fn digest(&self) -> Result<(Sha256, u64)> {
        let (mut hash, mut items) = (Hasher::default(), 0);
        self.dump(&mut |line| {
            hash.update(line);
            hash.update(b"\n");
            items += 1;
            Ok(())
        })?;
        Ok((hash.finish(), items))
    }

    fn names(&self, namespace: Namespace) -> Vec<String> {
        let keyspaces = self.snapshot.keyspaces().into_iter();
        keyspaces
            .filter(|keyspace| keyspace.namespace() == namespace)
            .map(|keyspace| keyspace.name().to_owned())
            .collect()
    }

    fn list_in(&self, keyspace: &Keyspace, listing: &Listing) -> Result<Listed> {
        let prefix = listing.prefix.as_bytes();
        Ok(Listed(match &listing.after {
            Some(after) => self.snapshot.prefix_after(keyspace, prefix, after.as_bytes()),
            None => self.snapshot.prefix(keyspace, prefix),
        }))
    }
}

/// The documents of a listing.
#[derive(Debug)]
pub struct Listed(Iter);

impl Iterator for Listed {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|found| Document::from_stored(&found)))
    }
}
