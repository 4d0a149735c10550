//! What a crash leaves: the durable state and any subset of the pending units.

use super::chance;
use super::disk::MemoryVfs;
use super::tree::Tree;

/// What kind of change a unit is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnitKind {
    /// The bytes of one sector.
    Sector,
    /// The size of a file.
    Size,
    /// A name created, renamed or removed.
    Name,
}

/// One pending change, which a crash keeps or loses whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// Its place in the order of all changes of the disk, starting with 0.
    pub number: u64,
    /// What it changes.
    pub kind: UnitKind,
}

/// What happens to one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Survives,
    /// Half of what a sector changes arrives.
    Torn,
    Lost,
    /// The sector was being written, and now holds bytes that nobody wrote.
    Garbage,
}

impl Fate {
    pub(super) const fn survives_if(condition: bool) -> Self {
        if condition { Self::Survives } else { Self::Lost }
    }
}

/// The subsets of pending units that find most ordering bugs. Positions count the pending units
/// in order, from 0; one that is too large means no unit.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashMode {
    /// Only what a sync made durable.
    Nothing,
    /// All of it, as if every sync had just been done.
    Everything,
    /// So many units, in order.
    Prefix(usize),
    /// Only the unit at this position.
    OnePresent(usize),
    /// All but the unit at this position.
    OneMissing(usize),
    /// Names and sizes without the bytes.
    NamesFirst,
    /// Bytes and sizes without the names.
    DataFirst,
    /// Each unit with a chance that depends on the seed and its number alone.
    Random {
        /// Another seed is another subset.
        seed: u64,
        /// The chance to survive, of 256.
        keep_per_256: u8,
    },
    /// The newest pending write was cut in the middle: its sectors before the middle one arrive,
    /// those after it do not, and the middle one has half of what it changes. The rest survives.
    LastTorn,
    /// The medium destroys what it is writing when the power fails: each pending sector survives,
    /// is lost, or holds bytes that nobody wrote; names and sizes survive or are lost.
    Hostile {
        /// Another seed is another subset.
        seed: u64,
    },
}

impl CrashMode {
    fn keeps(self, position: usize, unit: Unit) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything | Self::LastTorn => true,
            Self::Prefix(count) => position < count,
            Self::OnePresent(present) => position == present,
            Self::OneMissing(missing) => position != missing,
            Self::NamesFirst => unit.kind != UnitKind::Sector,
            Self::DataFirst => unit.kind != UnitKind::Name,
            Self::Random { seed, keep_per_256 } => {
                chance::comes_true(seed, unit.number, keep_per_256)
            }
            Self::Hostile { seed } => chance::comes_true(seed, unit.number, 128),
        }
    }
}

/// For the crash lab, which makes each image once.
#[cfg(feature = "sim")]
impl CrashMode {
    /// Whether units survive whole or not at all.
    pub(crate) const fn keeps_whole(self) -> bool {
        !matches!(self, Self::LastTorn | Self::Hostile { .. })
    }

    /// Which of `units` survive, as a number: crashes of one moment that keep the same, and keep
    /// it whole, have the same.
    pub(crate) fn choice(self, units: &[Unit]) -> u64 {
        let kept =
            units.iter().enumerate().filter(|(position, unit)| self.keeps(*position, **unit));
        kept.fold(0, |choice, (_, unit)| chance::draw(choice, unit.number.wrapping_add(1)))
    }
}

impl MemoryVfs {
    /// The pending units in order: what a crash now would be about.
    #[must_use]
    pub fn pending_units(&self) -> Vec<Unit> {
        self.disk().tree.units()
    }

    /// A new disk as a power cut would leave this one, if exactly the pending units survived for
    /// which `survives` says so; it is asked once per unit, in order.
    ///
    /// Everything on the new disk is durable. It has no locks, no faults and no observer.
    #[must_use]
    pub fn crash(&self, survives: &mut dyn FnMut(Unit) -> bool) -> Self {
        crash(self.disk().tree.branch(), survives, &[], None)
    }

    /// [`MemoryVfs::crash`] with a ready-made choice.
    #[must_use]
    pub fn crash_with(&self, mode: CrashMode) -> Self {
        let tree = self.disk().tree.branch();
        let torn = if mode == CrashMode::LastTorn { tree.last_write() } else { Vec::new() };
        let mut position = 0;
        let mut keeps = |unit| {
            position += 1;
            mode.keeps(position - 1, unit)
        };
        let hostile = match mode {
            CrashMode::Hostile { seed } => Some(seed),
            _ => None,
        };
        crash(tree, &mut keeps, &torn, hostile)
    }

