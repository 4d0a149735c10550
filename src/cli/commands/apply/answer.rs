//! The answers: one line each, flushed at once.

use crate::base::{Error, ErrorKind, Result};
use crate::cli::output::{Output, error_object, is_closed_pipe};
use crate::cli::run;
use crate::doc::{self, Line};

/// `{"n","lsn","durable",…}` with what the operations did.
pub(super) fn applied_line(n: u64, applied: &doc::Applied, is_batch: bool) -> Line {
    let line = head(n, applied.lsn.0, applied.durable);
    if is_batch {
        let results = applied.outcomes.iter().map(|outcome| with_outcome(Line::new(), outcome));
        return line.array("results", results);
    }
    match applied.outcomes.first() {
        Some(outcome) => with_outcome(line, outcome),
        None => line,
    }
}

/// The answer to `sync` and `checkpoint`: everything up to this commit is durable.
pub(super) fn synced_line(n: u64, lsn: u64) -> Line {
    head(n, lsn, true)
}

fn head(n: u64, lsn: u64, durable: bool) -> Line {
    Line::new().number("n", n).number("lsn", lsn).flag("durable", durable)
}

fn with_outcome(line: Line, outcome: &doc::Outcome) -> Line {
    match outcome {
        doc::Outcome::Document { id, rev, .. } => line.text("id", id).number("rev", *rev),
        doc::Outcome::Key { key, .. } => line.bytes("key", key),
    }
}

/// Whether nothing succeeds any more after a failure of this kind.
const fn ends_everything(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::OutcomeUnknown | ErrorKind::Poisoned | ErrorKind::Closed | ErrorKind::Bug
    )
}

/// Writes answers, and remembers how bad the worst one was.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    out: &'a mut Output,
    worst: run::Outcome,
    /// Standard output failed: nobody can be answered any more.
    broken: Option<Error>,
}

impl<'a> Answers<'a> {
    pub(super) const fn new(out: &'a mut Output) -> Self {
        Self { out, worst: run::Outcome::Done, broken: None }
    }

    /// Answers line `n`; says whether anyone can still be answered.
    pub(super) fn give(&mut self, n: u64, answer: Result<Line>) -> bool {
        let line = answer.unwrap_or_else(|error| {
            self.note_failure(error.kind());
            Line::new().number("n", n).object("error", error_object(&error))
        });
        if self.broken.is_none() {
            let written = self.out.line(&line.finish()).and_then(|()| self.out.flush());
            self.broken = written.err();
        }
        self.broken.is_none()
    }

    const fn note_failure(&mut self, kind: ErrorKind) {
        self.worst = match self.worst {
            _ if ends_everything(kind) => run::Outcome::Failed,
            run::Outcome::Failed => run::Outcome::Failed,
            _ => run::Outcome::Partly,
        };
    }

    pub(super) const fn can_answer(&self) -> bool {
        self.broken.is_none()
    }

    /// What the whole run came to.
    pub(super) fn finish(self) -> Result<run::Outcome> {
        let Some(error) = self.broken else { return Ok(self.worst) };
        if !is_closed_pipe(&error) {
            return Err(error);
        }
        // Unlike a reader of results, a writer that is no longer heard is not done.
        let what = "nobody reads the answers any more, so no later line was done; run the \
                    operations without an answer again";
        Err(Error::new(ErrorKind::Io, what))
    }
}
