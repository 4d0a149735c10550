//! From a batch to the log, and from there into the tree.

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result, Timestamp};
use crate::wal::{Appending, Deadline, Durability, Payload};

use super::asynchronous::Handle;
use super::batch::{Batch, Expect, Keyspace};
use super::directory::{DIRECTORY, directory_key};
use super::format::{Change, Decoded, Entry, Request, decode, encode};
use super::handle::{Commit, Inner};
use super::insert::{Insert, apply, keep_answer};
use super::requests::Answer;

/// What a commit does when an expectation does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnConflict {
    /// Waits until what it lost to is durable, so that nobody acts on a loss that a crash undoes.
    WaitForWinner,
    /// Says so at once, to a caller that only tries again.
    ReturnAtOnce,
}

/// The payload of a batch, and the conditions it depends on, with keyspaces as numbers.
struct Prepared {
    payload: Payload,
    expected: Vec<(KeyspaceId, Vec<u8>, Expect)>,
    /// It puts nothing.
    only_deletes: bool,
}

/// Resolves names, offering a number to each keyspace that a put brings into being.
fn prepare(inner: &Inner, batch: &Batch) -> Result<Prepared> {
    let mut created: Vec<(Keyspace, KeyspaceId)> = Vec::new();
    let mut resolve = |keyspace: &Keyspace, create: bool| -> Option<KeyspaceId> {
        let known = inner.view.directory.id(keyspace);
        let fresh = created.iter().find(|(new, _)| new == keyspace).map(|(_, id)| *id);
        known.or(fresh).or_else(|| {
            create.then(|| {
                let id = inner.view.directory.offer();
                created.push((keyspace.clone(), id));
                id
            })
        })
    };
    let mut resolved = Vec::with_capacity(batch.changes.len());
    let mut last: Option<(&Keyspace, KeyspaceId)> = None;
    for (keyspace, key, change) in batch.changes.iter() {
        // Deleting from a keyspace that does not exist changes nothing.
        let create = matches!(change, Change::Put(_));
        let same = last.filter(|(before, _)| *before == keyspace).map(|(_, id)| id);
        if let Some(id) = same.or_else(|| resolve(keyspace, create)) {
            last = Some((keyspace, id));
            resolved.push(Entry { keyspace: id, key, change });
        }
    }
    let mut expected = Vec::with_capacity(batch.expected.len() + created.len());
    for ((keyspace, key), expect) in &batch.expected {
        // A keyspace that is just being created, or does not exist, holds no value yet.
        let id = inner.view.directory.id(keyspace);
        match (id, expect) {
            (Some(id), _) => expected.push((id, key.clone(), *expect)),
            (None, Expect::Absent) => {}
            (None, Expect::Version(_)) => return Err(conflict(Lsn::ZERO)),
        }
    }
    // Whoever creates a keyspace first gives it its number; the other tries again with it.
    let directory: Vec<(Vec<u8>, [u8; 4])> =
        created.iter().map(|(name, id)| (directory_key(name), id.0.to_le_bytes())).collect();
    for (key, id) in &directory {
        expected.push((DIRECTORY, key.clone(), Expect::Absent));
        resolved.push(Entry { keyspace: DIRECTORY, key, change: Change::Put(id) });
    }
    resolved.sort_by(|a, b| (a.keyspace, a.key).cmp(&(b.keyspace, b.key)));
    let request = batch.request.as_ref().map(|(id, reply)| Request { id, reply });
    let only_deletes = resolved.iter().all(|entry| matches!(entry.change, Change::Delete(_)));
    let bytes = encode(&batch.origin, request, resolved.iter().copied());
    Ok(Prepared { payload: Payload::new(bytes), expected, only_deletes })
}

fn conflict(winner: Lsn) -> Error {
    let what = "the key was changed by another writer; read it again and decide again";
    let error = Error::new(ErrorKind::Conflict, what);
    if winner == Lsn::ZERO { error } else { error.at_lsn(winner) }
}

