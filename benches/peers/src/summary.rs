//! The rounds of one engine at one work, taken together.

use crate::Outcome;
use crate::child::Figures;
use crate::engine::Kind;
use crate::numbers::{float, median, ratio};
use crate::work::Work;

/// What the traced round says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Syncs {
    /// Commits for each sync, and these cover all of them.
    Covered(f64),
    /// There were not enough syncs for what was acknowledged.
    NotDurable {
        commits: f64,
        syncs: u64,
    },
    NotCounted(&'static str),
}

impl Syncs {
    /// A sync covers at most one commit of each thread, for a thread waits for its own; one more
    /// of each may have ended after the mark.
    pub fn judge(commits: f64, syncs: u64, threads: usize) -> Self {
        let threads = float(u64::try_from(threads).unwrap_or(1));
        if commits > threads * (float(syncs) + 1.0) {
            return Self::NotDurable { commits, syncs };
        }
        Self::Covered(ratio(commits, float(syncs)))
    }
}

/// One line of the table.
pub struct Row {
    pub kind: &'static Kind,
    pub work: Work,
    rounds: Vec<Figures>,
    pub failures: Vec<String>,
    pub syncs: Syncs,
}

impl Row {
    pub fn new(kind: &'static Kind, work: Work) -> Self {
        let syncs = Syncs::NotCounted("not asked for");
        Self { kind, work, rounds: Vec::new(), failures: Vec::new(), syncs }
    }

    /// Adds a round.
    pub fn add(&mut self, figures: Outcome<Figures>) {
        match figures {
            Ok(figures) => self.rounds.push(figures),
            Err(error) => {
                eprintln!("{} {}: {error}", self.work.name, self.kind.name);
                self.failures.push(error.to_string());
            }
        }
    }

    /// A figure of each round that has it.
    pub fn each(&self, name: &str) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| round.get(name).copied()).collect()
    }

    /// The median over rounds.
    pub fn figure(&self, name: &str) -> Option<f64> {
        median(&self.each(name)).map(|(middle, ..)| middle)
    }

    /// The names of all figures.
    pub fn names(&self) -> Vec<&String> {
        self.rounds.first().map(|round| round.keys().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_commits_than_syncs_can_cover_are_not_durable() {
        assert_eq!(Syncs::judge(1600.0, 100, 16), Syncs::Covered(16.0));
        assert!(matches!(Syncs::judge(1700.0, 100, 16), Syncs::NotDurable { .. }));
        assert!(matches!(Syncs::judge(100.0, 0, 1), Syncs::NotDurable { .. }));
    }

    #[test]
    fn a_figure_is_the_median_of_the_rounds_that_did_not_fail() {
        let mut row = Row::new(Kind::named("raw").unwrap(), Work::named("group-16").unwrap());
        for value in [3.0, 1.0, 2.0] {
            row.add(Ok(Figures::from([("p50_us".to_owned(), value)])));
        }
        row.add(Err("the disk is full".into()));
        assert_eq!(row.figure("p50_us"), Some(2.0));
        assert_eq!(row.figure("p99_us"), None);
        assert_eq!(row.failures, ["the disk is full"]);
    }
}
