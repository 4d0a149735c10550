//! What was read of tables and checked, kept in memory up to a limit.
//!
//! In shards, each with a lock of its own that is held for a lookup and no longer. What goes is
//! chosen by a clock: a hand goes round and takes what was not asked for since it last came by.
//! Indexes and filters are asked for by every read of their table: those of open tables are pinned,
//! as long as all of them take no more than half of the limit. The blocks of such a table are found
//! in [`Slots`] of its own, by their number, which touches two lines of memory fewer than to look
//! them up. Of a table that is not pinned everything is looked up by its place, and the hand passes
//! indexes and filters by more often. What does not fit is given to its reader and not kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::codec::to_u64;
use crate::vfs::sync::Mutex;
use crate::vfs::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::block::Block;
use super::filter::Filter;
use super::format::BlockPlace;
use super::index::Index;

/// Shards, so that readers seldom meet.
const SHARDS: usize = 16;
/// Bytes that each entry costs beside what it holds, as a measure and not as a promise.
const OVERHEAD: usize = 128;

/// A part of a table, ready to be asked.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Cached {
    /// Versions.
    Block(Arc<Block>),
    /// A filter.
    Filter(Arc<Filter>),
    /// An index.
    Index(Arc<Index>),
}

impl Cached {
    fn bytes(&self) -> usize {
        match self {
            Self::Block(block) => block.bytes(),
            Self::Filter(filter) => filter.bytes(),
            Self::Index(index) => index.bytes(),
        }
    }

    /// Rounds of the hand that it outlives without being asked for.
    const fn rounds(&self) -> u8 {
        match self {
            Self::Block(_) => 1,
            Self::Filter(_) | Self::Index(_) => 4,
        }
    }
}

/// The blocks of a pinned table that are kept, by their numbers.
#[derive(Debug)]
pub(super) struct Slots(Box<[Mutex<Slot>]>);

/// A block, and whether it was asked for since the hand came by.
#[derive(Debug, Default)]
struct Slot {
    block: Option<Arc<Block>>,
    was_asked: bool,
}

impl Slots {
    /// For so many blocks.
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| Mutex::new(Slot::default())).collect())
    }

    /// Bytes in memory.
    pub(super) const fn bytes(count: usize) -> usize {
        count * size_of::<Mutex<Slot>>()
    }

    /// The block with this number, if it is kept.
    pub(super) fn find(&self, number: usize) -> Option<Arc<Block>> {
        let mut slot = self.0.get(number)?.lock();
        slot.was_asked = true;
        slot.block.clone()
    }

    /// Keeps a block, unless it is there.
    fn keep(&self, number: usize, block: &Arc<Block>) -> bool {
        let Some(mut slot) = self.0.get(number).map(Mutex::lock) else { return false };
        let is_new = slot.block.is_none();
        if is_new {
            *slot = Slot { block: Some(Arc::clone(block)), was_asked: false };
        }
        is_new
    }

    /// Whether the block was asked for; forgets that it was.
    fn take_asked(&self, number: usize) -> bool {
        self.0.get(number).is_some_and(|slot| std::mem::take(&mut slot.lock().was_asked))
    }

    fn clear(&self, number: usize) {
        let slot = self.0.get(number).map(|slot| std::mem::take(&mut *slot.lock()));
        // Let go of without the lock.
        drop(slot);
    }
}

/// How a part is found.
#[derive(Debug)]
enum Home {
    /// By its place.
    Place(Cached),
    /// In the slots of its table, under this number.
    Slot(Arc<Slots>, usize),
}

/// What the hand comes by.
#[derive(Debug)]
struct Kept {
    place: BlockPlace,
    home: Home,
    bytes: usize,
    rounds: u8,
}

impl Kept {
    /// Whether it stays for another round.
    fn stays(&mut self) -> bool {
        match &self.home {
            Home::Slot(slots, number) => slots.take_asked(*number),
            Home::Place(_) => {
                let stays = self.rounds > 0;
                self.rounds = self.rounds.saturating_sub(1);
                stays
            }
        }
    }
}

