//! Asynchronous commits in a case: submitted one by one, and then brought to their end.

use crate::base::Lsn;
use crate::store::{Batch, Handle, Keyspace};

use super::case::Part;
use super::model::{Model, keyspace, value_bytes};
use super::oracle::Rule;
use super::run::{Outcome, Player};

impl Player<'_> {
    /// Submits a commit for each key, and then has them waited for, or else written by the store's
    /// background work. Until a handle says that its commit is durable, it counts as submitted.
    pub(super) fn submit(&mut self, step: u64, parts: &[Part], waits: bool) -> Outcome {
        let store = self.store()?;
        let mut handles = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let seed = step.wrapping_add(crate::base::codec::to_u64(number) << 40);
            let next = self.model.after(seed, std::slice::from_ref(part));
            let Ok(next) = next else { continue };
            let Ok(space) = Keyspace::new(&keyspace(part.space)) else { continue };
            let mut batch = Batch::new();
            batch.put(&space, &[part.key], &value_bytes(seed, part.len));
            match store.commit_async(batch) {
                Ok(handle) => {
                    if self.stopped {
                        return Err(self.fail(Rule::R6, "accepted after a failure of the log"));
                    }
                    self.submitted(handle.lsn(), next);
                    handles.push(handle);
                }
                Err(error) => self.note(Err(error))?,
            }
        }
        let undone = |handle: &Handle| !handle.is_done();
        if handles.iter().any(|handle| store.visible() >= handle.lsn() && undone(handle)) {
            return Err(self.fail(Rule::R6, "an asynchronous commit is seen before it is durable"));
        }
        while !waits && handles.iter().any(undone) {
            match store.step() {
                Ok(true) => {}
                Ok(false) => return Err(self.fail(Rule::R11, "nobody writes what was submitted")),
                Err(error) => {
                    self.note(Err(error))?;
                    break;
                }
            }
        }
        for handle in handles.iter().rev() {
            let answer = handle.wait().map(|commit| commit.lsn);
            if let Ok(lsn) = answer {
                let mut scene = self.scene.lock();
                scene.view.durable = scene.view.durable.max(lsn);
                scene.view.written = scene.view.written.max(lsn);
                continue;
            }
            self.note(answer.map(|_| ()))?;
        }
        if self.stopped {
            // What was submitted and not made durable is seen by nobody.
            let visible = self.models.range(..=store.visible()).next_back();
            self.model = visible.map(|(_, model)| model.clone()).unwrap_or_default();
        }
        Ok(())
    }

    fn submitted(&mut self, lsn: Lsn, next: Model) {
        self.scene.lock().view.versions.insert(lsn, next.hash);
        self.models.insert(lsn, next.clone());
        self.model = next;
    }
}
