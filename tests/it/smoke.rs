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

/// 1. A store is killed; recovery writes its tail again and cuts. 2. Nothing is written.
/// 3. The store is killed again, and the disk rots in the last commit. No later record claimed
///    it, so it looked torn, and an acknowledged commit was cut.
#[test]
fn what_recovery_proved_is_claimed_without_waiting_for_the_next_commit() {
    let disk = MemoryVfs::new();
    let pots = Keyspace::new("pots").unwrap();
    let open = |disk: &MemoryVfs| {
        Store::builder("/store").segment_bytes(8192).runtime(runtime(disk, 1)).open()
    };
    let store = open(&disk).unwrap();
    let mut batch = Batch::new();
    batch.put(&pots, b"key", b"a value that is easy to find");
    store.commit(batch).unwrap();
    let killed = disk.kill();
    let recovered = open(&killed).unwrap();
    assert!(recovered.step().unwrap(), "the claim is background work");
    let rotten = killed.kill();
    let path = "/store/wal/0000000000000001.wal";
    let bytes = rotten.read_file(path).unwrap();
    let at = bytes.windows(6).position(|window| window == b"a valu").unwrap();
    rotten.flip(path, at as u64, 1).unwrap();
    let error = open(&rotten).unwrap_err();
    assert_eq!(error.kind(), jidoka::base::ErrorKind::Corrupt);
}
