//! The logical checks of the log: a fold over its commits, held against the tables on its way.

use std::path::Path;

use crate::base::codec::to_u64;
use crate::base::{KeyspaceId, Lsn, Result};
use crate::manifest::{Checkpoint, ManifestRead};
use crate::store::format::{Change, decode};
use crate::store::{DIRECTORY, Namespace};
use crate::wal::format::Kind;
use crate::wal::scan::Record;
use crate::wal::{Survey, Truncations};

use super::compare::{Comparison, Latest};
use super::content::{self, Names, name_of};
use super::manifest::Passing;
use super::tables::{Looked, Looking};
use super::told::Told;

/// What is known of the store as far as the log was read.
#[derive(Debug)]
pub(super) struct Audit<'a> {
    looking: Looking<'a>,
    /// The manifest, if it can be read.
    read: Option<&'a ManifestRead>,
    names: Names,
    latest: Latest,
    pub(super) commits: u64,
    pub(super) revisions: u64,
    pub(super) values: u64,
    /// The last commit looked at; after a hole, revisions before it are unknown.
    last: Lsn,
    after_hole: bool,
    /// The truncations that this pass knows from the start, and those it met.
    truncations: Truncations,
    pub(super) met: Truncations,
    passing: Passing,
    /// What the tables hold, once the log has passed the checkpoint.
    looked: Option<Looked>,
    told: Told,
}

impl<'a> Audit<'a> {
    pub(super) fn new(
        looking: Looking<'a>,
        read: Option<&'a ManifestRead>,
        truncations: Truncations,
    ) -> Self {
        Self {
            looking,
            read,
            names: Names::default(),
            latest: Latest::default(),
            commits: 0,
            revisions: 0,
            values: 0,
            last: Lsn::ZERO,
            after_hole: false,
            truncations,
            met: Truncations::default(),
            passing: Passing::default(),
            looked: None,
            told: Told::new(looking.store),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        self.read.map_or(Checkpoint::ORIGIN, |read| *read.state().checkpoint())
    }

    /// Takes the next record of the log.
    ///
    /// # Errors
    /// `Io`, `Unsupported`: of the tables.
    pub(super) fn check(&mut self, record: &Record<'_>) -> Result<()> {
        let (lsn, checkpoint) = (record.header.lsn, self.checkpoint());
        self.met.note(&record.header);
        self.passing.note(record, &checkpoint);
        if self.truncations.take_back(&record.header) {
            return Ok(());
        }
        if record.header.kind.takes_lsn() {
            if lsn > checkpoint.position.lsn && self.looked.is_none() {
                self.pass_checkpoint(checkpoint.position.lsn)?;
            }
            self.after_hole |= lsn != self.last.next();
            self.last = lsn;
        }
        if record.header.kind == Kind::Commit {
            self.commit(lsn, record.payload);
        }
        Ok(())
    }

    fn commit(&mut self, lsn: Lsn, payload: &[u8]) {
        self.commits += 1;
        let decoded = match decode(payload) {
            Ok(decoded) => decoded,
            Err(fault) => return self.wrong(lsn, format!("the commit is not a batch: {fault:?}")),
        };
        for entry in &decoded.entries {
            let what = match (entry.keyspace, entry.change) {
                (DIRECTORY, Change::Put(value)) => self.names.learn(entry.key, value),
                (DIRECTORY, Change::Delete(_)) => None,
                (keyspace, change) => match self.names.namespace(keyspace) {
                    Some(Namespace::Collection) => self.document(keyspace, entry.key, change),
                    Some(Namespace::Keyspace) => {
                        self.values += 1;
                        None
                    }
                    None if self.after_hole => None,
                    None => Some(format!("keyspace {keyspace} has no name")),
                },
            };
            if let Some(what) = what {
                self.wrong(lsn, what);
            }
        }
    }

    fn wrong(&mut self, lsn: Lsn, what: impl Into<String>) {
        self.told.wrong(Path::new("wal"), (None, Some(lsn)), what);
    }

    /// Checks one revision of a document against its content and the revision before.
    fn document(&mut self, keyspace: KeyspaceId, key: &[u8], change: Change<'_>) -> Option<String> {
        self.revisions += 1;
        let (Change::Put(stored) | Change::Delete(stored)) = change;
        let revision = match content::revision(key, stored) {
            Ok(revision) => revision,
            Err(what) => return Some(what),
        };
        let address = (keyspace, key.to_vec());
        let before = match change {
            Change::Put(_) => self.latest.insert(address, revision),
            Change::Delete(_) => self.latest.remove(&address),
        };
        let expected = match change {
            Change::Put(_) => before.map_or(1, |before| before.rev + 1),
            Change::Delete(_) => before.map_or(0, |before| before.rev),
        };
        // What was lost in a hole may have held the revision before.
        if revision.rev != expected && !self.after_hole {
            let (name, rev) = (name_of(key), revision.rev);
            return Some(format!("the document {name:?} has revision {rev}, not {expected}"));
        }
        match change {
            Change::Put(stored) if !self.looking.quick => {
                content::check_document(key, stored, &revision)
            }
            _ => None,
        }
    }

    /// Looks at the tables, which hold everything up to `checkpoint`. What the log has made up to
    /// there must be the same; if that is not known, the tables say what it was.
    fn pass_checkpoint(&mut self, checkpoint: Lsn) -> Result<()> {
        let Some(read) = self.read else {
            self.looked = Some(Looked::default());
            return Ok(());
        };
        let state = read.state();
        if self.after_hole || self.last != checkpoint {
            let mut latest = Latest::default();
            let looked =
                self.looking.look(state, &mut self.told, &mut |(keyspace, key), found| {
                    if let Some(revision) = found {
                        latest.insert((keyspace, key.to_vec()), revision);
                    }
                })?;
            (self.latest, self.names) = (latest, looked.names.clone());
            (self.last, self.after_hole) = (checkpoint, !looked.is_whole);
            self.looked = Some(looked);
            return Ok(());
        }
        let mut comparison = Comparison::with(&self.latest);
        let looked = self.looking.look(state, &mut self.told, &mut |document, found| {
            comparison.meet(document, found);
        })?;
        let mut differences = comparison.finish();
        if looked.names != self.names {
            differences.push("the tables name other keyspaces than the log".to_owned());
        }
        // What a damaged table holds is not known.
        for what in differences.into_iter().filter(|_| looked.is_whole) {
            self.wrong(checkpoint, what);
        }
        self.looked = Some(looked);
        Ok(())
    }

    /// Behind the last record of the log, which `survey` has walked unless it could not begin.
    ///
    /// # Errors
    /// `Io`, `Unsupported`: of the tables.
    pub(super) fn finish(&mut self, survey: Option<&Survey>, told: &mut Told) -> Result<()> {
        if self.looked.is_none() {
            self.pass_checkpoint(self.checkpoint().position.lsn)?;
        }
        told.damage.append(&mut self.told.damage);
        if let (Some(read), Some(survey)) = (self.read, survey) {
            std::mem::take(&mut self.passing).finish(read, survey, told)?;
        }
        Ok(())
    }

    /// What the tables hold, once they were looked at.
    pub(super) fn looked(&self) -> Option<&Looked> {
        self.looked.as_ref()
    }

    pub(super) fn keyspaces(&self) -> u64 {
        to_u64(self.names.len())
    }

    pub(super) fn documents(&self) -> u64 {
        to_u64(self.latest.len())
    }
}
