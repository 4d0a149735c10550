//! The fault atlas: what one bad sector does, zone by zone.
//!
//! Stores with three kinds of ends are made, every sector of every file is damaged in every way,
//! and the store is opened. What can come of it is a table: `docs/fault-atlas.md` is written by
//! [`atlas_page`], and a test compares the page and asserts each cell.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::base::codec::{to_u64, to_usize};
use crate::base::{ErrorKind, SegmentNumber, Seq};
use crate::store::{Batch, Keyspace, Store};
use crate::vfs::memory::{MemoryVfs, runtime};
use crate::wal::format::{Kind, RECORD_HEADER, RECORDS_START};
use crate::wal::reader::{Limit, LogReader};

use super::case::STORE;

const SECTOR: u64 = 512;
const SEGMENT: u64 = 8192;
/// So many groups of this size can end in one sector.
const GROUPS_IN_A_SECTOR: usize = 3;

/// What part of a store a sector belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Zone {
    /// The identity file.
    Identity,
    /// The header page of a segment of the log.
    SegmentHeader,
    /// Records that a later claim covers.
    Claimed,
    /// The end of the last covered group, and the only claim that covers it.
    ClaimedWithItsClaim,
    /// The last group, which nothing covers yet.
    LastGroup,
    /// The mark, or the close, that covers everything before it.
    LastMark,
    /// Zeroes after the end of the log.
    AfterTheEnd,
    /// A segment that was prepared and is not part of the log.
    Spare,
}

/// What happens to a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SectorFault {
    /// One bit flips.
    Rotten,
    /// It reads as zeroes.
    Zeroed,
    /// It shows what it held before it was last written.
    Stale,
    /// It shows what belongs into another sector.
    Misdirected,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Consequence {
    /// The store opens with everything.
    Equal,
    /// The store opens without the groups that end in the sector, as if their write had been torn.
    Cut,
    /// The store is refused, with file and offset.
    Refused,
    /// Other content, or an error without a place.
    Wrong,
}

/// What was seen for each zone and damage: how many sectors came to what.
pub type Atlas = BTreeMap<(Zone, SectorFault), BTreeMap<Consequence, u64>>;

/// What may come of damage in a zone.
#[must_use]
pub const fn allowed(zone: Zone, consequence: Consequence) -> bool {
    match (zone, consequence) {
        (_, Consequence::Equal) => true,
        (Zone::Identity | Zone::SegmentHeader | Zone::Claimed, Consequence::Refused) => true,
        // The one ambiguous class: nothing after it tells rot from a torn write.
        (Zone::LastGroup, Consequence::Cut) => true,
        // The sector takes the end of a group together with the only proof of it.
        (Zone::ClaimedWithItsClaim, Consequence::Refused | Consequence::Cut) => true,
        _ => false,
    }
}

struct Specimen {
    disk: MemoryVfs,
    /// The disk after each commit: what a sector held before.
    earlier: Vec<MemoryVfs>,
    content: Vec<u8>,
    /// The content after each commit but the last.
    before: Vec<Vec<u8>>,
    last_claim: Seq,
    /// Segment and offset of the record that carries the last claim.
    claimed_at: (SegmentNumber, u64),
}

fn open(disk: &MemoryVfs) -> crate::base::Result<Store> {
    Store::builder(STORE).segment_bytes(SEGMENT).runtime(runtime(disk, 5)).open()
}

fn content(store: &Store) -> Vec<u8> {
    let mut all = Vec::new();
    if let Ok(keyspace) = Keyspace::new("k") {
        for found in store.range(&keyspace, ..).flatten() {
            all.extend_from_slice(&found.key);
            all.extend_from_slice(&found.value);
            all.extend_from_slice(&found.lsn.0.to_le_bytes());
        }
    }
    all
}

