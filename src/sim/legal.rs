//! What a case may ask for. A case that no store can follow would be told as a broken rule, so it
//! is refused before it is played.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::codec::to_u64;
use crate::wal::format::payload_max;
use crate::wal::identity::segment_bytes_are_legal;

use super::case::{Action, Case, Config, FaultSpec, Part, PartKind, Step};

/// Larger segments only make a case slow.
const SEGMENT_BYTES_MAX: u64 = 1 << 20;
/// The least with which padded tails leave room for anything.
const PADDED_SEGMENT_BYTES_MIN: u64 = 12 << 10;
/// What padding may take from a segment: a page, and the header of the record that fills it.
const PADDING: u64 = 4096 + 72;
const IMAGES_MAX: u64 = 64;
const DEPTH_MAX: u64 = 4;
/// Steps, and apart from them faults.
const STEPS_MAX: usize = 10_000;
/// A number that a document can hold exactly: a step writes its own.
const ID_MAX: u64 = 1 << 53;
/// So many steps of the clock stay within four centuries.
const MICROS_MAX: u64 = 1 << 40;
const SLOW_MAX: u64 = 1 << 32;
/// Each unclean open writes one.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
const PERMILLE_MAX: u64 = 1_000_000;
/// More than an operation of a batch takes besides its text, the name of its space included.
const OVERHEAD: u64 = 128;
/// More than each takes besides in the answer that is kept for a request.
const ANSWER: u64 = 112;
/// More than a batch takes besides its operations.
const BATCH_OVERHEAD: u64 = 192;

/// Why `case` cannot be played, with the name of the field; `None` if it can.
pub(super) fn wrong(case: &Case) -> Option<String> {
    let mut ids = BTreeSet::new();
    let mut lengths = BTreeMap::new();
    let steps = &case.steps;
    config(&case.config)
        .or_else(|| too_many("steps", steps.len()))
        .or_else(|| too_many("faults", case.faults.len()))
        .or_else(|| {
            steps.iter().find_map(|Step { id, action }| {
                let told = if *id >= ID_MAX {
                    Some(format!("`id` must be below {ID_MAX}"))
                } else if !ids.insert(*id) {
                    Some("`id` is that of another step".to_owned())
                } else {
                    action_of(action, &case.config, &mut lengths)
                };
                told.map(|told| format!("step {id}: {told}"))
            })
        })
        .or_else(|| case.faults.iter().find_map(fault))
}

fn too_many(what: &str, number: usize) -> Option<String> {
    (number > STEPS_MAX).then(|| format!("`{what}` has {number}, of at most {STEPS_MAX}"))
}

fn config(config: &Config) -> Option<String> {
    let Config { segment_bytes: segment, images, depth, sparse, go_on, padded, slow, .. } = *config;
    if !segment_bytes_are_legal(segment) || segment > SEGMENT_BYTES_MAX {
        return Some(format!(
            "`segment_bytes` is {segment}; a case has a multiple of 4096 from 8 KiB to 1 MiB"
        ));
    }
    if padded && segment < PADDED_SEGMENT_BYTES_MIN {
        return Some(format!("`segment_bytes` is {segment}; with `padded` it is 12 KiB or more"));
    }
    let limits = [("images", images, IMAGES_MAX), ("depth", depth, DEPTH_MAX)];
    let manifest_bytes = config.tables.map_or(0, |tables| u64::from(tables.manifest_bytes));
    let limits = limits
        .into_iter()
        .chain([("slow", slow, SLOW_MAX), ("manifest_bytes", manifest_bytes, MANIFEST_BYTES_MAX)]);
    // `every` is not here: 0 asks for no crash points, and a large one for hardly any.
    let parts = [("sparse", sparse), ("go_on", go_on)];
    limits
        .filter(|(_, value, max)| value > max)
        .map(|(name, value, max)| format!("`{name}` is {value}, of at most {max}"))
        .chain(
            parts
                .into_iter()
                .filter(|(_, value)| *value == 0)
                .map(|(name, _)| format!("`{name}` is one in so many, so 0 means nothing")),
        )
        .next()
}

fn fault(fault: &FaultSpec) -> Option<String> {
    let what = &fault.what;
    (!FaultSpec::KINDS.contains(&what.as_str())).then(|| format!("there is no fault {what:?}"))
}

