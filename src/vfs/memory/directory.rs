//! One directory: its live names, its durable names, and the changes between them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use super::crash::{Fate, Unit, UnitKind};

/// What a name names, by its number in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    File(u64),
    Directory(u64),
}

pub(super) type Names = BTreeMap<OsString, Entry>;

/// One change of names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The name stands for `entry` from now on, whatever it stood for.
    Create { name: OsString, entry: Entry },
    /// `entry` goes by `to` instead of `from`.
    Rename { from: OsString, to: OsString, entry: Entry },
    /// The name stands for nothing.
    Remove { name: OsString },
}

impl Change {
    /// Does it to `names`, unless it cannot be done: a renamed entry must still be at `from`.
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Create { name, entry } => {
                names.insert(name.clone(), *entry);
            }
            Self::Rename { from, to, entry } => {
                if names.get(from) == Some(entry) {
                    names.remove(from);
                    names.insert(to.clone(), *entry);
                }
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }

    const fn creates(&self) -> Option<Entry> {
        match self {
            Self::Create { entry, .. } => Some(*entry),
            Self::Rename { .. } | Self::Remove { .. } => None,
        }
    }
}

/// A directory without its own name. The live names are the durable ones with every pending
/// change applied.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    live: Arc<Names>,
    durable: Arc<Names>,
    pending: Vec<(u64, Change)>,
}

impl Directory {
    pub(super) fn names(&self) -> &Names {
        &self.live
    }

    pub(super) fn get(&self, name: &OsStr) -> Option<Entry> {
        self.live.get(name).copied()
    }

    pub(super) fn change(&mut self, change: Change, units: &mut u64) {
        change.apply(Arc::make_mut(&mut self.live));
        self.pending.push((*units, change));
        *units += 1;
    }

    pub(super) fn sync(&mut self) {
        self.durable = Arc::clone(&self.live);
        self.pending.clear();
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn units(&self) -> impl Iterator<Item = Unit> {
        self.pending.iter().map(|&(number, _)| Unit { number, kind: UnitKind::Name })
    }

    /// Everything that some crash could leave here.
    pub(super) fn reachable(&self) -> impl Iterator<Item = Entry> {
        let created = self.pending.iter().filter_map(|(_, change)| change.creates());
        self.durable.values().copied().chain(created)
    }

    /// The directory after a crash.
    pub(super) fn crashed(&self, fate: &mut dyn FnMut(u64) -> Fate) -> Self {
        let mut names = Names::clone(&self.durable);
        for (number, change) in &self.pending {
            if fate(*number) == Fate::Survives {
                change.apply(&mut names);
            }
        }
        let names = Arc::new(names);
        Self { live: Arc::clone(&names), durable: names, pending: Vec::new() }
    }
}