/// A part of the cache. Invariant **T3**: `bytes` is the sum over all parts and at most the limit.
#[derive(Debug, Default)]
struct Shard {
    kept: Vec<Kept>,
    numbers: BTreeMap<BlockPlace, usize>,
    hand: usize,
    bytes: usize,
}

impl Shard {
    fn find(&mut self, place: BlockPlace) -> Option<Cached> {
        let kept = self.kept.get_mut(*self.numbers.get(&place)?)?;
        let Home::Place(cached) = &kept.home else { return None };
        kept.rounds = cached.rounds();
        Some(cached.clone())
    }

    /// Whether it is kept: not if there is no room for it, or it is there already.
    fn keep(&mut self, place: BlockPlace, home: Home, bytes: usize, limit: usize) -> bool {
        let bytes = bytes + OVERHEAD;
        if bytes > limit || self.numbers.contains_key(&place) {
            return false;
        }
        while self.bytes + bytes > limit {
            self.drop_one();
        }
        if matches!(home, Home::Place(_)) {
            self.numbers.insert(place, self.kept.len());
        }
        // Data that is asked for once, by a scan, goes before what was asked for again.
        self.kept.push(Kept { place, home, bytes, rounds: 0 });
        self.bytes += bytes;
        true
    }

    /// Drops what the hand chooses.
    fn drop_one(&mut self) {
        while let Some(kept) = self.kept.get_mut(self.hand) {
            if !kept.stays() {
                let number = self.hand;
                self.remove(number);
                break;
            }
            self.hand += 1;
        }
        if self.hand >= self.kept.len() {
            self.hand = 0;
        }
    }

    fn remove(&mut self, number: usize) {
        let kept = self.kept.swap_remove(number);
        self.bytes -= kept.bytes;
        match kept.home {
            Home::Place(_) => {
                self.numbers.remove(&kept.place);
            }
            Home::Slot(slots, block) => slots.clear(block),
        }
        if let Some(moved) = self.kept.get(number)
            && matches!(moved.home, Home::Place(_))
        {
            self.numbers.insert(moved.place, number);
        }
    }
}

/// The cache of one store.
///
/// # Concurrency
/// May be asked by any number of threads. Two that miss the same part both read it.
#[derive(Debug)]
pub struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    limit: usize,
    /// Bytes that tables hold themselves.
    pinned: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a cache did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStats {
    /// Bytes held.
    pub bytes: u64,
    /// Parts that were there when they were asked for.
    pub hits: u64,
    /// Parts that were not.
    pub misses: u64,
}