/// The longest text that each document has had so far.
type Lengths = BTreeMap<(u8, u8), u16>;

fn action_of(action: &Action, config: &Config, lengths: &mut Lengths) -> Option<String> {
    match action {
        Action::Write { durability, .. } if !matches!(durability, 's' | 'b' | 'm') => {
            Some(format!("`durability` is {durability:?}, of `s`, `b` and `m`"))
        }
        Action::Write { parts, .. } if parts.is_empty() => {
            Some("`parts` is empty, and no store takes an empty batch".to_owned())
        }
        Action::Write { parts, request, .. } => {
            let answer = if request.is_some() { ANSWER } else { 0 };
            let bytes = parts.iter().map(|part| bytes_of(part, lengths) + answer).sum::<u64>();
            let bytes = bytes + BATCH_OVERHEAD;
            let padding = if config.padded { PADDING } else { 0 };
            let room = payload_max(config.segment_bytes - padding);
            (bytes > room).then(|| {
                format!("`len`: the batch may take {bytes} bytes, and a segment has {room} for it")
            })
        }
        Action::Restore { permille } if *permille > PERMILLE_MAX => {
            Some(format!("`permille` is {permille}, of at most {PERMILLE_MAX}"))
        }
        Action::Clock { micros } if micros.unsigned_abs() > MICROS_MAX => {
            Some(format!("`micros` is {micros}, of at most {MICROS_MAX} ahead or back"))
        }
        _ => None,
    }
}

