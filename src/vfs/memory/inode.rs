//! One file: its live bytes, its durable bytes, and the changes between them.

use std::io;

use super::chance;
use super::crash::{Fate, Unit, UnitKind};
use super::fault::SyncFailure;
use super::sectors::{SECTOR, Sector, Sectors, bytes_of, locate, sector};
use crate::base::codec::{to_u64, to_usize};
use crate::base::mark::{Mark, hit};

/// One pending change of a file.
#[derive(Clone, Debug)]
struct Change {
    number: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// A sector got new bytes. `write` is the number of the first unit of the same call.
    Sector { index: u64, version: Sector, write: u64 },
    /// The file got another size; `cuts` when bytes before it went away.
    Size { size: u64, cuts: bool },
}

/// What a file's earlier failed syncs mean for its next one; each holds the seed of that failure.
#[derive(Clone, Copy, Debug, Default)]
enum Health {
    #[default]
    Sound,
    /// A failure was kept quiet and is reported by the next sync.
    Owing(Option<u64>),
    /// Every sync fails.
    Broken(Option<u64>),
}

/// A file without its name.
///
/// Bytes beyond a size are zero in both states. Unless `diverged`, the live state is the durable
/// one with every pending change applied, and `claimed` equals the live size.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    live: Sectors,
    live_size: u64,
    durable: Sectors,
    durable_size: u64,
    pending: Vec<Change>,
    /// The size after a successful sync.
    claimed: u64,
    /// A failed sync forgot changes that the live state still shows.
    diverged: bool,
    health: Health,
    /// The bytes of the last successful sync of this process, if there was one.
    synced: Option<Sectors>,
}

impl Inode {
    pub(super) const fn size(&self) -> u64 {
        self.live_size
    }

