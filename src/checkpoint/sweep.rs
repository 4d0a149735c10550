//! Table files that no manifest names: what crashes and failures left.
//!
//! A file is taken out of the way only after the manifest was compared with the log, and not
//! removed then: should the comparison ever be wrong, everything is still there. It goes with the
//! next checkpoint, or when the next open finds others.

use std::path::Path;

use crate::base::mark::{Mark, hit};
use crate::base::{Error, Result};
use crate::vfs::Runtime;

const TABLE: &str = ".table";
const ORPHAN: &str = ".orphan";

/// The files of the directory whose names end with `suffix`, without it.
fn names(runtime: &Runtime, dir: &Path, suffix: &str) -> Result<Vec<String>> {
    let entries = match runtime.vfs.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        listed => listed.map_err(|error| Error::io("list the tables", dir, error))?,
    };
    let names = entries.iter().filter_map(|entry| entry.name.strip_suffix(suffix));
    Ok(names.map(ToOwned::to_owned).collect())
}

/// Renames every table that is not listed; those that were renamed before go for good.
///
/// # Errors
/// `Io`.
pub(super) fn set_aside_orphans(
    runtime: &Runtime,
    dir: &Path,
    is_listed: impl Fn(u64) -> bool,
) -> Result<()> {
    let mut orphans = names(runtime, dir, TABLE)?;
    orphans.retain(|name| !name.parse().is_ok_and(&is_listed));
    if orphans.is_empty() {
        return Ok(());
    }
    hit(Mark::OrphanSetAside);
    remove_orphans(runtime, dir);
    for name in orphans {
        let (from, to) = (dir.join(format!("{name}{TABLE}")), dir.join(format!("{name}{ORPHAN}")));
        let renamed = runtime.vfs.rename(&from, &to);
        renamed.map_err(|error| Error::io("set the table aside", &from, error))?;
    }
    Ok(())
}

/// Removes what was set aside, as well as that can be done.
pub(super) fn remove_orphans(runtime: &Runtime, dir: &Path) {
    for name in names(runtime, dir, ORPHAN).unwrap_or_default() {
        let _left = runtime.vfs.remove(&dir.join(format!("{name}{ORPHAN}")));
    }
}
