//! Committers that go on from segment to segment.

use jidoka::store::Batch;
use jidoka::vfs::Background;
use jidoka::vfs::memory::{CrashMode, MemoryVfs};
use jidoka::wal::Durability;

use crate::committers::{
    COMMITTERS, EACH, LARGE, Told, assert_holds, assert_survives, below, commit_all,
    fill_first_segment, join, keyspace, open, rotated, start,
};

pub(crate) fn committers_that_rotate_the_log_lose_nothing() -> bool {
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let count = if below(2) == 0 { COMMITTERS } else { COMMITTERS + 1 };
    let (told, workers) = commit_all(&store, count, LARGE, Durability::Sync, &[]);
    join(workers);
    assert_eq!(told.count(), usize::from(count * EACH));
    assert_survives(&disk, &told);
    let counts = rotated(&store);
    store.close().unwrap();
    assert_survives(&disk, &told);
    counts
}

/// Beside those who ask for less, `sync` and whoever asks for a sync get one that covers them.
pub(crate) fn mixed_durability_is_as_durable_as_it_was_asked_to_be() -> bool {
    const ASKED: [Durability; 4] =
        [Durability::Sync, Durability::Buffered, Durability::Memory, Durability::Buffered];
    let disk = MemoryVfs::new();
    let store = open(&disk, Background::Threads);
    let told = Told::default();
    let mut images = Vec::new();
    let workers: Vec<_> = (0..4_u8)
        .zip(ASKED)
        .map(|(worker, durability)| {
            let (store, told, disk) = (store.clone(), told.clone(), disk.clone());
            start(move || {
                told.commit(&store, [worker, 0], LARGE, durability).unwrap();
                let before = told.acknowledged();
                let covered = match durability {
                    Durability::Sync => {
                        before.into_iter().filter(|(_, key)| key.first() == Some(&worker)).collect()
                    }
                    Durability::Memory => return None,
                    _ => {
                        store.sync().unwrap();
                        before
                    }
                };
                Some((disk.crash_with(CrashMode::Nothing), covered))
            })
        })
        .collect();
    for worker in workers {
        images.extend(worker.join().unwrap());
    }
    let counts = rotated(&store);
    store.sync().unwrap();
    assert_survives(&disk, &told);
    for (image, covered) in images {
        assert_holds(&image, &covered, &told);
    }
    counts
}

/// The story:
/// 1. The leader-to-be of a group is woken, but does not run yet.
/// 2. A newcomer finds nobody leading and leads that group.
/// 3. Another newcomer fills the next group and sees that a leader-to-be has its name down, so it
///    waits as a follower.
/// 4. The group is done, and nobody is left to lead the next: it waited until the keeper looked.
pub(crate) fn a_newcomer_who_leads_leaves_the_next_group_its_leader() -> bool {
    let store = open(&MemoryVfs::new(), Background::Stepped);
    fill_first_segment(&store);
    let workers = (0..5_u8).map(|worker| {
        let store = store.clone();
        start(move || {
            let mut batch = Batch::new();
            batch.put(&keyspace(), &[worker], &[7; 200]).durability(Durability::Buffered);
            store.commit(batch).unwrap();
        })
    });
    join(workers.collect());
    assert_eq!(store.range(&keyspace(), ..vec![5]).count(), 5);
    rotated(&store)
}
