//! What was found in one file.

use serde_json::Value;

use crate::base::Lsn;

use super::super::Damage;

/// A file in words.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// What it is.
    pub kind: &'static str,
    /// What it says, in the order of interest: name and value.
    pub facts: Vec<(&'static str, Value)>,
    /// Everything that is not what was written; paths are empty, since all are this file's.
    pub damage: Vec<Damage>,
}

/// More damage than anyone reads; what follows is left out.
const DAMAGE_MAX: usize = 100;

impl Inspected {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    pub(super) fn fact(&mut self, name: &'static str, value: impl Into<Value>) {
        self.facts.push((name, value.into()));
    }

    pub(super) fn damaged(&mut self, offset: u64, lsn: Option<Lsn>, what: impl Into<String>) {
        if !self.is_full() {
            let (path, offset, what) = (Default::default(), Some(offset), what.into());
            self.damage.push(Damage { path, offset, lsn, what });
        }
    }

    /// Whether there is no use in looking for more.
    pub(super) const fn is_full(&self) -> bool {
        self.damage.len() >= DAMAGE_MAX
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}