    /// A hash of the live bytes.
    pub(super) fn content_hash(&self) -> u64 {
        self.live.hash()
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether a crash leaves exactly this file, whatever survives.
    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
            && self.live_size == self.durable_size
            && self.live.is_same(&self.durable)
            && matches!(self.health, Health::Sound)
    }

    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.pending.iter().map(|change| {
            let kind = match change.what {
                What::Sector { .. } => UnitKind::Sector,
                What::Size { .. } => UnitKind::Size,
            };
            Unit { number: change.number, kind }
        })
    }

    /// Copies what is there from `offset` on; gives the number of bytes.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = self.live_size.saturating_sub(offset).min(to_u64(buffer.len()));
        let count = to_usize(left);
        if let Some(inside) = buffer.get_mut(..count) {
            self.live.read(inside, offset);
        }
        count
    }

    /// Writes all of `bytes`. The size comes before the sectors, so that a prefix of the units
    /// is a torn append and not merely nothing.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64, units: &mut u64) -> io::Result<()> {
        let end = offset.checked_add(to_u64(bytes.len())).ok_or(io::ErrorKind::InvalidInput)?;
        if bytes.is_empty() {
            return Ok(());
        }
        let write = *units;
        if end > self.claimed {
            self.claimed = end;
            self.push(What::Size { size: end, cuts: false }, units);
        }
        self.live_size = self.live_size.max(end);
        let (mut index, mut start) = locate(offset);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(SECTOR - start));
            let old = self.live.get(index);
            let mut new = *bytes_of(old);
            if let Some(part) = new.get_mut(start..start + now.len()) {
                part.copy_from_slice(now);
            }
            let version = sector(new);
            if self.diverged || version.is_some() || old.is_some() {
                self.live.set(index, version.clone());
                self.push(What::Sector { index, version, write }, units);
            }
            rest = later;
            (index, start) = (index + 1, 0);
        }
        Ok(())
    }

    pub(super) fn set_len(&mut self, size: u64, units: &mut u64) {
        if size == self.live_size && size == self.claimed {
            return;
        }
        let cuts = size < self.live_size || size < self.claimed;
        self.live.cut(size);
        (self.live_size, self.claimed) = (size, size);
        self.push(What::Size { size, cuts }, units);
    }

    fn push(&mut self, what: What, units: &mut u64) {
        self.pending.push(Change { number: *units, what });
        *units += 1;
    }

    /// Makes everything pending durable, or fails as told or as earlier failures demand.
    pub(super) fn sync(&mut self, failure: Option<SyncFailure>) -> io::Result<()> {
        let failure = match (self.health, failure) {
            (Health::Broken(seed), _) => Some(SyncFailure::Sticky { seed }),
            (Health::Owing(seed), None | Some(SyncFailure::Late { .. })) => {
                hit(Mark::LateSyncTold);
                Some(SyncFailure::KeptClean { seed })
            }
            (Health::Owing(_) | Health::Sound, failure) => failure,
        };
        self.health = Health::Sound;
        match failure {
            None => {
                self.make_durable();
                return Ok(());
            }
            Some(SyncFailure::Late { seed }) => {
                self.lose(seed);
                self.health = Health::Owing(seed);
                return Ok(());
            }
            Some(SyncFailure::KeptClean { seed }) => self.lose(seed),
            Some(SyncFailure::Sticky { seed }) => {
                self.lose(seed);
                self.health = Health::Broken(seed);
            }
            Some(SyncFailure::Reverted { seed }) => {
                self.lose(seed);
                self.live = self.durable.clone();
                self.live.cut(self.live_size);
            }
        }
        Err(io::Error::other("the sync failed"))
    }

    fn make_durable(&mut self) {
        if self.diverged {
            (self.durable, self.durable_size) = self.applied(&mut |_| Fate::Survives);
        } else {
            // The same outcome without applying anything.
            (self.durable, self.durable_size) = (self.live.clone(), self.live_size);
        }
        self.pending.clear();
        self.synced = Some(self.live.clone());
    }

    /// Whether a write would change a byte, other than a zero, that this process has synced: a
    /// log is only appended to (L6).
    pub(super) fn changes_synced(&self, bytes: &[u8], offset: u64) -> bool {
        let Some(synced) = &self.synced else { return false };
        let mut before = vec![0; bytes.len()];
        synced.read(&mut before, offset);
        before.iter().zip(bytes).any(|(before, now)| *before != 0 && before != now)
    }

    /// Forgets what is pending as if it were clean; with a seed, half of it is durable.
    fn lose(&mut self, seed: Option<u64>) {
        if self.pending.is_empty() {
            return;
        }
        if let Some(seed) = seed {
            (self.durable, self.durable_size) = self
                .applied(&mut |number| Fate::survives_if(chance::comes_true(seed, number, 128)));
        }
        self.pending.clear();
        self.claimed = self.durable_size;
        self.diverged = true;
    }

    /// The durable state with the pending changes that survive.
    fn applied(&self, fate: &mut dyn FnMut(u64) -> Fate) -> (Sectors, u64) {
        let (mut sectors, mut size) = (self.durable.clone(), self.durable_size);
        for Change { number, what } in &self.pending {
            let fate = fate(*number);
            match what {
                _ if fate == Fate::Lost => {}
                What::Sector { index, version, .. } if fate == Fate::Torn => {
                    let torn = torn(bytes_of(sectors.get(*index)), bytes_of(version));
                    sectors.set(*index, torn);
                }
                What::Sector { index, .. } if fate == Fate::Garbage => {
                    sectors.set(*index, garbage(*number));
                }
                What::Sector { index, version, .. } => sectors.set(*index, version.clone()),
                What::Size { .. } if fate == Fate::Garbage => {}
                What::Size { size: new, cuts } => {
                    if *cuts {
                        sectors.cut(*new);
                    }
                    size = *new;
                }
            }
        }
        sectors.cut(size);
        (sectors, size)
    }

    /// The file after a crash.
    pub(super) fn crashed(&self, fate: &mut dyn FnMut(u64) -> Fate) -> Self {
        let (sectors, size) = self.applied(fate);
        Self {
            live: sectors.clone(),
            live_size: size,
            durable: sectors,
            durable_size: size,
            claimed: size,
            ..Self::default()
        }
    }

    /// The file after its process ended: the system keeps the bytes and forgets its failures.
    pub(super) fn healed(&self) -> Self {
        Self { health: Health::Sound, synced: None, ..self.clone() }
    }

    pub(super) const fn is_sound(&self) -> bool {
        matches!(self.health, Health::Sound)
    }

    /// The numbers of the sectors that the newest pending write touched, in order.
    pub(super) fn last_write(&self) -> Vec<u64> {
        let call = |change: &Change| match change.what {
            What::Sector { write, .. } => Some(write),
            What::Size { .. } => None,
        };
        let Some(last) = self.pending.iter().rev().find_map(call) else { return Vec::new() };
        let of_last = self.pending.iter().filter(|change| call(change) == Some(last));
        of_last.map(|change| change.number).collect()
    }

    /// Flips bits of the byte at `offset`, live and durable, without a trace.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) -> io::Result<()> {
        if offset >= self.live_size.max(self.durable_size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let in_both = offset < self.live_size.min(self.durable_size);
        let shared = in_both && self.live.is_same(&self.durable);
        let (index, inside) = locate(offset);
        for (sectors, size) in
            [(&mut self.live, self.live_size), (&mut self.durable, self.durable_size)]
        {
            let mut bytes = *bytes_of(sectors.get(index));
            if let Some(byte) = bytes.get_mut(inside).filter(|_| offset < size) {
                *byte ^= mask;
            }
            sectors.set(index, sector(bytes));
        }
        if shared {
            // Otherwise the file would never again count as settled, which every image pays for.
            self.live = self.durable.clone();
        }
        Ok(())
    }
}