/// What happens under the append lock.
struct Live<'a> {
    inner: &'a Inner,
    expected: &'a [(KeyspaceId, Vec<u8>, Expect)],
    /// What the payload says, once decoded.
    request: Option<Request<'a>>,
    inserts: Vec<Insert>,
    /// It adds nothing to what is stored.
    only_deletes: bool,
    /// The commit that refused this one.
    lost_to: Option<Lsn>,
    /// The request was answered between the first look and the lock.
    answered: bool,
}

impl<'a> Live<'a> {
    /// Takes what goes into the tree from the bytes that go into the log, as replay will (L5).
    fn new(inner: &'a Inner, prepared: &'a Prepared) -> Self {
        let decoded = decode(prepared.payload.bytes());
        assert!(decoded.is_ok(), "a batch was encoded that cannot be decoded: {decoded:?}");
        let Decoded { request, entries, .. } = decoded.unwrap_or_default();
        let inserts = entries.into_iter().map(Insert::from).collect();
        let Prepared { expected, only_deletes, .. } = prepared;
        let only_deletes = *only_deletes;
        Self { inner, expected, request, inserts, only_deletes, lost_to: None, answered: false }
    }
}

impl Appending for Live<'_> {
    fn check(&mut self) -> Result<()> {
        if self.request.is_some_and(|request| self.inner.requests.lock().get(request.id).is_some())
        {
            self.answered = true;
            return Err(conflict(Lsn::ZERO));
        }
        if self.expected.is_empty() {
            return Ok(());
        }
        for (keyspace, key, expect) in self.expected {
            let latest = self.inner.view.tree.newest(*keyspace, key, || Lsn::MAX)?;
            let live = latest.as_ref().filter(|version| version.value.is_some());
            let live = live.map(|version| version.lsn);
            let holds = match expect {
                Expect::Absent => live.is_none(),
                Expect::Version(lsn) => live == Some(*lsn),
            };
            if !holds {
                let winner = latest.map_or(Lsn::ZERO, |version| version.lsn);
                self.lost_to = Some(winner);
                return Err(conflict(winner));
            }
        }
        Ok(())
    }

    fn appended(&mut self, lsn: Lsn, time: Timestamp) {
        let view = &self.inner.view;
        let horizon = view.pins.horizon(|| self.inner.wal.visible());
        // Drained, so that its memory is let go of without the locks.
        let inserts = self.inserts.drain(..);
        let bytes = view.tree.change(|memtable| {
            apply(inserts, (lsn, time), horizon, memtable, &view.directory);
        });
        self.inner.jobs.after_append(bytes);
        if let Some(request) = self.request {
            keep_answer(request, (lsn, time), &mut self.inner.requests.lock());
        }
    }

    fn may_use_reserve(&self) -> bool {
        self.only_deletes
    }
}

/// Times a batch is tried again because somebody else created its keyspace first.
const CREATION_TRIES: usize = 100;

pub(super) fn commit(inner: &Inner, batch: &Batch, on_conflict: OnConflict) -> Result<Commit> {
    let clock = inner.runtime.clock.as_ref();
    let patience = batch.patience;
    let deadline = patience.map_or(Deadline::NONE, |patience| Deadline::after(clock, patience));
    let batch = &*batch.ordered();
    batch.check()?;
    if is_planted(Plant::BatchSplit) && batch.changes.len() > 1 {
        let (mut first, mut second) = (batch.clone(), batch.clone());
        let (len, last) = (batch.changes.len(), batch.changes.iter().last());
        first.changes = batch.changes.only(0..len - 1);
        second.changes = batch.changes.only(len - 1..len);
        second.expected.retain(|(space, key), _| {
            last.is_some_and(|(keyspace, last, _)| (space, key.as_slice()) == (keyspace, last))
        });
        commit(inner, &first, on_conflict)?;
        second.request = None;
        return commit(inner, &second, on_conflict);
    }
    let wanted = (batch.durability, deadline);
    let append =
        |payload: &Payload, live: &mut Live<'_>| inner.wal.append_and_wait(payload, wanted, live);
    match submit(inner, batch, on_conflict, append)? {
        Submitted::Appended((appended, waited)) => {
            waited?;
            let durable =
                batch.durability == Durability::Sync || is_planted(Plant::BufferedCalledDurable);
            let (lsn, time) = (appended.lsn, appended.time);
            Ok(Commit { lsn, time, durable, repeated: None })
        }
        Submitted::Repeated(answer) => repeated(inner, answer),
    }
}

