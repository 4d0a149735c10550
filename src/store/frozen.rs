//! A memtable that takes no more commits, as a checkpoint reads it.

use std::sync::Arc;

use crate::base::{KeyspaceId, Result};
use crate::checkpoint::Source;
use crate::table::block::VersionRef;
use crate::wal::Standpoint;

use super::memtable::Memtable;
use super::requests::{Answer, REQUESTS};

/// Everything up to a standpoint that is in no table yet.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) memtable: Memtable,
    /// Answers that are kept for requests, by their ids.
    pub(super) answers: Vec<(Arc<str>, Answer)>,
    pub(super) standpoint: Standpoint,
    /// Bytes of the log that it makes unneeded, and all before it.
    pub(super) log_bytes: u64,
}

impl Frozen {
    /// Its versions in their order.
    pub(super) fn versions(&self) -> impl Source + '_ {
        let answers = self.answers.iter().map(|(id, answer)| {
            let Answer { lsn, time, reply } = answer;
            let version = VersionRef { lsn: *lsn, time: *time, value: Some(reply) };
            ((REQUESTS, id.as_bytes()), version)
        });
        // The keyspace of the requests is behind all others.
        Versions { rest: self.memtable.versions().chain(answers), here: None }
    }
}

type At<'a> = ((KeyspaceId, &'a [u8]), VersionRef<'a>);

/// An iterator as a source.
struct Versions<'a, I> {
    rest: I,
    here: Option<At<'a>>,
}

impl<'a, I: Iterator<Item = At<'a>>> Source for Versions<'a, I> {
    fn advance(&mut self) -> Result<bool> {
        self.here = self.rest.next();
        Ok(self.here.is_some())
    }

    fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
        self.here
    }
}
