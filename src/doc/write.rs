//! From operations to one batch: revisions, conditions and hashes.
//!
//! Revisions are computed against the latest appended version of each document and committed on
//! the condition that it still is the latest; if not, they are computed again. So concurrent
//! writers never write the same revision, and the log needs no decisions at replay.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, Lsn, Result};
use crate::store::{Batch, Expect, Keyspace, Namespace, Store};

use super::canonical::{Canonical, Sha256};
use super::id::{check_id, generate_id};
use super::json;
use super::operation::{Applied, Condition, Operation, Outcome, WriteOptions};
use super::patch::merge;
use super::stored::{Revision, encode_document};

/// Times a batch is computed again because another writer was faster; each time one of them
/// succeeded, so giving up means that thousands did.
const TRIES: usize = 10_000;

/// A document as the batch being computed sees it.
#[derive(Clone, Debug)]
enum State {
    Absent,
    Present { revision: Revision, bytes: Vec<u8> },
}

/// A document that the batch touches.
struct Touched {
    /// The version the batch is computed on: `None` if there never was one.
    base: Option<Lsn>,
    base_is_live: bool,
    state: State,
}

type Address = (Keyspace, String);

/// Operations folded into a batch.
struct Fold<'a> {
    store: &'a Store,
    touched: BTreeMap<Address, Touched>,
    batch: Batch,
    outcomes: Vec<Outcome>,
}

/// Why an operation is refused, and the version that refuses it.
struct Refusal {
    error: Error,
    because_of: Option<Lsn>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, because_of: None }
    }
}

/// Makes all of `operations` happen, or none.
pub(super) fn apply(
    store: &Store,
    operations: &[Operation],
    options: &WriteOptions,
) -> Result<Applied> {
    let operations = with_ids(store, operations)?;
    for _ in 0..TRIES {
        if let Some(request) = &options.request
            && let Some(commit) = store.answered(request)?
        {
            let reply = commit.repeated.as_deref().unwrap_or_default();
            let (lsn, at) = (commit.lsn, commit.time);
            return Ok(Applied { lsn, at, durable: true, outcomes: outcomes_of(reply)? });
        }
        let mut fold = Fold {
            store,
            touched: BTreeMap::new(),
            batch: Batch::new(),
            outcomes: Vec::with_capacity(operations.len()),
        };
        if let Err(refusal) = operations.iter().try_for_each(|operation| fold.add(operation)) {
            // Nobody may act on a refusal that a crash could undo.
            if let Some(lsn) = refusal.because_of {
                store.wait_visible(lsn)?;
            }
            return Err(refusal.error);
        }
        let (batch, outcomes) = fold.finish(options)?;
        match store.try_commit(&batch) {
            Ok(commit) => {
                let outcomes = match &commit.repeated {
                    Some(reply) => outcomes_of(reply)?,
                    None => outcomes,
                };
                let (lsn, at, durable) = (commit.lsn, commit.time, commit.durable);
                return Ok(Applied { lsn, at, durable, outcomes });
            }
            Err(error) if error.kind() == ErrorKind::Conflict => hit(Mark::ConflictRetried),
            Err(error) => return Err(error),
        }
    }
    let what = "other writers changed the same documents each time; try again";
    Err(Error::new(ErrorKind::Conflict, what))
}

/// The operations with an id for every document, so that a retry does not choose another.
fn with_ids(store: &Store, operations: &[Operation]) -> Result<Vec<Operation>> {
    let mut operations = operations.to_vec();
    for operation in &mut operations {
        if let Operation::Put { id: id @ None, .. } = operation {
            let runtime = store.runtime();
            let random = runtime.random().map_err(|error| {
                Error::io("choose an id for a document in", store.path(), error)
            })?;
            *id = Some(generate_id(runtime.clock.now(), random));
        }
    }
    Ok(operations)
}

