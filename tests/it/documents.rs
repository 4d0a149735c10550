//! Documents: revisions, conditions, batches, the feed, and many writers at once.

use std::sync::Arc;

use jidoka::base::{ErrorKind, Lsn};
use jidoka::doc::{
    Change, ChangeKind, Changes, Condition, Documents, Listing, Operation, Outcome, Query, Sort,
    WriteOptions,
};
use jidoka::store::{Origin, Store};
use jidoka::vfs::memory::{MemoryVfs, SimClock, runtime};
use jidoka::vfs::{Background, Clock, Runtime, thread};
use jidoka::wal::Durability;
use serde_json::{Value, json};

fn open(disk: &MemoryVfs) -> Documents {
    let store = Store::builder("/store").segment_bytes(64 << 10).runtime(runtime(disk, 3)).open();
    Documents::over(store.unwrap())
}

fn ids(docs: &Documents, collection: &str, listing: &Listing) -> Vec<String> {
    docs.list(collection, listing).unwrap().map(|document| document.unwrap().id).collect()
}

fn feed(docs: &Documents, since: Lsn) -> Vec<Change> {
    let mut changes = docs.changes(since).unwrap();
    std::iter::from_fn(|| changes.next_change().unwrap()).collect()
}

#[test]
fn revisions_count_from_creation_to_deletion() {
    let docs = open(&MemoryVfs::new());
    let first = docs.put("c", "a", &json!({"n": 1}), Condition::Absent).unwrap();
    let second = docs.put("c", "a", &json!({"n": 2}), Condition::Revision(1)).unwrap();
    let third = docs.patch("c", "a", &json!({"m": 3}), Condition::None).unwrap();
    assert_eq!((first.rev, second.rev, third.rev), (1, 2, 3));
    let found = docs.get("c", "a").unwrap().unwrap();
    assert_eq!((found.rev, found.value().unwrap()), (3, json!({"m": 3, "n": 2})));
    assert_eq!((found.lsn, found.sha256), (third.lsn, third.sha256));
    let deleted = docs.delete("c", "a", Condition::Revision(3)).unwrap();
    assert_eq!((deleted.rev, deleted.sha256), (3, third.sha256));
    assert_eq!(docs.get("c", "a").unwrap(), None);
    let again = docs.put("c", "a", &json!({"n": 4}), Condition::Absent).unwrap();
    assert_eq!(again.rev, 1);
}

#[test]
fn a_condition_that_does_not_hold_changes_nothing() {
    let docs = open(&MemoryVfs::new());
    let kind = |result: jidoka::base::Result<_>| result.map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(docs.put("c", "a", &json!(1), Condition::Revision(1))), ErrorKind::Conflict);
    assert_eq!(kind(docs.delete("c", "a", Condition::None)), ErrorKind::NotFound);
    assert_eq!(kind(docs.patch("c", "a", &json!({}), Condition::None)), ErrorKind::NotFound);
    docs.put("c", "a", &json!(1), Condition::None).unwrap();
    let before = docs.store().visible();
    assert_eq!(kind(docs.put("c", "a", &json!(2), Condition::Absent)), ErrorKind::Conflict);
    assert_eq!(kind(docs.put("c", "a", &json!(2), Condition::Revision(2))), ErrorKind::Conflict);
    assert_eq!(kind(docs.delete("c", "a", Condition::Revision(9))), ErrorKind::Conflict);
    docs.delete("c", "a", Condition::None).unwrap();
    assert_eq!(kind(docs.put("c", "a", &json!(2), Condition::Revision(1))), ErrorKind::Conflict);
    assert_eq!(docs.store().visible().0, before.0 + 1);
}

#[test]
fn a_batch_is_one_commit_and_each_operation_sees_those_before_it() {
    let docs = open(&MemoryVfs::new());
    let put = |id: &str, doc: Value, condition| Operation::Put {
        collection: "c".into(),
        id: Some(id.into()),
        doc,
        condition,
    };
    let patch = Operation::Patch {
        collection: "c".into(),
        id: "a".into(),
        patch: json!({"n": 2}),
        condition: Condition::Revision(1),
    };
    let operations = [
        put("a", json!({"n": 1}), Condition::Absent),
        patch.clone(),
        put("b", json!(7), Condition::None),
    ];
    let applied = docs.apply(&operations, &WriteOptions::default()).unwrap();
    let revs: Vec<u64> = applied
        .outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Document { rev, .. } => *rev,
            _ => 0,
        })
        .collect();
    assert_eq!(revs, [1, 2, 1]);
    assert_eq!(docs.get("c", "b").unwrap().unwrap().lsn, applied.lsn);
    assert_eq!(docs.get("c", "a").unwrap().unwrap().rev, 2);
    // One refusal refuses all.
    let refused = [put("d", json!(1), Condition::None), patch];
    let error = docs.apply(&refused, &WriteOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(docs.get("c", "d").unwrap(), None);
}

