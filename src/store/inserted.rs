//! The tree that inserting gives, to compare with what sorting gave (L5).
//!
//! Every test and every image of the crash lab replays its log both ways; a log of more than a few
//! thousand entries is left out.

use crate::base::{Lsn, Timestamp};

use super::directory::Directory;
use super::format::Decoded;
use super::insert::{Insert, apply};
use super::memtable::Memtable;

/// Entries beyond which nothing is compared.
const COMPARED_MAX: usize = 4096;

/// What live commits would have made of the same records.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    memtable: Memtable,
    entries: usize,
    last: Lsn,
}

impl Inserted {
    /// On top of tables, or of nothing.
    pub(super) fn new(is_above_others: bool) -> Self {
        let memtable = if is_above_others { Memtable::above_others() } else { Memtable::default() };
        Self { memtable, ..Self::default() }
    }

    pub(super) fn take(&mut self, decoded: &Decoded<'_>, (lsn, time): (Lsn, Timestamp)) {
        self.entries = self.entries.saturating_add(decoded.entries.len());
        self.last = lsn;
        if self.entries <= COMPARED_MAX {
            // Nobody reads yet: everything but the newest version can go.
            let inserts = decoded.entries.iter().copied().map(Insert::from);
            apply(inserts, (lsn, time), lsn, &mut self.memtable, &Directory::default());
        }
    }

    /// # Panics
    /// If sorting gave another tree.
    pub(super) fn assert_same(mut self, sorted: &Memtable) {
        if self.entries <= COMPARED_MAX {
            self.memtable.forget_all_deleted(self.last);
            assert!(*sorted == self.memtable, "sorted replay differs from inserting (L5)");
        }
    }
}
