//! A table for tests, on a disk in memory, and what is in it.

use std::path::Path;
use std::sync::Arc;

use crate::base::{KeyspaceId, Lsn, StoreId, Timestamp};
use crate::vfs::Vfs;
use crate::vfs::memory::MemoryVfs;

use super::block::VersionRef;
use super::{Cache, Table, TableFacts, TableKey, TableWriter};

/// A version as tests compare it: keyspace, key, LSN, value.
pub(super) type Sample = (u32, Vec<u8>, u64, Option<Vec<u8>>);

/// Three keyspaces, keys with one to forty versions, small and large values, deletions.
pub(super) fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for keyspace in [1, 2, 7] {
        for number in 0..200_u64 {
            let key = format!("{}{:04}", "prefix".repeat(usize::from(number > 60)), number * 3);
            let versions = if number % 50 == 7 { 40 } else { 1 + number % 3 };
            for version in (1..=versions).rev() {
                let lsn = 1000 * version + number;
                let length = if number == 11 { 9000 } else { (lsn * 37) % 300 };
                let value = vec![number.to_le_bytes()[0]; usize::try_from(length).unwrap()];
                let value = (lsn % 7 > 0).then_some(value);
                samples.push((keyspace, key.clone().into_bytes(), lsn, value));
            }
        }
    }
    samples.push((7, b"z".to_vec(), 5, Some(Vec::new())));
    samples
}

pub(super) fn dir() -> &'static Path {
    Path::new("/store")
}

/// Writes the table `number` of `samples`.
pub(super) fn write(disk: &MemoryVfs, number: u64, samples: &[Sample]) -> TableFacts {
    let mut writer = TableWriter::create(disk, dir(), StoreId([9; 16]), number).unwrap();
    for (keyspace, key, lsn, value) in samples {
        let version =
            VersionRef { lsn: Lsn(*lsn), time: Timestamp(lsn * 2), value: value.as_deref() };
        writer.add((KeyspaceId(*keyspace), key), &version).unwrap();
    }
    writer.finish().unwrap()
}

/// A disk with the directory that tables are written to.
pub(super) fn disk() -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.create_dir(dir()).unwrap();
    disk
}

/// Opens the table that `facts` tell of.
pub(super) fn open(disk: &MemoryVfs, facts: &TableFacts) -> crate::base::Result<Table> {
    let cache = Arc::new(Cache::new(64 << 10));
    Table::open(disk, dir(), (facts.table, facts.bytes), cache)
}

/// The smallest or the largest key of `samples`.
pub(super) fn key_of(sample: Option<&Sample>) -> TableKey {
    sample.map(|(keyspace, key, ..)| (KeyspaceId(*keyspace), key.clone())).unwrap()
}