impl Fold<'_> {
    fn add(&mut self, operation: &Operation) -> Result<(), Refusal> {
        match operation {
            Operation::Put { collection, id, doc, condition } => {
                let id = id.as_deref().unwrap_or_default();
                let canonical = Canonical::of(doc)?;
                let address = address(collection, id)?;
                let rev = match self.check(&address, *condition)? {
                    State::Absent => 1,
                    State::Present { revision, .. } => revision.rev + 1,
                };
                self.write(&address, rev, canonical);
            }
            Operation::Patch { collection, id, patch, condition } => {
                let address = address(collection, id)?;
                let State::Present { revision, bytes } = self.check(&address, *condition)? else {
                    return Err(self.not_found(&address));
                };
                let mut doc = json::parse(&bytes)?;
                merge(&mut doc, patch.clone());
                self.write(&address, revision.rev + 1, Canonical::of(&doc)?);
            }
            Operation::Delete { collection, id, condition } => {
                let address = address(collection, id)?;
                let State::Present { revision, .. } = self.check(&address, *condition)? else {
                    return Err(self.not_found(&address));
                };
                let (keyspace, id) = &address;
                self.batch.delete_with_note(keyspace, id.as_bytes(), &revision.encode());
                self.note(&address, State::Absent, revision);
            }
            Operation::KeyPut { keyspace, key, value } => {
                self.batch.put(&Keyspace::new(keyspace)?, key, value);
                self.outcomes.push(Outcome::Key { keyspace: keyspace.clone(), key: key.clone() });
            }
            Operation::KeyDelete { keyspace, key } => {
                self.batch.delete(&Keyspace::new(keyspace)?, key);
                self.outcomes.push(Outcome::Key { keyspace: keyspace.clone(), key: key.clone() });
            }
        }
        Ok(())
    }

    /// The document at `address` after the operations before, if the condition holds.
    fn check(&mut self, address: &Address, condition: Condition) -> Result<State, Refusal> {
        if !self.touched.contains_key(address) {
            let touched = self.look_up(address)?;
            self.touched.insert(address.clone(), touched);
        }
        let state = self.touched.get(address).map_or(State::Absent, |t| t.state.clone());
        let what = match (condition, &state) {
            (Condition::Absent, State::Present { revision, .. }) => {
                format!("it exists already, at revision {}", revision.rev)
            }
            (Condition::Revision(wanted), State::Present { revision, .. })
                if revision.rev != wanted && !is_planted(Plant::ConditionIgnored) =>
            {
                format!("it is at revision {}, not {wanted}", revision.rev)
            }
            (Condition::Revision(wanted), State::Absent) => {
                format!("it does not exist, so it is not at revision {wanted}")
            }
            _ => return Ok(state),
        };
        let what = format!("{}: {what}; read it and decide again", name(address));
        Err(self.refuse(address, Error::new(ErrorKind::Conflict, what)))
    }

    fn look_up(&self, (keyspace, id): &Address) -> Result<Touched> {
        let latest = self.store.latest(keyspace, id.as_bytes())?;
        let base = latest.as_ref().map(|version| version.lsn);
        let Some(stored) = latest.and_then(|version| version.value) else {
            return Ok(Touched { base, base_is_live: false, state: State::Absent });
        };
        let what = "a stored document has no head; run verify";
        let revision =
            Revision::decode(&stored).ok_or_else(|| Error::new(ErrorKind::Corrupt, what))?;
        let bytes = stored.get(revision.encode().len()..).unwrap_or_default().to_vec();
        Ok(Touched { base, base_is_live: true, state: State::Present { revision, bytes } })
    }

    fn write(&mut self, address: &Address, rev: u64, canonical: Canonical) {
        let (keyspace, id) = address;
        self.batch.put(keyspace, id.as_bytes(), &encode_document(rev, &canonical));
        let revision = Revision { rev, sha256: canonical.sha256 };
        self.note(address, State::Present { revision, bytes: canonical.bytes }, revision);
    }

    /// Records what became of a document, for the operations after and for the caller.
    fn note(&mut self, address: &Address, state: State, Revision { rev, sha256 }: Revision) {
        if let Some(touched) = self.touched.get_mut(address) {
            touched.state = state;
        }
        let (collection, id) = (address.0.name().to_owned(), address.1.clone());
        self.outcomes.push(Outcome::Document { collection, id, rev, sha256 });
    }

    fn not_found(&self, address: &Address) -> Refusal {
        let what = format!("{} does not exist", name(address));
        self.refuse(address, Error::new(ErrorKind::NotFound, what))
    }

    fn refuse(&self, address: &Address, error: Error) -> Refusal {
        let because_of = self.touched.get(address).and_then(|touched| touched.base);
        Refusal { error, because_of }
    }

    fn finish(mut self, options: &WriteOptions) -> Result<(Batch, Vec<Outcome>)> {
        for ((keyspace, id), touched) in &self.touched {
            let expect = match touched.base {
                Some(lsn) if touched.base_is_live => Expect::Version(lsn),
                _ => Expect::Absent,
            };
            self.batch.expect(keyspace, id.as_bytes(), expect);
        }
        self.batch.origin(options.origin.clone()).durability(options.durability);
        if let Some(request) = &options.request {
            self.batch.request(request, &reply_of(&self.outcomes)?);
        }
        Ok((self.batch, self.outcomes))
    }
}

fn address(collection: &str, id: &str) -> Result<Address> {
    check_id(id)?;
    Ok((Keyspace::in_namespace(Namespace::Collection, collection)?, id.to_owned()))
}

fn name((keyspace, id): &Address) -> String {
    format!("the document {:?} in {:?}", id, keyspace.name())
}

/// The outcomes as they are kept for a repeat of the request.
fn reply_of(outcomes: &[Outcome]) -> Result<Vec<u8>> {
    let outcomes: Vec<Value> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Document { collection, id, rev, sha256 } => {
                json!({"c": collection, "id": id, "rev": rev, "sha256": sha256.to_string()})
            }
            Outcome::Key { keyspace, key } => json!({"k": keyspace, "key": key}),
        })
        .collect();
    super::canonical::canonical_bytes(&Value::Array(outcomes))
}

fn outcomes_of(reply: &[u8]) -> Result<Vec<Outcome>> {
    let value = json::parse(reply)?;
    let outcomes = value.as_array().and_then(|outcomes| outcomes.iter().map(outcome_of).collect());
    outcomes.ok_or_else(|| {
        let what = "the request id was used by a writer of plain keys; choose another";
        Error::new(ErrorKind::Invalid, what)
    })
}

fn outcome_of(value: &Value) -> Option<Outcome> {
    let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
    if let Some(keyspace) = text("k") {
        let key = value.get("key")?.as_array()?.iter().map(|byte| byte.as_u64()?.try_into().ok());
        return Some(Outcome::Key { keyspace, key: key.collect::<Option<_>>()? });
    }
    let sha256: Sha256 = text("sha256")?.parse().ok()?;
    let rev = value.get("rev")?.as_u64()?;
    Some(Outcome::Document { collection: text("c")?, id: text("id")?, rev, sha256 })
}