pub(super) fn commit_async(inner: &Inner, batch: &Batch) -> Result<Handle> {
    let batch = &*batch.ordered();
    batch.check()?;
    let append = |payload: &Payload, live: &mut Live<'_>| inner.wal.append_async(payload, live);
    Ok(match submit(inner, batch, OnConflict::WaitForWinner, append)? {
        Submitted::Appended(pending) => Handle::new(pending, None),
        Submitted::Repeated(answer) => {
            Handle::new(inner.wal.pending(answer.lsn, answer.time), Some(answer.reply))
        }
    })
}

/// What became of a batch that was not refused.
enum Submitted<A> {
    Appended(A),
    /// Its request was made before.
    Repeated(Answer),
}

/// Has `append` append the batch, and tries again where only the creation of its keyspace is in
/// the way.
fn submit<A>(
    inner: &Inner,
    batch: &Batch,
    on_conflict: OnConflict,
    append: impl Fn(&Payload, &mut Live<'_>) -> Result<A>,
) -> Result<Submitted<A>> {
    let request = batch.request.as_ref().map(|(id, _)| id.as_str());
    for _ in 0..CREATION_TRIES {
        if let Some(answer) = request.and_then(|id| inner.requests.lock().get(id).cloned()) {
            hit(Mark::RequestRepeated);
            return Ok(Submitted::Repeated(answer));
        }
        inner.jobs.before_append()?;
        let prepared = prepare(inner, batch)?;
        let mut live = Live::new(inner, &prepared);
        let error = match append(&prepared.payload, &mut live) {
            Ok(appended) => return Ok(Submitted::Appended(appended)),
            Err(error) => error,
        };
        if live.answered || lost_a_creation(inner, batch, &prepared) {
            continue;
        }
        if let (Some(winner), OnConflict::WaitForWinner) = (live.lost_to, on_conflict)
            && !is_planted(Plant::ConflictToldEarly)
        {
            inner.wal.wait_visible(winner)?;
            // The winner may have asked for less than that.
            if inner.wal.durable() < winner {
                inner.wal.sync()?;
            }
        }
        return Err(error);
    }
    Err(conflict(Lsn::ZERO))
}

/// Whether the batch wanted to create a keyspace that meanwhile exists.
fn lost_a_creation(inner: &Inner, batch: &Batch, prepared: &Prepared) -> bool {
    let wanted = |key: &[u8]| {
        prepared.expected.iter().any(|(id, wanted, _)| *id == DIRECTORY && wanted == key)
    };
    batch.changes.iter().any(|(keyspace, ..)| {
        wanted(&directory_key(keyspace)) && inner.view.directory.id(keyspace).is_some()
    })
}

/// The answer to a request, once it can be seen.
pub(super) fn answered(inner: &Inner, id: &str) -> Result<Option<Commit>> {
    let Some(answer) = inner.requests.lock().get(id).cloned() else { return Ok(None) };
    hit(Mark::RequestRepeated);
    repeated(inner, answer).map(Some)
}

fn repeated(inner: &Inner, answer: Answer) -> Result<Commit> {
    inner.wal.wait_visible(answer.lsn)?;
    inner.wal.sync()?;
    let Answer { lsn, time, reply } = answer;
    Ok(Commit { lsn, time, durable: true, repeated: Some(reply) })
}
