//! A case from a seed. Each seed leaves out some kinds of steps and faults, and leans towards
//! others: a mixture of everything would seldom go far in any direction.

use crate::vfs::memory::draw;

use super::case::{Action, Case, Config, FaultSpec, Part, PartKind, Step, TableConfig};

/// Numbers that depend on a seed and a counter alone.
#[derive(Clone, Debug)]
pub(super) struct Dice {
    seed: u64,
    counter: u64,
}

impl Dice {
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        Self { seed: draw(seed, stream), counter: 0 }
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.counter += 1;
        draw(self.seed, self.counter)
    }

    /// A number below `bound`, which is not zero.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) const fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[(u64, T)]) -> Option<T> {
        let total: u64 = from.iter().map(|(weight, _)| weight).sum();
        let mut at = self.below(total.max(1));
        for (weight, item) in from {
            if at < *weight {
                return Some(*item);
            }
            at -= weight;
        }
        None
    }
}

/// Which kinds of steps a seed uses.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Write,
    Sync,
    Background,
    Reopen,
    Kill,
    PowerCut,
    Backup,
    Restore,
    OpenBeside,
    Snapshot,
    Clock,
}

const STREAM_CONFIG: u64 = 1;
const STREAM_PADDING: u64 = 2;
const STREAM_SUBMIT: u64 = 3 << 32;
const STREAM_TABLES: u64 = 4 << 32;
/// Above the ids of all other steps, which keep theirs.
const SUBMIT_ID: u64 = 1 << 24;
const TABLES_ID: u64 = 2 << 24;
const STREAM_STEP: u64 = 1 << 32;
const STREAM_FAULT: u64 = 2 << 32;

/// The case of `seed`, of about `length` steps.
#[must_use]
pub fn generate(seed: u64, length: u64) -> Case {
    generate_as(seed, length, Shape::Short)
}

/// What a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Crash images at every operation.
    Short,
    /// Many segments and many lives.
    Walk,
}

/// What the store of a seed is like.
fn config(seed: u64, dice: &mut Dice) -> Config {
    let config = Config {
        segment_bytes: dice.pick(&[(5, 8192), (2, 12_288), (1, 16_384)]).unwrap_or(8192),
        images: 1 + dice.below(3),
        every: 1,
        depth: if dice.one_in(6) { 3 } else { 2 },
        sparse: 1 + dice.below(4),
        go_on: 4 + dice.below(12),
        padded: false,
        padded_after: 0,
        through: false,
        slow: 0,
        tables: None,
    };
    // From numbers of their own, so that what older seeds do stays as it was.
    let mut padding = Dice::new(seed, STREAM_PADDING);
    let padded = padding.one_in(5);
    let room = if padded { 8192 } else { 0 };
    let slow = if padding.one_in(4) { 1 << padding.below(24) } else { 0 };
    let padded_after = if padded && padding.one_in(2) { 1 + padding.below(3) } else { 0 };
    let through = padding.one_in(4);
    let segment_bytes = config.segment_bytes + room;
    let tables = tables(seed);
    let config = Config { padded, padded_after, through, slow, segment_bytes, tables, ..config };
    if tables.is_some() { spread(config) } else { config }
}

