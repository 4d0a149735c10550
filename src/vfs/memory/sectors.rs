//! The bytes of a file as shared sectors; a sector that is not there is zero.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chance;
use crate::base::checksum::hash64;
use crate::base::codec::{to_u64, to_usize};

/// The size of a sector: what a disk writes whole or not at all.
pub(super) const SECTOR: usize = 512;
const SECTORS_PER_CHUNK: usize = 64;

/// The bytes of a sector that is not zero, and their hash.
#[derive(Debug)]
pub(super) struct Written {
    bytes: [u8; SECTOR],
    hash: u64,
}

/// One version of a sector; `None` is all zeros.
pub(super) type Sector = Option<Arc<Written>>;
type Chunk = [Sector; SECTORS_PER_CHUNK];

const ZEROS: [u8; SECTOR] = [0; SECTOR];

/// Cloning shares everything; changing copies the pointers of one chunk and of the map.
#[derive(Clone, Debug, Default)]
pub(super) struct Sectors(Arc<BTreeMap<u64, Arc<Chunk>>>);

/// The bytes as a sector that takes no room when they are zero.
pub(super) fn sector(bytes: [u8; SECTOR]) -> Sector {
    if bytes == ZEROS { None } else { Some(Arc::new(Written { hash: hash64(&bytes), bytes })) }
}

/// The bytes of a sector.
pub(super) fn bytes_of(sector: &Sector) -> &[u8; SECTOR] {
    sector.as_deref().map_or(&ZEROS, |written| &written.bytes)
}

/// Which chunk, and where in it.
fn place(index: u64) -> (u64, usize) {
    let per_chunk = to_u64(SECTORS_PER_CHUNK);
    (index / per_chunk, to_usize(index % per_chunk))
}

/// The sector of a byte, and where in it.
pub(super) fn locate(offset: u64) -> (u64, usize) {
    let size = to_u64(SECTOR);
    (offset / size, to_usize(offset % size))
}

impl Sectors {
    /// Whether both are the same memory or empty: certain equality at the price of a comparison
    /// of pointers.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.is_empty() && other.0.is_empty())
    }

    pub(super) fn get(&self, index: u64) -> &Sector {
        let (chunk, slot) = place(index);
        self.0.get(&chunk).and_then(|chunk| chunk.get(slot)).unwrap_or(&None)
    }

    pub(super) fn set(&mut self, index: u64, sector: Sector) {
        let (chunk, slot) = place(index);
        if sector.is_none() && self.get(index).is_none() {
            return;
        }
        let chunk = Arc::make_mut(&mut self.0)
            .entry(chunk)
            .or_insert_with(|| Arc::new([const { None }; SECTORS_PER_CHUNK]));
        if let Some(place) = Arc::make_mut(chunk).get_mut(slot) {
            *place = sector;
        }
    }

    /// Copies the bytes from `offset` on, all of which the caller knows to be inside the file.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) {
        let (mut index, mut start) = locate(offset);
        let mut rest = buffer;
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(rest.len().min(SECTOR - start));
            let written = self.get(index).as_deref();
            match written.and_then(|written| written.bytes.get(start..start + now.len())) {
                Some(bytes) => now.copy_from_slice(bytes),
                None => now.fill(0),
            }
            rest = later;
            (index, start) = (index + 1, 0);
        }
    }

    /// A hash of all bytes: equal for equal bytes, at the price of one look at each sector.
    pub(super) fn hash(&self) -> u64 {
        let mut hash = 0u64;
        for (chunk, sectors) in self.0.iter() {
            for (slot, sector) in (0..).zip(sectors.iter()) {
                if let Some(written) = sector {
                    let index: u64 = chunk * to_u64(SECTORS_PER_CHUNK) + slot;
                    hash = hash.wrapping_add(chance::draw(written.hash, index));
                }
            }
        }
        hash
    }

    /// Makes every byte from `size` on zero.
    pub(super) fn cut(&mut self, size: u64) {
        let kept = size.div_ceil(to_u64(SECTOR));
        let chunks = kept.div_ceil(to_u64(SECTORS_PER_CHUNK));
        if self.0.last_key_value().is_some_and(|(&last, _)| last >= chunks) {
            drop(Arc::make_mut(&mut self.0).split_off(&chunks));
        }
        for index in kept..chunks * to_u64(SECTORS_PER_CHUNK) {
            self.set(index, None);
        }
        let (index, inside) = locate(size);
        let mut bytes = *bytes_of(self.get(index));
        if let Some(tail) = bytes.get_mut(inside..).filter(|tail| tail.iter().any(|&b| b != 0)) {
            tail.fill(0);
            self.set(index, sector(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: u64) -> Sectors {
        let mut sectors = Sectors::default();
        for index in 0..count {
            sectors.set(index, sector([7; SECTOR]));
        }
        sectors
    }

    #[test]
    fn a_cut_zeroes_every_byte_from_the_size_on_and_none_before() {
        for size in [0, 1, 511, 512, 513, 64 * 512 - 1, 64 * 512, 64 * 512 + 1, 130 * 512] {
            let mut sectors = filled(130);
            sectors.cut(size);
            let mut bytes = vec![9; 140 * SECTOR];
            sectors.read(&mut bytes, 0);
            let kept = to_usize(size);
            assert!(bytes[..kept].iter().all(|&b| b == 7), "{size}");
            assert!(bytes[kept..].iter().all(|&b| b == 0), "{size}");
        }
    }

    #[test]
    fn a_clone_shares_until_one_side_changes() {
        let before = filled(3);
        let mut after = before.clone();
        after.set(200, None);
        after.cut(3 * 512);
        assert!(after.is_same(&before));
        after.set(1, None);
        assert_eq!(bytes_of(before.get(1)), &[7; SECTOR]);
        assert!(Arc::ptr_eq(before.get(2).as_ref().unwrap(), after.get(2).as_ref().unwrap()));
    }

    #[test]
    fn the_hash_tells_bytes_and_places_apart_and_nothing_else() {
        let (mut there, mut here) = (filled(2), filled(2));
        there.set(70, sector([8; SECTOR]));
        here.set(71, sector([8; SECTOR]));
        assert_ne!(there.hash(), here.hash());
        here.set(71, None);
        here.set(70, sector([8; SECTOR]));
        assert_eq!(there.hash(), here.hash());
        here.set(70, sector([9; SECTOR]));
        assert_ne!(there.hash(), here.hash());
    }

    #[test]
    fn zeros_take_no_room() {
        assert!(sector(ZEROS).is_none());
        let mut sectors = Sectors::default();
        sectors.set(1 << 40, sector(ZEROS));
        assert!(sectors.0.is_empty());
    }
}