/// A sector that was destroyed while unit `number` was being written to it.
fn garbage(number: u64) -> Sector {
    let mut bytes = [0; SECTOR];
    for (counter, part) in (0..).zip(bytes.chunks_mut(8)) {
        let random = chance::draw(number, counter).to_le_bytes();
        part.iter_mut().zip(random).for_each(|(byte, random)| *byte = random);
    }
    sector(bytes)
}

/// A sector whose write was cut in the middle of what it changes.
fn torn(old: &[u8; SECTOR], new: &[u8; SECTOR]) -> Sector {
    let differs = |(old, new): (&u8, &u8)| old != new;
    let first = old.iter().zip(new).position(differs).unwrap_or(0);
    let last = old.iter().zip(new).rposition(differs).unwrap_or(0);
    let arrived = first.midpoint(last + 1);
    let mut bytes = *old;
    for (byte, new) in bytes.iter_mut().zip(new).take(arrived) {
        *byte = *new;
    }
    sector(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; SECTOR] = [b'a'; SECTOR];
    const B: [u8; SECTOR] = [b'b'; SECTOR];
    const C: [u8; SECTOR] = [b'c'; SECTOR];

    fn live(file: &Inode) -> Vec<u8> {
        let mut bytes = vec![0xee; to_usize(file.size())];
        assert_eq!(file.read(&mut bytes, 0), bytes.len());
        bytes
    }

    /// What a crash leaves when the units with these numbers survive.
    fn after(file: &Inode, survivors: &[u64]) -> Vec<u8> {
        live(&file.crashed(&mut |number| Fate::survives_if(survivors.contains(&number))))
    }

    /// A durable sector of `A`, and the next unit number.
    fn synced() -> (Inode, u64) {
        let (mut file, mut units) = (Inode::default(), 0);
        file.write(&A, 0, &mut units).unwrap();
        file.sync(None).unwrap();
        (file, units)
    }

    fn kinds(file: &Inode) -> Vec<UnitKind> {
        file.units().map(|unit| unit.kind).collect()
    }

    #[test]
    fn a_write_makes_a_unit_per_sector_and_one_for_the_size() {
        let (mut file, mut units) = (Inode::default(), 0);
        file.write(&[1; 1000], 500, &mut units).unwrap();
        assert_eq!(
            kinds(&file),
            [UnitKind::Size, UnitKind::Sector, UnitKind::Sector, UnitKind::Sector]
        );
        file.write(&[2; 10], 505, &mut units).unwrap();
        assert_eq!(file.units().map(|unit| unit.number).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(file.last_write(), [4, 5]);
    }

    #[test]
    fn a_sector_shows_its_newest_surviving_version() {
        let (mut file, mut units) = synced();
        let first = units;
        file.write(&B, 0, &mut units).unwrap();
        file.write(&C[..10], 0, &mut units).unwrap();
        assert_eq!(after(&file, &[]), A);
        assert_eq!(after(&file, &[first]), B);
        let both = [&C[..10], &B[10..]].concat();
        assert_eq!(after(&file, &[first + 1]), both, "a version carries what came before it");
        assert_eq!(after(&file, &[first, first + 1]), both);
    }

    #[test]
    fn the_size_is_the_newest_surviving_one_and_missing_bytes_are_zero() {
        let (mut file, mut units) = synced();
        let first = units;
        file.write(&B, 512, &mut units).unwrap();
        file.write(&C[..100], 1024, &mut units).unwrap();
        assert_eq!(after(&file, &[first + 1, first + 3]), A, "data beyond the size is cut");
        assert_eq!(after(&file, &[first]), [A, [0; SECTOR]].concat());
        let expected = [&A[..], &[0; SECTOR], &C[..100]].concat();
        assert_eq!(after(&file, &[first + 2, first + 3]), expected);
    }

    #[test]
    fn a_surviving_truncation_cuts_and_a_lost_one_does_not() {
        let (mut file, mut units) = synced();
        let first = units;
        file.set_len(100, &mut units);
        file.set_len(200, &mut units);
        assert_eq!(live(&file), [&A[..100], &[0; 100]].concat());
        assert_eq!(after(&file, &[first, first + 1]), live(&file));
        assert_eq!(after(&file, &[first]), A[..100]);
        assert_eq!(after(&file, &[first + 1]), A[..200]);
        assert_eq!(after(&file, &[]), A);
    }

    #[test]
    fn zeros_over_zeros_make_no_unit_but_zeros_over_bytes_do() {
        let (mut file, mut units) = (Inode::default(), 0);
        file.write(&[0; 1 << 20], 0, &mut units).unwrap();
        assert_eq!(kinds(&file), [UnitKind::Size]);
        file.write(&A, 512, &mut units).unwrap();
        file.write(&[0; SECTOR], 512, &mut units).unwrap();
        assert_eq!(kinds(&file), [UnitKind::Size, UnitKind::Sector, UnitKind::Sector]);
    }

    #[test]
    fn live_bytes_are_those_of_a_plain_vector_and_all_units_together_make_them() {
        let (mut file, mut units, mut model) = (Inode::default(), 0, Vec::new());
        for step in 0..3000 {
            let random = chance::draw(1, step);
            let (offset, len) = (to_usize(random >> 8 & 0x1fff), to_usize(random >> 32 & 0x7ff));
            match random % 16 {
                0 => file.sync(None).unwrap(),
                1 | 2 => {
                    file.set_len(to_u64(offset), &mut units);
                    model.resize(offset, 0);
                }
                kind => {
                    let byte = if kind == 3 { 0 } else { u8::try_from(step % 251).unwrap() };
                    file.write(&vec![byte; len], to_u64(offset), &mut units).unwrap();
                    if len > 0 {
                        model.resize(model.len().max(offset + len), 0);
                        model[offset..offset + len].fill(byte);
                    }
                }
            }
            assert_eq!(live(&file), model, "step {step}");
            let everything = file.crashed(&mut |_| Fate::Survives);
            assert_eq!(live(&everything), model, "step {step}");
            assert!(everything.is_settled());
            if !file.has_pending() {
                assert_eq!(after(&file, &[]), model, "step {step}");
            }
        }
    }

    #[test]
    fn after_a_failed_sync_that_kept_the_bytes_only_writing_them_again_makes_them_durable() {
        let (mut file, mut units) = synced();
        file.write(&B, 0, &mut units).unwrap();
        file.write(&B, 512, &mut units).unwrap();
        file.sync(Some(SyncFailure::KeptClean { seed: None })).unwrap_err();
        assert_eq!(live(&file), [B, B].concat(), "readers cannot tell");
        assert!(!file.has_pending());
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), A, "a later sync does not write them");
        file.write(&B, 512, &mut units).unwrap();
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), [A, B].concat(), "the size is written again as well");
    }

    #[test]
    fn zeros_written_again_after_a_failed_sync_become_durable() {
        let (mut file, mut units) = synced();
        file.write(&[0; SECTOR], 0, &mut units).unwrap();
        file.sync(Some(SyncFailure::KeptClean { seed: None })).unwrap_err();
        file.write(&[0; SECTOR], 0, &mut units).unwrap();
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), [0; SECTOR]);
    }

    #[test]
    fn after_a_failed_sync_that_reverted_readers_see_the_durable_bytes_and_the_size_stays() {
        let (mut file, mut units) = synced();
        file.write(&B, 0, &mut units).unwrap();
        file.write(&B, 512, &mut units).unwrap();
        file.sync(Some(SyncFailure::Reverted { seed: None })).unwrap_err();
        assert_eq!(live(&file), [A, [0; SECTOR]].concat());
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), A);
    }

    #[test]
    fn bytes_beyond_the_size_never_come_back_by_growing() {
        let (mut file, mut units) = synced();
        let sector_without_size = units + 1;
        file.write(&B, 512, &mut units).unwrap();
        let mut crashed = file.crashed(&mut |n| Fate::survives_if(n == sector_without_size));
        crashed.set_len(1024, &mut units);
        assert_eq!(live(&crashed), [A, [0; SECTOR]].concat());

        let (mut file, mut units) = synced();
        file.set_len(100, &mut units);
        file.sync(Some(SyncFailure::Reverted { seed: None })).unwrap_err();
        assert_eq!((live(&file).len(), after(&file, &[]).len()), (100, 512));
        file.set_len(512, &mut units);
        assert_eq!(live(&file)[100..], [0; 412]);
    }

    #[test]
    fn a_late_failure_is_reported_by_the_next_sync_which_makes_nothing_durable() {
        let (mut file, mut units) = synced();
        file.write(&B, 0, &mut units).unwrap();
        file.sync(Some(SyncFailure::Late { seed: None })).unwrap();
        assert_eq!(after(&file, &[]), A, "it said Ok and lied");
        file.write(&C, 0, &mut units).unwrap();
        file.sync(None).unwrap_err();
        assert_eq!((after(&file, &[]), live(&file)), (A.to_vec(), C.to_vec()));
        file.write(&C, 0, &mut units).unwrap();
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), C);
    }

    #[test]
    fn a_sticky_failure_fails_every_later_sync_until_the_process_ends() {
        let (mut file, mut units) = synced();
        file.sync(Some(SyncFailure::Sticky { seed: None })).unwrap_err();
        for _ in 0..3 {
            file.write(&B, 0, &mut units).unwrap();
            file.sync(None).unwrap_err();
            assert_eq!(after(&file, &[]), A);
        }
        let mut file = file.healed();
        file.write(&B, 0, &mut units).unwrap();
        file.sync(None).unwrap();
        assert_eq!(after(&file, &[]), B);
    }

    #[test]
    fn a_failed_sync_with_a_seed_makes_a_part_durable_and_the_same_part_each_time() {
        let fail = |seed| {
            let (mut file, mut units) = (Inode::default(), 0);
            file.set_len(64 * 512, &mut units);
            file.sync(None).unwrap();
            file.write(&[7; 64 * 512], 0, &mut units).unwrap();
            file.sync(Some(SyncFailure::KeptClean { seed: Some(seed) })).unwrap_err();
            after(&file, &[])
        };
        let arrived = fail(1).chunks(SECTOR).filter(|sector| sector[0] == 7).count();
        assert!((16..48).contains(&arrived), "{arrived}");
        assert_eq!(fail(1), fail(1));
        assert_ne!(fail(1), fail(2));
    }

    #[test]
    fn rot_is_live_and_durable_and_no_unit() {
        let (mut file, mut units) = synced();
        file.flip(3, 0x01).unwrap();
        assert!(file.is_settled());
        assert_eq!((live(&file)[3], after(&file, &[])[3]), (b'a' ^ 1, b'a' ^ 1));
        file.write(&B, 512, &mut units).unwrap();
        file.flip(600, 0x01).unwrap();
        assert_eq!((live(&file)[600 - 1], live(&file)[600]), (b'b', b'b' ^ 1));
        assert_eq!(after(&file, &[]).len(), 512);
        assert_eq!(file.flip(1024, 1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_torn_sector_has_the_first_half_of_what_changed() {
        let mut new = A;
        new[100..200].copy_from_slice(&B[..100]);
        let torn = *bytes_of(&torn(&A, &new));
        assert_eq!(torn[..100], A[..100]);
        assert_eq!(torn[100..150], B[..50]);
        assert_eq!(torn[150..], A[150..]);
    }
}