fn generate_as(seed: u64, length: u64, shape: Shape) -> Case {
    let mut dice = Dice::new(seed, STREAM_CONFIG);
    let config = config(seed, &mut dice);
    let mut weights = vec![(40, Kind::Write)];
    let others = [
        (5, Kind::Sync),
        (8, Kind::Background),
        (3, Kind::Reopen),
        (2, Kind::Kill),
        (2, Kind::PowerCut),
        (3, Kind::Backup),
        (2, Kind::Restore),
        (1, Kind::OpenBeside),
        (3, Kind::Snapshot),
        (2, Kind::Clock),
    ];
    weights.extend(others.into_iter().filter(|_| !dice.one_in(3)));
    let style = Style {
        durabilities: dice.pick(&[(3, "sss"), (3, "ssb"), (2, "sbm"), (1, "bbm")]).unwrap_or("s"),
        keys: 3 + dice.below(22),
        spaces: 1 + dice.below(3),
        len_max: 8 << dice.below(7),
        batch_max: 1 + dice.below(5),
    };
    let count = length / 2 + dice.below(length.max(1));
    let mut steps: Vec<_> = (0..count)
        .map(|id| {
            let mut dice = Dice::new(seed, STREAM_STEP + id);
            let kind = dice.pick(&weights).unwrap_or(Kind::Write);
            Step { id, action: action(kind, &style, &mut dice) }
        })
        .collect();
    add_submits(seed, &style, &mut steps);
    if config.tables.is_some() {
        add_checkpoints(seed, &mut steps);
    }
    let faults = match shape {
        Shape::Short if dice.one_in(3) => {
            let number = 1 + dice.below(3) + count / 100;
            faults(seed, count, number, &FaultSpec::KINDS)
        }
        Shape::Walk if dice.one_in(2) => {
            // A walk has one to three kinds of faults, so that each gets many chances to fall on
            // the one operation where it matters.
            let mut kinds: Vec<_> = (0..=dice.below(3)).map(|_| fault_kind(&mut dice)).collect();
            // A disk that lies about a sync and then takes back what it still shows owes nothing.
            if kinds.contains(&"sync_late") {
                kinds.retain(|kind| *kind != "sync_reverted");
            }
            faults(seed, count, 1 + dice.below(3) + count / 30, &kinds)
        }
        _ => Vec::new(),
    };
    Case { version: Case::VERSION, seed, config, steps, faults }
}

/// A long case without crash images: many segments, many lives, and what only adds up.
#[must_use]
pub fn long_walk(seed: u64, length: u64) -> Case {
    let mut case = generate_as(seed, length, Shape::Walk);
    case.config.every = 0;
    case
}

/// In one seed of three, asynchronous commits between the other steps.
fn add_submits(seed: u64, style: &Style, steps: &mut Vec<Step>) {
    if !Dice::new(seed, STREAM_SUBMIT).one_in(3) {
        return;
    }
    let others = std::mem::take(steps);
    for step in others {
        let id = SUBMIT_ID + step.id;
        steps.push(step);
        let mut dice = Dice::new(seed, STREAM_SUBMIT + id);
        if dice.one_in(5) {
            let mut parts: Vec<_> =
                (0..1 + dice.below(4)).map(|_| part(style, &mut dice)).collect();
            for part in &mut parts {
                (part.what, part.condition) = (PartKind::KeyPut, None);
            }
            steps.push(Step { id, action: Action::Submit { parts, waits: dice.one_in(2) } });
        }
    }
}

/// Of each three times sixteen seeds the second sixteen make tables; the others do what they did
/// before there were any.
fn tables(seed: u64) -> Option<TableConfig> {
    if seed / 16 % 3 != 1 {
        return None;
    }
    let mut dice = Dice::new(seed, STREAM_TABLES);
    Some(TableConfig {
        memory_limit: 4096 << dice.below(5),
        manifest_bytes: small(4096 * (3 + dice.below(4))),
        log_needed: dice.one_in(2),
    })
}

/// Checkpoints, and recoveries on top of them, have several times the operations of commits: a seed
/// looks at some of their crashes, and more seeds at all of them.
const fn spread(config: Config) -> Config {
    let (every, sparse) = (2 + config.sparse % 3, 8 * config.sparse);
    Config { images: 1, depth: 1, every, sparse, ..config }
}

/// Checkpoints and merges between the other steps, in some seeds many.
fn add_checkpoints(seed: u64, steps: &mut Vec<Step>) {
    let mut dice = Dice::new(seed, STREAM_TABLES + 1);
    let often = 4 << dice.below(3);
    let others = std::mem::take(steps);
    for step in others {
        let id = TABLES_ID + step.id;
        let mut dice = Dice::new(seed, STREAM_TABLES + id);
        if matches!(step.action, Action::Reopen) && dice.one_in(2) {
            // What is merged first in a life finds a log that was closed well.
            steps.push(Step { id: TABLES_ID + id, action: Action::Checkpoint });
            steps.extend([step, Step { id, action: Action::Compact }]);
            continue;
        }
        steps.push(step);
        if dice.one_in(often) {
            let action = match dice.below(7) {
                0 => Action::Compact,
                1 | 2 => Action::Background,
                _ => Action::Checkpoint,
            };
            steps.push(Step { id, action });
        }
    }
}

