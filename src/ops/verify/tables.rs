//! All tables of a store, side by side: each key once, with all its versions from the newest on.

use std::path::Path;
use std::sync::Arc;

use crate::base::{KeyspaceId, Lsn, Result};
use crate::checkpoint::{DIR_NAME, runs_of};
use crate::doc::Revision;
use crate::manifest::{ListedTable, State};
use crate::store::{DIRECTORY, Namespace, REQUESTS};
use crate::vfs::Runtime;

use super::content::{self, Names};
use super::table::TableWalk;
use super::told::Told;

/// What a look at all tables came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Tables, data blocks, versions, and bytes of files.
    pub(super) tables: u64,
    pub(super) blocks: u64,
    pub(super) versions: u64,
    pub(super) bytes: u64,
    /// Answers kept for requests.
    pub(super) answers: u64,
    pub(super) names: Names,
    /// Nothing was told: what is not here is in no table.
    pub(super) is_whole: bool,
}

/// Gets every document that has a version in a table, in their order: its revision, and `None` if
/// it is deleted.
pub(super) type Documents<'a> = dyn FnMut((KeyspaceId, &[u8]), Option<Revision>) + 'a;

/// Where tables are, and how they are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looking<'a> {
    pub(super) store: &'a Path,
    pub(super) runtime: &'a Runtime,
    /// Hashes are not made again.
    pub(super) quick: bool,
}

impl Looking<'_> {
    /// Reads every table that `state` lists.
    ///
    /// # Errors
    /// `Io`, `Unsupported`.
    ///
    /// # Cost
    /// One block of each run is in memory at a time, and the index and the filter of its table.
    pub(super) fn look(
        &self,
        state: &State,
        told: &mut Told,
        documents: &mut Documents<'_>,
    ) -> Result<Looked> {
        let damage_before = told.damage.len();
        let mut looked = Looked::default();
        let mut runs: Vec<RunWalk> = runs_of(state).into_iter().map(RunWalk::new).collect();
        for run in &mut runs {
            run.advance(self, &mut looked, told)?;
        }
        let mut before: Option<Before> = None;
        while let Some(newest) = first_of(&runs) {
            let Some(run) = runs.get_mut(newest) else { break };
            if let Some(walk) = &run.walk {
                looked.is_whole = told.damage.len() == damage_before;
                self.take((newest, walk), &mut before, &mut looked, (told, documents));
            }
            run.advance(self, &mut looked, told)?;
        }
        looked.is_whole = told.damage.len() == damage_before;
        Ok(looked)
    }

    /// Checks the version at which the walk of a run stands.
    fn take(
        &self,
        (run, walk): (usize, &TableWalk),
        before: &mut Option<Before>,
        looked: &mut Looked,
        (told, documents): (&mut Told, &mut Documents<'_>),
    ) {
        let Some(((keyspace, key), version)) = walk.version() else { return };
        looked.versions += 1;
        let same = before.take().filter(|before| before.keyspace == keyspace && before.key == key);
        let is_newest = same.is_none();
        let mut wrong = |what: String| {
            let (path, offset) = walk.place();
            told.wrong(path, (offset, Some(version.lsn)), what);
        };
        if same.as_ref().is_some_and(|before| before.run != run && before.lsn <= version.lsn) {
            wrong("an older run of tables has a newer version of a key".to_owned());
        }
        let key_now = same.map_or_else(|| key.to_vec(), |same| same.key);
        *before = Some(Before { run, keyspace, key: key_now, lsn: version.lsn });
        let what = match (keyspace, version.value) {
            (DIRECTORY, Some(value)) if is_newest => looked.names.learn(key, value),
            (DIRECTORY, _) => None,
            (REQUESTS, value) => {
                looked.answers += 1;
                content::check_answer(key, value)
            }
            (_, value) => match looked.names.namespace(keyspace) {
                Some(Namespace::Collection) => match self.document(key, value) {
                    Ok(revision) => {
                        if is_newest {
                            documents((keyspace, key), revision);
                        }
                        None
                    }
                    Err(what) => Some(what),
                },
                Some(Namespace::Keyspace) => None,
                None if !looked.is_whole => None,
                None => Some(format!("keyspace {keyspace} has no name")),
            },
        };
        if let Some(what) = what {
            wrong(what);
        }
    }

    fn document(&self, key: &[u8], value: Option<&[u8]>) -> Result<Option<Revision>, String> {
        let Some(stored) = value else {
            return content::check_id(key).map_or(Ok(None), Err);
        };
        let revision = content::revision(key, stored)?;
        let wrong = if self.quick { None } else { content::check_document(key, stored, &revision) };
        wrong.map_or(Ok(Some(revision)), Err)
    }
}

/// The version before.
#[derive(Debug)]
struct Before {
    run: usize,
    keyspace: KeyspaceId,
    key: Vec<u8>,
    lsn: Lsn,
}

/// The tables of a run, one after the other.
#[derive(Debug)]
struct RunWalk {
    /// Those to come, the next one last.
    rest: Vec<Arc<ListedTable>>,
    walk: Option<TableWalk>,
}

impl RunWalk {
    fn new(mut run: Vec<Arc<ListedTable>>) -> Self {
        run.reverse();
        Self { rest: run, walk: None }
    }

    /// Moves to the next version of the run, if there is one.
    fn advance(
        &mut self,
        looking: &Looking<'_>,
        looked: &mut Looked,
        told: &mut Told,
    ) -> Result<()> {
        loop {
            if let Some(walk) = &mut self.walk {
                if walk.advance(told)? {
                    return Ok(());
                }
                looked.blocks += walk.blocks();
            }
            if let Some(walk) = self.walk.take() {
                walk.finish(!looking.quick, told)?;
            }
            let Some(listed) = self.rest.pop() else { return Ok(()) };
            looked.tables += 1;
            looked.bytes += listed.file_bytes;
            let dir = looking.store.join(DIR_NAME);
            self.walk = TableWalk::open(&listed, (&dir, looking.runtime), told)?;
        }
    }
}

/// The run that stands at the smallest key, and of those the newest.
fn first_of(runs: &[RunWalk]) -> Option<usize> {
    let heads = runs.iter().enumerate().filter_map(|(number, run)| {
        let (key, _) = run.walk.as_ref()?.version()?;
        Some((key, number))
    });
    heads.min().map(|(_, number)| number)
}
