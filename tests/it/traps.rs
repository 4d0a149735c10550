//! Traps of write-ahead logs that no other test walks into on purpose.

use std::path::Path;

use jidoka::base::ErrorKind;
use jidoka::ops::verify;
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::memory::{Fault, FaultKind, MemoryVfs, OperationKind, Selector, runtime};
use jidoka::wal::Durability;
use jidoka::wal::reader::{Limit, LogReader, OwnedRecord};

use crate::model::STORE;

const SEGMENT_BYTES: u64 = 1 << 14;

fn pots() -> Keyspace {
    Keyspace::new("pots").unwrap()
}

fn open(disk: &MemoryVfs, seed: u64) -> jidoka::base::Result<Store> {
    let machine = runtime(disk, seed);
    Store::builder(STORE).segment_bytes(SEGMENT_BYTES).runtime(machine).open()
}

fn batch(key: u8, value: &[u8], durability: Durability) -> Batch {
    let mut batch = Batch::new();
    batch.put(&pots(), &[key], value).durability(durability);
    batch
}

fn put(store: &Store, key: u8, value: &[u8]) {
    store.commit(batch(key, value, Durability::Sync)).unwrap();
}

fn read_all(reader: &mut LogReader, limit: Limit) -> Vec<OwnedRecord> {
    std::iter::from_fn(|| reader.next(limit).unwrap()).collect()
}

/// A place that cannot be read is not the end, neither for followers nor for a verification. A
/// follower once began at the first segment again after it could not open the next one, found
/// nothing there that followed, and gave no more records.
#[test]
fn a_place_that_cannot_be_read_is_no_end_for_readers_either() {
    let disk = MemoryVfs::new();
    let store = open(&disk, 1).unwrap();
    (0..20).for_each(|key| put(&store, key, &[key; 3000]));
    store.close().unwrap();
    let dir = Path::new(STORE);
    let machine = runtime(&disk, 5);
    let whole = read_all(&mut LogReader::open(dir, &machine).unwrap(), Limit::Claims);
    let sound = verify(dir, &machine, false).unwrap();
    let mut failures = 0;
    for kind in [OperationKind::Read, OperationKind::Open, OperationKind::List, OperationKind::Size]
    {
        for nth in 0..24 {
            let at = Selector { kind: Some(kind), nth, ..Selector::default() };
            let what = FaultKind::Error(std::io::ErrorKind::Other);
            let image = disk.kill();
            image.plan(Fault { at: at.clone(), what, sticky: false });
            let name = format!("{kind:?} {nth}");
            match LogReader::open(dir, &runtime(&image, 6)) {
                Ok(mut reader) => {
                    let mut read = Vec::new();
                    loop {
                        match reader.next(Limit::Claims) {
                            Ok(Some(record)) => read.push(record),
                            Ok(None) => break,
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}");
                                failures += 1;
                            }
                        }
                    }
                    assert!(read == whole, "{name}: {} records, not {}", read.len(), whole.len());
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}"),
            }
            let image = disk.kill();
            image.plan(Fault { at, what, sticky: false });
            match verify(dir, &runtime(&image, 7), false) {
                Ok(report) => assert_eq!((report, image.faults_fired()), (sound.clone(), 0)),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Io, "{name}: {error:?}");
                    failures += 1;
                }
            }
        }
    }
    assert!(failures > 20, "{failures}");
}