/// The most that a part takes of a batch. A patch writes the document that it changes.
fn bytes_of(part: &Part, lengths: &mut Lengths) -> u64 {
    let longest = lengths.entry((part.space, part.key)).or_default();
    let len = match part.what {
        PartKind::Put => {
            *longest = part.len.max(*longest);
            part.len
        }
        PartKind::Patch => *longest,
        PartKind::KeyPut => part.len,
        PartKind::Delete | PartKind::KeyDelete => 0,
    };
    to_u64(usize::from(len)) + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::super::{TableConfig, generate, long_walk, run_case};
    use super::*;
    use crate::base::ErrorKind;

    fn put(key: u8, len: u16) -> Part {
        Part { what: PartKind::Put, space: 255, key, len, condition: None }
    }

    fn write(parts: Vec<Part>, durability: char) -> Action {
        Action::Write { parts, durability, request: Some(u64::MAX) }
    }

    fn case(config: Config, actions: Vec<Action>) -> Case {
        let steps = (0..).zip(actions).map(|(id, action)| Step { id, action }).collect();
        Case { version: Case::VERSION, seed: 1, config, steps, faults: Vec::new() }
    }

    /// Reads `case` as a file, and gives what is told of it.
    fn refusal(case: &Case) -> String {
        let error = Case::read(&serde_json::to_vec(case).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.message().to_owned()
    }

    #[test]
    fn a_setup_that_no_store_or_no_lab_takes_is_refused_by_its_field() {
        let good = Config::default();
        let large =
            TableConfig { memory_limit: 0, manifest_bytes: (1 << 20) + 1, log_needed: true };
        let odd = |segment_bytes, padded| Config { segment_bytes, padded, ..good };
        for (config, field) in [
            (odd(0, false), "segment_bytes"),
            (odd(4096, false), "segment_bytes"),
            (odd(8193, false), "segment_bytes"),
            (odd(2 << 20, false), "segment_bytes"),
            (odd(8192, true), "padded"),
            (Config { images: 65, ..good }, "images"),
            (Config { depth: 5, ..good }, "depth"),
            (Config { sparse: 0, ..good }, "sparse"),
            (Config { go_on: 0, ..good }, "go_on"),
            (Config { slow: u64::MAX, ..good }, "slow"),
            (Config { tables: Some(large), ..good }, "manifest_bytes"),
        ] {
            let told = refusal(&case(config, vec![Action::Sync]));
            assert!(told.contains(&format!("`{field}`")), "{told} does not name {field}");
        }
        let most = Config { images: 64, depth: 4, every: 0, go_on: 1 << 32, ..good };
        for config in [good, most, odd(12_288, true), odd(1 << 20, false)] {
            assert_eq!(wrong(&case(config, vec![Action::Sync])), None);
        }
    }

    #[test]
    fn a_step_that_no_store_takes_is_refused_by_its_field() {
        for (action, field) in [
            (write(vec![put(0, 1)], 'x'), "durability"),
            (write(Vec::new(), 's'), "parts"),
            (write(vec![put(0, 4000)], 's'), "len"),
            (write(vec![put(0, 1); 40], 's'), "len"),
            (Action::Restore { permille: u64::MAX }, "permille"),
            (Action::Clock { micros: i64::MIN }, "micros"),
        ] {
            let told = refusal(&case(Config::default(), vec![action]));
            assert!(told.contains(&format!("step 0: `{field}`")), "{told}");
        }
        for letter in ['s', 'b', 'm'] {
            let good = case(Config::default(), vec![write(vec![put(0, 1)], letter)]);
            assert_eq!(wrong(&good), None);
        }
    }

    #[test]
    fn a_patch_of_a_long_document_counts_as_long() {
        let patch = |key| Part { what: PartKind::Patch, ..put(key, 0) };
        let two = |first| vec![write(vec![put(0, 3000)], 's'), write(vec![put(1, first)], 's')];
        let both = |first| [two(first), vec![write(vec![patch(0), patch(1)], 's')]].concat();
        assert!(refusal(&case(Config::default(), both(3000))).contains("step 2: `len`"));
        assert_eq!(wrong(&case(Config::default(), both(50))), None);
    }

    #[test]
    fn ids_are_exact_and_apart_and_steps_are_not_without_number() {
        let mut far = case(Config::default(), vec![Action::Sync, Action::Sync]);
        far.steps[1].id = 1 << 53;
        assert!(refusal(&far).contains("step 9007199254740992: `id` must be below"));
        far.steps[1].id = 0;
        assert!(refusal(&far).contains("step 0: `id` is that of another"));
        far.steps[1].id = (1 << 53) - 1;
        assert_eq!(wrong(&far), None);
        assert_eq!(wrong(&case(Config::default(), vec![Action::Sync; 10_000])), None);
        let many = case(Config::default(), vec![Action::Sync; 10_001]);
        assert!(refusal(&many).contains("`steps` has 10001"));
        let what = "read_error".to_owned();
        let faults = vec![FaultSpec { step: 0, nth: 0, what, sticky: false }; 10_001];
        assert!(refusal(&Case { faults, ..far }).contains("`faults` has 10001"));
    }

    /// Four writes of `count` parts that are as long as they may be, with the longest numbers.
    fn full(config: Config, count: u64, asked: bool) -> Case {
        let padding = if config.padded { PADDING } else { 0 };
        let room = payload_max(config.segment_bytes - padding) - BATCH_OVERHEAD;
        let answer = if asked { ANSWER } else { 0 };
        let len = u16::try_from(room / count - OVERHEAD - answer).unwrap();
        let part = |what, number| Part { what, space: number, ..put(number, len) };
        let numbers = || (0..count).map(|number| u8::try_from(255 - number).unwrap());
        let kinds = [PartKind::Put, PartKind::Patch, PartKind::KeyPut, PartKind::Delete];
        let actions =
            kinds.map(|what| write(numbers().map(|number| part(what, number)).collect(), 's'));
        let mut case = case(config, actions.to_vec());
        for (number, step) in (1..).zip(&mut case.steps) {
            step.id = ID_MAX - number;
            let Action::Write { request, .. } = &mut step.action else { continue };
            *request = asked.then_some(u64::MAX - number);
        }
        case
    }

    #[test]
    fn the_longest_batches_that_are_let_through_fit() {
        for (segment_bytes, padded) in [(8192, false), (12_288, true), (65_536, false)] {
            let config = Config { segment_bytes, padded, every: 0, ..Config::default() };
            for (count, asked) in [1, 2, 5, 14].map(|n| [(n, false), (n, true)]).concat() {
                let case = full(config, count, asked);
                assert_eq!(wrong(&case), None, "{segment_bytes} {count} {asked}");
                assert_eq!(run_case(&case).1, None, "{segment_bytes} {count} {asked}");
            }
        }
    }

    #[test]
    fn whatever_the_lab_generates_can_be_read_again() {
        for seed in 0..2_000 {
            assert_eq!(wrong(&generate(seed, 40)), None, "{seed}");
            assert_eq!(wrong(&long_walk(seed, 300)), None, "{seed}");
        }
    }
}
