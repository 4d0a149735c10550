//! Who takes part in a rehearsal, what they wait for, and what can happen next.

use crate::base::{Lsn, Seq};

use super::super::commit::Durability;
use super::super::group::Group;

/// What happened in a rehearsal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rehearsed {
    /// Commits answered with `Ok`.
    pub acknowledged: u64,
    /// Calls whose outcome is unknown.
    pub unknown: u64,
    /// Calls of which nothing was written.
    pub refused: u64,
    /// Handles told that their commit is durable.
    pub handles: u64,
    /// Calls that left at their deadline.
    pub left: u64,
    /// Threads that panicked while they appended.
    pub panics: u64,
    /// Groups completed.
    pub groups: u64,
    /// Times the log went on to the next segment.
    pub rotations: u64,
    /// Times a leader-to-be was woken.
    pub handed_on: u64,
    /// Marks that claim an idle log.
    pub claims: u64,
    /// The log was closed cleanly.
    pub closed: bool,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Commit(Durability, Seq),
    Sync(Lsn),
    /// A close, and how many of its three groups are done.
    Close(u8),
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    Awake,
    AwakeToLead,
    WaitingToLead,
    Following,
    Leading,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Person {
    pub(super) doing: Doing,
    pub(super) asked: Asked,
    pub(super) group: u64,
}

/// A leader in the kernel; nobody of the people when it is the keeper.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) group: Group,
    pub(super) who: Option<usize>,
    pub(super) written: usize,
    pub(super) synced: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Begin(usize),
    Run(usize),
    Leave(usize),
    Kernel,
    Look,
}