#[test]
fn a_repeated_request_gets_the_first_answer_also_after_a_crash() {
    let disk = MemoryVfs::new();
    let docs = open(&disk);
    let operation = Operation::Put {
        collection: "c".into(),
        id: None,
        doc: json!({"order": "bell"}),
        condition: Condition::None,
    };
    let options = WriteOptions { request: Some("r-1".into()), ..WriteOptions::default() };
    let first = docs.apply(std::slice::from_ref(&operation), &options).unwrap();
    let second = docs.apply(std::slice::from_ref(&operation), &options).unwrap();
    assert_eq!(first, second);
    let reopened = open(&disk.kill());
    let third = reopened.apply(&[operation], &options).unwrap();
    assert_eq!(first, third);
    assert_eq!(ids(&reopened, "c", &Listing::default()).len(), 1);
}

#[test]
fn documents_are_listed_in_the_order_of_their_ids() {
    let docs = open(&MemoryVfs::new());
    for id in ["b2", "a", "b10", "c", "b1"] {
        docs.put("c", id, &json!({"id": id}), Condition::None).unwrap();
    }
    assert_eq!(ids(&docs, "c", &Listing::default()), ["a", "b1", "b10", "b2", "c"]);
    let listing = Listing { prefix: "b".into(), after: Some("b1".into()) };
    assert_eq!(ids(&docs, "c", &listing), ["b10", "b2"]);
    let before_the_prefix = Listing { prefix: "b".into(), after: Some("a".into()) };
    assert_eq!(ids(&docs, "c", &before_the_prefix), ["b1", "b10", "b2"]);
    assert_eq!(ids(&docs, "nothing", &Listing::default()), [""; 0]);
    let query = Query { sort: Some(Sort::parse("id:desc").unwrap()), ..Query::default() };
    let found: Vec<String> =
        docs.query("c", &query).unwrap().map(|row| row.unwrap().document.id).collect();
    assert_eq!(found, ["c", "b2", "b10", "b1", "a"]);
}

#[test]
fn generated_ids_sort_by_the_time_they_were_made() {
    let clock = Arc::new(SimClock::default());
    let owned: Arc<dyn Clock> = clock.clone();
    let runtime = Runtime { clock: owned, ..runtime(&MemoryVfs::new(), 3) };
    let store = Store::builder("/store").segment_bytes(64 << 10).runtime(runtime).open().unwrap();
    let docs = Documents::over(store);
    let mut made = Vec::new();
    for number in 0..50 {
        clock.advance(1000);
        made.push(docs.insert("c", &json!({"n": number})).unwrap().id);
    }
    assert!(made.iter().all(|id| id.len() == 26));
    assert_eq!(ids(&docs, "c", &Listing::default()), made);
}

#[test]
fn the_feed_tells_every_revision_once_with_its_origin() {
    let disk = MemoryVfs::new();
    let docs = open(&disk);
    let origin = Origin { actor: "ohno".into(), session: "s".into(), reason: "andon".into() };
    let put = |n: u64| Operation::Put {
        collection: "c".into(),
        id: Some("a".into()),
        doc: json!({"n": n}),
        condition: Condition::None,
    };
    let options = WriteOptions { origin: origin.clone(), ..WriteOptions::default() };
    let first = docs.apply(&[put(1)], &options).unwrap();
    docs.apply(&[put(2)], &WriteOptions::default()).unwrap();
    docs.put("other", "b", &json!(0), Condition::None).unwrap();
    docs.delete("c", "a", Condition::None).unwrap();
    let all = feed(&docs, Lsn::ZERO);
    let told: Vec<_> = all.iter().map(|c| (c.collection.as_str(), c.rev, c.kind)).collect();
    let put_kind = ChangeKind::Put;
    assert_eq!(
        told,
        [
            ("c", 1, put_kind),
            ("c", 2, put_kind),
            ("other", 1, put_kind),
            ("c", 2, ChangeKind::Delete)
        ]
    );
    assert_eq!(all[0].origin, origin);
    assert_eq!(all[0].doc.as_deref(), Some(&b"{\"n\":1}"[..]));
    assert_eq!(all[3].doc, None);
    assert_eq!(feed(&docs, first.lsn).len(), 3);
    // The same from outside, as far as claims reach, and all of it once the log is idle.
    let follow = || {
        let follower = runtime(&disk, 4);
        let mut changes = Changes::follow("/store".as_ref(), &follower, Lsn::ZERO).unwrap();
        std::iter::from_fn(|| changes.next_change().unwrap()).count()
    };
    assert_eq!(follow(), 3);
    assert!(docs.store().step().unwrap());
    assert_eq!(follow(), 4);
}

