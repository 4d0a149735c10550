//! What a person is told of a failure, as soon as it is known: an attack may be ended at any time.

use super::case::Case;
use super::oracle::Failure;

/// Where a failing case comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// What the attack does with a seed.
    Seed(u64),
    /// A sequence that all are played of, or a file: nothing but the case plays it again.
    Case,
}

/// Takes what is told, on any thread.
pub(super) type Tell = fn(&str);

/// What is told when a rule is broken.
pub(super) fn found(origin: Origin, case: &Case, failure: &Failure) -> String {
    let Failure { rule, site, detail } = failure;
    let again = match origin {
        Origin::Seed(seed) => format!("replay: jidoka simulate --seed {seed} --runs 1"),
        Origin::Case => in_a_file("case", case),
    };
    format!("{rule} {site}: {detail}\n  {again}")
}

/// What is told when the case is as small as it gets; `plays` tells whether it fails by itself.
pub(super) fn smallest(case: &Case, failure: &Failure, plays: bool) -> String {
    let Failure { rule, site, detail } = failure;
    let again = if plays {
        in_a_file("smallest case", case)
    } else {
        "its case alone breaks no rule: what the seed did to the disk is not in it".to_owned()
    };
    format!("{rule} {site}, made small: {detail}\n  {again}")
}

fn in_a_file(what: &str, case: &Case) -> String {
    let text = serde_json::to_string(case).unwrap_or_default();
    format!("{what}, for --replay FILE: {text}")
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::super::oracle::Rule;
    use super::*;

    fn failure() -> Failure {
        Failure::new(Rule::R1, "write: Sync", "LSN 3 was acknowledged, 2 is the last")
    }

    #[test]
    fn only_a_failure_of_a_seed_is_replayed_with_the_seed() {
        let case = generate(7, 4);
        let of_seed = found(Origin::Seed(7), &case, &failure());
        let told = "R1 write: Sync: LSN 3 was acknowledged, 2 is the last\n  \
                    replay: jidoka simulate --seed 7 --runs 1";
        assert_eq!(of_seed, told);
        let of_case = found(Origin::Case, &case, &failure());
        assert!(!of_case.contains("--seed"), "{of_case}");
        let (_, text) = of_case.split_once("--replay FILE: ").unwrap();
        assert_eq!(Case::read(text.as_bytes()).unwrap(), case);
    }

    #[test]
    fn a_case_that_does_not_fail_by_itself_is_not_offered_for_a_replay() {
        let case = generate(7, 4);
        assert!(smallest(&case, &failure(), true).contains("--replay FILE: {"));
        assert!(!smallest(&case, &failure(), false).contains("--replay"));
    }
}