impl Cache {
    /// A cache of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
            limit,
            pinned: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The part at `place`, if it is kept.
    #[must_use]
    pub fn find(&self, place: BlockPlace) -> Option<Cached> {
        let found = self.shard(place).lock().find(place);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps the part at `place`.
    pub fn keep(&self, place: BlockPlace, cached: Cached) {
        let bytes = cached.bytes();
        let limit = self.shard_limit();
        let _kept = self.shard(place).lock().keep(place, Home::Place(cached), bytes, limit);
    }

    /// Keeps the block with this number in the slots of its table.
    pub(super) fn keep_in(
        &self,
        slots: &Arc<Slots>,
        number: usize,
        place: BlockPlace,
        block: &Arc<Block>,
    ) {
        let (bytes, limit) = (block.bytes(), self.shard_limit());
        if bytes + OVERHEAD <= limit && slots.keep(number, block) {
            let home = Home::Slot(Arc::clone(slots), number);
            if !self.shard(place).lock().keep(place, home, bytes, limit) {
                slots.clear(number);
            }
        }
    }

    fn shard_limit(&self) -> usize {
        self.limit.saturating_sub(self.pinned.load(Ordering::Relaxed)) / SHARDS
    }

    /// Counts bytes that a table holds itself, if there is room for them; give them back with
    /// [`Cache::unpin`].
    pub(super) fn pin(&self, bytes: usize) -> bool {
        let room = |pinned: usize| pinned.checked_add(bytes).filter(|sum| *sum <= self.limit / 2);
        self.pinned.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    pub(super) fn unpin(&self, bytes: usize) {
        self.pinned.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How it did so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let kept: u64 = self.shards.iter().map(|shard| to_u64(shard.lock().bytes)).sum();
        let bytes = kept + to_u64(self.pinned.load(Ordering::Relaxed));
        let [hits, misses] = [&self.hits, &self.misses].map(|count| count.load(Ordering::Relaxed));
        CacheStats { bytes, hits, misses }
    }

    fn shard(&self, place: BlockPlace) -> &Mutex<Shard> {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [.., high] = (place.offset ^ place.table).wrapping_mul(ODD).to_le_bytes();
        let [first, rest @ ..] = &self.shards;
        usize::from(high)
            .checked_rem(SHARDS)
            .and_then(|number| number.checked_sub(1))
            .and_then(|number| rest.get(number))
            .unwrap_or(first)
    }
}

#[cfg(test)]
mod tests {
    use super::super::block::{BlockBuilder, VersionRef};
    use super::*;
    use crate::base::{KeyspaceId, Lsn, Timestamp};

    fn part(bytes: usize) -> Cached {
        let filter = Filter::decode(&vec![0; bytes.next_multiple_of(32)]).unwrap();
        Cached::Filter(Arc::new(filter))
    }

    fn at(offset: u64) -> BlockPlace {
        BlockPlace { table: 1, offset }
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let cache = Cache::new(SHARDS * 4000);
        for offset in 0..2000 {
            cache.keep(at(offset), part(960));
            assert!(cache.stats().bytes <= to_u64(SHARDS * 4000));
        }
        let kept = (0..2000).filter(|offset| cache.find(at(*offset)).is_some()).count();
        assert!(kept >= SHARDS * 2, "{kept} kept");
        assert_eq!(cache.stats().hits, to_u64(kept));
    }

    #[test]
    fn what_is_asked_for_stays_and_what_is_not_goes() {
        let cache = Cache::new(SHARDS * 8000);
        cache.keep(at(0), part(960));
        for offset in 1..1000 {
            assert!(cache.find(at(0)).is_some(), "gone after {offset}");
            cache.keep(at(offset), part(960));
        }
    }

    #[test]
    fn what_is_pinned_takes_room_from_the_rest_and_at_most_half_of_it() {
        let cache = Cache::new(SHARDS * 4000);
        assert!(!cache.pin(SHARDS * 2000 + 1));
        assert!(cache.pin(SHARDS * 2000));
        assert!(!cache.pin(1));
        for offset in 0..2000 {
            cache.keep(at(offset), part(960));
            assert!(cache.stats().bytes <= to_u64(SHARDS * 4000));
        }
        cache.unpin(SHARDS * 2000);
        assert!(cache.stats().bytes <= to_u64(SHARDS * 2000) && cache.pin(1));
    }

    #[test]
    fn blocks_in_slots_stay_within_the_limit_and_go_unless_they_are_asked_for() {
        let cache = Cache::new(SHARDS * 4000);
        let slots = Arc::new(Slots::new(500));
        let mut builder = BlockBuilder::default();
        let value = Some(&[7; 900][..]);
        builder.add(b"key", 0, &VersionRef { lsn: Lsn(1), time: Timestamp(1), value });
        let bytes = builder.finish(KeyspaceId(1), |payload, _| [&[0; 16], payload].concat());
        let block = Arc::new(Block::decode(bytes).unwrap());
        for number in 0..500 {
            cache.keep_in(&slots, number, at(to_u64(number)), &block);
            assert!(slots.find(0).is_some(), "what is asked for goes at {number}");
            assert!(cache.stats().bytes <= to_u64(SHARDS * 4000));
        }
        let kept = (0..500).filter(|number| slots.find(*number).is_some()).count();
        assert!((SHARDS..=SHARDS * 4).contains(&kept), "{kept} kept");
        assert_eq!(Arc::strong_count(&block), kept + 1);
    }

    #[test]
    fn what_is_larger_than_a_shard_is_not_kept() {
        let cache = Cache::new(SHARDS * 1000);
        cache.keep(at(0), part(2000));
        assert!(cache.find(at(0)).is_none());
        assert_eq!(cache.stats().bytes, 0);
    }
}
