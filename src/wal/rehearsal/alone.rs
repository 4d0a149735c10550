//! Commits that nobody stands waiting for: asynchronous ones, and those whose committers left.

use crate::base::{Result, Seq};

use super::super::commit::Durability;
use super::people::{Asked, Doing, Person};
use super::play::Play;

/// A commit that nobody waits for, and that must come to its end all the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone {
    pub(super) group: u64,
    pub(super) seq: Seq,
}

impl Play<'_> {
    /// As `Shared::leave_group`.
    pub(super) fn leave_alone(&mut self, group: u64, seq: Seq) {
        self.alone.push(Alone { group, seq });
        self.state.leave_to_keeper(group);
        self.keeper_told |= self.state.wants_keeper();
    }

    /// Somebody's deadline passes: as `Shared::wait_until` and `Shared::leave`.
    pub(super) fn leave(&mut self, who: usize) {
        let Some(person) = self.people.get(who).copied() else { return };
        let Asked::Commit(durability, seq) = person.asked else { return };
        if matches!(person.doing, Doing::WaitingToLead | Doing::AwakeToLead) {
            self.state.woken_to_lead(person.group);
        }
        if self.state.fate(person.group).is_some() {
            self.run(who);
            return;
        }
        self.told.left += 1;
        self.set(who, Person { doing: Doing::Nothing, ..person });
        self.state.leave_to_keeper(person.group);
        self.keeper_told |= self.state.wants_keeper();
        if durability == Durability::Sync {
            self.leave_alone(person.group, seq);
        }
        self.wake_followers(true, person.group);
    }

    /// As `Shared::tell_handles`.
    pub(super) fn tell_handles(&mut self) {
        let stopped = self.state.failure.is_some() && self.state.leading.is_none();
        for one in std::mem::take(&mut self.alone) {
            if one.seq <= self.state.durable.seq {
                self.told.handles += 1;
            } else if stopped {
                let own = self.state.failure.as_ref().map(|failure| failure.group);
                let fate = self.state.fate(one.group).and_then(Result::err);
                assert!(fate.is_some(), "{one:?} is told that it succeeded");
                let Some(error) = fate else { return };
                self.refuse(&error, own == Some(one.group), Some(one.seq));
            } else {
                self.alone.push(one);
            }
        }
    }
}
