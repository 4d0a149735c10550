//! Bytes as a case of the crash lab, and back: the seeds of the corpus are cases of the lab.

use jidoka::sim::{Action, Case, Config, FaultSpec, Part, PartKind, Step};

use crate::input::Input;

/// Steps after which the rest of an input is ignored.
const STEPS_MAX: u64 = 24;
const SEGMENT_BYTES: [u64; 3] = [8192, 12_288, 16_384];
const WHAT: [PartKind; 5] =
    [PartKind::Put, PartKind::Patch, PartKind::Delete, PartKind::KeyPut, PartKind::KeyDelete];
const LETTERS: [char; 3] = ['s', 'b', 'm'];
/// Requests that a write may repeat; a byte beyond them is no request.
const REQUESTS: u64 = 6;
/// Four parts of this length and their keyspaces fit in the smallest segment.
const LEN_MAX: usize = 700;

/// How hard a case is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing goes wrong; only the fixed images are taken.
    None,
    /// Faults, and random images too.
    Crashes,
}

/// The case that `bytes` say.
pub fn case_of(bytes: &[u8], harm: Harm) -> Case {
    let mut input = Input::new(bytes);
    let seed = u64::from(input.u16());
    let segment_bytes = input.pick(&SEGMENT_BYTES);
    let images = u64::from(input.flag());
    let depth = u64::from(input.flag());
    let sparse = 1 + u64::from(input.byte() % 8);
    let mut faults = fault_list(&mut input);
    let defaults = Config { go_on: 8, ..Config::default() };
    let mut config = Config { segment_bytes, images, depth, sparse, ..defaults };
    if harm == Harm::None {
        config = Config { images: 0, depth: 0, ..config };
        faults.clear();
    }
    let mut steps = Vec::new();
    for id in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        steps.push(Step { id, action: action(&mut input) });
    }
    Case { version: 1, seed, config, steps, faults }
}

fn fault_list(input: &mut Input<'_>) -> Vec<FaultSpec> {
    (0..input.below(4))
        .map(|_| FaultSpec {
            step: u64::from(input.byte()) % STEPS_MAX,
            nth: u64::from(input.byte() % 8),
            what: input.pick(&FaultSpec::KINDS).to_owned(),
            sticky: input.flag(),
        })
        .collect()
}

fn action(input: &mut Input<'_>) -> Action {
    match input.below(16) {
        8 => Action::Sync,
        9 => Action::Background,
        10 => Action::Reopen,
        11 => Action::Kill,
        12 => Action::PowerCut,
        13 => Action::Backup,
        14 => Action::Restore { permille: u64::from(input.u16()) % 1100 },
        15 => {
            let micros = i64::try_from(input.u64() % (1 << 40)).unwrap_or(0);
            Action::Clock { micros: if input.flag() { -micros } else { micros } }
        }
        _ => Action::Write {
            durability: input.pick(&LETTERS),
            request: Some(u64::from(input.byte())).filter(|number| *number < REQUESTS),
            parts: (0..=input.below(4)).map(|_| part(input)).collect(),
        },
    }
}

fn part(input: &mut Input<'_>) -> Part {
    Part {
        what: input.pick(&WHAT),
        space: input.byte() % 3,
        key: input.byte() % 24,
        len: u16::try_from(input.below(LEN_MAX)).unwrap_or(0),
        condition: [None, None, Some(0), Some(1)][input.below(4)],
    }
}

/// Bytes that say `case`, as far as they can say it.
pub fn bytes_of(case: &Case) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&case.seed.to_le_bytes()[..2]);
    out.push(place(&SEGMENT_BYTES, &case.config.segment_bytes));
    out.extend_from_slice(&[u8::from(case.config.images > 0), u8::from(case.config.depth > 0)]);
    out.push((case.config.sparse.saturating_sub(1) % 8) as u8);
    out.push(case.faults.len().min(3) as u8);
    for fault in case.faults.iter().take(3) {
        let what = place(&FaultSpec::KINDS, &fault.what.as_str());
        out.extend_from_slice(&[fault.step as u8, fault.nth as u8, what, u8::from(fault.sticky)]);
    }
    for step in &case.steps {
        put_action(&step.action, &mut out);
    }
    out
}

fn put_action(action: &Action, out: &mut Vec<u8>) {
    match action {
        Action::Sync => out.push(8),
        Action::Background => out.push(9),
        Action::Reopen => out.push(10),
        Action::Kill => out.push(11),
        Action::PowerCut => out.push(12),
        Action::Backup => out.push(13),
        Action::Restore { permille } => {
            out.push(14);
            out.extend_from_slice(&permille.to_le_bytes()[..2]);
        }
        Action::Clock { micros } => {
            out.push(15);
            out.extend_from_slice(&micros.unsigned_abs().to_le_bytes());
            out.push(u8::from(*micros < 0));
        }
        Action::Write { parts, durability, request } => {
            out.extend_from_slice(&[0, place(&LETTERS, durability)]);
            out.push(request.map_or(0xff, |request| request as u8));
            out.push(parts.len().clamp(1, 4) as u8 - 1);
            for part in parts.iter().take(4) {
                out.extend_from_slice(&[place(&WHAT, &part.what), part.space, part.key]);
                out.extend_from_slice(&part.len.to_le_bytes());
                out.push(part.condition.map_or(0, |off| if off == 0 { 2 } else { 3 }));
            }
        }
        _ => {}
    }
}

fn place<T: PartialEq>(from: &[T], what: &T) -> u8 {
    from.iter().position(|one| one == what).unwrap_or(0) as u8
}
