//! The sweep over writes that a disk takes and does not do: lost, or put elsewhere.

use crate::vfs::memory::{Fault, FaultKind, MemoryVfs, OperationKind, Selector, draw};

use super::case::{Action, Case};
use super::oracle::{Failure, Rule};
use super::report::Counts;
use super::rest::{Rest, consequence, store_at_rest};

/// Writes of a workload that are each misplaced in turn.
const WRITES_MAX: u64 = 120;

/// Each write to the log of a short workload is lost or misdirected in turn, and the store comes
/// to rest: then it shows everything, or refuses with a place (R8).
pub(super) fn misplaced_writes(seed: u64, counts: &mut Counts) -> Option<(Case, Failure)> {
    let mut case = super::generate(seed, 14);
    // A store with tables needs rules of its own: `docs/crash-lab.md` says what is open.
    if case.config.tables.is_some() {
        return None;
    }
    case.steps.retain(|step| matches!(step.action, Action::Write { .. }));
    case.faults.clear();
    let rest = if seed.is_multiple_of(2) { Rest::Closed } else { Rest::Idle };
    for nth in 0..WRITES_MAX {
        let far = 512 << (draw(seed, nth) % 6);
        let kinds = [
            ("write_lost", FaultKind::LostWrite),
            ("write_ahead", FaultKind::MisdirectedWrite { by: far }),
            ("write_back", FaultKind::MisdirectedWrite { by: -far }),
        ];
        for (name, what) in kinds {
            let disk = MemoryVfs::new();
            let path_contains = Some("/wal/".to_owned());
            let at = Selector { kind: Some(OperationKind::Write), path_contains, nth };
            let fault = Fault { at, what, sticky: false };
            let (left, content) = match store_at_rest(&case, rest, &disk, Some(fault)) {
                Ok(found) => found,
                Err(failure) => return Some((case, failure)),
            };
            if disk.faults_fired() == 0 {
                return None;
            }
            *counts.faults.entry(name.to_owned()).or_default() += 1;
            counts.damaged += 1;
            if let Err(detail) = consequence(&left, &case.config, content) {
                let site = format!("{name} {nth} {rest:?}");
                return Some((case, Failure::new(Rule::R8, site, detail)));
            }
        }
    }
    None
}
