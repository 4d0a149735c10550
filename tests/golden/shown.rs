//! What a golden store shows: everything that can be asked of it, in words that are compared.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use jidoka::archive::{RestoreRequest, Target, restore};
use jidoka::base::checksum::hash64;
use jidoka::base::{ErrorKind, Lsn};
use jidoka::doc::Documents;
use jidoka::store::{Snapshot, Store};
use jidoka::vfs::Runtime;
use jidoka::wal::identity::Identity;
use jidoka::wal::reader::{Limit, LogReader};
use jidoka::wal::{OpenSettings, RecoveryReport, Wal, read_log};

/// Requests that the golden stores answered.
const REQUESTS: [&str; 2] = ["delivery-1", "orders-1"];

fn hash(bytes: &[u8]) -> String {
    format!("{} bytes {:016x}", bytes.len(), hash64(bytes))
}

/// What opening found, without how long it took.
pub(crate) fn recovery(report: &RecoveryReport) -> Value {
    let RecoveryReport { case, segments, records, cut_bytes, .. } = report;
    json!({"case": case, "segments": segments, "records": records, "cut_bytes": cut_bytes})
}

/// Who the store is.
pub(crate) fn identity(identity: &Identity) -> Value {
    let ancestors: Vec<String> = identity
        .ancestors
        .iter()
        .map(|ancestor| format!("{} up to {}", ancestor.store_id, ancestor.up_to))
        .collect();
    json!({
        "store_id": identity.store_id.to_string(),
        "term": identity.term.0,
        "created": identity.created.0,
        "segment_bytes": identity.segment_bytes,
        "ancestors": ancestors,
    })
}

/// Every record of the log, bookkeeping and what was taken back included.
pub(crate) fn records(dir: &Path) -> Value {
    let reader = LogReader::open(dir, &Runtime::default()).unwrap();
    let mut reader = reader.with_taken_back();
    let mut lines = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).unwrap() {
        let header = record.header;
        lines.push(format!(
            "{} seq {} lsn {} term {} at {} chain {:016x} claim {} segment {} offset {}: {}",
            header.kind.name(),
            header.seq.0,
            header.lsn,
            header.term.0,
            header.time.0,
            header.chain,
            header.claim.0,
            record.segment.0,
            record.offset,
            hash(&record.payload)
        ));
    }
    json!(lines)
}

/// Every key with its value, commit and time.
fn content(snapshot: &Snapshot) -> Value {
    let mut lines = Vec::new();
    for keyspace in snapshot.keyspaces() {
        for found in snapshot.range(&keyspace, ..) {
            let found = found.unwrap();
            lines.push(format!(
                "{:?} {} {:?} lsn {} at {}: {}",
                keyspace.namespace(),
                keyspace.name(),
                String::from_utf8_lossy(&found.key),
                found.lsn,
                found.time.0,
                hash(&found.value)
            ));
        }
    }
    json!(lines)
}

/// What a read-only open shows, and the damage that ends it.
pub(crate) fn read_only(dir: &Path) -> Value {
    let store = Store::builder(dir).open_read_only().unwrap();
    json!({
        "identity": identity(store.identity()),
        "recovery": recovery(store.recovery()),
        "visible": store.visible().0,
        "claimed": store.claimed().0,
        "content": content(&store.snapshot()),
        "damage": store.damage().map(|error| format!("{:?}", error.kind())),
    })
}

/// What an open store shows; its recovery is told apart, for it is not the same the next time.
pub(crate) fn open(store: &Store) -> Value {
    let documents = Documents::over(store.clone());
    let (digest, count) = documents.digest().unwrap();
    let answered: Vec<Value> = REQUESTS
        .iter()
        .filter_map(|id| store.answered(id).unwrap())
        .map(|commit| {
            let reply = commit.repeated.as_deref().map(hash);
            json!({"lsn": commit.lsn.0, "at": commit.time.0, "reply": reply})
        })
        .collect();
    json!({
        "visible": store.visible().0,
        "content": content(&store.snapshot()),
        "documents": format!("{count} in {digest}"),
        "answered": answered,
    })
}

/// What opening a log alone shows, and that log.
pub(crate) fn open_log(dir: &Path) -> (Wal, Value) {
    let settings = OpenSettings { create: false, ..OpenSettings::default() };
    let log = Wal::open(dir, &Runtime::default(), &settings, &mut |_| Ok(())).unwrap();
    let vote = log.vote().map(|vote| format!("{vote:?}"));
    let committed = log.committed().map(|mark| format!("{mark:?}"));
    let mut follower = log.follow(Lsn(log.oldest().0 - 1)).unwrap();
    let mut commits = BTreeMap::new();
    loop {
        match follower.next_commit() {
            Ok(Some(record)) => commits.insert(record.header.lsn, hash(&record.payload)),
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::Diverged => {
                commits.split_off(&error.place().lsn.unwrap()).into_values().next()
            }
            Err(error) => panic!("{error}"),
        };
    }
    let commits: Vec<String> =
        commits.into_iter().map(|(lsn, payload)| format!("{lsn}: {payload}")).collect();
    let shown = json!({
        "visible": log.visible().0,
        "oldest": log.oldest().0,
        "vote": vote,
        "committed": committed,
        "commits": commits,
    });
    (log, shown)
}

/// What opening it read-only finds of a log alone.
pub(crate) fn read_log_only(dir: &Path) -> Value {
    let read = read_log(dir, &Runtime::default(), &mut |_| Ok(())).unwrap();
    json!({
        "identity": identity(&read.identity),
        "recovery": recovery(&read.report),
        "last": read.last.0,
        "claimed": read.claimed.0,
        "damage": read.damage.map(|error| format!("{:?}", error.kind())),
    })
}

/// What is restored from a copy into `to`, of all of it or up to a commit.
pub(crate) fn restored(copy: &Path, to: &Path, target: Target) -> Value {
    let (from, to) = (copy.to_owned(), to.to_owned());
    let request = RestoreRequest { from, to, target, exclusive: false, dry_run: false };
    let report = restore(&request, &Runtime::default()).unwrap();
    let store = Store::builder(&request.to).create(false).open().unwrap();
    let next = report.next.map(|(lsn, _)| lsn.0);
    let shown = open(&store);
    store.close().unwrap();
    json!({"reached": report.reached.lsn.0, "next": next, "store": shown})
}
