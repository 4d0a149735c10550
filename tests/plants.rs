//! Testing the tester: every planted bug is found by the crash lab, within so many seeds.
//!
//! Plants are global to the process, so they are planted one after the other in one test.
//! `JIDOKA_PLANT_SEEDS=16` hunts each from 16 starts, and names what is not found from all of them.
//! `JIDOKA_PLANT_PAGE=write` writes `docs/planted-bugs.md`, whose plants and bounds are compared
//! here; its seeds and seconds are what was seen, and nothing is promised about them.
#![expect(clippy::disallowed_methods, reason = "reads the repository, and tells seconds")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use jidoka::base::plant::{Plant, choose};
use jidoka::sim::{Found, Hunt, run_case};
use jidoka::vfs::sync::Mutex;

const HEAD: &str = "# Planted bugs

Mistakes that somebody could make, one branch each in `src/base/plant.rs`, and how soon the crash
lab sees them. *images* are cases with crash images at every operation, *walks* long cases without
them, *failures* sweeps with one operation failing after the other, *late closes* lives after a
close whose sync lied, *damage* sweeps over damaged bytes, *the log alone* commits, releases and
files used again without a store. A hunt tries at most so many seeds of
its kind; another start begins where the one before ends.

Written by `JIDOKA_PLANT_PAGE=write JIDOKA_PLANT_SEEDS=16 cargo test --release --features
planted-bugs --test plants`, or with fewer seeds. The test compares plants, attacks and bounds;
seeds and seconds are those of one run on two shared cores.

| plant | attack | seeds at most | found by seed | seconds | from all starts, slowest |
|---|---|---|---|---|---|
";

/// What came of hunting one plant from each start.
struct Hunted {
    plant: Plant,
    hunt: Hunt,
    seconds: f64,
    found: Vec<Option<Found>>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn hunt(plant: Plant, starts: u64) -> Hunted {
    let hunt = Hunt::of(plant);
    let started = Instant::now();
    let first = hunt.find(0);
    let seconds = started.elapsed().as_secs_f64();
    let (next, others) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let start = next.fetch_add(1, Ordering::SeqCst);
            if start >= starts {
                return;
            }
            let found = hunt.find(start);
            others.lock().push(found);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let others = std::mem::take(&mut *others.lock());
    Hunted { plant, hunt, seconds, found: [first].into_iter().chain(others).collect() }
}

/// The columns of a row that a test compares.
fn promised(plant: Plant, hunt: Hunt) -> String {
    format!("| `{plant}` | {} | {} |", hunt.attack, hunt.bound)
}

fn row(hunted: &Hunted) -> String {
    let first = hunted.found.first().and_then(Option::as_ref);
    let seed = first.map_or_else(|| "missed".to_owned(), |found| found.seed.to_string());
    let all = hunted.found.len();
    let found = hunted.found.iter().flatten().count();
    let slowest = hunted.found.iter().flatten().map(|found| found.tried).max().unwrap_or(0);
    let promised = promised(hunted.plant, hunted.hunt);
    let seconds = hunted.seconds;
    format!("{promised} {seed} | {seconds:.2} | {found} of {all}, {slowest} seeds |")
}

/// The plants that the lab must find; the others need threads.
fn of_the_lab() -> impl Iterator<Item = Plant> {
    Plant::ALL.iter().copied().filter(|plant| !plant.needs_threads())
}

fn page() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/planted-bugs.md")
}

#[test]
fn every_planted_bug_is_found_from_every_start() {
    let (mut missed, mut rows) = (Vec::new(), String::new());
    for plant in of_the_lab() {
        choose(Some(plant));
        let hunted = hunt(plant, number("JIDOKA_PLANT_SEEDS", 1));
        choose(None);
        // What was found is the plant, and nothing that is there without it.
        for found in hunted.found.iter().flatten().filter(|_| hunted.hunt.attack != "damage") {
            assert_eq!(run_case(&found.case).1, None, "{plant}, seed {}", found.seed);
        }
        let row = row(&hunted);
        let broken = hunted.found.iter().flatten().next();
        let broken =
            broken.map(|found| format!("{} at {}", found.failure.rule, found.failure.site));
        println!("{row} {}", broken.unwrap_or_default());
        writeln!(rows, "{row}").unwrap();
        let starts = (0_u64..).zip(&hunted.found).filter(|(_, found)| found.is_none());
        missed.extend(starts.map(|_| plant));
    }
    if std::env::var("JIDOKA_PLANT_PAGE").is_ok_and(|value| value == "write") {
        std::fs::write(page(), format!("{HEAD}{rows}")).unwrap();
    }
    assert_eq!(missed, [], "the lab does not see these from so many starts each");
}

#[test]
fn the_page_names_every_plant_with_its_attack_and_its_bound() {
    let written = std::fs::read_to_string(page()).unwrap();
    let rows: Vec<&str> = written.lines().filter(|line| line.starts_with("| `")).collect();
    let all = || of_the_lab().map(|plant| promised(plant, Hunt::of(plant)));
    let missing: Vec<String> =
        all().filter(|row| !rows.iter().any(|line| line.starts_with(row))).collect();
    assert_eq!(missing, [""; 0], "docs/planted-bugs.md lacks these rows: write it again");
    assert_eq!(rows.len(), of_the_lab().count(), "docs/planted-bugs.md has rows of no plant");
}
