//! Checking everything a store holds, without opening it and without writing.
//!
//! Reads the log by its own path and checks what the engine relies on: every record, every
//! document of every commit against its hash and its canonical form, every revision against the
//! one before, the directory of keyspaces. Lists every damage instead of stopping at the first.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::base::{Error, ErrorKind, KeyspaceId, Lsn, Result};
use crate::doc::{Canonical, Revision, Sha256, id, json};
use crate::store::format::{Change, decode};
use crate::store::{DIRECTORY, Keyspace, Namespace, parse_directory_entry};
use crate::vfs::{Lock, Runtime};
use crate::wal::format::Kind;
use crate::wal::scan::Record;
use crate::wal::{Damage, LOCK_NAME, Truncations, held, survey_log};

/// What a verification found.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many of each thing were checked.
    pub checked: Vec<(&'static str, u64)>,
    /// Everything that is not what it should be.
    pub damage: Vec<Damage>,
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.damage.is_empty()
    }
}

/// Checks the store in `dir`; with `quick`, without hashing the documents again.
///
/// # Errors
/// `NotFound` when there is no store, `Locked` when a writer holds it, `Unsupported`, `Io`.
/// Damage is in the report, not an error.
///
/// # Concurrency
/// Any number may verify or read at once; a writer that would open the store meanwhile is told
/// that it is held.
///
/// # Cost
/// Reads every byte, and twice where commits were taken back; keeps one revision for each
/// document in memory.
pub fn verify(dir: &Path, runtime: &Runtime, quick: bool) -> Result<VerifyReport> {
    let _hold = keep_writers_away(dir, runtime)?;
    let look = |truncations| {
        let mut audit = Audit { quick, truncations, ..Audit::default() };
        let surveyed = survey_log(dir, runtime, &mut |record| {
            audit.check(record);
            Ok(())
        });
        (audit, surveyed)
    };
    let (mut audit, mut surveyed) = look(Truncations::default());
    if !audit.met.is_empty() {
        // What was taken back is no history: once more, without it.
        (audit, surveyed) = look(audit.met);
    }
    let survey = match surveyed {
        Ok(survey) => survey,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let place = error.place().clone();
            let damage = Damage {
                path: place.path.unwrap_or_default(),
                offset: place.offset,
                lsn: place.lsn,
                what: error.message().to_owned(),
            };
            return Ok(VerifyReport { checked: Vec::new(), damage: vec![damage] });
        }
        Err(error) => return Err(error),
    };
    let checked = vec![
        ("segments", survey.segments),
        ("spare_segments", survey.spare_segments),
        ("records", survey.records),
        ("bytes", survey.bytes),
        ("torn_bytes", survey.torn_bytes),
        ("commits", audit.commits),
        ("keyspaces", crate::base::codec::to_u64(audit.names.len())),
        ("revisions", audit.revisions),
        ("documents", crate::base::codec::to_u64(audit.latest.len())),
        ("values", audit.values),
    ];
    let mut damage = survey.damage;
    damage.append(&mut audit.damage);
    Ok(VerifyReport { checked, damage })
}

/// Keeps writers away, and nobody who only reads; writes nothing. `None` where no writer can be
/// kept away: none was ever here, or who verifies may not look.
fn keep_writers_away(dir: &Path, runtime: &Runtime) -> Result<Option<Box<dyn Lock>>> {
    match runtime.vfs.list(dir) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::NotFound, "there is no store here").at_path(dir));
        }
        Err(error) => return Err(Error::io("list the store's directory", dir, error)),
    }
    match runtime.vfs.lock_shared(&dir.join(LOCK_NAME)) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(held(dir, runtime)),
        Err(_) => Ok(None),
    }
}

/// The logical checks: a fold over the commits.
#[derive(Default)]
struct Audit {
    quick: bool,
    names: BTreeMap<KeyspaceId, Keyspace>,
    latest: BTreeMap<(KeyspaceId, Vec<u8>), Revision>,
    commits: u64,
    revisions: u64,
    values: u64,
    /// The last commit looked at; after a hole, revisions before it are unknown.
    last: Lsn,
    after_hole: bool,
    /// The truncations that this pass knows from the start, and those it met.
    truncations: Truncations,
    met: Truncations,
    damage: Vec<Damage>,
}

impl Audit {
    fn check(&mut self, record: &Record<'_>) {
        let lsn = record.header.lsn;
        self.met.note(&record.header);
        if self.truncations.take_back(&record.header) {
            return;
        }
        if record.header.kind.takes_lsn() {
            self.after_hole |= lsn != self.last.next();
            self.last = lsn;
        }
        if record.header.kind != Kind::Commit {
            return;
        }
        self.commits += 1;
        let decoded = match decode(record.payload) {
            Ok(decoded) => decoded,
            Err(fault) => return self.wrong(lsn, format!("the commit is not a batch: {fault:?}")),
        };
        for entry in &decoded.entries {
            let what = match (entry.keyspace, entry.change) {
                (DIRECTORY, Change::Put(value)) => self.name(entry.key, value),
                (DIRECTORY, Change::Delete(_)) => None,
                (keyspace, change) => match self.names.get(&keyspace).map(Keyspace::namespace) {
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

    fn wrong(&mut self, lsn: Lsn, what: String) {
        self.damage.push(Damage { path: "wal".into(), offset: None, lsn: Some(lsn), what });
    }

    fn name(&mut self, key: &[u8], value: &[u8]) -> Option<String> {
        let Some((keyspace, id)) = parse_directory_entry(key, value) else {
            return Some("an entry of the directory of keyspaces is not one".to_owned());
        };
        let taken = self.names.values().any(|known| *known == keyspace);
        if taken || self.names.insert(id, keyspace).is_some() {
            return Some(format!("keyspace {id} was created twice"));
        }
        None
    }

    /// Checks one revision of a document against its content and the revision before.
    fn document(&mut self, keyspace: KeyspaceId, key: &[u8], change: Change<'_>) -> Option<String> {
        self.revisions += 1;
        let (Change::Put(stored) | Change::Delete(stored)) = change;
        let name = String::from_utf8_lossy(key).into_owned();
        let Some(revision) = Revision::decode(stored) else {
            return Some(format!("the document {name:?} has no revision"));
        };
        if std::str::from_utf8(key).is_err() || id::check_id(&name).is_err() {
            return Some(format!("the id {name:?} breaks the rules for ids"));
        }
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
            let rev = revision.rev;
            return Some(format!("the document {name:?} has revision {rev}, not {expected}"));
        }
        match change {
            Change::Put(stored) if !self.quick => self.content(&name, stored, &revision),
            _ => None,
        }
    }

    fn content(&self, name: &str, stored: &[u8], revision: &Revision) -> Option<String> {
        let bytes = stored.get(revision.encode().len()..).unwrap_or_default();
        if Sha256::of(bytes) != revision.sha256 {
            return Some(format!("the document {name:?} is not what its hash says"));
        }
        let canonical = json::parse(bytes).and_then(|value| Canonical::of(&value));
        if canonical.is_ok_and(|canonical| canonical.bytes == bytes) {
            return None;
        }
        Some(format!("the document {name:?} is not stored in canonical form"))
    }
}