    /// A new disk as the end of this process would leave this one: the same live, durable and
    /// pending state, no locks, no faults, no observer.
    #[must_use]
    pub fn kill(&self) -> Self {
        let disk = self.disk();
        let mut tree = disk.tree.branch();
        tree.heal();
        Self::with(tree, disk.units)
    }
}

/// The disk after the crash of `tree`; `torn` are the sectors of a write cut in the middle. With
/// a seed in `hostile`, half of the sectors that were lost are destroyed.
fn crash(
    mut tree: Tree,
    survives: &mut dyn FnMut(Unit) -> bool,
    torn: &[u64],
    hostile: Option<u64>,
) -> MemoryVfs {
    let (_, lost) = torn.split_at(torn.len() / 2);
    let (middle, lost) = match lost.split_first() {
        Some((middle, lost)) => (Some(*middle), lost),
        None => (None, lost),
    };
    let units = tree.units();
    let kept = units.into_iter().filter(|&unit| survives(unit)).map(|unit| unit.number);
    // In order, because the units were: a search tells whether one is among them.
    let kept: Vec<u64> = kept.filter(|number| !lost.contains(number)).collect();
    tree.settle(&mut |number| {
        if kept.binary_search(&number).is_err() {
            match hostile {
                Some(seed) if chance::comes_true(seed ^ 1, number, 128) => Fate::Garbage,
                _ => Fate::Lost,
            }
        } else if middle == Some(number) {
            Fate::Torn
        } else {
            Fate::Survives
        }
    });
    MemoryVfs::with(tree, 0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::support::{create, durable, fault, names, open, rename};
    use super::super::{FaultKind, OperationKind, SyncFailure};
    use super::*;
    use crate::vfs::{FileExt, Vfs};

    /// A durable file of two sectors of `a`; pending: a write of `b` over both and one more
    /// sector, then a new empty file.
    fn disk() -> MemoryVfs {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/file", &[b'a'; 1024]);
        file.write_all_at(&[b'b'; 1536], 0).unwrap();
        drop(create(&disk, "/new"));
        disk
    }

    /// Per sector of the file one letter, `.` for zeros; then the number of files.
    fn image(disk: &MemoryVfs) -> (String, usize) {
        assert_eq!(disk.pending_units(), []);
        let bytes = disk.read_file("/file").unwrap();
        let letter = |sector: &[u8]| char::from(if sector[0] == 0 { b'.' } else { sector[0] });
        (bytes.chunks(512).map(letter).collect(), disk.files().len())
    }

    fn after(mode: CrashMode) -> (String, usize) {
        image(&disk().crash_with(mode))
    }

    #[test]
    fn the_units_are_numbered_in_the_order_of_the_changes() {
        use UnitKind::{Name, Sector, Size};
        let units = disk().pending_units();
        let kinds: Vec<_> = units.iter().map(|unit| unit.kind).collect();
        assert_eq!(kinds, [Size, Sector, Sector, Sector, Name]);
        assert!(units.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
    }

    #[test]
    fn each_mode_keeps_the_units_it_says() {
        let expect = |mode, sectors: &str, files| {
            assert_eq!(after(mode), (sectors.to_owned(), files), "{mode:?}");
        };
        expect(CrashMode::Nothing, "aa", 1);
        expect(CrashMode::Everything, "bbb", 2);
        expect(CrashMode::Prefix(0), "aa", 1);
        expect(CrashMode::Prefix(2), "ba.", 1);
        expect(CrashMode::Prefix(4), "bbb", 1);
        expect(CrashMode::Prefix(9), "bbb", 2);
        expect(CrashMode::OnePresent(0), "aa.", 1);
        expect(CrashMode::OnePresent(2), "ab", 1);
        expect(CrashMode::OnePresent(4), "aa", 2);
        expect(CrashMode::OneMissing(0), "bb", 2);
        expect(CrashMode::OneMissing(1), "abb", 2);
        expect(CrashMode::NamesFirst, "aa.", 2);
        expect(CrashMode::DataFirst, "bbb", 1);
    }

    #[test]
    fn the_closure_is_asked_once_per_unit_in_order() {
        let disk = disk();
        let mut asked = Vec::new();
        let image_of_none = disk.crash(&mut |unit| {
            asked.push(unit);
            false
        });
        assert_eq!(asked, disk.pending_units());
        assert_eq!(image(&image_of_none), ("aa".to_owned(), 1));
    }

    #[test]
    fn a_torn_last_write_arrives_up_to_the_middle_of_its_middle_sector() {
        let image = disk().crash_with(CrashMode::LastTorn);
        let bytes = image.read_file("/file").unwrap();
        assert_eq!(bytes[..768], [b'b'; 768]);
        assert_eq!(bytes[768..1024], [b'a'; 256]);
        assert_eq!(bytes[1024..], [0; 512]);
        assert_eq!(names(&image), ["/file", "/new"], "the rest survives");
    }

    #[test]
    fn a_torn_append_inside_one_sector_keeps_its_first_half() {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/file", b"old");
        file.write_all_at(b"abcdef", 3).unwrap();
        let image = disk.crash_with(CrashMode::LastTorn);
        assert_eq!(image.read_file("/file").unwrap(), b"oldabc\0\0\0");
    }

    #[test]
    fn a_random_subset_depends_on_the_seed_and_the_numbers_alone() {
        let disk = MemoryVfs::new();
        let file = durable(&disk, "/file", &[b'a'; 64 * 512]);
        file.write_all_at(&[b'b'; 64 * 512], 0).unwrap();
        let crash = |seed, keep_per_256| {
            image(&disk.crash_with(CrashMode::Random { seed, keep_per_256 })).0
        };
        let first = crash(1, 128);
        file.write_all_at(b"another unit", 0).unwrap();
        assert_eq!(crash(1, 128)[1..], first[1..], "a further unit moves no other");
        assert_ne!(crash(2, 128)[1..], first[1..]);
        let kept = |letters: &str| letters.matches('b').count();
        assert!((16..48).contains(&kept(&first)), "{first}");
        assert!(kept(&crash(1, 16)) < 16);
    }

    #[test]
    fn an_image_is_a_disk_of_its_own() {
        let disk = disk();
        let lock = disk.lock(Path::new("/lock")).unwrap();
        disk.halt();
        let image = disk.crash_with(CrashMode::Everything);
        let again = image.lock(Path::new("/lock")).unwrap();
        open(&image, "/file").write_all_at(b"x", 0).unwrap();
        rename(&image, "/new", "/renamed");
        assert_eq!(disk.read_file("/file").unwrap()[0], b'b');
        assert_eq!(names(&disk), ["/file", "/lock", "/new"]);
        let twice = image.crash_with(CrashMode::Nothing);
        assert_eq!(names(&twice), ["/file", "/lock", "/new"]);
        assert_eq!(twice.read_file("/file").unwrap(), [b'b'; 1536], "an image is durable");
        drop((lock, again));
    }

    #[test]
    fn after_a_kill_everything_is_still_there_and_still_pending() {
        let disk = disk();
        let lock = disk.lock(Path::new("/lock")).unwrap();
        disk.halt();
        let killed = disk.kill();
        assert_eq!(killed.pending_units(), disk.pending_units());
        assert_eq!(killed.read_file("/file").unwrap(), [b'b'; 1536]);
        assert_eq!(image(&killed.crash_with(CrashMode::Nothing)), ("aa".to_owned(), 1));
        drop(killed.lock(Path::new("/lock")).unwrap());
        open(&killed, "/file").sync_data().unwrap();
        assert_eq!(image(&killed.crash_with(CrashMode::Nothing)), ("bbb".to_owned(), 1));
        assert_eq!(image(&disk.crash_with(CrashMode::Nothing)), ("aa".to_owned(), 1));
        drop(lock);
    }

    #[test]
    fn after_a_kill_a_file_that_could_not_be_synced_can_be_synced() {
        let (disk, failure) = (disk(), SyncFailure::Sticky { seed: None });
        disk.plan(fault(OperationKind::Sync, 0, FaultKind::FailedSync(failure)));
        open(&disk, "/file").sync_data().unwrap_err();
        open(&disk, "/file").sync_data().unwrap_err();
        open(&disk.kill(), "/file").sync_data().unwrap();
    }
}