/// A store of three segments that ends in a claim, in a clean close, or in neither.
fn specimen(claim: bool, close: bool) -> crate::base::Result<Specimen> {
    let disk = MemoryVfs::new();
    let store = open(&disk)?;
    let keyspace = Keyspace::new("k")?;
    let (mut earlier, mut before) = (Vec::new(), Vec::new());
    for number in 0..28_u8 {
        before.push(content(&store));
        earlier.push(disk.kill());
        let mut batch = Batch::new();
        batch.put(&keyspace, &[number % 9], &[number; 200]);
        store.commit(batch)?;
        // Spare segments appear as the active one fills; nothing else is asked for.
        if number % 5 == 0 && number < 25 {
            store.step()?;
        }
    }
    let content = content(&store);
    if close {
        store.close()?;
    } else if claim {
        while store.step()? {}
    }
    let left = disk.kill();
    disk.halt();
    let mut reader = LogReader::open(Path::new(STORE), &runtime(&left, 6))?;
    let (mut last_claim, mut claimed_at) = (Seq::ZERO, (SegmentNumber(0), 0));
    while let Some(record) = reader.next(Limit::Everything)? {
        if record.header.claim > last_claim {
            last_claim = record.header.claim;
            claimed_at = (record.segment, record.offset);
        }
    }
    Ok(Specimen { disk: left, earlier, content, before, last_claim, claimed_at })
}

/// The zone of each sector: the strictest of what is in it.
fn zones(specimen: &Specimen) -> crate::base::Result<BTreeMap<(PathBuf, u64), Zone>> {
    let mut zones = BTreeMap::new();
    let wal = Path::new(STORE).join("wal");
    let mut named = BTreeSet::new();
    let mut reader = LogReader::open(Path::new(STORE), &runtime(&specimen.disk, 6))?;
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything)? {
        named.insert(record.segment);
        records.push(record);
    }
    for (path, size) in specimen.disk.files() {
        let segment = path
            .strip_prefix(&wal)
            .ok()
            .and_then(|name| crate::wal::segment::parse_file_name(&name.to_string_lossy()));
        for sector in 0..size.div_ceil(SECTOR) {
            let zone = match segment {
                None if path.ends_with("IDENTITY") => Zone::Identity,
                None => continue,
                Some(number) if !named.contains(&number) => Zone::Spare,
                Some(_) if sector * SECTOR < RECORDS_START => Zone::SegmentHeader,
                Some(_) => Zone::AfterTheEnd,
            };
            zones.insert((path.clone(), sector), zone);
        }
    }
    // Later records first, so that a sector keeps the strictest zone of what is in it.
    for record in records.iter().rev() {
        let zone = match record.header.kind {
            _ if record.header.seq <= specimen.last_claim => Zone::Claimed,
            Kind::CleanClose | Kind::TimeMark => Zone::LastMark,
            _ => Zone::LastGroup,
        };
        let path = Path::new(STORE).join(crate::wal::segment::shown_path(record.segment));
        let end = record.offset + record.header.record_len();
        for sector in record.offset / SECTOR..end.div_ceil(SECTOR) {
            let (segment, offset) = specimen.claimed_at;
            let header = offset / SECTOR..=(offset + to_u64(RECORD_HEADER) - 1) / SECTOR;
            let shared = segment == record.segment && header.contains(&sector);
            let zone =
                if zone == Zone::Claimed && shared { Zone::ClaimedWithItsClaim } else { zone };
            zones.insert((path.clone(), sector), zone);
        }
    }
    Ok(zones)
}

fn sector_of(disk: &MemoryVfs, path: &Path, sector: u64) -> Option<Vec<u8>> {
    let bytes = disk.read_file(path).ok()?;
    let start = to_usize(sector * SECTOR);
    let end = (start + to_usize(SECTOR)).min(bytes.len());
    bytes.get(start..end).map(<[u8]>::to_vec)
}

/// What the sector shows after the damage; `None` when it would be no damage.
fn damaged(
    specimen: &Specimen,
    (path, sector): (&Path, u64),
    fault: SectorFault,
) -> Option<Vec<u8>> {
    let now = sector_of(&specimen.disk, path, sector)?;
    let then = match fault {
        SectorFault::Rotten => {
            let mut then = now.clone();
            let at = to_usize(sector * 37 % to_u64(then.len().max(1)));
            if let Some(byte) = then.get_mut(at) {
                *byte ^= 0x04;
            }
            then
        }
        SectorFault::Zeroed => vec![0; now.len()],
        SectorFault::Stale => {
            let held = specimen.earlier.iter().rev();
            held.filter_map(|disk| sector_of(disk, path, sector)).find(|held| *held != now)?
        }
        SectorFault::Misdirected => {
            let mut other = sector_of(&specimen.disk, path, sector.checked_sub(1)?)?;
            other.resize(now.len(), 0);
            other
        }
    };
    (then != now).then_some(then)
}

