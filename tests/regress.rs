//! The memory of the crash lab: small cases in `tests/regress` that broke a rule once.
//!
//! Each is named after the planted bug that stands for what it found. On the code as it ships every
//! case passes; with the feature `planted-bugs` and its plant, it fails. A case is played by hand
//! with `jidoka simulate --replay FILE`. With `JIDOKA_REGRESS=write` and the plants, a case is
//! hunted, made small and written for every plant that has none yet.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "reads the repository, and a test that cannot go on panics"
)]

use std::path::{Path, PathBuf};

use jidoka::base::plant::Plant;
use jidoka::sim::{Case, run_case};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/regress")
}

/// Every case with the plant that its file is named after.
fn cases() -> Vec<(Plant, Case)> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let case = |path: &PathBuf| {
        let plant = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let case = Case::read(&std::fs::read(path).unwrap());
        (plant, case.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    paths.iter().map(case).collect()
}

/// The rules that the cases break, with their plants.
fn failures() -> Vec<(Plant, jidoka::sim::Failure)> {
    let failure = |(plant, case): (Plant, Case)| Some((plant, run_case(&case).1?));
    cases().into_iter().filter_map(failure).collect()
}

#[cfg(not(feature = "planted-bugs"))]
mod shipped {
    use super::*;

    #[test]
    fn what_failed_once_passes() {
        assert_eq!(failures(), []);
    }

    /// What stands in `docs/crash-lab.md` for a defect that a case can tell.
    #[test]
    fn the_defects_that_a_case_can_tell_have_one() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/crash-lab.md");
        let page = std::fs::read_to_string(page).unwrap();
        let linked: Vec<&str> = page
            .match_indices("](../tests/regress/")
            .filter_map(|(at, link)| page[at + link.len()..].split_once(".json)"))
            .map(|(name, _)| name)
            .collect();
        let kept: Vec<Plant> = cases().into_iter().map(|(plant, _)| plant).collect();
        let lost: Vec<&&str> =
            linked.iter().filter(|name| !kept.iter().any(|plant| plant.name() == **name)).collect();
        assert!(linked.len() >= 4 && lost.is_empty(), "{linked:?} without a case: {lost:?}");
    }
}

#[cfg(feature = "planted-bugs")]
mod planted {
    use jidoka::base::plant::choose;
    use jidoka::sim::{Hunt, shrink};

    use super::*;

    /// Whether the case language has what the plant needs: it cannot tell of damaged bytes, nor of
    /// a log without a store.
    fn can_be_told(plant: Plant) -> bool {
        let told = !["damage", "the log alone"].contains(&Hunt::of(plant).attack);
        // Found by failures of a log without a store.
        told && plant != Plant::AdoptedBeforeDurable
            && plant != Plant::Canary
            && !plant.needs_threads()
    }

    fn write(plant: Plant) {
        choose(Some(plant));
        let found = Hunt::of(plant).find(0);
        let found = found.unwrap_or_else(|| panic!("{plant} is not found"));
        let (mut case, failure) = shrink(&found.case, &found.failure);
        // Shrinking tells the site, and a second round the shortest way there.
        (case, _) = shrink(&case, &failure);
        choose(None);
        let text = serde_json::to_string(&case).unwrap() + "\n";
        std::fs::create_dir_all(dir()).unwrap();
        std::fs::write(dir().join(format!("{plant}.json")), text).unwrap();
    }

    // One test, because plants are global to the process.
    #[test]
    fn every_case_fails_with_its_plant_and_passes_without() {
        let told = Plant::ALL.iter().copied().filter(|plant| can_be_told(*plant));
        let path = |plant: &Plant| dir().join(format!("{plant}.json"));
        let missing: Vec<Plant> = told.filter(|plant| !path(plant).exists()).collect();
        if std::env::var("JIDOKA_REGRESS").is_ok_and(|value| value == "write") {
            missing.iter().for_each(|plant| write(*plant));
        } else {
            assert_eq!(missing, [], "write a case for each with JIDOKA_REGRESS=write");
        }
        choose(None);
        assert_eq!(failures(), []);
        let mut idle = Vec::new();
        for (plant, case) in cases() {
            choose(Some(plant));
            let (_, failure) = run_case(&case);
            choose(None);
            idle.extend(failure.is_none().then_some(plant));
        }
        assert_eq!(idle, [], "these pass with what they stand for: delete and write them again");
    }
}
