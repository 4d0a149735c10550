//! Making a failing case smaller, without letting it slip into another failure.

use super::case::{Action, Case, Config, Part};
use super::oracle::Failure;
use super::run::run_case;

/// Times a case is played while it is made smaller.
const BUDGET: u32 = 400;
/// Times of them that are left to the setup and to the batches.
const DETAILS: u32 = 100;

/// A smaller case that breaks the same rule at the same kind of step, with its failure.
#[must_use]
pub fn shrink(case: &Case, failure: &Failure) -> (Case, Failure) {
    let mut shrinking =
        Shrinking { smallest: case.clone(), told: failure.clone(), budget: BUDGET - DETAILS };
    shrinking.steps_and_faults();
    shrinking.budget += DETAILS;
    shrinking.config();
    shrinking.batches();
    (shrinking.smallest, shrinking.told)
}

struct Shrinking {
    smallest: Case,
    told: Failure,
    budget: u32,
}

impl Shrinking {
    /// Takes `tried` for the smallest if it fails in the same way.
    fn take(&mut self, tried: Case) -> bool {
        let Some(left) = self.budget.checked_sub(1) else { return false };
        self.budget = left;
        let (rule, site) = (self.told.rule, &self.told.site);
        let (_, failure) = run_case(&tried);
        let Some(same) = failure.filter(|found| found.rule == rule && found.site == *site) else {
            return false;
        };
        (self.smallest, self.told) = (tried, same);
        true
    }

    fn steps_and_faults(&mut self) {
        let mut chunk = self.smallest.steps.len().div_ceil(2).max(1);
        loop {
            let mut smaller = false;
            let mut at = 0;
            while at < self.smallest.steps.len() && self.budget > 0 {
                let mut tried = self.smallest.clone();
                let end = (at + chunk).min(tried.steps.len());
                tried.steps.drain(at..end);
                if self.take(tried) {
                    smaller = true;
                } else {
                    at += chunk;
                }
            }
            for index in (0..self.smallest.faults.len()).rev() {
                let mut tried = self.smallest.clone();
                tried.faults.remove(index);
                smaller |= self.take(tried);
            }
            if self.budget == 0 || (!smaller && chunk == 1) {
                return;
            }
            chunk = chunk.div_ceil(2).max(1);
        }
    }

    /// Fewer images and fewer crashes of recoveries, so that what is kept is quick to play.
    fn config(&mut self) {
        let changes: [fn(Config) -> Config; 6] = [
            |config| Config { every: 0, ..config },
            |config| Config { depth: 0, ..config },
            |config| Config { depth: config.depth.min(1), ..config },
            |config| Config { images: 0, ..config },
            |config| Config { images: config.images.min(1), ..config },
            |config| Config { go_on: 1 << 32, ..config },
        ];
        for change in changes {
            let config = change(self.smallest.config);
            if config != self.smallest.config {
                self.take(Case { config, ..self.smallest.clone() });
            }
        }
    }

    /// Fewer and shorter parts in each write.
    fn batches(&mut self) {
        for index in 0..self.smallest.steps.len() {
            let mut at = 0;
            while let Some((part, alone)) = self.part(index, at) {
                if !alone && self.with_part(index, at, None) {
                    continue;
                }
                let plain = Part { len: 0, condition: None, ..part.clone() };
                if part != plain {
                    self.with_part(index, at, Some(plain));
                }
                at += 1;
            }
        }
    }

    /// One part of the write of a step, and whether it is the only one.
    fn part(&self, step: usize, at: usize) -> Option<(Part, bool)> {
        match &self.smallest.steps.get(step)?.action {
            Action::Write { parts, .. } => Some((parts.get(at)?.clone(), parts.len() == 1)),
            _ => None,
        }
    }

    /// Takes the case without a part, or with another in its place.
    fn with_part(&mut self, step: usize, at: usize, instead: Option<Part>) -> bool {
        let mut tried = self.smallest.clone();
        let action = tried.steps.get_mut(step).map(|step| &mut step.action);
        if let Some(Action::Write { parts, .. }) = action {
            let _replaced: Vec<Part> = parts.splice(at..=at, instead).collect();
        }
        self.take(tried)
    }
}