fn consequence(
    specimen: &Specimen,
    (path, sector): (&Path, u64),
    shows: &[u8],
) -> Option<Consequence> {
    let disk = specimen.disk.kill();
    let now = sector_of(&disk, path, sector)?;
    for (offset, (old, new)) in (sector * SECTOR..).zip(now.iter().zip(shows)) {
        if old != new && disk.flip(path, offset, old ^ new).is_err() {
            return None;
        }
    }
    let seen = match open(&disk) {
        Ok(store) if content(&store) == specimen.content => Consequence::Equal,
        Ok(store)
            if specimen
                .before
                .iter()
                .rev()
                .take(GROUPS_IN_A_SECTOR)
                .any(|b| *b == content(&store)) =>
        {
            Consequence::Cut
        }
        Ok(_) => Consequence::Wrong,
        Err(error) => {
            let place = error.place();
            let told = place.path.is_some() && place.offset.is_some();
            let refused = error.kind() == ErrorKind::Corrupt && told;
            if refused { Consequence::Refused } else { Consequence::Wrong }
        }
    };
    disk.halt();
    Some(seen)
}

/// Damages every sector of every kind of store in every way.
///
/// # Errors
/// When a store cannot be made, which is a defect of its own.
pub fn atlas() -> crate::base::Result<Atlas> {
    use SectorFault::{Misdirected, Rotten, Stale, Zeroed};
    let mut atlas = Atlas::new();
    for (claim, close) in [(false, false), (true, false), (false, true)] {
        let specimen = specimen(claim, close)?;
        for ((path, sector), zone) in zones(&specimen)? {
            for fault in [Rotten, Zeroed, Stale, Misdirected] {
                let place = (path.as_path(), sector);
                let Some(shows) = damaged(&specimen, place, fault) else { continue };
                if let Some(seen) = consequence(&specimen, place, &shows) {
                    *atlas.entry((zone, fault)).or_default().entry(seen).or_default() += 1;
                }
            }
        }
    }
    Ok(atlas)
}

/// The page that shows the atlas.
#[must_use]
pub fn atlas_page(atlas: &Atlas) -> String {
    let mut page = String::from(
        "# The fault atlas\n\nWhat one bad sector of 512 bytes does to a store, zone by zone. \
         Every sector of three stores (ending in an acknowledged group, in a mark, in a clean \
         close) was damaged in every way; the numbers are sectors. This page is written by \
         `sim::atlas_page` and compared by `tests/atlas.rs`, which also asserts that nothing else \
         happens.\n\n- *equal*: the store opens with everything.\n- *cut*: the store opens \
         without the groups that end in the sector, as if their write had been torn. That can \
         only happen to the last group, while nothing covers it, and to what shares a sector \
         with it. The next group covers it, or a mark or a clean close, each in a sector of its \
         own.\n- *refused*: the store is refused with file and offset.\n\n\
         | zone | rotten | zeroed | stale | misdirected |\n|---|---|---|---|---|\n",
    );
    use SectorFault::{Misdirected, Rotten, Stale, Zeroed};
    let zones: BTreeSet<Zone> = atlas.keys().map(|(zone, _)| *zone).collect();
    for zone in zones {
        let _infallible = write!(page, "| {} |", zone_name(zone));
        for fault in [Rotten, Zeroed, Stale, Misdirected] {
            let cell = atlas.get(&(zone, fault)).map_or_else(|| "—".to_owned(), cell);
            let _infallible = write!(page, " {cell} |");
        }
        page.push('\n');
    }
    page
}

fn cell(seen: &BTreeMap<Consequence, u64>) -> String {
    let parts: Vec<String> = seen
        .iter()
        .map(|(consequence, count)| {
            let name = match consequence {
                Consequence::Equal => "equal",
                Consequence::Cut => "cut",
                Consequence::Refused => "refused",
                Consequence::Wrong => "WRONG",
            };
            format!("{name} {count}")
        })
        .collect();
    parts.join(", ")
}

const fn zone_name(zone: Zone) -> &'static str {
    match zone {
        Zone::Identity => "identity file",
        Zone::SegmentHeader => "segment header page",
        Zone::Claimed => "records that a later claim covers",
        Zone::ClaimedWithItsClaim => "the end of a covered group with the only claim on it",
        Zone::LastGroup => "the last group, not yet covered",
        Zone::LastMark => "the last mark or clean close",
        Zone::AfterTheEnd => "zeroes after the end",
        Zone::Spare => "prepared segment, not part of the log",
    }
}
