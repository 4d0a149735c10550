//! The verification: every part in turn, and the report.

use std::io;
use std::path::Path;

use crate::base::codec::to_u64;
use crate::base::{Error, ErrorKind, Result};
use crate::manifest::ManifestRead;
use crate::vfs::{Lock, Runtime};
use crate::wal::{LOCK_NAME, Survey, Truncations, existing_identity, held, survey_log};

use super::commits::Audit;
use super::orphans::orphans;
use super::tables::{Looked, Looking};
use super::told::{Told, VerifyReport};

/// Checks the store in `dir`; with `quick`, without hashing documents and whole tables again.
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
/// Reads every byte, and twice where commits were taken back; tables twice unless `quick`. Keeps
/// in memory one revision for each document, and of the tables one block for each of their runs,
/// with an index and a filter.
pub fn verify(dir: &Path, runtime: &Runtime, quick: bool) -> Result<VerifyReport> {
    let _hold = keep_writers_away(dir, runtime)?;
    let mut told = Told::new(dir);
    let Some(identity) = told.sound(existing_identity(dir, runtime))? else {
        return Ok(VerifyReport { damage: told.damage, ..VerifyReport::default() });
    };
    let read = told.sound(ManifestRead::open(dir, runtime, identity.store_id))?;
    let looking = Looking { store: dir, runtime, quick };
    let look = |truncations| {
        let mut audit = Audit::new(looking, read.as_ref(), truncations);
        let surveyed = survey_log(dir, runtime, &mut |record| audit.check(record));
        (audit, surveyed)
    };
    let (mut audit, mut surveyed) = look(Truncations::default());
    if !audit.met.is_empty() {
        // What was taken back is no history: once more, without it.
        (audit, surveyed) = look(audit.met);
    }
    let survey = told.sound(surveyed)?;
    if let Some(survey) = &survey {
        told.damage.extend_from_slice(&survey.damage);
    }
    audit.finish(survey.as_ref(), &mut told)?;
    let orphans = match &read {
        Some(read) => orphans(dir, runtime, read)?,
        None => Vec::new(),
    };
    let mut checked = counts(&survey.unwrap_or_default(), &audit, read.as_ref());
    checked.push(("orphans", to_u64(orphans.len())));
    Ok(VerifyReport { checked, damage: told.damage, orphans })
}

fn counts(
    survey: &Survey,
    audit: &Audit<'_>,
    read: Option<&ManifestRead>,
) -> Vec<(&'static str, u64)> {
    let nothing = Looked::default();
    let looked = audit.looked().unwrap_or(&nothing);
    vec![
        ("segments", survey.segments),
        ("spare_segments", survey.spare_segments),
        ("records", survey.records),
        ("bytes", survey.bytes),
        ("torn_bytes", survey.torn_bytes),
        ("commits", audit.commits),
        ("keyspaces", audit.keyspaces()),
        ("revisions", audit.revisions),
        ("documents", audit.documents()),
        ("values", audit.values),
        ("manifest_records", read.map_or(0, |read| to_u64(read.records()))),
        ("manifest_bytes", read.map_or(0, ManifestRead::file_bytes)),
        ("tables", looked.tables),
        ("table_bytes", looked.bytes),
        ("blocks", looked.blocks),
        ("versions", looked.versions),
        ("answers", looked.answers),
    ]
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
