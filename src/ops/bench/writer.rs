//! Somebody who commits values of one size.

use crate::base::Result;
use crate::base::codec::widen;
use crate::store::{Batch, Handle, Keyspace, Store};
use crate::wal::Durability;

/// Bytes of values that all writers of a measurement keep in memory.
const KEPT_BYTES: u64 = 64 << 20;
/// Keys of each writer, if they are small.
const KEYS_MAX: u64 = 1024;

/// A writer with keys of its own.
pub(super) struct Writer<'a> {
    store: &'a Store,
    keyspace: Keyspace,
    value: Vec<u8>,
    number: u64,
    keys: u64,
    next: u64,
}

impl<'a> Writer<'a> {
    /// Writer `number` of `writers`, who writes the same keys again and again.
    pub(super) fn new(
        store: &'a Store,
        value_bytes: u32,
        (number, writers): (u64, u64),
    ) -> Result<Self> {
        let keys = KEPT_BYTES / (u64::from(value_bytes) + 1) / writers.max(1);
        let value = vec![0x2a; widen(value_bytes)];
        let (keyspace, keys) = (Keyspace::new("bench")?, keys.clamp(1, KEYS_MAX));
        Ok(Self { store, keyspace, value, number, keys, next: 0 })
    }

    /// The same, with a new key for every commit.
    pub(super) fn with_new_keys(mut self) -> Self {
        self.keys = u64::MAX;
        self
    }

    /// The key of the first commit.
    pub(super) fn first_key(&self) -> (Keyspace, Vec<u8>) {
        (self.keyspace.clone(), self.key(0))
    }

    fn key(&self, number: u64) -> Vec<u8> {
        // Spread over the tree, as keys of real use are.
        let spread = (number % self.keys).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        [spread.to_le_bytes(), self.number.to_le_bytes()].concat()
    }

    /// Commits without waiting for the disk.
    pub(super) fn submit(&mut self) -> Result<Handle> {
        let mut batch = Batch::new();
        batch.put(&self.keyspace, &self.key(self.next), &self.value);
        self.next += 1;
        self.store.commit_async(batch)
    }

    /// Commits `count` values together, durably.
    pub(super) fn ingest(&mut self, count: u64) -> Result<()> {
        let mut batch = Batch::new();
        for number in self.next..self.next + count {
            batch.put(&self.keyspace, &self.key(number), &self.value);
        }
        self.next += count;
        self.store.commit(batch).map(|_| ())
    }

    pub(super) fn commit(&mut self, durability: Durability) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(&self.keyspace, &self.key(self.next), &self.value).durability(durability);
        self.next += 1;
        self.store.commit(batch).map(|_| ())
    }
}
