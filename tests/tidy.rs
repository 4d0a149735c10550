//! Style as a failing test: what a reviewer would have to say twice is said here once.
//!
//! Each check is a pure function from (path, text) to findings, tested on planted bad input in its
//! own file; the tests below apply it to the repository. A finding names file and line and says
//! what to do instead. There is no list of exceptions: a rule that is wrong is changed for all.

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tests_that_cannot_fail.rs"]
mod tests_that_cannot_fail;
#[path = "tidy/traps.rs"]
mod traps;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use source::{Finding, Source, repository};

/// Fails with all findings at once, one a line.
fn expect_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} finding(s):\n{}", lines.len(), lines.join("\n"));
}

/// Applies a check of one file to every text file of the repository.
fn each(check: fn(&Source) -> Vec<Finding>) {
    let findings: Vec<Finding> = repository().iter().flat_map(check).collect();
    expect_none(&findings);
}

#[test]
fn modules_name_only_modules_below_them() {
    expect_none(&floors::check(&repository()));
}

#[test]
fn pure_files_do_not_name_the_outside() {
    expect_none(&floors::check_pure(&repository()));
}

#[test]
fn files_and_lines_are_short() {
    each(shape::check);
}

#[test]
fn every_concept_has_one_word() {
    each(words::check);
}

#[test]
fn names_say_what_is_inside() {
    each(words::check_names);
}

#[test]
fn no_debt_without_an_issue() {
    each(words::check_debts);
}

#[test]
fn every_test_runs_and_can_fail() {
    each(tests_that_cannot_fail::check);
}

#[test]
fn documents_have_one_title() {
    each(documents::check_titles);
}

#[test]
fn decisions_are_numbered_and_complete() {
    expect_none(&documents::check_decisions(&repository()));
}

#[test]
fn the_page_of_traps_names_what_is_there() {
    expect_none(&traps::check(&repository()));
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    expect_none(&tree::check_top_level(&source::top_level()));
}

#[test]
fn no_file_names_a_machine_or_a_registry() {
    each(tree::check_places);
}
