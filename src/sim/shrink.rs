//! Making a failing case smaller, without letting it slip into another failure.

use super::case::Case;
use super::oracle::Failure;
use super::run::run_case;

/// Times a case is played while it is made smaller.
const BUDGET: u32 = 400;

/// A smaller case that breaks the same rule at the same kind of step, with its failure.
#[must_use]
pub fn shrink(case: &Case, failure: &Failure) -> (Case, Failure) {
    let (mut smallest, mut told) = (case.clone(), failure.clone());
    let mut budget = BUDGET;
    let mut chunk = smallest.steps.len().div_ceil(2).max(1);
    loop {
        let mut smaller = false;
        let mut at = 0;
        while at < smallest.steps.len() && budget > 0 {
            let mut tried = smallest.clone();
            let end = (at + chunk).min(tried.steps.len());
            tried.steps.drain(at..end);
            if let Some(same) = same_failure(&tried, &told, &mut budget) {
                (smallest, told, smaller) = (tried, same, true);
            } else {
                at += chunk;
            }
        }
        for index in (0..smallest.faults.len()).rev() {
            let mut tried = smallest.clone();
            tried.faults.remove(index);
            if let Some(same) = same_failure(&tried, &told, &mut budget) {
                (smallest, told, smaller) = (tried, same, true);
            }
        }
        if budget == 0 || (!smaller && chunk == 1) {
            return (smallest, told);
        }
        chunk = chunk.div_ceil(2).max(1);
    }
}

/// The failure of `case` if it is of the class of `wanted`.
fn same_failure(case: &Case, wanted: &Failure, budget: &mut u32) -> Option<Failure> {
    *budget = budget.checked_sub(1)?;
    let (_, failure) = run_case(case);
    failure.filter(|failure| failure.rule == wanted.rule && failure.site == wanted.site)
}
