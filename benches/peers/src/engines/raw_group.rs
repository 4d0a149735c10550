//! The plain way to share a sync: one mutex, one condition variable, one leader at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::Outcome;
use crate::committer::Committer;
use crate::engine::{Engine, Entry, Setup, Shown, drive_on_threads};
use crate::random::Key;
use crate::work::Durability;

use super::raw::{PREPARED, Pages, Raw};

#[derive(Default)]
struct State {
    filling: Vec<u8>,
    /// The number of the group that is filling.
    group: u64,
    /// Groups that are on the disk.
    done: u64,
    /// The pages of the leader; absent while one is at work.
    pages: Option<Pages>,
    failed: bool,
}

struct RawGroup {
    raw: Raw,
    state: Mutex<State>,
    done: Condvar,
}

pub fn open(setup: &Setup<'_>) -> Outcome<Arc<dyn Engine>> {
    let raw = Raw::open(&setup.dir.join("raw"), PREPARED)?;
    let state = State { pages: Some(Pages::default()), ..State::default() };
    Ok(Arc::new(RawGroup { raw, state: Mutex::new(state), done: Condvar::new() }))
}

impl Engine for RawGroup {
    fn commit(&self, entries: &[Entry], _: Durability) -> Outcome<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| entry.append_to(&mut state.filling));
        let mine = state.group;
        while state.done <= mine && !state.failed {
            let Some(mut pages) = state.pages.take() else {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let group = std::mem::take(&mut state.filling);
            state.group += 1;
            let led = state.group;
            drop(state);
            let outcome = self.raw.write_synced(pages.lay(&group));
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.failed |= outcome.is_err();
            state.done = led;
            state.pages = Some(pages);
            self.done.notify_all();
        }
        if state.failed { Err("a group could not be written".into()) } else { Ok(()) }
    }

    fn shown(&self, _: &Key) -> Outcome<Shown> {
        Ok(Shown::Entries(0))
    }

    fn drive(self: Arc<Self>, committers: Vec<Committer>) -> Outcome<Vec<Committer>> {
        drive_on_threads(&self, committers)
    }
}
