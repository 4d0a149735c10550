//! Faults as data: which operation, what happens to it, once or from then on.

use std::io;
use std::path::Path;

use super::observer::OperationKind;

/// How a sync fails. With a seed, a random half of the pending units is durable all the same;
/// without one, none is.
///
/// Source: Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncFailure {
    /// An error. The file shows the new bytes, but they count as clean: only writing them again
    /// lets a later sync make them durable.
    KeptClean {
        /// Which half reaches the disk.
        seed: Option<u64>,
    },
    /// An error. The file shows the durable bytes again; its size stays.
    Reverted {
        /// Which half reaches the disk.
        seed: Option<u64>,
    },
    /// `Ok`, though nothing became durable; the next sync of the file, through any handle, gives
    /// the error. Both behave like [`SyncFailure::KeptClean`] otherwise.
    Late {
        /// Which half reaches the disk.
        seed: Option<u64>,
    },
    /// This and every later sync of the file is [`SyncFailure::KeptClean`].
    Sticky {
        /// Which half reaches the disk.
        seed: Option<u64>,
    },
}

/// What happens.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The operation fails and has no effect.
    Error(io::ErrorKind),
    /// As [`FaultKind::Error`] with `StorageFull`.
    NoSpace,
    /// As [`FaultKind::Error`] with `Interrupted`.
    Interrupted,
    /// A write takes at most so many bytes.
    ShortWrite(usize),
    /// A read gives at most so many bytes, and at least one: none would mean the end.
    ShortRead(usize),
    /// A write takes at most so many bytes and fails.
    TornWrite {
        /// How many bytes are written.
        bytes: usize,
    },
    /// A write says `Ok` and changes nothing: a stale place.
    LostWrite,
    /// A write says `Ok` and puts its bytes elsewhere in the file, leaving its own place stale.
    MisdirectedWrite {
        /// How far off; before the start of the file means its start.
        by: i64,
    },
    /// A sync of a file fails in one of the known ways; a sync of a directory fails with its
    /// names still pending.
    FailedSync(SyncFailure),
    /// This and every later operation fails: the end of the process.
    CrashAll,
}

impl FaultKind {
    /// Whether it can happen to such an operation.
    const fn concerns(self, kind: OperationKind) -> bool {
        match self {
            Self::Error(_) | Self::NoSpace | Self::Interrupted | Self::CrashAll => true,
            Self::ShortWrite(_)
            | Self::TornWrite { .. }
            | Self::LostWrite
            | Self::MisdirectedWrite { .. } => matches!(kind, OperationKind::Write),
            Self::ShortRead(_) => matches!(kind, OperationKind::Read),
            Self::FailedSync(_) => matches!(kind, OperationKind::Sync | OperationKind::SyncDir),
        }
    }
}

/// Which operation a fault happens to; of those to which its kind can happen at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Only operations of this kind.
    pub kind: Option<OperationKind>,
    /// Only operations whose path contains this text.
    pub path_contains: Option<String>,
    /// How many matching operations to let pass from the planning on.
    pub nth: u64,
}

/// One planned fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it happens.
    pub at: Selector,
    /// What happens.
    pub what: FaultKind,
    /// Whether it also happens to every matching operation after that.
    pub sticky: bool,
}

impl Fault {
    fn matches(&self, kind: OperationKind, path: &Path) -> bool {
        let of_path = |text: &String| path.to_string_lossy().contains(text.as_str());
        self.what.concerns(kind)
            && self.at.kind.is_none_or(|asked| asked == kind)
            && self.at.path_contains.as_ref().is_none_or(of_path)
    }
}

/// The planned faults, each with the number of operations that matched it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Vec<(Fault, u64)>,
    pub(super) fired: u64,
}

impl Plan {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push((fault, 0));
    }

    /// What happens to this operation. Every fault counts it; the first one due happens.
    pub(super) fn next(&mut self, kind: OperationKind, path: &Path) -> Option<FaultKind> {
        let mut due = None;
        for (fault, seen) in &mut self.faults {
            if fault.matches(kind, path) {
                if *seen == fault.at.nth || (fault.sticky && *seen > fault.at.nth) {
                    due = due.or(Some(fault.what));
                }
                *seen += 1;
            }
        }
        self.fired += u64::from(due.is_some());
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(fault: Fault, operations: &[(OperationKind, &str)]) -> Vec<bool> {
        let mut plan = Plan::default();
        plan.add(fault);
        let fired = operations.iter().map(|(kind, path)| plan.next(*kind, Path::new(path)));
        fired.map(|what| what.is_some()).collect()
    }

    const OPERATIONS: [(OperationKind, &str); 5] = [
        (OperationKind::Read, "a.wal"),
        (OperationKind::Write, "a.wal"),
        (OperationKind::Write, "b"),
        (OperationKind::Write, "c.wal"),
        (OperationKind::Write, "c.wal"),
    ];

    #[test]
    fn a_fault_happens_to_the_selected_operation_once_or_from_then_on() {
        let at = Selector {
            kind: Some(OperationKind::Write),
            path_contains: Some("wal".to_owned()),
            nth: 1,
        };
        let once = Fault { at, what: FaultKind::NoSpace, sticky: false };
        let sticky = Fault { sticky: true, ..once.clone() };
        assert_eq!(fired(once, &OPERATIONS), [false, false, false, true, false]);
        assert_eq!(fired(sticky, &OPERATIONS), [false, false, false, true, true]);
    }

    #[test]
    fn a_fault_passes_by_operations_it_cannot_happen_to() {
        let at = Selector::default();
        let what = FaultKind::ShortWrite(1);
        let once = Fault { at, what, sticky: false };
        assert_eq!(fired(once, &OPERATIONS), [false, true, false, false, false]);
    }
}
