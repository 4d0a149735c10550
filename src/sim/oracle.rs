//! The oracle: what must be there after a crash, from what was submitted and answered alone.
//!
//! Every commit gives a version of the whole content, known by the hash of the dump. A reopened
//! store tells its last LSN and its content; both must fit:
//!
//! - **R1** nothing that was acknowledged as durable is lost;
//! - **R2** nothing is there that was never submitted;
//! - **R3** the content is that of a prefix of the commits, in order;
//! - **R4** batches are whole (a version is all of a batch or nothing);
//! - **R5** what a recovery showed is not undone by a later crash;
//! - **R6** what was refused never appears; what is unknown is decided once, at the next open;
//! - **R7** a crash without damage is recovered without an error;
//! - **R8** damage gives the right content or an error with a place, never other content;
//! - **R9** recovering again gives the same;
//! - **R11** after a recovery the store works;
//! - **R12** a copy is a prefix of what is durable, and restores to what was.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::Lsn;
use crate::base::plant::{Plant, is_planted};

/// A rule of the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// Acknowledged as durable, and lost.
    R1,
    /// There, and never submitted.
    R2,
    /// Not the content of any prefix.
    R3,
    /// Shown by a recovery, and lost.
    R5,
    /// Refused, and there; or acknowledged after a failure.
    R6,
    /// An error without damage.
    R7,
    /// Other content after damage.
    R8,
    /// Recovering again gave something else.
    R9,
    /// The store does not work after a recovery.
    R11,
    /// A copy holds what is not durable, or restores to something else.
    R12,
    /// The disk was used in a way that is wrong though nothing was lost this time: see
    /// `MemoryVfs::warnings`; or files were left open.
    Contract,
    /// The same case gave another trace.
    Determinism,
    /// The engine panicked.
    Panic,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A rule that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rule.
    pub rule: Rule,
    /// The kind of operation and of image: with the rule, the class that shrinking keeps.
    pub site: String,
    /// What was seen, for a person.
    pub detail: String,
}

impl Failure {
    pub(super) fn new(rule: Rule, site: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { rule, site: site.into(), detail: detail.into() }
    }
}

/// What may be there after a crash at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Content after each commit since the last reopen, by LSN; the first is what was there.
    pub(super) versions: BTreeMap<Lsn, u64>,
    /// A power cut may lose nothing up to here.
    pub(super) durable: Lsn,
    /// The end of the process may lose nothing up to here.
    pub(super) written: Lsn,
    /// The content if the write that is under way takes effect.
    pub(super) pending: Option<u64>,
}

impl View {
    /// The content at `lsn`: that of the last commit at or before it.
    pub(super) fn content_at(&self, lsn: Lsn) -> Option<u64> {
        self.versions.range(..=lsn).next_back().map(|(_, hash)| *hash)
    }

    pub(super) fn last(&self) -> Lsn {
        self.versions.keys().next_back().copied().unwrap_or(Lsn::ZERO)
    }

    /// Checks what a reopened store shows against what may be there.
    pub(super) fn check(
        &self,
        (lsn, content): (Lsn, u64),
        power_cut: bool,
    ) -> Result<(), (Rule, String)> {
        let mut floor = if power_cut { self.durable } else { self.written };
        if is_planted(Plant::Canary) {
            floor = floor.next();
        }
        if lsn < floor {
            return Err((Rule::R1, format!("LSN {floor} was acknowledged, {lsn} is the last")));
        }
        let last = self.last();
        // A commit under way may have its own LSN and that of a term's start before it.
        if lsn.0 > last.0 + 2 || (lsn > last && self.pending.is_none() && lsn.0 > last.0 + 1) {
            return Err((Rule::R2, format!("LSN {lsn} is there, {last} was the last submitted")));
        }
        let expected = self.content_at(lsn);
        let under_way = self.pending.filter(|_| lsn > last);
        if Some(content) == expected || Some(content) == under_way {
            return Ok(());
        }
        Err((Rule::R3, format!("the content at LSN {lsn} is not what it was then")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        View {
            versions: [(Lsn(2), 20), (Lsn(3), 30), (Lsn(5), 50)].into(),
            durable: Lsn(3),
            written: Lsn(5),
            pending: Some(60),
        }
    }

    #[test]
    fn only_prefixes_that_contain_what_was_acknowledged_are_legal() {
        let check = |lsn, content, cut| view().check((Lsn(lsn), content), cut).map_err(|e| e.0);
        assert_eq!(check(3, 30, true), Ok(()));
        assert_eq!(check(4, 30, true), Ok(()));
        assert_eq!(check(5, 50, true), Ok(()));
        assert_eq!(check(6, 60, true), Ok(()));
        assert_eq!(check(2, 20, true), Err(Rule::R1));
        assert_eq!(check(3, 30, false), Err(Rule::R1));
        assert_eq!(check(5, 30, true), Err(Rule::R3));
        assert_eq!(check(8, 60, true), Err(Rule::R2));
    }
}