struct Style {
    durabilities: &'static str,
    keys: u64,
    spaces: u64,
    len_max: u64,
    batch_max: u64,
}

fn small<T: TryFrom<u64> + Default>(value: u64) -> T {
    T::try_from(value).unwrap_or_default()
}

fn action(kind: Kind, style: &Style, dice: &mut Dice) -> Action {
    match kind {
        Kind::Write => {
            let parts = (0..1 + dice.below(style.batch_max)).map(|_| part(style, dice)).collect();
            let letter = usize::try_from(dice.below(3)).unwrap_or(0);
            let durability = style.durabilities.chars().nth(letter).unwrap_or('s');
            let request = dice.one_in(10).then(|| dice.below(6));
            Action::Write { parts, durability, request }
        }
        Kind::Sync => Action::Sync,
        Kind::Background => Action::Background,
        Kind::Reopen => Action::Reopen,
        Kind::Kill => Action::Kill,
        Kind::PowerCut => Action::PowerCut,
        Kind::Backup => Action::Backup,
        Kind::Restore => Action::Restore { permille: dice.below(1100) },
        Kind::OpenBeside => Action::OpenBeside,
        Kind::Snapshot => Action::Snapshot,
        Kind::Clock => {
            let magnitude = 1 + dice.below(33);
            let far = i64::try_from(dice.below(1 << magnitude)).unwrap_or(0);
            Action::Clock { micros: if dice.one_in(2) { far } else { -far } }
        }
    }
}

fn part(style: &Style, dice: &mut Dice) -> Part {
    let kinds = [
        (12, PartKind::Put),
        (3, PartKind::Patch),
        (3, PartKind::Delete),
        (4, PartKind::KeyPut),
        (1, PartKind::KeyDelete),
    ];
    Part {
        what: dice.pick(&kinds).unwrap_or(PartKind::Put),
        space: small(dice.below(style.spaces)),
        key: small(dice.below(style.keys)),
        len: small(dice.below(style.len_max)),
        condition: dice.one_in(4).then(|| if dice.one_in(4) { 1 } else { 0 }),
    }
}

fn fault_kind(dice: &mut Dice) -> &'static str {
    let kinds = FaultSpec::KINDS.map(|kind| (1, kind));
    dice.pick(&kinds).unwrap_or("sync_kept")
}

fn faults(seed: u64, steps: u64, number: u64, kinds: &[&str]) -> Vec<FaultSpec> {
    let mut faults: Vec<FaultSpec> = (0..number)
        .map(|number| {
            let mut dice = Dice::new(seed, STREAM_FAULT + number);
            let index = usize::try_from(dice.below(crate::base::codec::to_u64(kinds.len())));
            let what = index.ok().and_then(|index| kinds.get(index)).unwrap_or(&"sync_kept");
            FaultSpec {
                step: dice.below(steps.max(1)),
                nth: dice.below(4),
                what: (*what).to_owned(),
                sticky: dice.one_in(5),
            }
        })
        .collect();
    // A disk that lies about a sync, and takes back at the next what was only in its cache, has
    // lost what it called durable: no store can have it.
    if faults.iter().any(|fault| fault.what == "sync_late") {
        faults.retain(|fault| fault.what != "sync_reverted");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_same_case_and_seeds_differ() {
        assert_eq!(generate(7, 40), generate(7, 40));
        assert_ne!(generate(7, 40).steps, generate(8, 40).steps);
    }

    #[test]
    fn a_case_survives_being_written_down() {
        for seed in 0..50 {
            let case = generate(seed, 40);
            let text = serde_json::to_string(&case).unwrap();
            assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
        }
    }

    #[test]
    fn a_step_does_not_depend_on_how_many_came_before() {
        let (short, long) = (generate(3, 20), generate(3, 20));
        assert_eq!(short.steps.first(), long.steps.first());
    }
}
