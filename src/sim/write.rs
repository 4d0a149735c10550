//! Writes in a case: what must be answered, and what each answer means for what must be there.

use crate::base::{Error, ErrorKind, Lsn};
use crate::doc::{Documents, WriteOptions};
use crate::wal::Durability;

use super::case::Part;
use super::model::{Model, observe};
use super::oracle::{Rule, View};
use super::run::{Outcome, Player};

/// A rule that an answer breaks.
type Problem = Option<(Rule, String)>;

/// What a case asks a write to be.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) durability: Durability,
    pub(super) request: Option<u64>,
    /// The commit that answered the request before.
    repeated: Option<Lsn>,
}

impl Asked {
    pub(super) const fn new(letter: char, request: Option<u64>) -> Self {
        let durability = match letter {
            'b' => Durability::Buffered,
            'm' => Durability::Memory,
            _ => Durability::Sync,
        };
        Self { durability, request, repeated: None }
    }
}

impl Player<'_> {
    pub(super) fn write(&mut self, step: u64, parts: &[Part], mut asked: Asked) -> Outcome {
        let docs = self.docs.clone().ok_or_else(|| self.fail(Rule::R11, "not open"))?;
        asked.repeated = asked.request.and_then(|request| self.requests.get(&request).copied());
        let predicted = self.model.after(step, parts);
        if let (Ok(next), None, false) = (&predicted, asked.repeated, self.stopped) {
            self.scene.lock().view.pending = Some(next.hash);
        }
        let options = WriteOptions {
            durability: asked.durability,
            request: asked.request.map(|request| format!("r{request}")),
            ..WriteOptions::default()
        };
        let answer = docs.apply(&self.model.operations(step, parts), &options);
        let mut view = std::mem::take(&mut self.scene.lock().view);
        view.durable = view.durable.max(docs.store().durable());
        view.pending = self.unknown.as_ref().map(|(model, _)| model.hash);
        let problem = match (answer, predicted) {
            (Ok(applied), predicted) => {
                self.acknowledged((applied.lsn, applied.durable), predicted, asked, &mut view)
            }
            (Err(error), predicted) => self.refused(&error, predicted, asked, &mut view),
        };
        self.scene.lock().view = view;
        let problem = problem.or_else(|| self.seen_too_early(&docs));
        problem.map_or(Ok(()), |(rule, detail)| Err(self.fail(rule, detail)))
    }

    fn acknowledged(
        &mut self,
        (lsn, durable): (Lsn, bool),
        predicted: Result<Model, ErrorKind>,
        asked: Asked,
        view: &mut View,
    ) -> Problem {
        if let Some(before) = asked.repeated {
            let other = lsn != before;
            return other
                .then(|| (Rule::R6, format!("a request was answered {before}, now {lsn}")));
        }
        if self.stopped {
            return Some((Rule::R6, "acknowledged after a failure of the log".to_owned()));
        }
        let next = match predicted {
            Ok(next) => next,
            Err(kind) => return Some((Rule::R6, format!("answered {lsn} instead of {kind}"))),
        };
        view.versions.insert(lsn, next.hash);
        if asked.durability != Durability::Memory {
            view.written = lsn;
        }
        if durable {
            view.durable = lsn;
        }
        self.models.insert(lsn, next.clone());
        if let Some(request) = asked.request {
            self.requests.insert(request, lsn);
        }
        self.model = next;
        None
    }

    /// What is visible is what was acknowledged, nothing less and nothing more.
    fn seen_too_early(&self, docs: &Documents) -> Problem {
        match observe(docs) {
            Ok((_, shown)) if shown == self.model.hash => None,
            Ok((lsn, _)) => {
                Some((Rule::R6, format!("what is visible at {lsn} was not acknowledged")))
            }
            Err(error) if self.faulty && error.kind() == ErrorKind::Io => None,
            Err(error) => Some((Rule::R11, error.to_string())),
        }
    }

    fn refused(
        &mut self,
        error: &Error,
        predicted: Result<Model, ErrorKind>,
        asked: Asked,
        view: &mut View,
    ) -> Problem {
        let expected = predicted.as_ref().err() == Some(&error.kind());
        let stops = matches!(error.kind(), ErrorKind::OutcomeUnknown | ErrorKind::Poisoned);
        if stops && self.faulty {
            let appended = error.kind() == ErrorKind::OutcomeUnknown && asked.repeated.is_none();
            if let (Ok(next), true, false) = (predicted, appended, self.stopped) {
                view.pending = Some(next.hash);
                self.unknown = Some((next, asked.request));
            }
            self.stop(error.kind() == ErrorKind::OutcomeUnknown);
            return None;
        }
        // A stopped store decides conditions on what it appended, and the model cannot know that.
        let undecided = matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound);
        if expected || (self.faulty && error.is_retryable()) || (self.stopped && undecided) {
            return None;
        }
        Some((Rule::R11, format!("refused: {error}")))
    }
}
