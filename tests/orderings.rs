//! The atomics of the engine under every order of loads and stores that memory may show.
//!
//! Run with `cargo test --features loom --test orderings`. The types are the shipped ones; what
//! they order, the entries of the tree, is played by cells that hold no order of their own, so
//! that an order which only a lock happens to give is not counted on.
#![expect(clippy::unwrap_used, reason = "a model that cannot go on panics")]

use jidoka::base::Lsn;
use jidoka::wal::reach::{Once, Reach};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// Commits that are appended and published in a model: the states multiply with each.
const COMMITS: u64 = 2;

/// A log whose tree is one cell: the last entry in it.
struct Log {
    reach: Reach,
    entries: AtomicU64,
    /// The append lock, and the last commit.
    appending: Mutex<u64>,
}

impl Log {
    fn new() -> Arc<Self> {
        let (entries, appending) = (AtomicU64::new(0), Mutex::new(0));
        Arc::new(Self { reach: Reach::new(Lsn::ZERO), entries, appending })
    }

    /// Appends one commit, and publishes it as visible; as durable too, if it is `synced`.
    fn commit(&self, synced: bool) {
        let mut last = self.appending.lock().unwrap();
        *last += 1;
        self.entries.store(*last, Ordering::Relaxed);
        if synced {
            self.reach.publish(Lsn(*last), Lsn(*last));
        } else {
            self.reach.show(Lsn(*last));
        }
    }

    fn entries(&self) -> Lsn {
        Lsn(self.entries.load(Ordering::Relaxed))
    }
}

#[test]
fn who_sees_a_commit_sees_its_entries() {
    loom::model(|| {
        let log = Log::new();
        let writer = log.clone();
        let writing = thread::spawn(move || (0..COMMITS).for_each(|n| writer.commit(n % 2 == 0)));
        let visible = log.reach.visible();
        assert!(log.entries() >= visible, "{visible} is visible, and its entries are not");
        let durable = log.reach.durable();
        assert!(log.entries() >= durable, "{durable} is durable, and its entries are not there");
        writing.join().unwrap();
        assert_eq!(log.reach.visible(), Lsn(COMMITS));
    });
}

#[test]
fn what_is_durable_is_visible() {
    loom::model(|| {
        let log = Log::new();
        let writer = log.clone();
        let writing = thread::spawn(move || (0..COMMITS).for_each(|_| writer.commit(true)));
        let durable = log.reach.durable();
        let visible = log.reach.visible();
        assert!(durable <= visible, "{durable} is durable, and only {visible} is visible");
        writing.join().unwrap();
    });
}

#[test]
fn nothing_goes_back_under_concurrent_publishers() {
    loom::model(|| {
        let log = Log::new();
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let log = log.clone();
                thread::spawn(move || log.commit(true))
            })
            .collect();
        let first = log.reach.durable();
        let second = log.reach.durable();
        let visible = log.reach.visible();
        assert!(first <= second && second <= visible, "{first}, {second}, visible {visible}");
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!((log.reach.visible(), log.reach.durable()), (Lsn(2), Lsn(2)));
    });
}

/// What another thread hands on is as good as what was seen: the follower of the log is told the
/// durable commit by one thread and reads it in another.
#[test]
fn what_was_seen_can_be_handed_on() {
    loom::model(|| {
        let log = Log::new();
        let (writer, between) = (log.clone(), log.clone());
        let told = Arc::new(Reach::new(Lsn::ZERO));
        let telling = told.clone();
        let writing = thread::spawn(move || writer.commit(true));
        let handing = thread::spawn(move || {
            let durable = between.reach.durable();
            telling.publish(durable, durable);
        });
        let durable = told.durable();
        assert!(log.entries() >= durable && log.reach.visible() >= durable);
        writing.join().unwrap();
        handing.join().unwrap();
    });
}

#[test]
fn exactly_one_is_the_first() {
    loom::model(|| {
        let once = Arc::new(Once::new());
        let others: Vec<_> = (0..2)
            .map(|_| {
                let once = once.clone();
                thread::spawn(move || once.is_first())
            })
            .collect();
        let mut firsts = usize::from(once.is_first());
        firsts += others.into_iter().map(|one| one.join().unwrap()).filter(|is| *is).count();
        assert_eq!(firsts, 1);
        assert!(!once.is_first());
    });
}
