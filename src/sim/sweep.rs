//! Sweeps that leave nothing to chance: every short sequence, every operation failing.

use std::io::ErrorKind as IoKind;

use crate::base::codec::to_u64;
use crate::vfs::memory::{Fault, FaultKind, OperationKind, Selector, SyncFailure, draw};

use super::case::{Action, Case, Config, FaultSpec, Part, PartKind, Step, TableConfig};
use super::oracle::Failure;
use super::report::Counts;
use super::run::run_case;

/// The disk's fault for one of a case; `None` for a name that is not known.
pub(super) fn disk_fault(spec: &FaultSpec, seed: u64) -> Option<Fault> {
    let half = Some(draw(seed, spec.nth));
    let (kind, what) = match spec.what.as_str() {
        "write_error" => (OperationKind::Write, FaultKind::Error(IoKind::Other)),
        "write_full" => (OperationKind::Write, FaultKind::NoSpace),
        "write_short" => (OperationKind::Write, FaultKind::ShortWrite(700)),
        "write_torn" => (OperationKind::Write, FaultKind::TornWrite { bytes: 700 }),
        "write_interrupted" => (OperationKind::Write, FaultKind::Interrupted),
        "sync_kept" => {
            (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::KeptClean { seed: None }))
        }
        "sync_reverted" => {
            (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::Reverted { seed: None }))
        }
        "sync_late" => {
            (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::Late { seed: None }))
        }
        "sync_sticky" => {
            (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::Sticky { seed: None }))
        }
        "sync_kept_half" => {
            (OperationKind::Sync, FaultKind::FailedSync(SyncFailure::KeptClean { seed: half }))
        }
        "dir_sync_error" => (OperationKind::SyncDir, FaultKind::Error(IoKind::Other)),
        "rename_error" => (OperationKind::Rename, FaultKind::Error(IoKind::Other)),
        "create_full" => (OperationKind::Create, FaultKind::NoSpace),
        "read_error" => (OperationKind::Read, FaultKind::Error(IoKind::Other)),
        _ => return None,
    };
    let at = Selector { kind: Some(kind), path_contains: None, nth: spec.nth };
    // A call that is interrupted or short forever never ends, on any disk.
    Some(Fault { at, what, sticky: spec.sticky && spec.can_be_noticed() })
}

/// The actions that short sequences are made of.
fn alphabet() -> Vec<Action> {
    let write = |parts: &[(PartKind, u8, u16)], durability| Action::Write {
        parts: parts
            .iter()
            .map(|(what, key, len)| Part {
                what: *what,
                space: 0,
                key: *key,
                len: *len,
                condition: None,
            })
            .collect(),
        durability,
        request: None,
    };
    vec![
        write(&[(PartKind::Put, 0, 20)], 's'),
        write(&[(PartKind::Put, 0, 700)], 'b'),
        write(&[(PartKind::Put, 1, 1500), (PartKind::KeyPut, 0, 1500)], 's'),
        write(&[(PartKind::Delete, 0, 0)], 's'),
        write(&[(PartKind::Put, 2, 5)], 'm'),
        Action::Sync,
        Action::Background,
        Action::Reopen,
        Action::Kill,
        Action::PowerCut,
        Action::Backup,
        Action::Restore { permille: 1000 },
        Action::OpenBeside,
        Action::Snapshot,
        Action::Checkpoint,
        Action::Compact,
    ]
}

fn case_of(seed: u64, actions: Vec<Action>, config: Config) -> Case {
    let steps = (0..).zip(actions).map(|(id, action)| Step { id, action }).collect();
    Case { version: Case::VERSION, seed, config, steps, faults: Vec::new() }
}

/// Number of sequences of `length` actions; each has a number below it.
#[must_use]
pub(super) fn sequences(length: u32) -> u64 {
    to_u64(alphabet().len()).pow(length)
}

