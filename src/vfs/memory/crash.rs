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
        }
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
        crash(self.disk().tree.branch(), survives, &[])
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
        crash(tree, &mut keeps, &torn)
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

/// The disk after the crash of `tree`; `torn` are the sectors of a write cut in the middle.
fn crash(mut tree: Tree, survives: &mut dyn FnMut(Unit) -> bool, torn: &[u64]) -> MemoryVfs {
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
            Fate::Lost
        } else if middle == Some(number) {
            Fate::Torn
        } else {
            Fate::Survives
        }
    });
    MemoryVfs::with(tree, 0)
}
