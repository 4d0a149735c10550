//! Checkpoints and merges in a case, and what every way of reading must agree on.

use std::collections::BTreeSet;

use crate::base::{Error, ErrorKind, Result};
use crate::ops::verify;
use crate::store::{KeyValue, Snapshot};

use super::case::{Action, STORE, Step};
use super::model::content;
use super::oracle::Rule;
use super::run::{Outcome, Player};

impl Player<'_> {
    /// Whether the log may not reach back to the first commit.
    pub(super) fn releases(&self) -> bool {
        self.case.config.tables.is_some_and(|tables| tables.log_needed)
    }

    /// Takes the answer to a checkpoint or a merge: it changes nothing that can be read, and what
    /// was committed before it is durable.
    pub(super) fn tables_changed(&mut self, done: Result<()>) -> Outcome {
        let is_done = done.is_ok() && !self.stopped;
        // With nothing to do it is done also after a failure.
        if done.is_err() || !self.stopped {
            self.note(done)?;
        }
        let store = self.store()?;
        if is_done {
            let last = self.models.keys().next_back().copied().unwrap_or_default();
            let mut scene = self.scene.lock();
            let view = &mut scene.view;
            (view.durable, view.written) = (view.durable.max(last), view.written.max(last));
        }
        self.read_every_way(&store.snapshot(), self.model.hash)?;
        match &self.held {
            Some((held, was)) => self.read_every_way(held, *was),
            None => Ok(()),
        }
    }

    /// Compares what a snapshot shows with what it must show.
    fn read_every_way(&self, snapshot: &Snapshot, expected: u64) -> Outcome {
        let read = content(snapshot).and_then(|shown| Ok((shown, disagreement(snapshot)?)));
        match read {
            Ok((shown, None)) if shown == expected => Ok(()),
            Ok((_, Some(detail))) => Err(self.fail(Rule::R3, detail)),
            Ok((_, None)) => {
                let lsn = snapshot.lsn();
                Err(self.fail(Rule::R3, format!("what was visible at {lsn} is something else now")))
            }
            Err(error) => self.unreadable(&error),
        }
    }

    /// A store that was closed well is verified, and shows the same to who only reads.
    pub(super) fn look_at_it_closed(&self) -> Outcome {
        if self.case.config.tables.is_none() || self.faulty || self.stopped {
            return Ok(());
        }
        if self.case.steps.iter().all(changes_each_once) {
            let report = verify(STORE.as_ref(), &self.runtime(), false);
            let report =
                report.map_err(|error| self.fail(Rule::R11, format!("verify: {error}")))?;
            if let Some(damage) = report.damage.first() {
                return Err(self.fail(Rule::R11, format!("verify tells of damage: {damage:?}")));
            }
        }
        let read = self.case.config.builder().runtime(self.runtime()).open_read_only();
        let read = read.map_err(|error| self.fail(Rule::R11, format!("read only: {error}")))?;
        self.read_every_way(&read.snapshot(), self.model.hash)
    }

    /// A read may fail only while the disk does.
    pub(super) fn unreadable(&self, error: &Error) -> Outcome {
        if self.faulty && error.kind() == ErrorKind::Io {
            return Ok(());
        }
        Err(self.fail(Rule::R11, format!("reading: {error}")))
    }

    /// Takes the answer to a call that needs the log alone.
    pub(super) fn note_log(&mut self, answer: Result<()>) -> Outcome {
        if answer.is_ok() && self.stopped && self.log_works {
            return Ok(());
        }
        let fails = answer.is_err();
        self.note(answer)?;
        self.log_works &= !fails;
        Ok(())
    }

    /// Nothing may be acknowledged from now on. Where there are tables, it may be the manifest
    /// that failed, and the log still works unless `of_the_log`.
    pub(super) const fn stop(&mut self, of_the_log: bool) {
        let may_work = !self.stopped && self.case.config.tables.is_some();
        self.log_works = (self.log_works || may_work) && !of_the_log;
        self.stopped = true;
    }
}

/// Whether no batch has a document twice: `verify` expects the revision after that of the commit
/// before.
fn changes_each_once(step: &Step) -> bool {
    let Action::Write { parts, .. } = &step.action else { return true };
    let places: BTreeSet<_> = parts.iter().map(|part| (part.space, part.key)).collect();
    places.len() == parts.len()
}

/// Where reading forward, reading backward and asking for each key disagree, if they do.
pub(super) fn disagreement(snapshot: &Snapshot) -> Result<Option<String>> {
    for keyspace in snapshot.keyspaces() {
        let forward: Vec<KeyValue> = snapshot.range(&keyspace, ..).collect::<Result<_>>()?;
        let mut backward: Vec<KeyValue> =
            snapshot.range(&keyspace, ..).rev().collect::<Result<_>>()?;
        backward.reverse();
        let name = keyspace.name();
        if forward != backward {
            return Ok(Some(format!("{name} reads backward as another than forward")));
        }
        for found in &forward {
            if snapshot.get(&keyspace, &found.key)?.as_ref() != Some(found) {
                return Ok(Some(format!("{name} has the key {:?} only in ranges", found.key)));
            }
        }
        // Every key of the lab's keyspaces that may ever have been there.
        for key in 0..=u8::MAX {
            let is_there = forward.iter().any(|found| *found.key == [key]);
            if !is_there && snapshot.get(&keyspace, &[key])?.is_some() {
                return Ok(Some(format!("{name} has the key {key} only when it is asked for")));
            }
        }
    }
    Ok(None)
}