/// The `number`th sequence of `length` actions.
#[must_use]
pub(super) fn sequence(number: u64, length: u32) -> Case {
    let alphabet = alphabet();
    let base = to_u64(alphabet.len());
    let actions: Vec<Action> = (0..length)
        .filter_map(|place| {
            let index = usize::try_from(number / base.pow(place) % base).ok()?;
            alphabet.get(index).cloned()
        })
        .collect();
    let config = Config { images: 4, go_on: 2, ..Config::default() };
    let has_tables = |action: &Action| matches!(action, Action::Checkpoint | Action::Compact);
    if !actions.iter().any(has_tables) {
        return case_of(number, actions, config);
    }
    let log_needed = (number / base + number) % 2 == 1;
    let tables = TableConfig { memory_limit: 64 << 10, manifest_bytes: 12 << 10, log_needed };
    case_of(number, actions, Config { depth: 1, sparse: 4, tables: Some(tables), ..config })
}

/// The first of two steps that are added to cases with tables.
const TABLES_STEP: u64 = 1 << 30;

/// Operations of one kind that a step may have, so that each of them fails once.
fn operations(step: &Step) -> (u64, u64) {
    let is_long = matches!(step.action, Action::Checkpoint | Action::Compact);
    (step.id, if is_long { 20 } else { 6 })
}

/// Every operation of the disk fails in turn, in the way `what`, once and for good.
pub(super) fn nth_failures(seed: u64, what: &str, counts: &mut Counts) -> Option<(Case, Failure)> {
    let mut case = super::generate(seed, 12);
    case.config.images = 0;
    case.config.depth = 0;
    if what.starts_with("sync") {
        lengthen(&mut case);
    }
    if case.config.tables.is_some() {
        // A checkpoint has many operations to fail; what a crash leaves of it others look at.
        case.config.every = 16;
        case.steps
            .insert(case.steps.len() / 2, Step { id: TABLES_STEP, action: Action::Checkpoint });
        case.steps.push(Step { id: TABLES_STEP + 1, action: Action::Compact });
    }
    // A failure that nobody reported is felt only when what is written cannot be read any more.
    let after = case.steps.iter().map(|step| step.id + 1).max().unwrap_or(0);
    let last = [(after, Action::Kill), (after + 1, Action::PowerCut)];
    case.steps.extend(last.into_iter().map(|(id, action)| Step { id, action }));
    for sticky in [false, true] {
        for (step, operations) in case.steps.iter().map(operations).collect::<Vec<_>>() {
            for nth in 0..operations {
                let fault = FaultSpec { step, nth, what: what.to_owned(), sticky };
                case.faults = vec![fault];
                let (played, failure) = run_case(&case);
                counts.add(&played);
                if let Some(failure) = failure {
                    return Some((case, failure));
                }
            }
        }
    }
    None
}

/// Each sync of a close lies in turn, and the process that would have been told is gone: what the
/// next one writes must not build on it. Its first group is not synced, so that the second claims
/// what only that close can have synced.
pub(super) fn late_closes(seed: u64, counts: &mut Counts) -> Option<(Case, Failure)> {
    let write = |number: u64, durability| {
        let len = u16::try_from(draw(seed, number) % 700).unwrap_or_default();
        let part = Part { what: PartKind::Put, space: 0, key: 1, len, condition: None };
        Action::Write { parts: vec![part], durability, request: None }
    };
    let actions = vec![
        write(1, 's'),
        Action::Reopen,
        Action::Kill,
        write(2, 'b'),
        write(3, 's'),
        write(4, 's'),
    ];
    let config = Config { images: 12, depth: 0, ..Config::default() };
    let mut case = case_of(seed, actions, config);
    for nth in 0..4 {
        case.faults = vec![FaultSpec { step: 1, nth, what: "sync_late".to_owned(), sticky: false }];
        let (played, failure) = run_case(&case);
        counts.add(&played);
        if let Some(failure) = failure {
            return Some((case, failure));
        }
    }
    None
}

/// Makes the writes of a case so long that the last pages and segments of a group are seldom those
/// of the next: what one failed sync lost is then not written again by chance.
fn lengthen(case: &mut Case) {
    case.config.segment_bytes = if case.config.padded { 20_480 } else { 12_288 };
    for step in &mut case.steps {
        if let Action::Write { parts, durability, .. } = &mut step.action {
            *durability = 's';
            for part in parts {
                part.len = 700 + part.len % 700;
            }
        }
    }
}
