//! One file: its live bytes, its durable bytes, and the changes between them.

use std::io;

use super::chance;
use super::crash::{Fate, Unit, UnitKind};
use super::fault::SyncFailure;
use super::sectors::{SECTOR, Sector, Sectors, bytes_of, locate, sector};
use crate::base::codec::{to_u64, to_usize};

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
}

impl Inode {
    pub(super) const fn size(&self) -> u64 {
        self.live_size
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
                What::Sector { index, version, .. } => sectors.set(*index, version.clone()),
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
        Self { health: Health::Sound, ..self.clone() }
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
