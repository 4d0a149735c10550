//! The shortest path: write, read, close, reopen.

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{MemoryVfs, runtime};

#[test]
fn what_was_committed_is_there_after_a_clean_close_and_after_a_kill() {
    let disk = MemoryVfs::new();
    let pots = Keyspace::new("pots").unwrap();
    let open = |disk: &MemoryVfs, seed| {
        Store::builder("/store").segment_bytes(8192).runtime(runtime(disk, seed)).open()
    };
    let store = open(&disk, 1).unwrap();
    for number in 0..100_u32 {
        let mut batch = Batch::new();
        batch.put(&pots, format!("{number:03}").as_bytes(), &[7; 100]);
        store.commit(batch).unwrap();
    }
    let killed = open(&disk.kill(), 2).unwrap();
    assert_eq!(killed.range(&pots, ..).count(), 100);
    assert!(killed.recovery().case > "@J", "{:?}", killed.recovery());
    store.close().unwrap();
    let operations = disk.operations();
    let reopened = open(&disk, 3).unwrap();
    assert_eq!(reopened.recovery().case, "@J");
    assert_eq!(reopened.range(&pots, ..).count(), 100);
    assert!(disk.operations() > operations);
}