#[test]
fn the_feed_shows_only_what_is_durable() {
    let docs = open(&MemoryVfs::new());
    let operation = Operation::Put {
        collection: "c".into(),
        id: Some("a".into()),
        doc: json!(1),
        condition: Condition::None,
    };
    let options = WriteOptions { durability: Durability::Buffered, ..WriteOptions::default() };
    let applied = docs.apply(&[operation], &options).unwrap();
    assert!(!applied.durable);
    assert!(docs.get("c", "a").unwrap().is_some());
    assert_eq!(feed(&docs, Lsn::ZERO), []);
    docs.store().sync().unwrap();
    assert_eq!(feed(&docs, Lsn::ZERO).len(), 1);
}

#[test]
fn sixty_four_threads_incrementing_one_document_lose_no_update() {
    const THREADS: u64 = 64;
    const EACH: u64 = 20;
    let disk = MemoryVfs::new();
    let threads = Runtime { background: Background::Threads, ..runtime(&disk, 7) };
    let store = Store::builder("/store").segment_bytes(64 << 10).runtime(threads).open().unwrap();
    let docs = Documents::over(store);
    docs.put("c", "counter", &json!({"n": 0}), Condition::Absent).unwrap();
    let increment = |docs: &Documents| loop {
        let found = docs.get("c", "counter").unwrap().unwrap();
        let next = json!({"n": found.value().unwrap()["n"].as_u64().unwrap() + 1});
        match docs.put("c", "counter", &next, Condition::Revision(found.rev)) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
    };
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let docs = docs.clone();
            thread::spawn("worker", move || (0..EACH).for_each(|_| increment(&docs))).unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    let found = docs.get("c", "counter").unwrap().unwrap();
    assert_eq!(found.value().unwrap()["n"].as_u64(), Some(THREADS * EACH));
    assert_eq!(found.rev, THREADS * EACH + 1);
    docs.store().close().unwrap();
    let revs: Vec<u64> = feed(&open(&disk), Lsn::ZERO).iter().map(|change| change.rev).collect();
    assert_eq!(revs, (1..=THREADS * EACH + 1).collect::<Vec<_>>());
}

#[test]
fn unconditional_writers_of_one_document_each_get_their_own_revision() {
    let disk = MemoryVfs::new();
    let threads = Runtime { background: Background::Threads, ..runtime(&disk, 7) };
    let store = Store::builder("/store").segment_bytes(64 << 10).runtime(threads).open().unwrap();
    let docs = Documents::over(store);
    let workers: Vec<_> = (0..16)
        .map(|worker| {
            let docs = docs.clone();
            let body = move || -> Vec<u64> {
                let write = |n| docs.put("c", "a", &json!([worker, n]), Condition::None).unwrap();
                (0..25).map(|n| write(n).rev).collect()
            };
            thread::spawn("worker", body).unwrap()
        })
        .collect();
    let mut revs: Vec<u64> =
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    revs.sort_unstable();
    assert_eq!(revs, (1..=400).collect::<Vec<_>>());
}

#[test]
fn bad_names_and_bad_documents_are_refused_before_anything_is_written() {
    let docs = open(&MemoryVfs::new());
    let long = "x".repeat(1025);
    let kind = |collection: &str, id: &str, doc: Value| {
        docs.put(collection, id, &doc, Condition::None).unwrap_err().kind()
    };
    assert_eq!(kind("c", "", json!(1)), ErrorKind::Invalid);
    assert_eq!(kind("c", &long, json!(1)), ErrorKind::Invalid);
    assert_eq!(kind("", "a", json!(1)), ErrorKind::Invalid);
    assert_eq!(kind("c", "a", json!(9_007_199_254_740_992_u64)), ErrorKind::Invalid);
    assert_eq!(kind("c", "a", json!("x".repeat(70_000))), ErrorKind::Invalid);
    assert_eq!(docs.store().visible(), Lsn::ZERO);
    assert_eq!(docs.collections(), [""; 0]);
}
